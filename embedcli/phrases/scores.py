"""How much more often two words are neighbours than by chance: three scores.

With n(ab) how often b follows a, n(a), n(b) and N how often the words and all words occur, m the
minimal count, and V how many different words and pairs there are:

    word2vec    (n(ab) - m) / n(a) / n(b) * N        Mikolov et al. 2013, *Distributed
                Representations of Words and Phrases*, as their word2phrase.c computes it
    gensim      (n(ab) - m) / n(a) / n(b) * V        what gensim's `Phrases` does by default
    npmi        log(p(ab) / (p(a) p(b))) / -log p(ab)    Bouma 2009, *Normalized (Pointwise) Mutual
                Information in Collocation Extraction*: 1 is always together, 0 is by chance

A pair is a phrase if its score is above the threshold; a pair that occurs less than m times never
is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedcli.errors import UsageError

__all__ = ["SCORES", "THRESHOLDS", "PairCounts", "score_pairs"]

SCORES = ("word2vec", "gensim", "npmi")
# word2phrase's and gensim's own defaults; for npmi there is none, and half of the way is usual.
THRESHOLDS: Mapping[str, float] = {"word2vec": 100.0, "gensim": 10.0, "npmi": 0.5}

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class PairCounts:
    """Pairs and what was counted around them.

    Attributes:
        first, second: int64 (P,), the words of each pair.
        counts: int64 (P,), how often it occurs.
        n_distinct: how many different pairs there are, those not listed here too.
        last: int64 (P,), the second words, where `second` stands for them with connectors.
        n_connectors: how many connectors the text has, which are in no pair by themselves.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    counts: NDArray[np.int64]
    n_distinct: int
    last: NDArray[np.int64] | None = None
    n_connectors: int = 0


def score_pairs(
    name: str, pairs: PairCounts, word_counts: NDArray[np.int64], min_count: int
) -> Doubles:
    """The score of each pair, float64 (P,); -inf where it occurs too rarely.

    Args:
        name: one of `SCORES`.
        pairs: the pairs.
        word_counts: int64 (V,), how often each word occurs, but connectors.
        min_count: m.

    Raises:
        UsageError: there is no such score.
    """
    if name not in SCORES:
        raise UsageError(f"no score {name!r}; there are {', '.join(SCORES)}")
    of_pair = pairs.counts.astype(np.float64)
    of_first = word_counts[pairs.first].astype(np.float64)
    of_second = word_counts[pairs.second if pairs.last is None else pairs.last].astype(np.float64)
    n_tokens = float(word_counts.sum() + pairs.n_connectors)
    if name == "npmi":
        scores = _npmi(of_pair / n_tokens, of_first / n_tokens, of_second / n_tokens)
    else:
        n_types = float(np.count_nonzero(word_counts) + pairs.n_distinct)
        scale = n_tokens if name == "word2vec" else n_types
        scores = (of_pair - min_count) / of_first / of_second * scale
    scores[pairs.counts < min_count] = -np.inf
    return scores


def _npmi(pair: Doubles, first: Doubles, second: Doubles) -> Doubles:
    scores: Doubles = np.log(pair / (first * second)) / -np.log(pair)
    return scores
