"""Is one model better than another on a file, or is the difference within what chance gives?

The comparison is paired: both models answer the same questions or pairs, those that both know (or
all, where the protocol counts unknown ones), and it is these items that are drawn again and again.
An interval on the difference that leaves out 0 is what "better" can rest on; two overlapping
intervals of two scores say much less, as most of their width is shared.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from embedcli.errors import UsageError
from embedcli.evaluation.bootstrap import resampled
from embedcli.evaluation.report import Gain, Report, Score

__all__ = ["compare", "with_gain"]

Doubles = NDArray[np.float64]


def compare(
    name: str, base: Report, other: Report, *, resamples: int = 1000, seed: int = 1
) -> Gain:
    """What `other` gains over `base`, the report of the model `name` on the same file.

    Raises:
        UsageError: the reports are of different files.
    """
    first, second = base.items, other.items
    if (
        first is None
        or second is None
        or base.kind != other.kind
        or len(first.seen) != len(second.seen)
    ):
        raise UsageError(f"{base.path} and {other.path} are not the same file")
    used = (first.seen & second.seen) | base.is_of_all
    n = int(used.sum())
    pair = (first.values[used], second.values[used])
    if first.score is None:
        gain, spread = _of_answers(*pair, resamples, seed)
    else:
        gain, spread = _of_scores(first.score, pair, resamples, seed)
    return Gain.of(name, gain, spread, n)


def with_gain(report: Report, gain: Gain) -> Report:
    """A report whose main part has a gain."""
    parts = list(report.parts)
    parts[report.main] = replace(report.main_part, gain=gain)
    return replace(report, parts=parts)


def _of_answers(
    first: Doubles, second: Doubles, resamples: int, seed: int
) -> tuple[float, Doubles]:
    """The difference of two percentages: a mean of gains, losses and draws, which are counted."""
    n = len(first)
    if not n:
        return float("nan"), np.empty(0)
    difference = (second - first)[:, 0]
    kinds = np.array([1.0, -1.0, 0.0])
    shares = np.array([int((difference == kind).sum()) for kind in kinds]) / n
    (spread,) = resampled(
        [lambda drawn: 100 * (drawn @ kinds) / n], n, resamples, seed, chances=shares
    )
    return 100 * float(difference.sum()) / n, spread


def _of_scores(
    score: Score, pair: tuple[Doubles, Doubles], resamples: int, seed: int
) -> tuple[float, Doubles]:
    """The difference of two scores of any kind."""
    n = len(pair[0])

    def difference(weights: Doubles) -> Doubles:
        first, second = (score(values, weights) for values in pair)
        gain: Doubles = second - first
        return gain

    gain = float(difference(np.ones((1, n)))[0]) if n else float("nan")
    (spread,) = resampled([difference], n, resamples, seed)
    return gain, spread
