"""Cutting the corpus into chunks: the unit of randomness, of sharing work and of the learning rate.

The cuts depend on the corpus and on nothing else, so that any number of threads sees the same
chunks. A sentence stays whole unless it is longer than a chunk; then it is cut, and the windows at
the cut are shorter on one side: every token is trained all the same.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["chunk_bounds", "chunk_size", "sentences_within"]

_LARGEST_CHUNK = 1 << 16
_SMALLEST_CHUNK = 1 << 11
_CHUNKS_WANTED = 256  # in an epoch: enough to share evenly and to lower the learning rate smoothly


def chunk_size(n_tokens: int) -> int:
    """Tokens in a chunk of a corpus of `n_tokens`."""
    return min(_LARGEST_CHUNK, max(_SMALLEST_CHUNK, n_tokens // _CHUNKS_WANTED))


def chunk_bounds(offsets: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Where to cut: int64 (C + 1,), chunk c is tokens ``bounds[c]`` to ``bounds[c + 1]``.

    Args:
        offsets: int64 (S + 1,), where sentences begin; the last one is the number of tokens.
        size: tokens in a chunk at most.
    """
    bounds = [0]
    end = int(offsets[-1])
    while bounds[-1] < end:
        limit = min(bounds[-1] + size, end)
        whole = int(offsets[np.searchsorted(offsets, limit, side="right") - 1])
        bounds.append(whole if whole > bounds[-1] else limit)
    return np.array(bounds, np.int64)


def sentences_within(offsets: NDArray[np.int64], begin: int, end: int) -> NDArray[np.int64]:
    """The sentence offsets inside tokens `begin` to `end`, counted from `begin` (int64)."""
    first = int(np.searchsorted(offsets, begin, side="right")) - 1
    last = int(np.searchsorted(offsets, end, side="left"))
    return np.clip(offsets[first : last + 1], begin, end) - begin
