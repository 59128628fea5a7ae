"""The state of a training run, and one epoch of it.

What it does not do: read text (`corpus.py`), compute (`worker.py`, `kernels/`), decide about
threads (`workers.py`) or write files.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from embedcli.corpus import Corpus
from embedcli.embeddings import Embeddings
from embedcli.errors import EmbedError, TrainingError
from embedcli.kernels.rules import Rule
from embedcli.kernels.weights import Weights
from embedcli.progress import OnProgress, Progress
from embedcli.quoting import quoted
from embedcli.settings.config import LINE, TrainConfig
from embedcli.subwords.table import Subwords
from embedcli.training.chunks import Chunks, held_out_stretches
from embedcli.training.given import Given
from embedcli.training.sampling import keep_thresholds, random_key
from embedcli.training.schedule import learning_rate
from embedcli.training.state import Epoch, State, nothing_trained
from embedcli.training.stopping import Deadline, is_stalled
from embedcli.training.weights import find_fault, initial_weights
from embedcli.training.worker import Worker, outputs_of, rule_of
from embedcli.training.workers import run_workers

__all__ = ["Member", "Run", "Score", "parts_of"]

Score = Callable[[NDArray[np.float32]], float | None]


class Parts(Protocol):
    """What an epoch passes over, in chunks; measured in tokens of the text (`chunks.Chunks`)."""

    def __len__(self) -> int: ...
    def begin(self, chunk: int) -> int: ...
    def n_tokens(self, n_chunks: int) -> int: ...


class Tallied(Protocol):
    """Private arrays of a thread that hold its sums."""

    @property
    def tally(self) -> NDArray[np.float64]: ...


class Member(Protocol):
    """One thread's kernel, private arrays and sums."""

    subsampled: int

    @property
    def scratch(self) -> Tallied:
        """What holds the sums."""
        ...

    def forget(self) -> None:
        """Begin to count anew."""
        ...


# Where the number of the epoch goes in keys: the same samples whenever they are measured.
_HELD_OUT = 1 << 32


class Run:
    """Two matrices, the probabilities of a corpus, and a worker for each thread.

    Args:
        corpus: what to train on; its vocabulary may be that of a larger text it is a part of.
        config: resolved settings.
        weights: the matrices to train; fresh ones by default.
        valid: another text, in the same vocabulary, that is measured and not trained.
        given: vectors to begin with.
        deadline: when to be ready.
        score: of the input vectors, float32 (V, D), that is to be followed.
    """

    def __init__(
        self,
        corpus: Corpus,
        config: TrainConfig,
        weights: Weights | None = None,
        *,
        valid: Corpus | None = None,
        given: Given | None = None,
        deadline: Deadline | None = None,
        score: Score | None = None,
    ) -> None:
        if corpus.vocabulary.counts is None:
            raise ValueError("an encoded corpus has counts")
        counts = corpus.vocabulary.counts
        if len(counts) < 2:
            raise TrainingError(
                f"the vocabulary is the single word {quoted(corpus.vocabulary[0])}: with no other "
                "word there is nothing to predict; lower --min-count or give more text"
            )
        self.config = config
        self.corpus = corpus
        self.epochs: list[Epoch] = []
        self.tree_counts: NDArray[np.int64] | None = None  # of a tree that goes on (`huffman.py`)
        self._deadline = deadline
        self._score = score
        self._training: Parts
        self._held_out: Parts | None
        self._workers: Sequence[Member]
        self._measurers: Sequence[Member]
        self._prepare(counts, weights, valid, given)
        self._n_chunks = len(self._training)  # to be trained in this epoch
        self._chunk = 0  # the first of this epoch that is not begun; the held-out ones come behind
        self._unfinished: dict[int, int] = {}  # those before it that are not: words trained
        self.is_settled = True  # whether it can be saved as it stands

    def _prepare(
        self,
        counts: NDArray[np.int64],
        weights: Weights | None,
        valid: Corpus | None,
        given: Given | None,
    ) -> None:
        """Make what an architecture has of its own: chunks, matrices, workers."""
        corpus, config = self.corpus, self.config
        self._text, self._held_out_text = parts_of(corpus, valid, config)
        self._training, self._held_out = self._text, self._held_out_text
        self._keep = keep_thresholds(counts, config.subsampling)
        if given is not None and config.loss == "hs":
            self.tree_counts = given.tree_counts(counts)
        of_outputs = counts if self.tree_counts is None else self.tree_counts
        self._outputs = outputs_of(of_outputs, len(corpus.ids), config)
        self._weights = weights or self._initial_weights(len(counts))
        if given is not None:
            self._begin_with(given)
        self._rule = rule_of(config, len(counts), None if given is None else given.frozen)
        self._workers = self._team(self._text, self._rule)
        held_out = self._held_out_text
        self._measurers = [] if held_out is None else self._team(held_out, None)

    def _initial_weights(self, n_words: int) -> Weights:
        return initial_weights(n_words, self.config.dim, self.config.seed)

    def _begin_with(self, given: Given) -> None:
        syn0, outputs = self.matrices()
        if self.config.loss == "hs":
            given.copy_to(syn0, None)
            if self.tree_counts is not None:
                given.copy_nodes_to(outputs)
        else:
            given.copy_to(syn0, outputs)

    def _team(self, chunks: Chunks, rule: Rule | None) -> list[Worker]:
        window = self.config.widest_window(min(chunks.longest_line, chunks.size))
        return [
            Worker(self._weights, self._outputs, self.config, chunks.size, window, rule)
            for _ in range(self.config.threads or 1)
        ]

    def train(
        self, on_progress: OnProgress, wants_pause: Callable[[], bool] = lambda: False
    ) -> bool:
        """Train on from where the run stands.

        Args:
            on_progress: called about ten times a second.
            wants_pause: asked about ten times a second whether to stop between two slices.

        Returns:
            Whether all epochs are done; if not, it paused and may be called again.

        Raises:
            TrainingError: nothing could be trained, or the numbers diverge.
        """
        paused = False
        while not self.is_done:
            if paused:
                return False
            paused = self._pass(on_progress, wants_pause)
        return True

    @property
    def bounds(self) -> NDArray[np.int64]:
        """Where chunks begin, int64 (C + 1,): chunk c is tokens ``bounds[c]`` to ``[c + 1]``."""
        return self._text.bounds

    def train_chunks(
        self, epoch: int, chunks: range, on_wake: Callable[[int], bool] = lambda chunk: False
    ) -> tuple[NDArray[np.float64], int]:
        """Train a stretch of one epoch, for a run that several machines share (`cluster/`).

        Args:
            epoch: counted from 0; decides the learning rate and the random numbers.
            chunks: consecutive ones.
            on_wake: called about ten times a second with the first chunk that is not begun.

        Returns:
            The sums of `Epoch` over the stretch, float64 (4,), and how many words were subsampled.
        """

        def job_of(worker: Member) -> Callable[[int], None]:
            def job(chunk: int) -> None:
                self._train_chunk(worker, epoch, chunk)

            return job

        jobs = [job_of(worker) for worker in self._workers]
        run_workers(jobs, chunks.start, chunks.stop, on_wake)
        sums = self._tally(), sum(worker.subsampled for worker in self._workers)
        for worker in self._workers:
            worker.forget()
        return sums

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to train."""
        if self._chunk:
            return False
        return len(self.epochs) >= self.config.epochs or self.stopped is not None

    @property
    def stopped(self) -> str | None:
        """Why the run ends before its last epoch, as the name of a setting; None if it does not."""
        patience = self.config.patience
        if len(self.epochs) < self.config.epochs and patience and is_stalled(self.epochs, patience):
            return "patience"
        is_cut = bool(self.epochs) and self.epochs[-1].tokens < self._training.n_tokens(
            len(self._training)
        )
        if is_cut or (len(self.epochs) < self.config.epochs and self._is_late()):
            return "time_budget"
        return None

    @property
    def n_done(self) -> int:
        """The tokens of all epochs that are trained or held out."""
        chunk = min(self._chunk, self._n_chunks)
        return len(self.epochs) * len(self.corpus.ids) + self._training.begin(chunk)

    @property
    def share_done(self) -> float:
        """The share of all tokens of all epochs that is trained, 0 to 1."""
        return self.n_done / (self.config.epochs * len(self.corpus.ids))

    @property
    def n_held_out(self) -> int:
        """The tokens that are measured after every epoch."""
        return 0 if self._held_out is None else self._held_out.n_tokens(len(self._held_out))

    def state(self) -> State:
        """Where the run stands; to be asked while it does not train."""
        arrays = {
            "tallies": np.array([worker.scratch.tally for worker in self._workers]),
            "subsampled": np.array([worker.subsampled for worker in self._workers], np.int64),
            "unfinished": np.array(sorted(self._unfinished.items()), np.int64).reshape(-1, 2),
        }
        if self._measurers:
            arrays["measured"] = np.array([worker.scratch.tally for worker in self._measurers])
        if self.config.optimizer == "adagrad" and self._rule is not None:
            arrays |= {"squares0": self._rule.squares0, "squares1": self._rule.squares1}
        return State(
            len(self.epochs),
            self._chunk,
            tuple(self.epochs),
            arrays,
            self._n_chunks,
            (self._deadline.spent, self._deadline.share) if self._deadline else None,
            self.is_done,
        )

    def restore(self, state: State, saved: Embeddings) -> None:
        """Go to where another run stood; the matrices it `saved` are copied."""
        syn0, syn1neg = self.matrices()
        syn0[:] = saved.vectors
        syn1neg[:] = saved.output_vectors
        self._restore_progress(state)

    def _restore_progress(self, state: State) -> None:
        self.epochs = list(state.epochs)
        self._chunk = state.chunk
        if state.n_chunks is not None:
            self._n_chunks = state.n_chunks
        self._unfinished = dict(state.arrays["unfinished"].tolist())
        for thread, tally in enumerate(state.arrays["tallies"]):
            worker = self._workers[thread % len(self._workers)]
            worker.scratch.tally[:] += tally
            worker.subsampled += int(state.arrays["subsampled"][thread])
        if self._measurers and "measured" in state.arrays:
            self._measurers[0].scratch.tally[:] += state.arrays["measured"].sum(axis=0)
        if "squares0" in state.arrays and self._rule is not None:
            self._rule.squares0[:] = state.arrays["squares0"]
            self._rule.squares1[:] = state.arrays["squares1"]

    def check(self) -> None:
        """Refuse matrices that nobody should go on with or keep.

        Raises:
            TrainingError: a component is not finite, or so large that training diverges.
        """
        for name, matrix in zip(("syn0", "syn1neg"), self.matrices(), strict=True):
            self._check_matrix(name, matrix)

    def _check_matrix(self, name: str, matrix: NDArray[np.float32]) -> None:
        fault = find_fault(name, matrix)
        if fault is not None:
            raise self._divergence(fault)

    def _pass(self, on_progress: OnProgress, wants_pause: Callable[[], bool]) -> bool:
        """Train on in this epoch, and measure when it is over; whether a pause is wanted."""
        number = len(self.epochs)
        total = self.config.epochs * len(self.corpus.ids)
        held_out = self.epochs[-1].held_out if self.epochs else None

        def report(n_begun: int) -> bool:
            self.corpus.release()
            lr = learning_rate(self._progress(number, n_begun), self.config)
            loss = _mean_loss(self._workers)
            if loss is not None and not math.isfinite(loss):
                raise self._divergence(f"the loss is {loss}")
            done = number * len(self.corpus.ids) + self._training.begin(n_begun)
            on_progress(Progress("training", done, total, number + 1, loss, lr, held_out))
            return wants_pause()

        pauses = False
        n_chunks = self._n_chunks
        if self._chunk < n_chunks or (self._chunk == n_chunks and self._unfinished):
            self._share(
                n_chunks, self._workers, self._train_chunk, lambda n: report(n) or self._is_late()
            )
            pauses = report(self._chunk)
            if self._unfinished or not self._chunk:
                return pauses
            if self._is_late():
                self._n_chunks = self._chunk
            if self._chunk < self._n_chunks:
                return pauses
        began = time.monotonic()
        if self._held_out is not None:
            end = self._n_chunks + len(self._held_out)
            self._share(end, self._measurers, self._measure_chunk, lambda _: report(self._n_chunks))
            pauses = report(self._n_chunks)
            if self._unfinished or self._chunk < end:
                return pauses
        self._finish(number)
        if self._deadline is not None:
            self._deadline.reserve(time.monotonic() - began)
        return pauses

    def _share(
        self,
        end: int,
        workers: Sequence[Member],
        work: Callable[[Any, int, int, Callable[[], bool]], int | None],
        on_wake: Callable[[int], bool],
    ) -> None:
        """Let `workers` share the chunks from where the run stands to below `end`.

        Args:
            end: one more than the last.
            workers: one for each thread.
            work: does one chunk of an epoch, or leaves it when what it is given says so, and
                returns how many of its words it has done.
            on_wake: called about ten times a second with the first chunk that is not begun; returns
                whether to pause.
        """
        stop = threading.Event()
        first, again = self._chunk, sorted(self._unfinished)
        begin = first - len(again)  # the unfinished ones come before all others

        def wants_stop() -> bool:
            return stop.is_set() and not self._is_late()  # what is late is finished, to be counted

        begun: list[int] = []
        ended: list[int] = []

        def job_of(worker: Member) -> Callable[[int], None]:
            def job(item: int) -> None:
                begun.append(item)
                chunk = item if item >= first else again[item - begin]
                left = work(worker, len(self.epochs), chunk, wants_stop)
                if left is not None:
                    self._unfinished[chunk] = left
                else:
                    self._unfinished.pop(chunk, None)
                ended.append(item)

            return job

        jobs = [job_of(worker) for worker in workers]
        self.is_settled = False
        try:
            run_workers(jobs, begin, end, lambda n: on_wake(max(n, first)), stop)
        finally:  # an interrupt is raised here, too, when the threads have ended
            self._chunk = max([first, *(item + 1 for item in begun)])
            self.is_settled = len(begun) == len(ended)

    def _train_chunk(
        self,
        worker: Any,
        epoch: int,
        chunk: int,
        wants_stop: Callable[[], bool] = lambda: False,
    ) -> int | None:
        tokens, sentences = self._text.read(chunk)
        lr = learning_rate(self._progress(epoch, chunk), self.config)
        chosen = tokens, sentences, self._keep, (epoch, chunk), lr
        position = self._unfinished.get(chunk, 0)
        left: int | None = worker.train(*chosen, position=position, wants_stop=wants_stop)
        return left

    def _measure_chunk(
        self, worker: Worker, epoch: int, chunk: int, wants_stop: Callable[[], bool]
    ) -> int | None:
        """Add up the loss of a held-out chunk: a training step whose learning rate is 0.

        Subsampling, windows and negatives are those of training, and the same after every epoch.
        """
        if self._held_out_text is None:
            raise ValueError("nothing is held out")
        number = chunk - self._n_chunks
        tokens, sentences = self._held_out_text.read(number)
        chosen = tokens, sentences, self._keep, (_HELD_OUT, number), 0.0
        position = self._unfinished.get(chunk, 0)
        return worker.train(*chosen, position=position, wants_stop=wants_stop)

    def _progress(self, epoch: int, chunk: int) -> float:
        """The share of the run that is over when a chunk begins.

        Of its tokens or of its time, whichever is more.
        """
        return self._share_of_run(epoch * len(self.corpus.ids) + self._training.begin(chunk))

    def _share_of_run(self, n_done: int) -> float:
        share = n_done / (self.config.epochs * len(self.corpus.ids))
        return max(share, self._deadline.share) if self._deadline else share

    def _is_late(self) -> bool:
        return self._deadline is not None and self._deadline.is_over

    def matrices(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """syn0 and syn1neg, float32 (V, D) with padded rows; views, not copies."""
        stride, dim = self._weights.stride, self.config.dim
        syn0 = self._weights.syn0.reshape(-1, stride)[:, :dim]
        return syn0, self._weights.syn1neg.reshape(-1, stride)[:, :dim]

    def subwords(self) -> Subwords | None:
        """What the input vectors are made of, where they are made of subwords."""
        return None

    def _divergence(self, what: str) -> TrainingError:
        lr = self.config.starting_lr
        return TrainingError(
            f"training diverged in epoch {len(self.epochs) + 1}: {what} at lr {lr:g}; "
            f"nothing was written; try --lr {lr / 4:g}"
        )

    def _tally(self) -> NDArray[np.float64]:
        return np.asarray(sum(worker.scratch.tally for worker in self._workers))

    def _finish(self, number: int) -> None:
        """Measure what is due after an epoch, and begin the next."""
        epoch = self._account(number)
        self.check()
        epoch = replace(epoch, held_out=_mean_loss(self._measurers), score=self._scored(number))
        self.is_settled = False
        self.epochs.append(epoch)
        self._chunk, self._n_chunks = 0, len(self._training)
        for worker in [*self._workers, *self._measurers]:
            worker.forget()
        self.is_settled = True

    def _account(self, number: int) -> Epoch:
        """What became of the tokens of an epoch.

        Raises:
            TrainingError: nothing could be trained.
        """
        pairs, trained, alone = (int(value) for value in self._tally()[1:4])
        n_tokens = self._training.n_tokens(self._n_chunks)
        subsampled = sum(worker.subsampled for worker in self._workers)
        if trained + subsampled + alone != n_tokens:
            raise EmbedError(
                f"epoch {number + 1} lost tokens: {n_tokens} read, but {trained} trained + "
                f"{subsampled} subsampled + {alone} without context; please report this"
            )
        if not trained:
            raise nothing_trained(n_tokens, subsampled, alone)
        return Epoch(n_tokens, trained, subsampled, alone, pairs, _mean_loss(self._workers) or 0.0)

    def _scored(self, number: int) -> float | None:
        is_due = (number + 1) % self.config.evaluate_every == 0
        if self._score is None or not (is_due or number + 1 == self.config.epochs):
            return None
        return self._score(self.matrices()[0])


def parts_of(
    corpus: Corpus, valid: Corpus | None, config: TrainConfig
) -> tuple[Chunks, Chunks | None]:
    """What is trained, and what is measured."""
    whole = config.window == LINE
    if valid is not None:
        measured = Chunks(valid.ids, valid.offsets, whole_lines=whole)
        return Chunks(corpus.ids, corpus.offsets, whole_lines=whole), measured
    if not config.valid_fraction:
        return Chunks(corpus.ids, corpus.offsets, whole_lines=whole), None
    generator = np.random.Generator(np.random.Philox(int(random_key(config.seed, "held out"))))
    stretches = held_out_stretches(corpus.offsets, config.valid_fraction, generator)
    training = Chunks(corpus.ids, corpus.offsets, stretches, whole_lines=whole)
    if not training.n_tokens(len(training)):
        raise TrainingError(
            f"--valid-fraction {config.valid_fraction} of {len(corpus.offsets) - 1} lines leaves "
            "nothing to train: put a sentence or document on a line, or name another text with "
            "--valid"
        )
    return training, Chunks(corpus.ids, corpus.offsets, stretches, held_out=True, whole_lines=whole)


def _mean_loss(workers: Sequence[Member]) -> float | None:
    """The mean loss of a pair that the workers have seen; None before the first."""
    loss = sum(float(worker.scratch.tally[0]) for worker in workers)
    pairs = sum(float(worker.scratch.tally[1]) for worker in workers)
    return loss / pairs if pairs else None
