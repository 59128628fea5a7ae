"""Whether what one model gains over another is enough, and how it is said."""

from __future__ import annotations

__all__ = ["is_below", "shown_gain"]


def is_below(threshold: float, gain: float | None, low: float | None) -> bool:
    """Whether a gain misses `threshold`.

    It is the low end of the interval that has to reach it, where there is an interval: a gain that
    chance may have given is none. A gain that is not defined misses every threshold.
    """
    sure = gain if low is None else low
    return sure is None or sure < threshold


def shown_gain(gain: float | None, low: float | None, high: float | None) -> str:
    """``+1.23 (0.10 to 2.31)``."""
    if gain is None:
        return "n/a"
    if low is None or high is None:
        return f"{gain:+.2f}"
    return f"{gain:+.2f} ({low:.2f} to {high:.2f})"
