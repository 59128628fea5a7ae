"""Rows of a matrix begin on a cache line: how far apart they are, and arrays that begin there."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["ROW_ALIGNMENT", "aligned", "row_stride"]

ROW_ALIGNMENT = 16  # floats: rows begin on a cache line, and on a whole vector of any width


def row_stride(dim: int) -> int:
    """Floats from one row to the next for vectors of `dim` components."""
    return -(-dim // ROW_ALIGNMENT) * ROW_ALIGNMENT


def aligned(n: int) -> NDArray[np.float32]:
    """float32 (n,) of zeros that begins on a cache line.

    From NumPy's allocator and not from mmap, because it asks the kernel for huge pages.
    """
    raw = np.zeros(n + ROW_ALIGNMENT, np.float32)
    start = -(raw.ctypes.data // 4) % ROW_ALIGNMENT
    return raw[start : start + n]
