"""Which input rows a window reads: the words around its centre."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from embedcli.kernels.jit import inlined
from embedcli.kernels.sampling import SPARE
from embedcli.kernels.simd import I32, I64, data_pointer, loop

__all__ = ["Text", "context_bounds", "context_rows", "room_for_context", "rows_of_words"]


class Text(NamedTuple):
    """The words that are passed over; item p - `begin` of the first two is that of position p.

    Attributes:
        inputs, centres: int32, the rows of syn0 and of syn1neg of each word; `SPARE` items more
            than are asked for.
        first, last: int32 (n,), the bounds of the sentence each word stands in.
        begin, end: int64, positions; words before and from there on are not read.
    """

    inputs: NDArray[np.int32]
    centres: NDArray[np.int32]
    first: NDArray[np.int32]
    last: NDArray[np.int32]
    begin: int
    end: int


def room_for_context(window: int) -> int:
    """Items that `context_rows` may write for a window of this radius."""
    return 2 * window + 1 + SPARE


@inlined
def context_bounds(text, position, radius):
    """Where a window with its centre at `position` begins and ends."""
    begin = max(np.int64(text.first[position]), position - radius)
    return begin, min(np.int64(text.last[position]), position + radius + 1)


@inlined
def context_rows(text, position, radius, stride, inputs, first):
    """Write the offsets of the context words' rows to `inputs` from `first` on; return how many.

    The last one is written twice, as what works on pairs needs (`block_dots`).

    Args:
        text: `Text`. position: of the centre word in it. radius: of the window.
        stride: floats from one row to the next.
        inputs: int64, `room_for_context` items from `first` on.
    """
    begin, end = context_bounds(text, position, radius)
    n_left, n_right = position - begin, end - position - 1
    rows_of_words(text.inputs, begin - text.begin, n_left, stride, inputs, first)
    rows_of_words(text.inputs, position + 1 - text.begin, n_right, stride, inputs, first + n_left)
    n = n_left + n_right
    if n > 0:
        inputs[first + n] = inputs[first + n - 1]
    return n


@intrinsic
def rows_of_words(
    typing_context, words, begin, n, stride, rows, first
) -> tuple[Any, Callable[..., ir.Value]]:
    """``rows[first + i] = words[begin + i] * stride`` for i < n, eight at a time.

    So a window costs no loop whose length no predictor can learn: half the time. Up to seven items
    (less than `SPARE`) too many are read and written.
    """

    def generate(context, builder: ir.IRBuilder, signature, args) -> ir.Value:
        source = data_pointer(context, builder, signature.args[0], args[0])
        target = data_pointer(context, builder, signature.args[4], args[4])
        narrow, wide = ir.VectorType(I32, SPARE), ir.VectorType(I64, SPARE)
        undefined = ir.Constant(wide, ir.Undefined)
        stride_ = builder.insert_element(undefined, args[3], I32(0))
        strides = builder.shuffle_vector(stride_, undefined, ir.Constant(narrow, [0] * SPARE))
        eights = builder.udiv(builder.add(args[2], I64(SPARE - 1)), I64(SPARE))
        with loop(builder, eights) as eight:
            i = builder.mul(eight, I64(SPARE))
            word = builder.gep(source, [builder.add(args[1], i)])
            ids = builder.load(builder.bitcast(word, narrow.as_pointer()), align=4)
            row = builder.gep(target, [builder.add(args[5], i)])
            offsets = builder.mul(builder.sext(ids, wide), strides)
            builder.store(offsets, builder.bitcast(row, wide.as_pointer()), align=8)
        return context.get_dummy_value()

    integers = types.int64, types.int64, types.int64
    return types.void(words, *integers, rows, types.int64), generate
