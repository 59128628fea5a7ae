"""One line of a score: what tables, tab-separated files and JSON show, whatever was scored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Part", "left_out", "otherwise"]


@dataclass(frozen=True)
class Part:
    """The score of a section of an analogy file, of several together, or of a similarity file.

    Scores are percent of questions answered rightly, or 100 x a correlation; None is undefined.

    Attributes:
        name: the section, ``semantic``, ``syntactic``, ``total``, ``pairs`` of a similarity file,
            the name of a file of pairs, ``purity``, ``position`` or ``odd one out``.
        score: by the protocol.
        score_of_all: with unknown words counted as wrong answers, or as pairs of cosine 0.
        seen: questions or pairs without an unknown word.
        total: questions or pairs.
        low: where the middle 95 % of resampled scores begin; similarity only.
        high: where they end.
        pearson: 100 x the linear correlation of the pairs that `score` is of; similarity only.
    """

    name: str
    score: float | None
    score_of_all: float | None
    seen: int
    total: int
    low: float | None = None
    high: float | None = None
    pearson: float | None = None


def left_out(skipped: Sequence[str]) -> str:
    """What a protocol's line says of bad lines that were left out."""
    return f", {len(skipped):,} bad line{'s' * (len(skipped) > 1)} left out" if skipped else ""


def otherwise(answered: Mapping[str, str]) -> str:
    """What it says of words that were answered without being in the vocabulary."""
    tally = Counter(answered.values())
    return "".join(f", {n:,} words by {way}" for way, n in sorted(tally.items()))
