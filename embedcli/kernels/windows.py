"""Which input rows a window reads: the words around its centre."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from embedcli.kernels.intrinsics.access import unsigned
from embedcli.kernels.intrinsics.matrix_rows import SPARE, rows_of_words
from embedcli.kernels.jit import inlined

__all__ = [
    "MOST_TOGETHER",
    "PART",
    "Text",
    "context_bounds",
    "context_rows",
    "inputs_together",
    "next_inputs",
    "room_for_context",
]


MOST_TOGETHER = 10  # context words that meet the outputs at once: those of window 5
PART = 8  # of wider ones


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
def inputs_together(n):
    """How many of `n` context words meet the outputs of a centre word at a time, at most.

    All of them as far as window 5 goes; beyond, parts of equal size. Each meets the outputs as the
    parts before left them: the steps of a window add up, and those of fifty words at once would
    carry the outputs far beyond where any of them wants to.
    """
    return n if n <= MOST_TOGETHER else -(-n // -(-n // PART))


@inlined
def next_inputs(inputs, done, size):
    """Move the next input rows, at most `size` and all distinct, to the beginning; how many.

    A word that stands twice in a window waits for its first step to be done: two steps from the
    same place would be one of twice the rate, and then the next is larger still.

    Args:
        inputs: int64, offsets of rows, one more than there are; those before `done` are not needed
            any more.
    """
    for last in range(size - 1, 0, -1):
        is_repeated = False
        for earlier in range(last):
            is_repeated |= inputs[unsigned(done + earlier)] == inputs[unsigned(done + last)]
        size = last if is_repeated else size
    if done > 0:
        for j in range(size + 1):
            inputs[unsigned(j)] = inputs[unsigned(done + j)]
    return size


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
