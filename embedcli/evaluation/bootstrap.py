"""Bootstrap: how far a score, or a difference of two, would vary with other items of its kind.

A resample draws n items out of n with replacement. It is kept as how often each item was drawn, so
a statistic is a weighted one, and everything that is compared is computed on the same resamples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["Statistic", "middle", "resampled"]

Doubles = NDArray[np.float64]
Statistic = Callable[[Doubles], Doubles]  # of counts, float64 (R, n): (R,) or (R, S)

_LEVEL: Final = 0.95
COUNTS_AT_ONCE: Final = 1 << 22  # counts held at once: 32 MiB


def resampled(
    statistics: Sequence[Statistic],
    n: int,
    resamples: int,
    seed: int,
    *,
    chances: Doubles | None = None,
) -> list[Doubles]:
    """Each statistic over the same resamples of n items.

    Args:
        statistics: functions of float64 (R, n), how often each item was drawn in each of R
            resamples; one row gives one row of values.
        n: items.
        resamples: how many resamples.
        seed: of the draws; the same seed gives the same resamples.
        chances: float64 (K,), where items are of K kinds only: the share of each. The statistics
            then get counts of kinds, (R, K).

    Returns:
        For each statistic its values, float64 (resamples,) or (resamples, S).
    """
    generator = np.random.default_rng(seed)
    chances = np.full(n, 1 / max(1, n)) if chances is None else chances
    nothing = np.empty((0, len(chances)))
    values = [[statistic(nothing)] for statistic in statistics]
    step = max(1, COUNTS_AT_ONCE // max(1, len(chances)))
    for start in range(0, resamples if n else 0, step):
        size = min(step, resamples - start)
        drawn = generator.multinomial(n, chances, size=size).astype(np.float64)
        for found, statistic in zip(values, statistics, strict=True):
            found.append(statistic(drawn))
    return [np.concatenate(found) for found in values]


def middle(values: Doubles) -> tuple[float, float] | tuple[None, None]:
    """Where the middle 95 % of the values that are not NaN lie; None where there is none."""
    defined = values[~np.isnan(values)]
    if not len(defined):
        return None, None
    tail = (1 - _LEVEL) / 2
    low, high = np.quantile(defined, (tail, 1 - tail))
    return float(low), float(high)
