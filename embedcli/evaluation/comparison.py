"""Is one model better than another on a file, or is the difference within what chance gives?

The comparison is paired: both models answer the same questions or pairs, those that both know (or
all, where the protocol counts unknown ones), and it is these items that are drawn again and again.
An interval on the difference that leaves out 0 is what "better" can rest on; two overlapping
intervals of two scores say much less, as most of their width is shared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from embedcli.errors import UsageError
from embedcli.evaluation.analogies import AnalogyReport
from embedcli.evaluation.groups import GroupReport
from embedcli.evaluation.similarity import (
    SimilarityReport,
    middle,
    resampled_spearman,
    spearman,
)

if TYPE_CHECKING:
    from embedcli.evaluation import Report

__all__ = ["Gain", "compare"]


@dataclass(frozen=True)
class Gain:
    """What one model scores above another, in points (percent, or 100 x rho); None: undefined.

    Attributes:
        over: the name of the other model.
        gain: the difference on the items compared.
        low: where the middle 95 % of its resamples begin.
        high: where they end.
        items: questions or pairs compared.
    """

    over: str
    gain: float | None
    low: float | None
    high: float | None
    items: int


def compare(
    name: str, base: Report, other: Report, *, resamples: int = 1000, seed: int = 1
) -> Gain:
    """What `other` gains over `base`, the report of the model `name` on the same file.

    Raises:
        UsageError: the reports are of different files.
    """
    if isinstance(base, SimilarityReport) and isinstance(other, SimilarityReport):
        return _similarity(name, base, other, resamples, seed)
    if not (isinstance(base, SimilarityReport) or isinstance(other, SimilarityReport)):
        return _answers(name, base, other, resamples, seed)
    raise UsageError(f"{base.path} and {other.path} are not the same file")


def _answers(
    name: str,
    base: AnalogyReport | GroupReport,
    other: AnalogyReport | GroupReport,
    resamples: int,
    seed: int,
) -> Gain:
    first, second = base.answers, other.answers
    if base.protocol.oov == "skip":
        both = (first >= 0) & (second >= 0)
        first, second = first[both], second[both]
    n = len(first)
    if not n:
        return Gain(name, None, None, None, 0)
    better = np.maximum(second, 0).astype(int) - np.maximum(first, 0)
    counts = [int((better == value).sum()) for value in (1, -1, 0)]
    generator = np.random.default_rng(seed)
    # a resample of n items is a draw of how many are gained, lost and equal
    drawn = generator.multinomial(n, np.array(counts) / n, size=resamples)
    low, high = middle(100 * (drawn[:, 0] - drawn[:, 1]) / n) or (None, None)
    return Gain(name, 100 * (counts[0] - counts[1]) / n, low, high, n)


def _similarity(
    name: str, base: SimilarityReport, other: SimilarityReport, resamples: int, seed: int
) -> Gain:
    used = np.ones(base.total, np.bool_)
    if base.protocol.oov == "skip":
        used = base.known & other.known
    human, *columns = (values[used] for values in (base.human, base.cosines, other.cosines))
    n = int(used.sum())
    rho = [spearman(human, column) for column in columns]
    if rho[0] is None or rho[1] is None:
        return Gain(name, None, None, None, n)
    spread = resampled_spearman(human, columns, resamples, seed)
    low, high = middle(100 * (spread[1] - spread[0])) or (None, None)
    return Gain(name, 100 * (rho[1] - rho[0]), low, high, n)
