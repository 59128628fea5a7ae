"""GloVe: a weighted least-squares fit of log X by AdaGrad, as one compiled loop over cells.

Pennington, Socher & Manning 2014, *GloVe: Global Vectors for Word Representation*. With w the word
vector of the row, c the context vector of the column and a bias for each, the loss of a cell is
``1/2 f (w.c + b + b' - log X)^2`` where ``f = min(1, (X / x_max)^alpha)``. Its gradient step,
component by component, with g = lr f (w.c + b + b' - log X)::

    w -= g c / sqrt(G)    c -= g w / sqrt(H)    G += (g c)^2    H += (g w)^2

Both use w and c as they were before. G and H, the sums of squares of AdaGrad, lie in matrices of
the same shape as the vectors.

**Biases are columns**, so that they need no code of their own::

    word row       w_1 .. w_D   b   1    0 ..
    context row    c_1 .. c_D   1   b'   0 ..

A 1 never changes because its sum of squares is `HELD`: a step divided by its root is lost in the
rounding. Padding never does because its gradients are products with 0.

The order in which cells are visited is drawn in `order_cells`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numpy.typing import NDArray

from embedcli.kernels.intrinsics.access import prefetch
from embedcli.kernels.intrinsics.glove_step import cell_step
from embedcli.kernels.jit import kernel
from embedcli.kernels.sampling import GOLDEN, mix

__all__ = ["HELD", "Cells", "GloveWeights", "glove", "order_cells"]

_Generated = tuple[Any, Callable[..., ir.Value]]

HELD = 1e30
_AHEAD = 4  # cells from prefetching a row to using it


class GloveWeights(NamedTuple):
    """The matrices as the kernel sees them; all float32 (V * stride,), aligned, row after row.

    Attributes:
        words, contexts: vectors and bias of each word, as the row and as the column of a cell.
        words_squares, contexts_squares: AdaGrad's sums of squared steps.
        stride: floats from one row to the next.
    """

    words: NDArray[np.float32]
    contexts: NDArray[np.float32]
    words_squares: NDArray[np.float32]
    contexts_squares: NDArray[np.float32]
    stride: int


class Cells(NamedTuple):
    """Cells to train on.

    Attributes:
        rows, columns: int32 (n,), words.
        targets: float32 (n,), log X.
        weights: float32 (n,), f.
    """

    rows: NDArray[np.int32]
    columns: NDArray[np.int32]
    targets: NDArray[np.float32]
    weights: NDArray[np.float32]


@kernel
def order_cells(cells, mirrored, key, ordered) -> Any:
    """Copy cells in random order; returns how many there are then.

    Args:
        cells: `Cells`, n of them. mirrored: 1 to add to each cell the one with row and column
            exchanged, unless they are the same word; else 0.
        key: uint64, of the shuffle.
        ordered: `Cells`, at least n (1 + mirrored) long; receives the result.
    """
    n = 0
    counter = key
    for i in range(cells.rows.shape[0]):
        row, column = cells.rows[i], cells.columns[i]
        for turn in range(1 + (mirrored & np.int64(row != column))):
            # "Inside-out": the new cell goes to a random place, what was there to the end.
            counter += GOLDEN
            place = np.int64(((mix(counter) >> np.uint64(32)) * np.uint64(n + 1)) >> np.uint64(32))
            ordered.rows[n] = ordered.rows[place]
            ordered.columns[n] = ordered.columns[place]
            ordered.targets[n] = ordered.targets[place]
            ordered.weights[n] = ordered.weights[place]
            ordered.rows[place] = column if turn else row
            ordered.columns[place] = row if turn else column
            ordered.targets[place] = cells.targets[i]
            ordered.weights[place] = cells.weights[i]
            n += 1
    return n


@cache
def glove(lanes: int, n_vectors: int) -> Callable[..., None]:
    """The kernel for `lanes` lanes and rows of `n_vectors` vectors, both constants of it."""
    width = n_vectors * lanes

    @kernel
    def train_slice(cells, start, stop, weights, lr, tally) -> None:
        """Train on the cells from `start` to `stop`.

        Args:
            cells: `Cells`. weights: `GloveWeights`, updated. lr: float32.
            tally: float64; gets the summed loss [0], and the cells trained [1].
        """
        rows, columns = cells.rows, cells.columns
        stride = weights.stride
        doubled = 0.0
        for i in range(start, stop):
            if i + _AHEAD < stop:
                row = np.int64(rows[i + _AHEAD]) * stride
                column = np.int64(columns[i + _AHEAD]) * stride
                prefetch(weights.words, row, width)
                prefetch(weights.words_squares, row, width)
                prefetch(weights.contexts, column, width)
                prefetch(weights.contexts_squares, column, width)
            row, column = np.int64(rows[i]) * stride, np.int64(columns[i]) * stride
            doubled += cell_step(
                lanes, n_vectors, weights, row, column, cells.targets[i], cells.weights[i], lr
            )
        tally[0] += doubled / 2
        tally[1] += stop - start

    return train_slice
