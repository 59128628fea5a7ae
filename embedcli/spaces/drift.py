"""The words that moved between two spaces: two periods, two versions, two runs of one corpus.

The old space is turned onto the new one over the words of both (`alignment.py`), and a word's
cosine with itself says how far it has moved (Hamilton et al. 2016). A rotation cannot tell a change
of meaning from the noise of training, which is larger for rare words: so only words that are
frequent in both are compared, and the neighbours before and after are there to judge by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from embedcli.embeddings import Embeddings
from embedcli.errors import UsageError
from embedcli.lookup.exact import unit_rows
from embedcli.spaces.alignment import identical_pairs, same_axes, turn
from embedcli.spaces.overlap import neighbor_ids

__all__ = ["Drift", "Moved", "drift"]


@dataclass(frozen=True)
class Moved:
    """One word.

    Attributes:
        word: it.
        cosine: with itself, after the turn; 1 has not moved.
        shared: how many of its neighbours are the same.
        before: its neighbours in the old space, nearest first.
        after: in the new one.
    """

    word: str
    cosine: float
    shared: int
    before: Sequence[str]
    after: Sequence[str]


@dataclass(frozen=True)
class Drift:
    """What moved.

    Attributes:
        moved: the words that moved most, the farthest first.
        median: the median cosine of all words compared.
        compared: how many words were compared.
        shared: how many words both spaces hold.
        only_old: how many only the old one holds.
        only_new: how many only the new one holds.
    """

    moved: Sequence[Moved]
    median: float
    compared: int
    shared: int
    only_old: int
    only_new: int


def drift(
    old: Embeddings,
    new: Embeddings,
    *,
    top: int = 20,
    k: int = 5,
    restrict: int | None = 10_000,
    words: Sequence[str] = (),
    as_is: bool = False,
) -> Drift:
    """Compare two spaces.

    Args:
        old: the earlier one.
        new: the later one.
        top: how many words to report.
        k: how many neighbours, among the words of both.
        restrict: compare the words among the first (most frequent) `restrict` of both; None: all.
        words: report these instead, in this order; unknown ones are left out.
        as_is: the spaces have the same axes already: turn nothing.

    Raises:
        UsageError: the dimensions differ, or fewer than two words are in both.
    """
    pairs = identical_pairs(old, new)
    rotation = same_axes(old, new) if as_is else turn(old, new, pairs)
    x = unit_rows(old.vectors[pairs[:, 0]]) @ rotation
    y = unit_rows(new.vectors[pairs[:, 1]])
    cosines = (x * y).sum(axis=1)
    if not len(pairs):
        raise UsageError("the two spaces have no word in common")
    compared = (pairs < (restrict or max(len(old), len(new)))).all(axis=1)
    if not compared.any():
        raise UsageError(f"no word is among the first {restrict:,} of both; raise --restrict")
    shown = np.flatnonzero(compared)[np.argsort(cosines[compared], kind="stable")][:top]
    if words:
        place = {old.vocabulary[a]: i for i, (a, _) in enumerate(pairs.tolist()) if a < len(old)}
        shown = np.array([place[w] for w in words if w in place], np.int64)
    spaces = [_among(each, pairs[:, i]) for i, each in enumerate((old, new))]
    near = [neighbor_ids(each, shown, min(k, len(pairs) - 1)).tolist() for each in spaces]
    names = spaces[0].vocabulary
    moved = [
        Moved(
            names[i],
            float(cosines[i]),
            len(set(before) & set(after)),
            [names[j] for j in before],
            [names[j] for j in after],
        )
        for i, before, after in zip(shown.tolist(), *near, strict=True)
    ]
    return Drift(
        moved,
        float(np.median(cosines[compared])),
        int(compared.sum()),
        len(pairs),
        len(old) - len(pairs),
        len(new) - len(pairs),
    )


def _among(embeddings: Embeddings, ids: np.ndarray) -> Embeddings:
    """The words `ids` alone, in that order."""
    words = embeddings.vocabulary
    return Embeddings(
        type(words).from_words([words[i] for i in ids.tolist()]),
        np.ascontiguousarray(embeddings.vectors[ids]),
    )
