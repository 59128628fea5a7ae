"""The distance of two runs as spaces: the PIP loss (Yin & Shen 2018), scaled.

It is the Frobenius norm of E1 E1' - E2 E2' over spaces whose own tables of inner products have norm
1: 0 for the same space turned, the square root of 2 for spaces that have nothing in common. No
V x V matrix is made:

    |E1 E1' - E2 E2'|² = |E1' E1|² + |E2' E2|² - 2 |E1' E2|²
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["pip_loss"]


def pip_loss(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """How far two spaces over the same words, float32 (V, D1) and (V, D2), are apart."""
    own = [float(np.linalg.norm(each.T.astype(np.float64) @ each)) for each in (first, second)]
    if not all(own):
        return 0.0 if not any(own) else math.sqrt(2)
    cross = float(np.linalg.norm(first.T.astype(np.float64) @ second))
    return math.sqrt(max(0.0, 2 - 2 * cross**2 / (own[0] * own[1])))
