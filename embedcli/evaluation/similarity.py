"""Word similarity: how far the cosines of word pairs rise and fall with what people judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from embedcli.evaluation.folded import FoldedWords
from embedcli.evaluation.parts import Part, left_out, otherwise
from embedcli.evaluation.protocols import Protocol
from embedcli.lookup.out_of_vocabulary import OWN

__all__ = [
    "Pair",
    "SimilarityReport",
    "middle",
    "pearson",
    "resampled_spearman",
    "score_similarity",
    "spearman",
]

Doubles = NDArray[np.float64]

Pair = tuple[str, str, float]

_LEVEL = 0.95
_CELLS = 1 << 22  # (resample, pair) cells at once: 32 MiB of float64


@dataclass(frozen=True)
class SimilarityReport:
    """The score of one model on one similarity file. A correlation that is undefined is None.

    Attributes:
        path: the file.
        protocol: the rules.
        total: pairs in the file.
        covered: pairs with both words known.
        spearman: rank correlation over the covered pairs, ties averaged.
        pearson: linear correlation over the covered pairs.
        spearman_of_all: rank correlation over all pairs, with cosine 0 where a word is unknown.
        pearson_of_all: linear correlation, the same way.
        interval: where 95 % of the rank correlations of resampled pairs lie, for the correlation
            that the protocol scores by (`score`).
        resamples: how many resamples `interval` comes from.
        seed: of the resampling.
        searched: how many words could be found.
        n_model: how many words the model has.
        human: float64 (total,), what people judged, in the order of the file.
        cosines: float64 (total,), the model's; 0 where a word is unknown.
        known: bool (total,), whether both words are known.
        answered: the words that the vocabulary does not hold, and how they were answered.
        skipped: what was wrong with the lines that were left out.
    """

    path: str
    protocol: Protocol
    total: int
    covered: int
    spearman: float | None
    pearson: float | None
    spearman_of_all: float | None
    pearson_of_all: float | None
    interval: tuple[float, float] | None
    resamples: int
    seed: int
    searched: int
    n_model: int
    human: Doubles = field(default_factory=lambda: np.empty(0), compare=False, repr=False)
    cosines: Doubles = field(default_factory=lambda: np.empty(0), compare=False, repr=False)
    known: NDArray[np.bool_] = field(
        default_factory=lambda: np.empty(0, np.bool_), compare=False, repr=False
    )
    answered: Mapping[str, str] = field(default_factory=dict, compare=False)
    skipped: Sequence[str] = field(default=(), kw_only=True, compare=False)
    kind: ClassVar[str] = "similarity"

    @property
    def score(self) -> float | None:
        """What is compared with a threshold: 100 x Spearman's rho under the protocol, or None."""
        rho = self.spearman if self.protocol.oov == "skip" else self.spearman_of_all
        return _hundredfold(rho)

    @property
    def parts(self) -> list[Part]:
        """The one line of a similarity file."""
        linear = self.pearson if self.protocol.oov == "skip" else self.pearson_of_all
        numbers = (self.spearman_of_all, *(self.interval or (None, None)), linear)
        of_all, low, high, pearson = map(_hundredfold, numbers)
        return [Part("pairs", self.score, of_all, self.covered, self.total, low, high, pearson)]

    @property
    def protocol_line(self) -> str:
        """One line that states the rules, to be quoted with the score."""
        rules = self.protocol
        unknown = {"skip": "left out", "wrong": "given cosine 0"}[rules.oov]
        interval = (
            f", 95 % interval from {self.resamples:,} resamples, seed {self.seed}"
            if self.resamples
            else ""
        )
        return (
            f"{rules.title}: Spearman's rho of cosines, ties averaged, first {self.searched:,} of "
            f"{self.n_model:,} words, {rules.folding}{otherwise(self.answered)}, pairs with an "
            f"unknown word {unknown}{left_out(self.skipped)}{interval}"
        )


def _hundredfold(number: float | None) -> float | None:
    return None if number is None else 100 * number


def score_similarity(
    words: FoldedWords,
    path: str,
    pairs: Sequence[Pair],
    protocol: Protocol,
    *,
    resamples: int = 1000,
    seed: int = 1,
) -> SimilarityReport:
    """Score the `pairs` read from `path` under `protocol`.

    Args:
        words: the words that can be found.
        path: where the pairs come from, for the report.
        pairs: word, word, human score.
        protocol: the rules.
        resamples: how many bootstrap resamples the interval is made from; 0 for no interval.
        seed: of the resampling; the same seed gives the same interval.
    """
    human = np.array([score for _, _, score in pairs])
    asked = [word for pair in pairs for word in pair[:2]]
    units, ways = words.vectors(asked, subwords=protocol.subwords, token=protocol.token)
    known = np.array(
        [None not in pair for pair in zip(ways[::2], ways[1::2], strict=True)], np.bool_
    )
    cosine = (units[::2] * units[1::2]).sum(axis=1) * known
    pairs_of = zip(asked, ways, strict=True)
    answered = {word: way for word, way in pairs_of if way is not None and way != OWN}
    seen = (human[known], cosine[known])
    everything = (human, cosine) if known.any() else seen
    scored = seen if protocol.oov == "skip" else everything
    return SimilarityReport(
        path,
        protocol,
        total=len(pairs),
        covered=int(known.sum()),
        spearman=spearman(*seen),
        pearson=pearson(*seen),
        spearman_of_all=spearman(*everything),
        pearson_of_all=pearson(*everything),
        interval=bootstrap_interval(*scored, resamples=resamples, seed=seed),
        resamples=resamples,
        seed=seed,
        searched=len(words.embeddings),
        n_model=words.n_model,
        human=human,
        cosines=cosine,
        known=known,
        answered=answered,
    )


def pearson(x: Doubles, y: Doubles) -> float | None:
    """Linear correlation of two float64 (n,); None with fewer than two pairs or a constant."""
    if len(x) < 2:
        return None
    weights = np.ones((1, len(x)))
    value = float(_correlation(_fitting(x)[None], _fitting(y)[None], weights)[0])
    return None if np.isnan(value) else value


def _fitting(x: Doubles) -> Doubles:
    """`x` so scaled, if it has to be, that the squares of its numbers fit a float64."""
    largest = float(np.abs(x).max(initial=0))
    return x / largest if largest and not 1e-100 < largest < 1e100 else x


def spearman(x: Doubles, y: Doubles) -> float | None:
    """Rank correlation, ties averaged; None with fewer than two pairs or a constant."""
    if len(x) < 2:
        return None
    weights = np.ones((1, len(x)))
    value = float(_correlation(_ranks(x, weights), _ranks(y, weights), weights)[0])
    return None if np.isnan(value) else value


def bootstrap_interval(
    x: Doubles, y: Doubles, *, resamples: int, seed: int
) -> tuple[float, float] | None:
    """The middle 95 % of Spearman's rho over `resamples` resamples of the pairs.

    A resample draws n pairs with replacement; here it is the number of times each pair was drawn,
    so that ranks come from cumulated counts and nothing is sorted again. Resamples without a
    correlation (one pair drawn n times) are left out; None where there is no other.
    """
    if spearman(x, y) is None or resamples == 0:
        return None
    return middle(resampled_spearman(x, [y], resamples, seed)[0])


def resampled_spearman(
    x: Doubles, columns: Sequence[Doubles], resamples: int, seed: int
) -> list[Doubles]:
    """Spearman's rho of x with each column over the same resamples; NaN where undefined."""
    generator = np.random.default_rng(seed)
    n = len(x)
    rho: list[list[Doubles]] = [[np.empty(0)] for _ in columns]
    step = max(1, _CELLS // n)
    for start in range(0, resamples, step):
        times = min(step, resamples - start)
        drawn = generator.multinomial(n, np.full(n, 1 / n), size=times).astype(np.float64)
        ranks = _ranks(x, drawn)
        for found, column in zip(rho, columns, strict=True):
            found.append(_correlation(ranks, _ranks(column, drawn), drawn))
    return [np.concatenate(found) for found in rho]


def middle(values: Doubles) -> tuple[float, float] | None:
    """Where the middle 95 % of the values that are defined lie; None where none is."""
    defined = values[~np.isnan(values)]
    if not len(defined):
        return None
    tail = (1 - _LEVEL) / 2
    low, high = np.quantile(defined, (tail, 1 - tail))
    return float(low), float(high)


def _ranks(values: Doubles, weights: Doubles) -> Doubles:
    """Ranks from 1 of float64 (n,), ties averaged, value i being there weights[r, i] times: (R, n).

    A value's rank is the number of smaller ones, plus the middle of its own ties.
    """
    order = np.argsort(values, kind="stable")
    in_order = values[order]
    starts = np.flatnonzero(np.concatenate([[True], in_order[1:] != in_order[:-1]]))
    ties = np.add.reduceat(weights[:, order], starts, axis=1)
    rank = np.cumsum(ties, axis=1) - (ties - 1) / 2
    group = np.empty(len(values), np.int64)
    group[order] = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(values)))
    return rank[:, group]


def _correlation(x: Doubles, y: Doubles, weights: Doubles) -> Doubles:
    """Weighted linear correlation along axis 1 of (R, n); NaN where either side is constant."""
    n = weights.sum(axis=1, keepdims=True)
    dx = x - (weights * x).sum(axis=1, keepdims=True) / n
    dy = y - (weights * y).sum(axis=1, keepdims=True) / n
    xx, yy, xy = ((weights * a * b).sum(axis=1) for a, b in ((dx, dx), (dy, dy), (dx, dy)))
    flat = _constant(x, weights) | _constant(y, weights)
    value = np.divide(xy, np.sqrt(xx * yy), out=np.full(len(xx), np.nan), where=~flat)
    clipped: Doubles = np.clip(value, -1.0, 1.0)
    return clipped


def _constant(x: Doubles, weights: Doubles) -> NDArray[np.bool_]:
    """Whether all values that are there at all are the same."""
    there = weights > 0
    low = np.where(there, x, np.inf).min(axis=1)
    high = np.where(there, x, -np.inf).max(axis=1)
    same: NDArray[np.bool_] = low == high
    return same
