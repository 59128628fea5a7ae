"""Resolves a word to a vector: its own, by subwords, case or `<unk>`.

Its own, if the vocabulary holds it. Otherwise, in this order and as far as `Fallbacks` allows: one
made of its subwords, the vector of another spelling of its case, that of the unknown token. Whoever
shows an answer also says which of these it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedcli.embeddings import Embeddings
from embedcli.text.tokens import lower_case
from embedcli.vocabulary import UNKNOWN

__all__ = [
    "CASE",
    "OWN",
    "SUBWORDS",
    "TOKEN",
    "Fallbacks",
    "Resolved",
    "answered",
    "case_variants",
    "resolve",
]

OWN, SUBWORDS, CASE, TOKEN = "word", "subwords", "case variant", "unknown token"


@dataclass(frozen=True)
class Fallbacks:
    """How words that the vocabulary does not hold may be answered.

    Attributes:
        subwords: by the rows of their parts, where the model has any.
        case: by another spelling of the same letters: ``paris`` for ``Paris``.
        token: by the vector of ``<unk>``, where the vocabulary holds it.
    """

    subwords: bool = True
    case: bool = True
    token: bool = True


@dataclass(frozen=True)
class Resolved:
    """Words and their vectors.

    Attributes:
        words: as asked, n of them.
        ids: int64 (n,), the word of the vocabulary whose vector it is; -1: none.
        vectors: float32 (n, D); zeros for those that are unknown.
        sources: for each word `OWN`, `SUBWORDS`, `CASE` or `TOKEN`; None: unknown.
    """

    words: Sequence[str]
    ids: NDArray[np.int64]
    vectors: NDArray[np.float32]
    sources: Sequence[str | None]

    def answered(self) -> dict[str, str]:
        """The words that have no row of their own, and how each was answered."""
        return answered(self.words, self.sources)


def answered(words: Sequence[str], sources: Sequence[str | None]) -> dict[str, str]:
    """Those of `words` that a fallback answered, and which one."""
    pairs = zip(words, sources, strict=True)
    return {word: source for word, source in pairs if source not in (OWN, None)}


def resolve(
    embeddings: Embeddings, words: Sequence[str], allowed: Fallbacks | None = None
) -> Resolved:
    """Find the vectors of `words`, repeats allowed; one that is unknown is marked, not an error."""
    allowed = allowed or Fallbacks()
    found = embeddings.vocabulary.find(words)
    ids = np.array([-1 if index is None else index for index in found], np.int64)
    sources: list[str | None] = [None if index is None else OWN for index in found]
    made = np.empty((0, embeddings.dim), np.float32)
    by_parts: list[int] = []
    if allowed.subwords and embeddings.subwords is not None:
        left = [i for i, source in enumerate(sources) if source is None]
        made, known = embeddings.from_subwords([words[i] for i in left])
        by_parts = [i for i, is_known in zip(left, known.tolist(), strict=True) if is_known]
        made = made[known]
        for i in by_parts:
            sources[i] = SUBWORDS
    if allowed.case:
        _by_case(embeddings, words, ids, sources)
    if allowed.token and None in sources:
        token = embeddings.vocabulary.get(UNKNOWN)
        for i, source in enumerate(sources):
            if source is None and token is not None:
                ids[i], sources[i] = token, TOKEN
    vectors = np.zeros((len(words), embeddings.dim), np.float32)
    rows = ids >= 0
    vectors[rows] = embeddings.rows(ids[rows])
    vectors[by_parts] = made
    return Resolved(words, ids, vectors, sources)


def case_variants(word: str, language: bool | str = True) -> list[str]:
    """Other spellings of a word that differ in its case, the likeliest first.

    Args:
        word: the word.
        language: whose rules of lower case a model was trained by (`TextRules.lowercase`).
    """
    lower, upper = word.lower(), word.upper()
    of_model = (lower_case(language) or str.lower)(word)
    variants = dict.fromkeys((of_model, lower, lower[:1].upper() + lower[1:], upper))
    return [variant for variant in variants if variant and variant != word]


def _by_case(
    embeddings: Embeddings, words: Sequence[str], ids: NDArray[np.int64], sources: list[str | None]
) -> None:
    left = [i for i, source in enumerate(sources) if source is None]
    settings = embeddings.metadata.get("settings", {})
    language = settings.get("lowercase", True) if isinstance(settings, dict) else True
    pairs = [(i, variant) for i in left for variant in case_variants(words[i], language)]
    found = embeddings.vocabulary.find([variant for _, variant in pairs])
    for (i, _), index in zip(pairs, found, strict=True):
        if index is not None and sources[i] is None:
            ids[i], sources[i] = index, CASE
