"""The words that a protocol sees, case folded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedcli.embeddings import Embeddings
from embedcli.lookup.exact import unit_rows
from embedcli.lookup.out_of_vocabulary import OWN, Fallbacks, resolve

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

    def known(self, words: Sequence[str]) -> list[int]:
        """The ids of those of `words` that are known."""
        return [index for word in words if (index := self.get(word)) is not None]

    def vectors(
        self, asked: Sequence[str], *, subwords: bool, token: bool
    ) -> tuple[NDArray[np.float64], list[str | None]]:
        """The unit vector of each word, float64 (n, D), zeros if unknown; and how it was found.

        Words that the vocabulary does not hold get one by their subwords, lower-cased, or that of
        ``<unk>``, as far as is asked for.
        """
        found = [self.get(word) for word in asked]
        ids = np.array([-1 if index is None else index for index in found], np.int64)
        sources: list[str | None] = [None if index is None else OWN for index in found]
        vectors = np.zeros((len(asked), self.embeddings.dim))
        vectors[ids >= 0] = self.units(ids[ids >= 0])
        left = [i for i, source in enumerate(sources) if source is None]
        allowed = Fallbacks(subwords=subwords, case=False, token=token)
        others = resolve(self.embeddings, [asked[i].lower() for i in left], allowed)
        vectors[left] = unit_rows(others.vectors)
        for i, source in zip(left, others.sources, strict=True):
            sources[i] = source
        return vectors, sources

    def units(self, ids: NDArray[np.int64]) -> NDArray[np.float64]:
        """The unit vectors of `ids`, float64 (len(ids), D); zero vectors stay zero."""
        return unit_rows(self.embeddings.rows(ids))
