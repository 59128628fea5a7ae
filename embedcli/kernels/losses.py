"""The loss of many pairs, summed up lane by lane (`intrinsics/gradients.py` says how)."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from embedcli.kernels.alignment import ROW_ALIGNMENT, aligned
from embedcli.kernels.jit import kernel

__all__ = ["Losses", "make_losses", "take_losses"]


class Losses(NamedTuple):
    """The loss of many pairs as sums that cost little to add to, lane by lane.

    Attributes:
        hinge: float64 (16,), sums of max(-s f, 0).
        product: float32 (16,), mantissas in [1, 2) of the products of the 1 + exp(-|f|).
        exponent: int32 (16,), their exponents.
    """

    hinge: NDArray[np.float64]
    product: NDArray[np.float32]
    exponent: NDArray[np.int32]


def make_losses() -> Losses:
    """No loss yet."""
    lanes = ROW_ALIGNMENT
    product = aligned(lanes)
    product[:] = 1.0
    return Losses(np.zeros(lanes, np.float64), product, np.zeros(lanes, np.int32))


@kernel
def take_losses(losses) -> Any:
    """The sum of the losses in a `Losses`, in nats, float64; starts it anew."""
    total = 0.0
    for lane in range(losses.hinge.shape[0]):
        total += losses.hinge[lane] + math.log(losses.product[lane])
        total += losses.exponent[lane] * math.log(2.0)
        losses.hinge[lane] = 0.0
        losses.product[lane] = np.float32(1.0)
        losses.exponent[lane] = 0
    return total
