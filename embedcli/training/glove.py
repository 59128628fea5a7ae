"""A GloVe run: the loop over epochs is that of `run.py`; what it passes over are cells, not words.

**The order of cells.** GloVe shuffles all of them, once, on disk. Here a chunk is a stretch of the
cells as they were counted, that is, of those whose rarer words are neighbours in the vocabulary;
chunks come in an order drawn anew in each epoch, and the cells of a chunk in an order drawn with
them. So the rows of the rarer words stay in the second-level cache while their chunk is trained, no
shuffled copy is written, and two threads rarely meet in a row but of the most frequent words.
`docs/training.md` has what that does to the scores: nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from embedcli.config import TrainConfig
from embedcli.cooccurrence.cells import Cooccurrences
from embedcli.cooccurrence.counting import compile_counting, count_cooccurrences
from embedcli.corpus import Corpus
from embedcli.errors import EmbedError, TrainingError
from embedcli.kernels.glove import HELD, Cells, GloveWeights, glove, order_cells
from embedcli.kernels.simd import host_lanes
from embedcli.kernels.weights import TALLY, Weights, aligned, row_stride
from embedcli.progress import OnProgress, Progress, ignore_progress
from embedcli.training.given import Given
from embedcli.training.run import Run, Score
from embedcli.training.sampling import random_key
from embedcli.training.schedule import learning_rate
from embedcli.training.state import Epoch, State
from embedcli.training.stopping import Deadline

__all__ = ["GLOVE_ARRAYS", "GloveRun", "compile_glove", "count_cells"]

_LARGEST_CHUNK = 1 << 16
_SMALLEST_CHUNK = 1 << 11
_CHUNKS_WANTED = 64
_CHUNK_WORK = 1 << 23  # numbers of vectors read; a chunk takes some 0.1 s whatever the dimensions
_INIT_ROWS = 1 << 12
GLOVE_ARRAYS = ("glove_words", "glove_contexts", "glove_words_squares", "glove_contexts_squares")


def count_cells(
    corpus: Corpus,
    config: TrainConfig,
    scratch: Path | None = None,
    on_progress: OnProgress = ignore_progress,
) -> Cooccurrences:
    """The co-occurrences that `config` asks for, in `scratch`."""
    return count_cooccurrences(
        corpus,
        window=config.widest_window(corpus.longest_line),
        symmetric=config.symmetric,
        distance_weighting=config.distance_weighting,
        threads=config.threads or 1,
        memory=config.count_bytes,
        scratch=scratch,
        on_progress=on_progress,
    )


class GloveRun(Run):
    """Word and context vectors, biases and AdaGrad's sums of squares, fitted to log X.

    Args:
        corpus: the text.
        cooccurrences: its X.
        config: resolved settings.
        deadline, score: as in `Run`.
    """

    def __init__(
        self,
        corpus: Corpus,
        cooccurrences: Cooccurrences,
        config: TrainConfig,
        *,
        deadline: Deadline | None = None,
        score: Score | None = None,
    ) -> None:
        self.cooccurrences = cooccurrences
        super().__init__(corpus, config, deadline=deadline, score=score)

    def _prepare(
        self,
        counts: NDArray[np.int64],
        weights: Weights | None,
        valid: Corpus | None,
        given: Given | None,
    ) -> None:
        config, cells = self.config, self.cooccurrences
        if not len(cells):
            raise TrainingError(
                f"nothing to train: none of the {len(self.corpus.ids)} tokens has another word in "
                "its line; put sentences on a line"
            )
        self._matrices = initial_weights(len(counts), config.dim, config.seed, config.starting_lr)
        self._chunks = CellChunks(cells, len(self.corpus.ids), self._matrices.stride)
        self._training, self._held_out = self._chunks, None
        self._workers = [
            GloveWorker(self._matrices, config, self._chunks.size, cells.is_symmetric)
            for _ in range(config.threads or 1)
        ]
        self._measurers = []

    def train(
        self, on_progress: OnProgress, wants_pause: Callable[[], bool] = lambda: False
    ) -> bool:
        """As in `Run`."""

        def watched(progress: Progress) -> None:
            self.cooccurrences.release()
            on_progress(progress)

        return super().train(watched, wants_pause)

    def matrices(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """W + W~ (a copy) and W~ (a view with padded rows), float32 (V, D)."""
        dim = self.config.dim
        words, contexts = self._rows()[:2]
        return words[:, :dim] + contexts[:, :dim], contexts[:, :dim]

    def state(self) -> State:
        """As in `Run`, with every matrix, biases and held columns included."""
        state = super().state()
        more = dict(zip(GLOVE_ARRAYS, self._rows(), strict=True))
        return replace(state, arrays={**state.arrays, **more})

    def restore(
        self, state: State, syn0: NDArray[np.float32], syn1neg: NDArray[np.float32]
    ) -> None:
        """As in `Run`; the matrices are taken from the state, as `syn0` is a sum."""
        self._restore_progress(state)
        for mine, name in zip(self._rows(), GLOVE_ARRAYS, strict=True):
            mine[:] = state.arrays[name]

    def _rows(self) -> list[NDArray[np.float32]]:
        """The four matrices without padding, float32 (V, D + 2); views."""
        width, stride = self.config.dim + 2, self._matrices.stride
        return [matrix.reshape(-1, stride)[:, :width] for matrix in self._matrices[:4]]

    def _train_chunk(
        self,
        worker: Any,
        epoch: int,
        chunk: int,
        wants_stop: Callable[[], bool] = lambda: False,
    ) -> int | None:
        lr = learning_rate(self._progress(epoch, chunk), self.config)
        stretch = self._chunks.place(epoch, chunk, self.config.seed)
        cells = self._chunks.read(stretch)
        worker.train(*cells, random_key(self.config.seed, "cells", epoch, stretch), lr)
        return None

    @property
    def n_steps(self) -> int:
        """The steps of an epoch: the cells of X, both of those that are counted as one."""
        return sum(self._chunks.n_steps(stretch) for stretch in range(len(self._chunks)))

    def _account(self, number: int) -> Epoch:
        tally = np.asarray(sum(worker.scratch.tally for worker in self._workers))
        n_chunks, n_tokens = self._n_chunks, self._training.n_tokens(self._n_chunks)
        expected = sum(
            self._chunks.n_steps(self._chunks.place(number, chunk, self.config.seed))
            for chunk in range(n_chunks)
        )
        if int(tally[1]) != expected:
            raise EmbedError(
                f"epoch {number + 1} lost co-occurrences: {expected} to be trained, but "
                f"{int(tally[1])} trained; please report this"
            )
        alone = self.cooccurrences.n_alone * n_tokens // len(self.corpus.ids)
        loss = float(tally[0] / tally[1])
        return Epoch(n_tokens, n_tokens - alone, 0, alone, expected, loss)


class CellChunks:
    """The cells, chunk by chunk, in an order drawn anew for each epoch.

    Args:
        cells: all of them.
        n_tokens: of the text, which progress is counted in.
        stride: numbers in a row of the matrices.

    Attributes:
        size: cells in a chunk at most.
    """

    def __init__(self, cells: Cooccurrences, n_tokens: int, stride: int) -> None:
        self._cells = cells
        self._n_tokens = n_tokens
        most = max(_SMALLEST_CHUNK, min(_LARGEST_CHUNK, _CHUNK_WORK // stride))
        self.size = min(most, max(_SMALLEST_CHUNK, len(cells) // _CHUNKS_WANTED))
        self._orders: dict[int, NDArray[np.int64]] = {}

    def __len__(self) -> int:
        return -(-len(self._cells) // self.size)

    def begin(self, chunk: int) -> int:
        """The share of the text's tokens that stands for the chunks before `chunk`."""
        return self._n_tokens * chunk // len(self)

    def n_tokens(self, n_chunks: int) -> int:
        """The same for the first `n_chunks` chunks."""
        return self.begin(n_chunks)

    def place(self, epoch: int, chunk: int, seed: int) -> int:
        """Which stretch of the cells comes as the `chunk`-th in an epoch."""
        if epoch not in self._orders:
            key = int(random_key(seed, "stretches", epoch))
            order = np.random.Generator(np.random.Philox(key)).permutation(len(self))
            self._orders = {epoch: order}
        return int(self._orders[epoch][chunk])

    def read(
        self, stretch: int
    ) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]:
        """Rows, columns and counts of the cells of a stretch; mapped."""
        where = slice(stretch * self.size, (stretch + 1) * self.size)
        return self._cells.rows[where], self._cells.columns[where], self._cells.counts[where]

    def n_steps(self, stretch: int) -> int:
        """How many steps a stretch makes: two for each cell that stands for two."""
        rows, columns, _ = self.read(stretch)
        mirrored = np.count_nonzero(rows != columns) if self._cells.is_symmetric else 0
        return len(rows) + int(mirrored)


class GloveScratch(NamedTuple):
    """What one thread writes besides the matrices.

    Attributes:
        ordered: the cells of a chunk in the order they are trained in.
        tally: float64 (`TALLY`,): loss [0], steps [1].
    """

    ordered: Cells
    tally: NDArray[np.float64]


class GloveWorker:
    """One thread's kernel and private arrays."""

    subsampled = 0

    def __init__(
        self, weights: GloveWeights, config: TrainConfig, chunk: int, is_symmetric: bool
    ) -> None:
        self._weights = weights
        self._x_max, self._alpha = config.x_max, config.alpha
        self._mirrored = int(is_symmetric)
        n = chunk * (1 + self._mirrored)
        ordered = Cells(
            np.empty(n, np.int32), np.empty(n, np.int32), np.empty(n, np.float32),
            np.empty(n, np.float32),
        )  # fmt: skip
        self.scratch = GloveScratch(ordered, np.zeros(TALLY))
        lanes = host_lanes()
        self._kernel = glove(lanes, -(-(config.dim + 2) // lanes))

    def forget(self) -> None:
        """Begin to count anew."""
        self.scratch.tally[:] = 0

    def train(
        self,
        rows: NDArray[np.int32],
        columns: NDArray[np.int32],
        counts: NDArray[np.float32],
        key: np.uint64,
        lr: float,
    ) -> None:
        """Train on the cells of a chunk, in the order that `key` gives."""
        targets = np.log(counts)
        share = np.exp(np.float32(self._alpha) * (targets - np.float32(math.log(self._x_max))))
        cells = Cells(rows, columns, targets, np.minimum(share, np.float32(1)))
        n = order_cells(cells, self._mirrored, key, self.scratch.ordered)
        self._kernel(self.scratch.ordered, 0, n, self._weights, np.float32(lr), self.scratch.tally)


def initial_weights(n_words: int, dim: int, seed: int, lr: float) -> GloveWeights:
    """Vectors and biases uniform on [-1/2D, 1/2D), as in GloVe; sums of squares 1, of padding too.

    GloVe's biases learn at a rate of 1 whatever that of the vectors; so they do here, as their sums
    of squares begin at lr^2, not 1.
    """
    stride = row_stride(dim + 2)
    words, contexts, words_squares, contexts_squares = (
        aligned(n_words * stride).reshape(n_words, stride) for _ in range(4)
    )
    generator = np.random.Generator(np.random.Philox(seed))
    for rows, squares, bias, held in (
        (words, words_squares, dim, dim + 1),
        (contexts, contexts_squares, dim + 1, dim),
    ):
        for start in range(0, n_words, _INIT_ROWS):
            shape = min(_INIT_ROWS, n_words - start), dim + 1
            block = generator.random(shape, dtype=np.float32)
            block = (block - np.float32(0.5)) / np.float32(dim)
            rows[start : start + _INIT_ROWS, :dim] = block[:, :dim]
            rows[start : start + _INIT_ROWS, bias] = block[:, dim]
        rows[:, held] = 1
        squares[:] = 1
        squares[:, bias] = lr**2
        squares[:, held] = HELD
    return GloveWeights(
        words.reshape(-1),
        contexts.reshape(-1),
        words_squares.reshape(-1),
        contexts_squares.reshape(-1),
        stride,
    )


def compile_glove(config: TrainConfig) -> None:
    """Compile, or load from the cache, what `config` needs, by counting and training two words."""
    worker = GloveWorker(initial_weights(2, config.dim, 0, 1.0), config, 1, config.symmetric)
    cell = np.zeros(1, np.int32), np.ones(1, np.int32), np.ones(1, np.float32)
    worker.train(*cell, np.uint64(0), 0.0)
    compile_counting()
