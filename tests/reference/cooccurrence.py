"""The slow twin of the counting kernels: the co-occurrence matrix as a dictionary."""

from __future__ import annotations

import itertools
from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

__all__ = ["cooccurrences"]


def cooccurrences(
    ids: NDArray[np.int32],
    offsets: NDArray[np.int64],
    window: int,
    *,
    symmetric: bool = True,
    distance_weighting: bool = True,
) -> dict[tuple[int, int], float]:
    """X[row, column] of each pair of words that occurs, as GloVe's `cooccur` counts it.

    A token is paired with each of up to `window` tokens to its left in its sentence, which adds 1/d
    (or 1) to the row of the left word and the column of the right one; and, if `symmetric`, to the
    row of the right word and the column of the left one.
    """
    x: defaultdict[tuple[int, int], float] = defaultdict(float)
    for begin, end in itertools.pairwise(offsets.tolist()):
        for t in range(begin, end):
            for s in range(max(begin, t - window), t):
                part = 1 / (t - s) if distance_weighting else 1.0
                left, right = int(ids[s]), int(ids[t])
                x[left, right] += part
                if symmetric:
                    x[right, left] += part
    return dict(x)
