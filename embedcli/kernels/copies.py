"""Copies of rows in a round: made before a stream is trained, put together after all have been.

`rounds.py` says why, and in which order.
"""

from __future__ import annotations

import numpy as np

from embedcli.kernels.intrinsics.access import prefetch, unsigned
from embedcli.kernels.intrinsics.matrix_rows import blend_row, copy_row
from embedcli.kernels.jit import inlined_step
from embedcli.kernels.streams import STREAMS

__all__ = ["gather_copies", "merge_copies"]

_COPIES = np.array([bits.bit_count() for bits in range(1 << STREAMS)], np.float32)
# The streams that come before w in the order of class c: item W w + c.
_EARLIER = np.array(
    [
        sum(1 << other for other in range(STREAMS) if other ^ c < w ^ c)
        for w in range(STREAMS)
        for c in range(STREAMS)
    ],
    np.int64,
)
_AHEAD = 6  # rows between asking for one and copying it


@inlined_step
def gather_copies(lanes, n_vectors, w, copied, matrix, first_copy, stride) -> None:
    """Step 3 for stream `w` and one matrix: copy rows to row `first_copy` and those after it."""
    words, n = copied.words[w], copied.begins[w, STREAMS]
    for slot in range(n):
        if slot + _AHEAD < n:
            prefetch(matrix, np.int64(words[unsigned(slot + _AHEAD)]) * stride, n_vectors * lanes)
        row = np.int64(words[unsigned(slot)]) * stride
        copy_row(lanes, n_vectors, matrix, row, matrix, (first_copy + slot) * stride)


@inlined_step
def merge_copies(
    lanes, n_vectors, block, phase, size, copied, shares, matrix, first_copy, stride
) -> None:
    """Step 5 for a block of `size` streams and one matrix: the classes that are its in a phase.

    Args:
        shares: float32 (H + 1,). first_copy: the row of stream 0's first copy.
    """
    per_stream, n_hot = copied.order.shape[1], np.int64(shares.shape[0] - 1)
    for place in range(size * size):
        c = (block ^ phase) * size + place // size
        w = block * size + (c % size ^ place % size)
        words, order, users = copied.words[w], copied.order[w], copied.users[w]
        earlier, end = _EARLIER[STREAMS * w + c], copied.begins[w, c + 1]
        for i in range(copied.begins[w, c], end):
            if i + _AHEAD < end:
                word = np.int64(words[unsigned(order[unsigned(i + _AHEAD)])])
                prefetch(matrix, word * stride, n_vectors * lanes)
            slot = np.int64(order[unsigned(i)])
            word, these = np.int64(words[unsigned(slot)]), np.int64(users[unsigned(slot)])
            copy = first_copy + w * per_stream + slot
            # M + sum of s (C - M) is (1 - s m) M + s sum of C: with the first copy M shrinks.
            share = shares[unsigned(min(word, n_hot))]
            n_copies = _COPIES[unsigned(these if these & earlier == 0 else 0)]
            keep = np.float32(1.0) - share * n_copies
            blend_row(lanes, n_vectors, matrix, word * stride, copy * stride, keep, share)
