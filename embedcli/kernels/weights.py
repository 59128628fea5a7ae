"""The two matrices as kernels see them, and the small arrays each thread works in."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from embedcli.kernels.blocks import BLOCK_OUTPUTS, DOTS_STRIDE
from embedcli.kernels.windows import room_for_context

__all__ = [
    "ROW_ALIGNMENT",
    "TALLY",
    "Losses",
    "Scratch",
    "Weights",
    "aligned",
    "make_losses",
    "make_scratch",
    "row_stride",
]

TALLY = 4  # sums kept: loss, pairs, words trained, words alone

ROW_ALIGNMENT = 16  # floats: rows begin on a cache line, and on a whole vector of any width


class Weights(NamedTuple):
    """syn0 and syn1neg.

    Attributes:
        syn0: float32 (V * stride,), input vectors, row after row, each padded with zeros.
        syn1neg: float32 (V * stride,), output vectors, laid out alike.
        stride: floats from one row to the next, a multiple of `ROW_ALIGNMENT`.
    """

    syn0: NDArray[np.float32]
    syn1neg: NDArray[np.float32]
    stride: int


class Losses(NamedTuple):
    """The loss of many pairs as sums that cost little to add to, lane by lane: `blocks.py`.

    Attributes:
        hinge: float64 (16,), sums of max(-s f, 0).
        product: float32 (16,), mantissas in [1, 2) of the products of the 1 + exp(-|f|).
        exponent: int32 (16,), their exponents.
    """

    hinge: NDArray[np.float64]
    product: NDArray[np.float32]
    exponent: NDArray[np.int32]


class Scratch(NamedTuple):
    """What one thread writes between the matrices: never shared, small enough to stay in L1.

    Attributes:
        rows: int64, in two halves offsets of the output rows of a position and of the next one.
        signs: float32, for paths: likewise the signs of the nodes, block after block, once for each
            of two inputs, as the dots are laid (`paths.py`).
        inputs: int64, offsets of the input rows of this position: `windows.py`.
        dots: float32, dots then gradients, block after block: `blocks.py`.
        hidden: float32 (2 * stride,), CBOW's mean of the inputs and its gradient.
        losses: of the slice at hand.
        tally: float64 (`TALLY`,), sums over the slices: see the kernels.
    """

    rows: NDArray[np.int64]
    signs: NDArray[np.float32]
    inputs: NDArray[np.int64]
    dots: NDArray[np.float32]
    hidden: NDArray[np.float32]
    losses: Losses
    tally: NDArray[np.float64]


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


def make_losses() -> Losses:
    """No loss yet."""
    lanes = ROW_ALIGNMENT
    product = aligned(lanes)
    product[:] = 1.0
    return Losses(np.zeros(lanes, np.float64), product, np.zeros(lanes, np.int32))


def make_scratch(n_outputs: int, window: int, stride: int) -> Scratch:
    """Fresh scratch for one thread; `n_outputs` is 1 + K, or that of a path in whole blocks."""
    n_blocks = -(-n_outputs // BLOCK_OUTPUTS)
    return Scratch(
        rows=np.zeros(2 * n_outputs, np.int64),
        signs=aligned(2 * n_blocks * DOTS_STRIDE),
        inputs=np.zeros(room_for_context(window), np.int64),
        dots=aligned(n_blocks * dots_of_block(window)),
        hidden=aligned(2 * stride),
        losses=make_losses(),
        tally=np.zeros(TALLY, np.float64),
    )


def dots_of_block(window: int) -> int:
    """Floats kept for the dots of a block of at most 2 * `window` inputs, two at a time."""
    return window * DOTS_STRIDE
