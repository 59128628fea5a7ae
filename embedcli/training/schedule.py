"""The learning rate over a run."""

from __future__ import annotations

__all__ = ["linear_decay"]


def linear_decay(progress: float, lr: float, min_lr: float) -> float:
    """The learning rate after `progress` (0 to 1) of all tokens: from `lr` straight to `min_lr`."""
    return lr - (lr - min_lr) * min(1.0, max(0.0, progress))
