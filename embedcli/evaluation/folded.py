"""Which words a protocol sees, and under what spelling."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedcli.embeddings import Embeddings
from embedcli.neighbors import unit_rows

__all__ = ["FoldedWords"]


@dataclass(frozen=True)
class FoldedWords:
    """The first words of a vocabulary, with the spellings that fold to the same form joined.

    Attributes:
        embeddings: the first words, most frequent first; n of them.
        n_model: how many words the model has.
        ids: folded form → id of its most frequent spelling.
        forms: int64 (n,), for each word the id of its form's most frequent spelling.
        fold: the folding.
    """

    embeddings: Embeddings
    n_model: int
    ids: dict[str, int]
    forms: NDArray[np.int64]
    fold: Callable[[str], str]

    @classmethod
    def of(cls, embeddings: Embeddings, n: int | None, fold: Callable[[str], str]) -> FoldedWords:
        """Fold the first `n` words of `embeddings` (all where None)."""
        head = embeddings if n is None else embeddings.head(n)
        ids: dict[str, int] = {}
        forms = [ids.setdefault(fold(word), i) for i, word in enumerate(head.vocabulary)]
        return cls(head, len(embeddings), ids, np.array(forms, np.int64), fold)

    def get(self, word: str) -> int | None:
        """The id of the most frequent spelling of `word`, or None."""
        return self.ids.get(self.fold(word))

    def units(self, ids: NDArray[np.int64]) -> NDArray[np.float64]:
        """The unit vectors of `ids`, float64 (len(ids), D); zero vectors stay zero."""
        return unit_rows(self.embeddings.vectors[ids])
