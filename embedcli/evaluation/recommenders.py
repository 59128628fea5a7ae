"""Ranks items for a history: by the vectors of a model, and by the baselines.

Each gives every item a score for each of a batch of histories; only the order of the scores counts.
A history is int64 (n,), the items in their order; most rank by its distinct items, or by those of
its last N (``co-occurrence, last 5``), as what is long past says little of what comes next.

    popularity          how many lines hold the item
    co-occurrence       sum over the history of P(item in a line | h in the line)
    item-item cosine    sum over the history of n(item, h) / sqrt(n(item) n(h)), Deshpande & Karypis
                        2004, *Item-Based Top-N Recommendation Algorithms*
    sequential rules    sum of 1 / distance over the places where the item comes after the last item
                        of the history, at most 10 later (Ludewig & Jannach 2018, *Evaluation of
                        Session-based Recommendation Algorithms*); the only one that knows the order
    nearest             cosine of the item's vector to the mean of the history's vectors
    predicted           log P(item | history) as the model has it: the dot of the item's *output*
                        vector with that mean, which negative sampling brings to log P(item | h) -
                        log P_noise(item) (Levy & Goldberg 2014, *Neural Word Embedding as Implicit
                        Matrix Factorization*), plus log P_noise(item)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from embedcli.embeddings import Embeddings
from embedcli.evaluation.histories import Lines, distinct

__all__ = ["Recommender", "baselines", "recommenders"]

_FARTHEST = 10  # items from one to another, of sequential rules

Scores = NDArray[np.float32]
Recommender = Callable[[Sequence[NDArray[np.int64]]], Scores]

_PAIRS_AT_ONCE = 1 << 22


def recommenders(embeddings: Embeddings, recent: int | None = None) -> dict[str, Recommender]:
    """What a model can rank by: ``nearest``, and ``predicted`` with output vectors of words.

    `recent`: each by the last so many items, too; None where lines have no order.
    """
    vectors = np.ascontiguousarray(embeddings.vectors, np.float32)
    norms = np.maximum(embeddings.norms, np.finfo(np.float32).tiny)[:, None]
    units: Scores = np.divide(vectors, norms, dtype=np.float32)
    nothing = np.zeros(len(vectors), np.float32)
    found: dict[str, Recommender] = {"nearest": _by_dots(vectors, units, nothing)}
    has_outputs = embeddings.output_vectors is not None and embeddings.labels is None
    if has_outputs and not embeddings.outputs_are_nodes:
        outputs = np.ascontiguousarray(embeddings.output_vectors, np.float32)
        found["predicted"] = _by_dots(vectors, outputs, _log_noise(embeddings))
    return {**found, **_by_last(found, recent)}


def _by_last(found: Mapping[str, Recommender], recent: int | None) -> dict[str, Recommender]:
    """The same by the last `recent` items of a history; nothing where that is None."""

    def of_last(recommend: Recommender, n: int) -> Recommender:
        return lambda histories: recommend([history[-n:] for history in histories])

    if recent is None:
        return {}
    return {f"{name}, last {recent}": of_last(each, recent) for name, each in found.items()}


def _log_noise(embeddings: Embeddings) -> Scores:
    """The log of how often each item was drawn as a negative, up to a constant; 0 if unknown."""
    counts = embeddings.vocabulary.counts
    exponent = embeddings.metadata.get("settings", {}).get("ns_exponent")
    if counts is None or exponent is None:
        return np.zeros(len(embeddings), np.float32)
    noise: Scores = (exponent * np.log(np.maximum(counts, 1))).astype(np.float32)
    return noise


def baselines(
    lines: Lines, ids: NDArray[np.int64], n_items: int, recent: int | None = None
) -> dict[str, Recommender]:
    """The baselines, counted on `lines`.

    Args:
        lines: what may be known of the past.
        ids: int64 (N,), which of `n_items` each of the lines' items is, or -1.
        n_items: V, what is ranked.
        recent: also by the last so many items, by the last one, and by the order; None where lines
            have no order.
    """
    in_order, lines = lines, distinct(lines)
    translated = ids[lines.ids]
    known = translated[translated >= 0]
    counts = np.bincount(known, minlength=n_items).astype(np.float64)
    pairs = _Pairs(translated, lines.offsets, n_items)
    each = np.maximum(counts, 1)
    popular = counts.astype(np.float32)
    together = {"co-occurrence": pairs.recommender(pairs.counts / each[pairs.rows])}
    found = {
        "popularity": lambda histories: np.tile(popular, (len(histories), 1)),
        **together,
        "item-item cosine": pairs.recommender(
            pairs.counts / np.sqrt(each[pairs.rows] * each[pairs.columns])
        ),
    }
    if recent is None:
        return found
    rules = _Pairs(ids[in_order.ids], in_order.offsets, n_items, farthest=_FARTHEST)
    after = {"sequential rules": rules.recommender(rules.counts)}
    by_order = {"sequential rules": _by_last(after, 1)["sequential rules, last 1"]}
    return {**found, **_by_last(together, recent), **_by_last(together, 1), **by_order}


def _by_dots(vectors: Scores, answers: Scores, bias: Scores) -> Recommender:
    def score(histories: Sequence[NDArray[np.int64]]) -> Scores:
        means = np.array([vectors[np.unique(history)].mean(axis=0) for history in histories])
        return means @ answers.T + bias

    return score


class _Pairs:
    """How many lines hold both of two items, for all pairs that any line holds, sparsely.

    Attributes:
        rows, columns: int64 (P,), the two items; sorted, both orders of every pair.
        counts: float64 (P,).

    Args:
        ids: int64, the lines; -1 where an item is not ranked.
        offsets: int64, where they begin.
        n_items: V.
        farthest: count only pairs so near, in their order and by 1 / distance; None: all pairs.
    """

    def __init__(
        self,
        ids: NDArray[np.int64],
        offsets: NDArray[np.int64],
        n_items: int,
        farthest: int | None = None,
    ) -> None:
        keys = np.zeros(0, np.int64)
        self.counts: NDArray[np.float64] = np.zeros(0)
        for more, worth in _pair_keys(ids, offsets, n_items, farthest):
            both = np.concatenate([keys, more])
            weights = np.concatenate([self.counts, worth])
            keys, place = np.unique(both, return_inverse=True)
            self.counts = np.bincount(place, weights, len(keys)).astype(np.float64)
        self._n_items = n_items
        self.rows, self.columns = np.divmod(keys, n_items)
        self._starts = np.searchsorted(self.rows, np.arange(n_items + 1))

    def recommender(self, weights: NDArray[np.float64]) -> Recommender:
        """Score by the sum of `weights`, float64 (P,), of pairs with the items of the history."""
        values = weights.astype(np.float32)

        def score(histories: Sequence[NDArray[np.int64]]) -> Scores:
            scores = np.zeros((len(histories), self._n_items), np.float32)
            for row, history in zip(scores, histories, strict=True):
                for item in np.unique(history).tolist():
                    part = slice(self._starts[item], self._starts[item + 1])
                    row[self.columns[part]] += values[part]
            return scores

        return score


def _pair_keys(
    ids: NDArray[np.int64], offsets: NDArray[np.int64], n_items: int, farthest: int | None
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Pairs of known items in a line, as row * V + column, and what each counts, some at a time.

    Both orders of each pair, which counts 1; or, where `farthest` is given, as in `_Pairs`.
    """
    left = np.repeat(offsets[1:], np.diff(offsets)) - np.arange(len(ids))  # to the line's end
    waiting: list[NDArray[np.int64]] = []
    worth: list[NDArray[np.float64]] = []
    n_waiting = 0
    first = np.flatnonzero((left > 1) & (ids >= 0))
    distance = 1
    while len(first) and (farthest is None or distance <= farthest):
        one, other = ids[first], ids[first + distance]
        known = other >= 0
        one, other = one[known], other[known]
        waiting.append(one * n_items + other)
        if farthest is None:
            waiting.append(other * n_items + one)
            worth.append(np.ones(2 * len(one)))
        else:
            worth.append(np.full(len(one), 1 / distance))
        n_waiting += 2 * len(one)
        if n_waiting > _PAIRS_AT_ONCE:
            yield np.concatenate(waiting), np.concatenate(worth)
            waiting, worth, n_waiting = [], [], 0
        distance += 1
        first = first[left[first] > distance]
    if waiting:
        yield np.concatenate(waiting), np.concatenate(worth)
