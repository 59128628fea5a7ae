"""Words in, words out: nearest words, sums of words, and analogies.

The search is in `exact.py` or `index.py`; suggestions for unknown words are in `suggest.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from embedcli.embeddings import Embeddings
from embedcli.errors import UnknownWordError, UsageError
from embedcli.lookup.exact import cosines, nearest, unit_rows
from embedcli.lookup.out_of_vocabulary import Fallbacks, resolve
from embedcli.lookup.suggest import Suggester
from embedcli.quoting import quoted

if TYPE_CHECKING:
    from embedcli.lookup.index import Index

__all__ = [
    "COSMUL_EPSILON",
    "Neighbor",
    "Query",
    "analogy",
    "cosine_table",
    "neighbors",
    "neighbors_of_vectors",
    "odd_one_out",
    "word_vectors",
]

COSMUL_EPSILON = 0.001  # Levy & Goldberg 2014


class Neighbor(NamedTuple):
    """A word that was found, and its score: the cosine, or cosmul's quotient."""

    word: str
    score: float


@dataclass(frozen=True)
class Query:
    """The sum of the unit vectors of some words, less those of others.

    Attributes:
        positive: the words added.
        negative: the words taken away.
    """

    positive: tuple[str, ...]
    negative: tuple[str, ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        """All its words. None of them is an answer."""
        return self.positive + self.negative

    def __str__(self) -> str:
        added, taken = " + ".join(self.positive), "".join(f" - {word}" for word in self.negative)
        return (added + taken).lstrip()


def neighbors(
    embeddings: Embeddings,
    queries: Sequence[Query],
    k: int = 10,
    *,
    restrict: int | None = None,
    index: Index | None = None,
    fallbacks: Fallbacks | None = None,
) -> list[list[Neighbor]]:
    """Find the `k` words with the highest cosine to each query, best first.

    Args:
        embeddings: the model.
        queries: what to look for; a query's own words are not answered.
        k: neighbours a query, at most.
        restrict: answer only from the first (most frequent) `restrict` words.
        index: of these embeddings, to search in place of all vectors; neighbours may be missing.
        fallbacks: how words that are not in the vocabulary may get a vector; all by default.

    Raises:
        UnknownWordError: a word is not in the model; with suggestions.
        UsageError: `restrict` with an index, which holds all words.
        InputError: a vector is not finite.
    """
    ids, vectors = word_vectors(
        embeddings, [word for query in queries for word in query.words], fallbacks
    )
    units = unit_rows(vectors)
    sums = np.zeros((len(queries), embeddings.dim))
    own: list[NDArray[np.int64]] = []
    start = 0
    for row, query in enumerate(queries):
        middle, stop = start + len(query.positive), start + len(query.words)
        sums[row] = units[start:middle].sum(axis=0) - units[middle:stop].sum(axis=0)
        asked = np.unique(ids[start:stop])
        own.append(asked[asked >= 0])
        start = stop
    return _search(embeddings, sums, k, own, restrict, index)


def neighbors_of_vectors(
    embeddings: Embeddings,
    vectors: NDArray[np.floating],
    k: int = 10,
    *,
    restrict: int | None = None,
    index: Index | None = None,
    excluded: Sequence[Sequence[int]] | None = None,
) -> list[list[Neighbor]]:
    """Find the `k` words with the highest cosine to each of `vectors`, (n, D), best first.

    `excluded` has for each vector the ids of words that are not to be answered.

    Raises:
        UsageError: the vectors have another dimension, or `restrict` with an index.
        InputError: a vector is not finite.
    """
    if vectors.ndim != 2 or vectors.shape[1] != embeddings.dim:
        raise UsageError(
            f"the vectors are {' x '.join(map(str, vectors.shape))}, but those of the model have "
            f"{embeddings.dim} components"
        )
    return _search(embeddings, vectors, k, excluded or [()] * len(vectors), restrict, index)


def _search(
    embeddings: Embeddings,
    queries: NDArray[np.floating],
    k: int,
    excluded: Sequence[Sequence[int] | NDArray[np.int64]],
    restrict: int | None,
    index: Index | None,
) -> list[list[Neighbor]]:
    if index is not None and restrict is not None:
        raise UsageError(f"an index holds all words, not the first {restrict}: leave one out")
    k = min(k, len(embeddings))
    if index is None:
        found, scores = nearest(
            embeddings.vectors, embeddings.norms, queries, k, excluded=excluded, restrict=restrict
        )
    else:
        found, scores = index.nearest(queries, k, excluded=excluded)
    return [_named(embeddings, *answer) for answer in zip(found, scores, strict=True)]


def analogy(
    embeddings: Embeddings,
    words: tuple[str, str, str],
    k: int = 10,
    *,
    method: str = "cosadd",
    restrict: int | None = None,
    fallbacks: Fallbacks | None = None,
) -> list[Neighbor]:
    """Answer "a is to b as c is to what?" for `words` (a, b, c), none of which is answered.

    Args:
        embeddings: the model.
        words: a, b and c.
        k: answers, at most.
        method: ``cosadd``, by the cosine to b - a + c of unit vectors; ``cosmul``, by
            cos(b) cos(c) / (cos(a) + 0.001), cosines mapped to [0, 1] (Levy & Goldberg 2014);
            ``pairdistance``, by cos(x - c, b - a) of unit vectors (their PairDirection).
        restrict: answer only from the first (most frequent) `restrict` words.
        fallbacks: how words that are not in the vocabulary may get a vector; all by default.

    Raises:
        UnknownWordError: a word is not in the model; with suggestions.
        UsageError: there is no such method.
        InputError: a vector is not finite.
    """
    a, b, c = words
    if method == "cosadd":
        return neighbors(
            embeddings, [Query((b, c), (a,))], k, restrict=restrict, fallbacks=fallbacks
        )[0]
    if method not in ("cosmul", "pairdistance"):
        raise UsageError(f"no method {quoted(method)}; there are cosadd, cosmul, pairdistance")
    ids, vectors = word_vectors(embeddings, words, fallbacks)
    n = len(embeddings) if restrict is None else min(restrict, len(embeddings))
    to_each = cosines(embeddings.vectors[:n], embeddings.norms[:n], vectors)
    if method == "cosmul":
        to_a, to_b, to_c = (1 + to_each.astype(np.float64)) / 2
        scores = to_b * to_c / (to_a + COSMUL_EPSILON)
    else:
        scores = _offset_cosines(to_each.astype(np.float64), unit_rows(vectors))
    scores[ids[(ids >= 0) & (ids < n)]] = -np.inf
    best = np.argsort(-scores, kind="stable")[: min(k, n)]
    return _named(embeddings, best[scores[best] > -np.inf], scores[best])


def _offset_cosines(
    to_each: NDArray[np.float64], units: NDArray[np.float64]
) -> NDArray[np.float64]:
    """cos(x - c, b - a) of every word x, from its cosines to a, b and c, (3, V)."""
    to_a, to_b, to_c = to_each
    offset = units[1] - units[0]
    away = np.sqrt(np.maximum(2 - 2 * to_c, 0)) * np.linalg.norm(offset)
    along = to_b - to_a - offset @ units[2]
    found: NDArray[np.float64] = np.divide(along, away, out=np.zeros_like(along), where=away > 0)
    return found


def odd_one_out(
    embeddings: Embeddings, words: Sequence[str], *, fallbacks: Fallbacks | None = None
) -> list[Neighbor]:
    """The mean cosine of each of `words` to the others, least first: the first does not belong.

    Raises:
        UnknownWordError: a word is not in the model; with suggestions.
    """
    table = cosine_table(embeddings, words, fallbacks=fallbacks)
    means = (table.sum(axis=1) - table.diagonal()) / max(1, len(words) - 1)
    order = np.argsort(means, kind="stable").tolist()
    return [Neighbor(words[i], float(means[i])) for i in order]


def cosine_table(
    embeddings: Embeddings, words: Sequence[str], *, fallbacks: Fallbacks | None = None
) -> NDArray[np.float64]:
    """Cosines of `words` with each other, float64 (n, n).

    Raises:
        UnknownWordError: a word is not in the model; with suggestions.
    """
    units = unit_rows(word_vectors(embeddings, words, fallbacks)[1])
    return units @ units.T


def word_vectors(
    embeddings: Embeddings, words: Sequence[str], fallbacks: Fallbacks | None = None
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The ids of n words, int64 (n,), -1 for one made of subwords, and their vectors, (n, D).

    Raises:
        UnknownWordError: a word is not in the model; with suggestions.
    """
    resolved = resolve(embeddings, words, fallbacks)
    for word, source in zip(words, resolved.sources, strict=True):
        if source is None:
            raise UnknownWordError(word, Suggester(embeddings.vocabulary).suggest(word))
    return resolved.ids, resolved.vectors


def _named(
    embeddings: Embeddings, ids: NDArray[np.int64], scores: NDArray[np.float64]
) -> list[Neighbor]:
    return [
        Neighbor(embeddings.vocabulary[i], score)
        for i, score in zip(ids.tolist(), scores.tolist(), strict=False)
        if i >= 0
    ]
