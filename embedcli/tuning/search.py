"""Runs all trials of a grid, least work first, within the time budget."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from embedcli.settings.values import Value
from embedcli.tuning.space import work
from embedcli.tuning.trial import Bench, Trial

__all__ = ["Budget", "try_all"]

Settings = Mapping[str, Value]


@dataclass
class Budget:
    """Seconds, and whether the next trial would fit into what is left of them.

    Attributes:
        seconds: from when this is made.
        clock: what tells them.
    """

    seconds: float = math.inf
    clock: Callable[[], float] = time.perf_counter

    def __post_init__(self) -> None:
        self._began = self.clock()
        self._rate: float | None = None

    def fits(self, bench: Bench, settings: Settings) -> bool:
        """Whether a trial would probably end in time, by the last one; the first always does."""
        if self._rate is None:
            return True
        expected = self._rate * work(bench.config.with_settings(settings))
        return self.clock() - self._began + expected <= self.seconds

    def measure(self, bench: Bench, settings: Settings) -> Trial:
        """Make the trial, and remember how long it took."""
        start = self.clock()
        trial = bench.measure(settings)
        self._rate = (self.clock() - start) / work(bench.config.with_settings(settings))
        return trial


def try_all(
    bench: Bench,
    grid: Sequence[Settings],
    budget: Budget,
    *,
    on_trial: Callable[[Trial], None] = lambda trial: None,
) -> tuple[list[Trial], list[Settings]]:
    """Try the settings one after the other.

    Args:
        bench: what all trials share.
        grid: settings in the order to try them.
        budget: what would probably end after it is not begun.
        on_trial: called after each trial.

    Returns:
        The trials, and the settings that were left out for want of time.
    """
    trials: list[Trial] = []
    for i, settings in enumerate(grid):
        if not budget.fits(bench, settings):
            return trials, list(grid[i:])
        trials.append(budget.measure(bench, settings))
        on_trial(trials[-1])
    return trials, []
