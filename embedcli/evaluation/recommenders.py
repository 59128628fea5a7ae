"""What ranks items given a history: the vectors of a model, and the baselines they have to beat.

Each gives every item a score for each of a batch of histories; only the order of the scores counts.

    popularity          how many lines hold the item
    co-occurrence       sum over the history of P(item in a line | h in the line)
    item-item cosine    sum over the history of n(item, h) / sqrt(n(item) n(h)), Deshpande & Karypis
                        2004, *Item-Based Top-N Recommendation Algorithms*
    nearest             cosine of the item's vector to the mean of the history's vectors
    predicted           log P(item | history) as the model has it: the dot of the item's *output*
                        vector with that mean, which negative sampling brings to log P(item | h) -
                        log P_noise(item) (Levy & Goldberg 2014, *Neural Word Embedding as Implicit
                        Matrix Factorization*), plus log P_noise(item)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from embedcli.embeddings import Embeddings
from embedcli.evaluation.histories import Lines, distinct

__all__ = ["Recommender", "baselines", "recommenders"]

Scores = NDArray[np.float32]
Recommender = Callable[[Sequence[NDArray[np.int64]]], Scores]

_PAIRS_AT_ONCE = 1 << 22


def recommenders(embeddings: Embeddings) -> dict[str, Recommender]:
    """What a model can rank by: ``nearest``, and ``predicted`` with output vectors of words."""
    vectors = np.ascontiguousarray(embeddings.vectors, np.float32)
    norms = np.maximum(embeddings.norms, np.finfo(np.float32).tiny)[:, None]
    units: Scores = np.divide(vectors, norms, dtype=np.float32)
    nothing = np.zeros(len(vectors), np.float32)
    found: dict[str, Recommender] = {"nearest": _by_dots(vectors, units, nothing)}
    if embeddings.output_vectors is not None and not embeddings.outputs_are_nodes:
        outputs = np.ascontiguousarray(embeddings.output_vectors, np.float32)
        found["predicted"] = _by_dots(vectors, outputs, _log_noise(embeddings))
    return found


def _log_noise(embeddings: Embeddings) -> Scores:
    """The log of how often each item was drawn as a negative, up to a constant; 0 if unknown."""
    counts = embeddings.vocabulary.counts
    exponent = embeddings.metadata.get("settings", {}).get("ns_exponent")
    if counts is None or exponent is None:
        return np.zeros(len(embeddings), np.float32)
    noise: Scores = (exponent * np.log(np.maximum(counts, 1))).astype(np.float32)
    return noise


def baselines(lines: Lines, ids: NDArray[np.int64], n_items: int) -> dict[str, Recommender]:
    """The baselines, counted on `lines`.

    Args:
        lines: what may be known of the past.
        ids: int64 (N,), which of `n_items` each of the lines' items is, or -1.
        n_items: V, what is ranked.
    """
    lines = distinct(lines)
    translated = ids[lines.ids]
    known = translated[translated >= 0]
    counts = np.bincount(known, minlength=n_items).astype(np.float64)
    pairs = _Pairs(translated, lines.offsets, n_items)
    each = np.maximum(counts, 1)
    popular = counts.astype(np.float32)
    return {
        "popularity": lambda histories: np.tile(popular, (len(histories), 1)),
        "co-occurrence": pairs.recommender(pairs.counts / each[pairs.rows]),
        "item-item cosine": pairs.recommender(
            pairs.counts / np.sqrt(each[pairs.rows] * each[pairs.columns])
        ),
    }


def _by_dots(vectors: Scores, answers: Scores, bias: Scores) -> Recommender:
    def score(histories: Sequence[NDArray[np.int64]]) -> Scores:
        means = np.array([vectors[history].mean(axis=0) for history in histories])
        return means @ answers.T + bias

    return score


class _Pairs:
    """How many lines hold both of two items, for all pairs that any line holds, sparsely.

    Attributes:
        rows, columns: int64 (P,), the two items; sorted, both orders of every pair.
        counts: int64 (P,).
    """

    def __init__(self, ids: NDArray[np.int64], offsets: NDArray[np.int64], n_items: int) -> None:
        keys, self.counts = np.zeros(0, np.int64), np.zeros(0, np.int64)
        for more in _pair_keys(ids, offsets, n_items):
            both = np.concatenate([keys, more])
            weights = np.concatenate([self.counts, np.ones(len(more), np.int64)])
            keys, place = np.unique(both, return_inverse=True)
            self.counts = np.bincount(place, weights, len(keys)).astype(np.int64)
        self._n_items = n_items
        self.rows, self.columns = np.divmod(keys, n_items)
        self._starts = np.searchsorted(self.rows, np.arange(n_items + 1))

    def recommender(self, weights: NDArray[np.float64]) -> Recommender:
        """Score by the sum of `weights`, float64 (P,), of pairs with the items of the history."""
        values = weights.astype(np.float32)

        def score(histories: Sequence[NDArray[np.int64]]) -> Scores:
            scores = np.zeros((len(histories), self._n_items), np.float32)
            for row, history in zip(scores, histories, strict=True):
                for item in history.tolist():
                    part = slice(self._starts[item], self._starts[item + 1])
                    row[self.columns[part]] += values[part]
            return scores

        return score


def _pair_keys(
    ids: NDArray[np.int64], offsets: NDArray[np.int64], n_items: int
) -> Iterator[NDArray[np.int64]]:
    """Both orders of each pair of known items in a line, as row * V + column, some at a time."""
    left = np.repeat(offsets[1:], np.diff(offsets)) - np.arange(len(ids))  # to the line's end
    waiting: list[NDArray[np.int64]] = []
    n_waiting = 0
    first = np.flatnonzero((left > 1) & (ids >= 0))
    distance = 1
    while len(first):
        one, other = ids[first], ids[first + distance]
        known = other >= 0
        one, other = one[known], other[known]
        waiting += [one * n_items + other, other * n_items + one]
        n_waiting += 2 * len(one)
        if n_waiting > _PAIRS_AT_ONCE:
            yield np.concatenate(waiting)
            waiting, n_waiting = [], 0
        distance += 1
        first = first[left[first] > distance]
    if waiting:
        yield np.concatenate(waiting)
