"""The neighbours that several models agree on, which can be trusted.

Two runs on the same text that differ in nothing but the seed share perhaps two thirds of a word's
nearest neighbours (Antoniak & Mimno 2018). A neighbour that every run has is a property of the
text; one that a single run has is a property of that run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from embedcli.embeddings import Embeddings
from embedcli.lookup.out_of_vocabulary import Fallbacks, resolve
from embedcli.lookup.query import Query, neighbors

__all__ = ["Agreed", "agreement"]


@dataclass(frozen=True)
class Agreed:
    """A neighbour that some of the models give.

    Attributes:
        word: it.
        runs: how many models have it among the k nearest.
        cosine: its mean cosine in those models.
    """

    word: str
    runs: int
    cosine: float


def agreement(
    models: Sequence[Embeddings],
    query: Query,
    k: int = 10,
    *,
    restrict: int | None = None,
    fallbacks: Fallbacks | None = None,
) -> tuple[list[Agreed], int]:
    """The neighbours of a query in all `models`: most agreed first, then the highest mean cosine.

    Args:
        models: of any vocabularies and dimensions.
        query: what to look for.
        k: neighbours in each model; so many are returned, at most.
        restrict: answer only from the first (most frequent) `restrict` words of each.
        fallbacks: how words that are not in a vocabulary may get a vector; all by default.

    Returns:
        The neighbours, and how many of the models know all words of the query.
    """
    found: dict[str, list[float]] = {}
    able = [model for model in models if None not in resolve(model, query.words, fallbacks).sources]
    for model in able:
        for word, cosine in neighbors(model, [query], k, restrict=restrict, fallbacks=fallbacks)[0]:
            found.setdefault(word, []).append(cosine)
    agreed = [Agreed(word, len(c), sum(c) / len(c)) for word, c in found.items()]
    agreed.sort(key=lambda each: (-each.runs, -each.cosine, each.word))
    return agreed[:k], len(able)
