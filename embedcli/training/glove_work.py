"""The work of the threads of a GloVe run: parts, order, private arrays.

**The order of cells.** GloVe shuffles all of them, once, on disk. Here a chunk is a stretch of the
cells as they were counted, that is, of those whose rarer words are neighbours in the vocabulary;
chunks come in an order drawn anew in each epoch, and the cells of a chunk in an order drawn with
them. So the rows of the rarer words stay in the second-level cache while their chunk is trained, no
shuffled copy is written, and two threads rarely meet in a row but of the most frequent words.
`docs/training.md` has what that does to the scores: nothing.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from embedcli.cooccurrence.cells import Cooccurrences
from embedcli.kernels.alignment import aligned, row_stride
from embedcli.kernels.glove import HELD, Cells, GloveWeights, glove, order_cells
from embedcli.kernels.intrinsics.lanes import host_lanes
from embedcli.kernels.weights import TALLY
from embedcli.settings.config import TrainConfig
from embedcli.training.initial_weights import random_rows
from embedcli.training.sampling import random_key

__all__ = ["CellChunks", "GloveScratch", "GloveWorker", "initial_weights"]

_LARGEST_CHUNK = 1 << 16
SMALLEST_CHUNK = 1 << 11
_CHUNKS_WANTED = 64
_CHUNK_WORK = 1 << 23  # numbers of vectors read; a chunk takes some 0.1 s whatever the dimensions


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
        most = max(SMALLEST_CHUNK, min(_LARGEST_CHUNK, _CHUNK_WORK // stride))
        self.size = min(most, max(SMALLEST_CHUNK, len(cells) // _CHUNKS_WANTED))
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

    def __init__(
        self, weights: GloveWeights, config: TrainConfig, chunk: int, is_symmetric: bool
    ) -> None:
        self.subsampled = 0
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

    @property
    def tally(self) -> NDArray[np.float64]:
        """What it has summed up."""
        return self.scratch.tally

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
        for place, block in random_rows(generator, n_words, dim + 1, dim):
            rows[place, :dim] = block[:, :dim]
            rows[place, bias] = block[:, dim]
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
