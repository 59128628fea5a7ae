"""A run: the loop over epochs, its position, and the part of it that is saved.

The loop pauses, reports, measures and stops; what it trains is a `Work` (`work.py`). It does not
read text (`text/corpus_reader.py`), decide about threads (`workers.py`) or write files.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedcli.embeddings import Embeddings
from embedcli.errors import TrainingError
from embedcli.progress import OnProgress, Progress
from embedcli.settings.config import TrainConfig
from embedcli.subwords.table import Subwords
from embedcli.text.corpus import Corpus
from embedcli.training.held_out import HeldOut
from embedcli.training.initial_weights import find_fault
from embedcli.training.schedule import learning_rate
from embedcli.training.state import Epoch, State
from embedcli.training.stopping import Deadline, is_stalled
from embedcli.training.work import Job, Step, Work, mean_loss
from embedcli.training.workers import run_workers
from embedcli.vocabulary import Vocabulary

__all__ = ["Run", "Score"]

# With outputs of zeros every sigmoid is 1/2, and the mean loss of a pair log 2, whatever the number
# of outputs. Whoever learns anything is below; chance may bring a short text a little above.
_WORST_LOSS = 1.05 * math.log(2)

Score = Callable[[NDArray[np.float32]], float | None]


class Run:
    """A run at its beginning; `hogwild_run` and its siblings make them.

    Args:
        corpus: what is trained.
        config: resolved settings.
        work: how.
        held_out: what is measured after every epoch.
        deadline: when to be ready.
        score: of the input vectors, float32 (V, D), that is to be followed.

    Attributes:
        epochs: those that are finished.
        parts: what an epoch passes over.
        is_settled: whether it can be saved as it stands, also while an interrupt is raised.
    """

    def __init__(
        self,
        corpus: Corpus,
        config: TrainConfig,
        work: Work,
        held_out: HeldOut | None = None,
        *,
        deadline: Deadline | None = None,
        score: Score | None = None,
    ) -> None:
        self.config = config
        self.corpus = corpus
        self.epochs: list[Epoch] = []
        self.is_settled = True
        self.parts, self._work, self._held_out = work.parts, work, held_out
        self._deadline = deadline
        self._score = score
        self._n_chunks = len(self.parts)  # to be trained in this epoch
        self._chunk = 0  # the first of this epoch that is not begun; the held-out ones come behind
        self._unfinished: dict[int, int] = {}  # those before it that are not: words trained

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

        def calling(job: Job) -> Callable[[int], None]:
            def call(chunk: int) -> None:
                job(Step(epoch, chunk, 0, self._rate_in(epoch), lambda: False))

            return call

        counts = self._work.counts
        run_workers([calling(job) for job in self._work.jobs], chunks.start, chunks.stop, on_wake)
        sums = np.asarray(sum(each.tally for each in counts)), sum(c.subsampled for c in counts)
        for each in counts:
            each.forget()
        return sums

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to train."""
        if self._chunk:
            return False
        return len(self.epochs) >= self.config.n_epochs or self.stopped is not None

    @property
    def stopped(self) -> str | None:
        """Why the run ends before its last epoch, as the name of a setting; None if it does not."""
        patience, is_early = self.config.patience, len(self.epochs) < self.config.n_epochs
        if is_early and patience and is_stalled(self.epochs, patience):
            return "patience"
        is_cut = bool(self.epochs) and self.epochs[-1].tokens < self.parts.n_tokens(len(self.parts))
        if is_cut or (is_early and self._is_late()):
            return "time_budget"
        return None

    @property
    def n_done(self) -> int:
        """The tokens of all epochs that are trained or held out."""
        chunk = min(self._chunk, self._n_chunks)
        return len(self.epochs) * len(self.corpus.ids) + self.parts.begin(chunk)

    @property
    def share_done(self) -> float:
        """The share of all tokens of all epochs that is trained, 0 to 1."""
        return self.n_done / (self.config.n_epochs * len(self.corpus.ids))

    def state(self) -> State:
        """Where the run stands; to be asked while it does not train."""
        counts = self._work.counts
        arrays: dict[str, NDArray[Any]] = {
            "tallies": np.array([each.tally for each in counts]),
            "subsampled": np.array([each.subsampled for each in counts], np.int64),
            "unfinished": np.array(sorted(self._unfinished.items()), np.int64).reshape(-1, 2),
        }
        if self._held_out is not None:
            arrays["measured"] = np.array([each.tally for each in self._held_out.counts])
        return State(
            len(self.epochs),
            self._chunk,
            tuple(self.epochs),
            arrays | self._work.model.arrays(),
            self._n_chunks,
            (self._deadline.spent, self._deadline.share) if self._deadline else None,
            self.is_done,
        )

    def restore(self, state: State, saved: Embeddings) -> None:
        """Go to where another run stood; the matrices it `saved` are copied."""
        self._work.model.restore(saved, state.arrays)
        self.epochs = list(state.epochs)
        self._chunk = state.chunk
        if state.n_chunks is not None:
            self._n_chunks = state.n_chunks
        self._unfinished = dict(state.arrays["unfinished"].tolist())
        counts = self._work.counts
        for thread, tally in enumerate(state.arrays["tallies"]):
            mine = counts[thread % len(counts)]
            mine.tally[:] += tally
            mine.subsampled += int(state.arrays["subsampled"][thread])
        if self._held_out is not None and "measured" in state.arrays:
            self._held_out.counts[0].tally[:] += state.arrays["measured"].sum(axis=0)

    def check(self) -> None:
        """Refuse matrices that nobody should go on with or keep.

        Raises:
            TrainingError: a component is not finite, or so large that training diverges.
        """
        for name, matrix in zip(("syn0", "syn1neg"), self._work.model.rows(), strict=True):
            fault = find_fault(name, matrix)
            if fault is not None:
                raise self._divergence(fault)

    def _pass(self, on_progress: OnProgress, wants_pause: Callable[[], bool]) -> bool:
        """Train on in this epoch, and measure when it is over; whether a pause is wanted."""
        number = len(self.epochs)
        total = self.config.n_epochs * len(self.corpus.ids)
        last = self.epochs[-1] if self.epochs else None
        measured = (last.held_out, last.sample) if last else (None, None)

        def report(n_begun: int) -> bool:
            self.corpus.release()
            self._work.release()
            begin = self.parts.begin(n_begun)
            lr, loss = self._rate_in(number)(begin), mean_loss(self._work.counts)
            if loss is not None and not math.isfinite(loss):
                raise self._divergence(f"the loss is {loss}")
            done = number * len(self.corpus.ids) + begin
            on_progress(Progress("training", done, total, number + 1, loss, lr, *measured))
            return wants_pause()

        pauses = False
        n_chunks = self._n_chunks
        if self._chunk < n_chunks or (self._chunk == n_chunks and self._unfinished):
            self._share(self._work.jobs, 0, n_chunks, lambda n: report(n) or self._is_late())
            pauses = report(self._chunk)
            if self._unfinished or not self._chunk:
                return pauses
            if self._is_late():
                self._n_chunks = self._chunk
            if self._chunk < self._n_chunks:
                return pauses
        began = time.monotonic()
        if self._held_out is not None:
            jobs, end = self._held_out.jobs, self._n_chunks + len(self._held_out.parts)
            self._share(jobs, self._n_chunks, end, lambda _: report(self._n_chunks))
            pauses = report(self._n_chunks)
            if self._unfinished or self._chunk < end:
                return pauses
        self._finish(number)
        epoch, done = self.epochs[-1], (number + 1) * len(self.corpus.ids)
        lr = self._rate_in(number)(len(self.corpus.ids))
        measured = epoch.held_out, epoch.sample
        facts = asdict(epoch)
        on_progress(Progress("training", done, total, number + 1, epoch.loss, lr, *measured, facts))
        if self._deadline is not None:
            self._deadline.reserve(time.monotonic() - began)
        return pauses

    def _share(
        self, jobs: Sequence[Job], begin: int, end: int, on_wake: Callable[[int], bool]
    ) -> None:
        """Let threads share the chunks from where the run stands to below `end`.

        Args:
            jobs: one for each thread.
            begin: the number of what is chunk 0 to them: held-out chunks come behind the others.
            end: one more than the last.
            on_wake: called about ten times a second with the first chunk that is not begun; returns
                whether to pause.
        """
        stop = threading.Event()
        first, again = self._chunk, sorted(self._unfinished)
        epoch = len(self.epochs)
        n_again = len(again)  # the unfinished ones come before all others
        begun: list[int] = []
        ended: list[int] = []

        def wants_stop() -> bool:
            return stop.is_set() and not self._is_late()  # what is late is finished, to be counted

        def calling(job: Job) -> Callable[[int], None]:
            def call(item: int) -> None:
                begun.append(item)
                chunk = item if item >= first else again[item - first + n_again]
                position = self._unfinished.get(chunk, 0)
                left = job(Step(epoch, chunk - begin, position, self._rate_in(epoch), wants_stop))
                if left is not None:
                    self._unfinished[chunk] = left
                else:
                    self._unfinished.pop(chunk, None)
                ended.append(item)

            return call

        calls = [calling(job) for job in jobs]
        self.is_settled = False
        try:
            run_workers(calls, first - n_again, end, lambda n: on_wake(max(n, first)), stop)
        finally:  # an interrupt is raised here, too, when the threads have ended
            self._chunk = max([first, *(item + 1 for item in begun)])
            self.is_settled = len(begun) == len(ended)

    def _rate_in(self, epoch: int) -> Callable[[int], float]:
        """The learning rate at a token of an epoch.

        It follows the share of the run that is over, of its tokens or time, whichever is more.
        """

        def rate(token: int) -> float:
            n_done = epoch * len(self.corpus.ids) + token
            share = n_done / (self.config.n_epochs * len(self.corpus.ids))
            share = max(share, self._deadline.share) if self._deadline else share
            return learning_rate(share, self.config)

        return rate

    def _is_late(self) -> bool:
        return self._deadline is not None and self._deadline.is_over

    def matrices(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Input and output vectors as they are, float32 (V, D) with padded rows; see `Model`."""
        return self._work.model.matrices()

    def subwords(self) -> Subwords | None:
        """What the input vectors are made of, where they are made of subwords."""
        return self._work.model.subwords()

    @property
    def tree_counts(self) -> NDArray[np.int64] | None:
        """Those of a tree that goes on (`huffman.py`)."""
        return self._work.model.tree_counts

    @property
    def labels(self) -> Vocabulary | None:
        """Those of a classifier."""
        return self._work.model.labels

    def facts(self) -> dict[str, Any]:
        """What the model will say of what the run made of its text."""
        facts = self._work.facts()
        if self._held_out is not None and (self._held_out.is_sample or self.config.valid_fraction):
            name = "sample" if self._held_out.is_sample else "held_out"
            facts[name] = {"kept": self._held_out.n_tokens}
        return facts

    def _began_untrained(self, number: int) -> bool:
        """Whether an epoch can be held against vectors of zeros: not the first of a given model."""
        is_given = self.config.init is not None or self.config.continue_from is not None
        is_paired = self.config.arch in ("skipgram", "cbow")
        return is_paired and not (is_given and number == 0)

    def _divergence(self, what: str) -> TrainingError:
        lr = self.config.starting_lr
        return TrainingError(
            f"training diverged in epoch {len(self.epochs) + 1}: {what} at lr {lr:g}; "
            f"nothing was written; try --lr {self.config.lower_lr:g}"
        )

    def _finish(self, number: int) -> None:
        """Measure what is due after an epoch, and begin the next."""
        epoch = self._work.account(number, self._n_chunks)
        self.check()
        if epoch.loss > _WORST_LOSS and self._began_untrained(number):
            untrained = math.log(2)
            raise self._divergence(f"the mean loss is {epoch.loss:.4g}, untrained {untrained:.4g},")
        epoch = replace(epoch, score=self._scored(number))
        measured = [] if self._held_out is None else self._held_out.counts
        if self._held_out is not None and self._held_out.is_sample:
            epoch = replace(epoch, sample=mean_loss(measured))
        else:
            epoch = replace(epoch, held_out=mean_loss(measured))
        self.is_settled = False
        self.epochs.append(epoch)
        self._chunk, self._n_chunks = 0, len(self.parts)
        for counts in [*self._work.counts, *measured]:
            counts.forget()
        self.is_settled = True

    def _scored(self, number: int) -> float | None:
        is_due = (number + 1) % self.config.evaluate_every == 0
        if self._score is None or not (is_due or number + 1 == self.config.n_epochs):
            return None
        return self._score(self.matrices()[0])
