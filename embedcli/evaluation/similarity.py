"""Word similarity: how far the cosines of word pairs rise and fall with what people judged."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from embedcli.evaluation.bootstrap import middle, resampled
from embedcli.evaluation.folded import FoldedWords
from embedcli.evaluation.protocols import Protocol
from embedcli.evaluation.report import Items, Part, Report, file_report
from embedcli.lookup.out_of_vocabulary import answered

__all__ = ["Pair", "pearson", "score_similarity", "spearman"]

Doubles = NDArray[np.float64]

Pair = tuple[str, str, float]

_UNKNOWN = {"skip": "left out", "wrong": "given cosine 0"}


def score_similarity(
    words: FoldedWords,
    path: str,
    pairs: Sequence[Pair],
    protocol: Protocol,
    *,
    skipped: Sequence[str] = (),
    resamples: int = 1000,
    seed: int = 1,
) -> Report:
    """Score the `pairs` read from `path` under `protocol`.

    Args:
        words: the words that can be found.
        path: where the pairs come from, for the report.
        pairs: word, word, human score.
        protocol: the rules.
        skipped: what was wrong with the lines that were left out.
        resamples: how many bootstrap resamples the interval is made from; 0 for no interval.
        seed: of the resampling; the same seed gives the same interval.

    Returns:
        A report of one part, whose items are float64 (pairs, 2), human scores and cosines, 0 where
        a word is unknown.
    """
    human = np.array([score for _, _, score in pairs])
    asked = [word for pair in pairs for word in pair[:2]]
    units, sources = words.vectors(asked, subwords=protocol.subwords, token=protocol.token)
    known = np.array(
        [None not in pair for pair in zip(sources[::2], sources[1::2], strict=True)], np.bool_
    )
    cosine = (units[::2] * units[1::2]).sum(axis=1) * known
    seen = (human[known], cosine[known])
    everything = (human, cosine) if known.any() else seen
    scored = seen if protocol.oov == "skip" else everything
    interval = bootstrap_interval(*scored, resamples=resamples, seed=seed) or (None, None)
    low, high = map(_hundredfold, interval)
    more = {
        "score_of_all": _hundredfold(spearman(*everything)),
        "pearson": _hundredfold(pearson(*scored)),
    }
    part = Part(
        "pairs", _hundredfold(spearman(*scored)), low, high, int(known.sum()), len(pairs), more
    )
    return file_report(
        "similarity",
        words,
        path,
        protocol,
        [part],
        Items(np.stack([human, cosine], axis=1), known, _scores),
        rule="Spearman's rho of cosines, ties averaged",
        unknown=f"pairs with an unknown word {_UNKNOWN[protocol.oov]}",
        interval=f", 95 % interval from {resamples:,} resamples, seed {seed}" if resamples else "",
        answered=answered(asked, sources),
        skipped=skipped,
    )


def _hundredfold(number: float | None) -> float | None:
    return None if number is None else 100 * number


def _scores(values: Doubles, weights: Doubles) -> Doubles:
    """100 x Spearman's rho of the two columns, in each resample."""
    x, y = values.T
    return 100 * _rho(x, y, weights)


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
    value = float(_rho(x, y, np.ones((1, len(x))))[0])
    return None if np.isnan(value) else value


def bootstrap_interval(
    x: Doubles, y: Doubles, *, resamples: int, seed: int
) -> tuple[float, float] | None:
    """The middle 95 % of Spearman's rho over `resamples` resamples of the pairs.

    Ranks come from cumulated counts, so that nothing is sorted again. Resamples without a
    correlation (one pair drawn n times) are left out; None where there is no other.
    """
    if spearman(x, y) is None:
        return None
    (values,) = resampled([lambda drawn: _rho(x, y, drawn)], len(x), resamples, seed)
    low, high = middle(values)
    return None if low is None or high is None else (low, high)


def _rho(x: Doubles, y: Doubles, weights: Doubles) -> Doubles:
    """Spearman's rho of float64 (n,) in resamples (R, n): (R,), NaN where it is undefined."""
    if len(x) < 2:
        return np.full(len(weights), np.nan)
    return _correlation(_ranks(x, weights), _ranks(y, weights), weights)


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
