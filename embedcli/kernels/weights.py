"""The two matrices as kernels see them, and the small arrays each thread works in."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from embedcli.kernels.alignment import aligned
from embedcli.kernels.intrinsics.blocks import BLOCK_OUTPUTS, DOTS_STRIDE
from embedcli.kernels.losses import Losses, make_losses
from embedcli.kernels.windows import room_for_context

__all__ = [
    "TALLY",
    "Scratch",
    "Weights",
    "make_scratch",
]

TALLY = 4  # sums kept: loss, pairs, words trained, words alone


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


class Scratch(NamedTuple):
    """What one thread writes between the matrices: never shared, small enough to stay in L1.

    Attributes:
        rows: int64, in two halves offsets of the output rows of a position and of the next one.
        signs: float32, for paths: likewise the signs of the nodes, block after block, once for each
            of two inputs, as the dots are laid (`paths.py`).
        inputs: int64, offsets of the input rows of this position: `windows.py`.
        dots: float32, dots then gradients, block after block: `intrinsics/blocks.py`.
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
