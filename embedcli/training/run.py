"""The state of a training run, and one epoch of it.

What it does not do: read text (`corpus.py`), compute (`kernels/`), decide about threads
(`workers.py`) or write files.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedcli.config import TrainConfig
from embedcli.corpus import Corpus
from embedcli.errors import EmbedError, TrainingError
from embedcli.kernels.cbow import cbow
from embedcli.kernels.sampling import Noise, fill_pool, make_staged, stage
from embedcli.kernels.simd import host_lanes
from embedcli.kernels.skipgram import skipgram
from embedcli.kernels.weights import Weights, aligned, make_scratch, row_stride
from embedcli.progress import OnProgress, Progress
from embedcli.training.chunks import chunk_bounds, chunk_size, sentences_within
from embedcli.training.sampling import (
    keep_thresholds,
    noise_distribution,
    pool_size,
    random_key,
)
from embedcli.training.schedule import linear_decay
from embedcli.training.workers import run_workers

__all__ = [
    "Epoch",
    "Run",
    "State",
    "compile_kernels",
    "find_fault",
    "initial_weights",
]

# Multiply-adds in one call of a kernel, about 0.1 s: between calls a chunk can be left unfinished,
# so that a run stops soon whatever its settings.
_SLICE_WORK = 1 << 30
_INIT_ROWS = 1 << 12
_LARGEST_WEIGHT = 1e4  # components that learn stay below a hundred; beyond, only overflow follows
_CHECKED_BYTES = 1 << 22


@dataclass(frozen=True)
class Epoch:
    """What happened to the tokens of one epoch, and how well they were predicted.

    Attributes:
        tokens: in-vocabulary tokens read; the sum of the next three.
        trained: centre words trained.
        subsampled: dropped by subsampling.
        alone: left without any other word in their sentence.
        pairs: (input, output) pairs the loss is the mean of.
        loss: mean of -log sigma(+-x.o) over the pairs, in nats.
    """

    tokens: int
    trained: int
    subsampled: int
    alone: int
    pairs: int
    loss: float


@dataclass(frozen=True)
class State:
    """Where a run stands between two slices, apart from its two matrices.

    There are no random numbers to keep: they depend on the seed, the epoch and the chunk alone.

    Attributes:
        epoch, chunk: the first that is not begun; epoch counts from 0 and is all epochs when none
            is left.
        epochs: the epochs that are finished.
        arrays: ``tallies``, float64 (T, 4), and ``subsampled``, int64 (T,): what each thread has
            summed up in this epoch; ``unfinished``, int64 (U, 2): each chunk that was begun and is
            not finished, and how many of its words that survived subsampling are trained.
    """

    epoch: int
    chunk: int
    epochs: tuple[Epoch, ...]
    arrays: Mapping[str, NDArray[Any]]


class Run:
    """Two matrices, the probabilities of a corpus, and a worker for each thread.

    Args:
        corpus: what to train on; its vocabulary may be that of a larger text it is a part of.
        config: resolved settings.
        weights: the matrices to train; fresh ones by default.
    """

    def __init__(self, corpus: Corpus, config: TrainConfig, weights: Weights | None = None) -> None:
        if corpus.vocabulary.counts is None:
            raise ValueError("an encoded corpus has counts")
        counts = corpus.vocabulary.counts
        if len(counts) < 2:
            raise TrainingError(
                f"the vocabulary is the single word {corpus.vocabulary[0]!r}: with no other word "
                "there is nothing to predict; lower --min-count or give more text"
            )
        self.config = config
        self.corpus = corpus
        self.epochs: list[Epoch] = []
        self._chunk = 0  # the first of this epoch that is not begun
        self._unfinished: dict[int, int] = {}  # those before it that are not: words trained
        size = chunk_size(len(corpus.ids))
        self._bounds = chunk_bounds(corpus.offsets, size)
        self._keep = keep_thresholds(counts, config.sample)
        # A window has at most V - 1 distinct negatives.
        self._negative = min(config.negative, len(counts) - 1)
        self._pool = np.empty(pool_size(len(corpus.ids), self._negative), np.int32)
        # Once for all epochs: where a chunk begins to read depends on its epoch.
        noise = noise_distribution(counts, config.ns_exponent)
        fill_pool(noise, 0.5, random_key(config.seed, "pool"), self._pool)
        self._weights = weights or initial_weights(len(counts), config.dim, config.seed)
        self._workers = [
            Worker(self._weights, self._pool, self._negative, config, size)
            for _ in range(config.threads or 1)
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
        while len(self.epochs) < self.config.epochs:
            if paused:
                return False
            paused = self._pass(len(self.epochs), on_progress, wants_pause)
        return True

    @property
    def bounds(self) -> NDArray[np.int64]:
        """Where chunks begin, int64 (C + 1,): chunk c is tokens ``bounds[c]`` to ``[c + 1]``."""
        return self._bounds

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
        jobs = [self._job(worker, epoch, threading.Event()) for worker in self._workers]
        run_workers(jobs, chunks.start, chunks.stop, on_wake)
        sums = self._tally(), sum(worker.subsampled for worker in self._workers)
        for worker in self._workers:
            worker.forget()
        return sums

    @property
    def share_done(self) -> float:
        """The share of all tokens of all epochs that is trained, 0 to 1."""
        n_tokens = len(self.corpus.ids)
        done = len(self.epochs) * n_tokens + int(self._bounds[self._chunk])
        return done / (self.config.epochs * n_tokens)

    def state(self) -> State:
        """Where the run stands; to be asked while it does not train."""
        tallies = np.array([worker.scratch.tally for worker in self._workers])
        subsampled = np.array([worker.subsampled for worker in self._workers], np.int64)
        unfinished = np.array(sorted(self._unfinished.items()), np.int64).reshape(-1, 2)
        arrays = {"tallies": tallies, "subsampled": subsampled, "unfinished": unfinished}
        return State(len(self.epochs), self._chunk, tuple(self.epochs), arrays)

    def restore(
        self, state: State, syn0: NDArray[np.float32], syn1neg: NDArray[np.float32]
    ) -> None:
        """Go to where another run stood; the matrices, float32 (V, D), are copied."""
        for mine, saved in zip(self.matrices(), (syn0, syn1neg), strict=True):
            mine[:] = saved
        self.epochs = list(state.epochs)
        self._chunk = state.chunk
        self._unfinished = dict(state.arrays["unfinished"].tolist())
        for thread, tally in enumerate(state.arrays["tallies"]):
            worker = self._workers[thread % len(self._workers)]
            worker.scratch.tally[:] += tally
            worker.subsampled += int(state.arrays["subsampled"][thread])

    def check(self) -> None:
        """Refuse matrices that nobody should go on with or keep.

        Raises:
            TrainingError: a component is not finite, or so large that training diverges.
        """
        for name, matrix in zip(("syn0", "syn1neg"), self.matrices(), strict=True):
            fault = find_fault(name, matrix)
            if fault is not None:
                raise self._divergence(fault)

    def _pass(self, number: int, on_progress: OnProgress, wants_pause: Callable[[], bool]) -> bool:
        """Train on in epoch `number`; whether a pause is wanted."""
        n_tokens, n_chunks = len(self.corpus.ids), len(self._bounds) - 1

        def report(n_begun: int) -> bool:
            self.corpus.release()
            done = number * n_tokens + int(self._bounds[n_begun])
            total = self.config.epochs * n_tokens
            lr = linear_decay(done / total, self.config.starting_lr, self.config.min_lr)
            loss = self._loss()
            if loss is not None and not math.isfinite(loss):
                raise self._divergence(f"the loss is {loss}")
            on_progress(Progress("training", done, total, number + 1, loss, lr))
            return wants_pause()

        stop = threading.Event()
        first, left = self._chunk, sorted(self._unfinished)
        begin = first - len(left)  # the unfinished ones come before all others

        def job_of(worker: Worker) -> Callable[[int], None]:
            train_chunk = self._job(worker, number, stop)
            return lambda item: train_chunk(item if item >= first else left[item - begin])

        jobs = [job_of(worker) for worker in self._workers]
        n_begun = run_workers(jobs, begin, n_chunks, lambda n: report(max(n, first)), stop)
        self._chunk = max(n_begun, first)
        pauses = report(self._chunk)
        if self._chunk == n_chunks and not self._unfinished:
            self._finish(number)
        return pauses

    def matrices(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """syn0 and syn1neg, float32 (V, D) with padded rows; views, not copies."""
        stride, dim = self._weights.stride, self.config.dim
        syn0 = self._weights.syn0.reshape(-1, stride)[:, :dim]
        return syn0, self._weights.syn1neg.reshape(-1, stride)[:, :dim]

    def _job(self, worker: Worker, number: int, stop: threading.Event) -> Callable[[int], None]:
        ids, offsets, bounds = self.corpus.ids, self.corpus.offsets, self._bounds
        total = self.config.epochs * len(ids)

        def train_chunk(chunk: int) -> None:
            begin, end = int(bounds[chunk]), int(bounds[chunk + 1])
            progress = (number * len(ids) + begin) / total
            lr = linear_decay(progress, self.config.starting_lr, self.config.min_lr)
            sentences = sentences_within(offsets, begin, end)
            position = self._unfinished.get(chunk, 0)
            chosen = ids[begin:end], sentences, self._keep, (number, chunk), lr
            left = worker.train(*chosen, position=position, wants_stop=stop.is_set)
            if left is not None:
                self._unfinished[chunk] = left
            elif position:
                del self._unfinished[chunk]

        return train_chunk

    def _tally(self) -> NDArray[np.float64]:
        return np.asarray(sum(worker.scratch.tally for worker in self._workers))

    def _loss(self) -> float | None:
        tally = self._tally()
        return float(tally[0] / tally[1]) if tally[1] else None

    def _divergence(self, what: str) -> TrainingError:
        lr = self.config.starting_lr
        return TrainingError(
            f"training diverged in epoch {len(self.epochs) + 1}: {what} at lr {lr:g}; "
            f"nothing was written; try --lr {lr / 4:g}"
        )

    def _finish(self, number: int) -> None:
        tally = self._tally()
        pairs, trained, alone = (int(value) for value in tally[1:4])
        n_tokens = len(self.corpus.ids)
        subsampled = sum(worker.subsampled for worker in self._workers)
        if trained + subsampled + alone != n_tokens:
            raise EmbedError(
                f"epoch {number + 1} lost tokens: {n_tokens} read, but {trained} trained + "
                f"{subsampled} subsampled + {alone} without context; please report this"
            )
        if not trained:
            raise TrainingError(
                f"nothing to train: of {n_tokens} tokens {subsampled} were subsampled and {alone} "
                "have no other word in their line; raise --sample or put sentences on a line"
            )
        self.check()
        loss = float(tally[0] / pairs)
        self.epochs.append(Epoch(n_tokens, trained, subsampled, alone, pairs, loss))
        self._chunk = 0
        for worker in self._workers:
            worker.forget()


class Worker:
    """One thread's kernel and private arrays."""

    def __init__(
        self,
        weights: Weights,
        pool: NDArray[np.int32],
        negative: int,
        config: TrainConfig,
        chunk: int,
    ) -> None:
        self._config = config
        self._weights = weights
        self._pool = pool
        self._staged = make_staged(chunk)
        self._n_outputs = 1 + negative
        is_cbow = config.arch == "cbow"
        self.scratch = make_scratch(self._n_outputs, config.window, weights.stride)
        make = cbow if is_cbow else skipgram
        lanes = host_lanes()
        self._kernel = make(lanes, self._n_outputs, -(-config.dim // lanes))
        inputs = 1 if is_cbow else 2 * config.window
        self._slice = max(1, _SLICE_WORK // (3 * inputs * self._n_outputs * weights.stride))
        self.subsampled = 0

    def forget(self) -> None:
        """Begin to count anew."""
        self.scratch.tally[:] = 0
        self.subsampled = 0

    def train(
        self,
        tokens: NDArray[np.int32],
        sentences: NDArray[np.int64],
        keep: NDArray[np.uint32],
        place: tuple[int, int],
        lr: float,
        *,
        position: int = 0,
        wants_stop: Callable[[], bool] = lambda: False,
    ) -> int | None:
        """Train on one chunk; `place` is its (epoch, chunk), which its random numbers depend on.

        It goes on at `position`, where it was left. Where `wants_stop` says so after a slice that
        is not the last, the chunk is left there, and the position returned; None when it is done.
        """
        seed = self._config.seed
        n_kept = stage(tokens, sentences, keep, random_key(seed, "subsample", *place), self._staged)
        key = random_key(seed, "negatives", *place)
        noise = Noise(self._pool, np.int64(int(key) % len(self._pool)), key)
        if position == 0:
            self.subsampled += len(tokens) - n_kept
        extra = (self._config.cbow_gradient == "divided",) if self._config.arch == "cbow" else ()
        while position < n_kept:
            end = min(position + self._slice, n_kept)
            self._kernel(
                self._staged,
                position,
                end,
                self._weights,
                noise,
                self._config.window,
                self._config.shrink_window,
                random_key(seed, "window", *place),
                np.float32(lr),
                *extra,
                self.scratch,
            )
            position = end
            if position < n_kept and wants_stop():
                return position
        return None


def find_fault(name: str, matrix: NDArray[np.float32]) -> str | None:
    """The first row, in words, of a matrix (V, D) that nobody should go on with or keep."""
    rows = max(1, _CHECKED_BYTES // (4 * matrix.shape[1]))
    for start in range(0, len(matrix), rows):
        block = matrix[start : start + rows]
        low, high = float(block.min()), float(block.max())  # NaN goes through both
        if not (low >= -_LARGEST_WEIGHT and high <= _LARGEST_WEIGHT):
            size = np.abs(block).max(axis=1)
            row = start + int(np.argmax(~(size <= _LARGEST_WEIGHT)))
            return f"row {row} of {name} holds {size[row - start]:g}"
    return None


def initial_weights(n_words: int, dim: int, seed: int) -> Weights:
    """syn0 uniform on [-1/2D, 1/2D) and syn1neg zero, as in word2vec.c; padding zero in both."""
    stride = row_stride(dim)
    weights = Weights(aligned(n_words * stride), aligned(n_words * stride), stride)
    rows = weights.syn0.reshape(n_words, stride)
    generator = np.random.Generator(np.random.Philox(seed))
    for start in range(0, n_words, _INIT_ROWS):
        block = generator.random((min(_INIT_ROWS, n_words - start), dim), dtype=np.float32)
        rows[start : start + _INIT_ROWS, :dim] = (block - np.float32(0.5)) / np.float32(dim)
    return weights


def compile_kernels(config: TrainConfig) -> None:
    """Compile, or load from the cache, what `config` needs, by training on two words."""
    n_words = 1 + config.negative
    pool = np.zeros(1 << 8, np.int32)
    fill_pool(np.arange(1, n_words + 1) / n_words, 0.0, np.uint64(0), pool)
    worker = Worker(initial_weights(n_words, config.dim, 0), pool, config.negative, config, 2)
    keep = np.full(n_words, 0xFFFFFFFF, np.uint32)
    worker.train(np.array([0, 1], np.int32), np.array([0, 2]), keep, (0, 0), 0.0)
