"""The scores of all words for analogy questions: blocks of a table of words by vocabulary.

A block is made once and serves all questions that ask its rows (`analogies.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedcli.evaluation.folded import FoldedWords
from embedcli.lookup.exact import cosines
from embedcli.lookup.query import COSMUL_EPSILON

__all__ = ["Offsets", "Table"]

Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]
Ids = NDArray[np.int64]

_SHORTEST = np.float32(1e-6)  # square of a difference below which two words are one


@dataclass(frozen=True)
class Table:
    """A block of the table: what the asked words add to, or take from, the score of each column.

    Attributes:
        plus: float32 (asked, columns), for b and c; -inf where the column is the word itself, in
            any spelling, which therefore is never the answer.
        minus: float32 (asked, columns), for a.
        own: for each asked word, the columns that are the word itself.
    """

    plus: Floats
    minus: Floats
    own: Sequence[Ids]

    @classmethod
    def build(
        cls, words: FoldedWords, asked: Ids, units: Doubles, columns: slice, method: str
    ) -> Table:
        """The `columns` of the table, for the words `asked`, whose vectors are `units`."""
        head = words.embeddings
        block = cosines(head.vectors[columns], head.norms[columns], units)
        plus, minus = _additive(block, method)
        own = _own(words.forms[columns], asked)
        for row, ids in enumerate(own):
            plus[row, ids] = -np.inf
        return cls(plus, minus, own)

    def scores(self, questions: Ids) -> Floats:
        """float32 (n, columns) for n questions that share a and b; -inf where excluded."""
        a, b = questions[0, :2]
        shared = self.plus[b] - self.minus[a]
        shared[self.own[a]] = -np.inf
        scores = self.plus[questions[:, 2]]
        scores += shared
        return scores


@dataclass(frozen=True)
class Offsets:
    """A block of the table for the method that compares offsets, x - c with b - a.

    Attributes:
        block: float32 (asked, columns), cosines.
        among: float64 (asked, asked), cosines of the asked words with each other.
        own: as in `Table`.
    """

    block: Floats
    among: Doubles
    own: Sequence[Ids]

    @classmethod
    def build(
        cls, words: FoldedWords, asked: Ids, units: Doubles, columns: slice, method: str
    ) -> Offsets:
        """The `columns` of the table, for the words `asked`, whose vectors are `units`."""
        head = words.embeddings
        block = cosines(head.vectors[columns], head.norms[columns], units)
        return cls(block, units @ units.T, _own(words.forms[columns], asked))

    def scores(self, questions: Ids) -> Floats:
        """float32 (n, columns), cos(x - c, b - a) times |b - a|; -inf where excluded."""
        a, b = questions[0, :2]
        c = questions[:, 2]
        there = (self.among[c, b] - self.among[c, a]).astype(np.float32)
        length = np.sqrt(np.maximum(2 - 2 * self.block[c], _SHORTEST))
        scores = (self.block[b] - self.block[a] - there[:, None]) / length
        scores[:, np.concatenate([self.own[a], self.own[b]])] = -np.inf
        for row, own in enumerate(c.tolist()):
            scores[row, self.own[own]] = -np.inf
        return np.asarray(scores, np.float32)


def _own(forms: Ids, asked: Ids) -> list[Ids]:
    """For each asked word, the places among `forms` that are the word itself."""
    by_form = np.argsort(forms, kind="stable")
    low = np.searchsorted(forms[by_form], asked, "left")
    high = np.searchsorted(forms[by_form], asked, "right")
    return [by_form[a:b] for a, b in zip(low, high, strict=True)]


def _additive(block: Floats, method: str) -> tuple[Floats, Floats]:
    """Turn cosines into what is summed: (for b and c, for a)."""
    if method == "cosadd":
        return block, block.copy()
    mapped = np.maximum((1 + block) / 2, 0)
    with np.errstate(divide="ignore"):
        return np.log(mapped), np.log(mapped + np.float32(COSMUL_EPSILON))
