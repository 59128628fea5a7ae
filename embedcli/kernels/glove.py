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
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from embedcli.kernels.jit import kernel
from embedcli.kernels.sampling import GOLDEN, mix
from embedcli.kernels.simd import I32, I64, Lanes, data_pointer, loop, prefetch

__all__ = ["HELD", "Cells", "GloveWeights", "glove", "order_cells"]

_Generated = tuple[Any, Callable[..., ir.Value]]

HELD = 1e30
_AHEAD = 4  # cells from prefetching a row to using it
_UNROLL = 4  # vectors of a row worked on at once: four sums that do not wait for each other


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


@intrinsic(prefer_literal=True)
def _step(typing_context, lanes, n_vectors, weights, row, column, target, weight, lr) -> _Generated:
    """One step on a cell; returns twice its loss, float32.

    Args:
        lanes, n_vectors: int literals, L and vectors of L lanes in a row.
        weights: `GloveWeights`, updated.
        row, column: int64, the offsets of the word's and the context's row.
        target, weight, lr: float32.
    """
    n, n_row = lanes.literal_value, n_vectors.literal_value

    def generate(context, builder: ir.IRBuilder, signature, args) -> ir.Value:
        words, contexts, words_squares, contexts_squares = (
            data_pointer(context, builder, kind, builder.extract_value(args[2], i))
            for i, kind in enumerate(signature.args[2].types[:4])
        )
        row_, column_, target_, weight_, rate = args[3:]
        v = Lanes(builder, n)

        def each_vector(work: Callable[[ir.Value, int], None]) -> None:
            """Call ``work(offset in the row, number of the sum)`` for every vector of a row."""
            whole = n_row // _UNROLL * _UNROLL
            if whole:
                with loop(builder, I64(whole // _UNROLL)) as group:
                    first = builder.mul(group, I64(_UNROLL * n))
                    for i in range(_UNROLL):
                        work(builder.add(first, I64(i * n)), i)
            for i in range(n_row - whole):
                work(I64((whole + i) * n), i)

        sums = [v.variable(v.splat(0.0)) for _ in range(min(_UNROLL, n_row))]

        def multiply(at: ir.Value, number: int) -> None:
            w = v.load(words, builder.add(row_, at))
            c = v.load(contexts, builder.add(column_, at))
            builder.store(v.fma(w, c, builder.load(sums[number])), sums[number])

        each_vector(multiply)
        total = builder.load(sums[0])
        for more in sums[1:]:
            total = builder.fadd(total, builder.load(more))
        dot = builder.extract_element(v.sums([total])[0], I32(0))
        error = builder.fsub(dot, target_)
        weighted = builder.fmul(weight_, error)
        step = v.broadcast(builder.fmul(rate, weighted))

        def update(at: ir.Value, number: int) -> None:
            row_at, column_at = builder.add(row_, at), builder.add(column_, at)
            w, c = v.load(words, row_at), v.load(contexts, column_at)
            of_w, of_c = v.load(words_squares, row_at), v.load(contexts_squares, column_at)
            by_w, by_c = builder.fmul(step, c), builder.fmul(step, w)
            v.store(builder.fsub(w, builder.fmul(by_w, v.inverse_root(of_w))), words, row_at)
            v.store(builder.fsub(c, builder.fmul(by_c, v.inverse_root(of_c))), contexts, column_at)
            v.store(v.fma(by_w, by_w, of_w), words_squares, row_at)
            v.store(v.fma(by_c, by_c, of_c), contexts_squares, column_at)

        each_vector(update)
        return builder.fmul(weighted, error)

    argument_types = (
        lanes, n_vectors, weights, types.int64, types.int64, types.float32, types.float32,
        types.float32,
    )  # fmt: skip
    return types.float32(*argument_types), generate


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
            doubled += _step(
                lanes, n_vectors, weights, row, column, cells.targets[i], cells.weights[i], lr
            )
        tally[0] += doubled / 2
        tally[1] += stop - start

    return train_slice
