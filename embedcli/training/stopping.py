"""When a run ends before its last epoch: it no longer gets better, or its time is over."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic

from embedcli.training.state import Epoch

__all__ = ["Deadline", "best_epoch", "is_stalled"]


def best_epoch(epochs: Sequence[Epoch]) -> int | None:
    """The first epoch (from 0) with the lowest held-out loss, or else with the highest score.

    None where neither was measured.
    """
    measured = _badness(epochs)
    return min(measured, key=lambda item: item[1])[0] if measured else None


def is_stalled(epochs: Sequence[Epoch], patience: int) -> bool:
    """Whether the last `patience` measurements brought no new best."""
    measured = [badness for _, badness in _badness(epochs)]
    return len(measured) > patience and min(measured[-patience:]) >= min(measured[:-patience])


def _badness(epochs: Sequence[Epoch]) -> list[tuple[int, float]]:
    """The epochs that were measured, each with a number that is the lower the better."""
    losses = [(i, e.held_out) for i, e in enumerate(epochs) if e.held_out is not None]
    scores = [(i, -e.score) for i, e in enumerate(epochs) if e.score is not None]
    return losses or scores


class Deadline:
    """How much of a run's time is over.

    Args:
        budget: seconds that the run may take in all, however often it is interrupted.
        spent: seconds of them that are gone: earlier sessions, reading the text.
        share: of the training time that was over when the run was interrupted.
    """

    def __init__(self, budget: float, spent: float, share: float = 0.0) -> None:
        self._spent_before, self._share_before = spent, share
        self._left = budget - spent
        self._reserved = 0.0
        self._began = monotonic()

    @property
    def spent(self) -> float:
        """Seconds of the budget that are gone."""
        return self._spent_before + monotonic() - self._began

    @property
    def share(self) -> float:
        """The share of the training time that is over, 0 to 1."""
        passed, length = monotonic() - self._began, self._left - self._reserved
        if passed >= length:
            return 1.0
        return self._share_before + (1 - self._share_before) * passed / length

    @property
    def is_over(self) -> bool:
        """Whether no time is left to train."""
        return self.share >= 1

    def reserve(self, seconds: float) -> None:
        """Leave so much time, if it is more than before, for what follows the training."""
        self._reserved = max(self._reserved, seconds)
