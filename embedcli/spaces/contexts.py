"""Why two words are near: the contexts they share in the text.

A context of a word is any other word within the window, in the same line, as training sees it
(without subsampling and without shrinking the window). Pointwise mutual information says how much
more often a context occurs there than anywhere: log2 of its share among the word's contexts by its
share of the text. Skip-gram vectors factorise a shifted table of it (Levy & Goldberg 2014), so
words with the same high cells come out near each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedcli.errors import UnknownWordError
from embedcli.text.corpus import Corpus

__all__ = ["Explanation", "Shared", "explain"]

_FEWEST = 3  # occurrences beside each word: fewer have a high PMI by chance
_AROUND = 8  # words shown before and behind a pair


@dataclass(frozen=True)
class Shared:
    """A context of both words: how often beside each, and its PMI with each, in bits."""

    word: str
    first_count: int
    second_count: int
    first_pmi: float
    second_pmi: float


@dataclass(frozen=True)
class Explanation:
    """What the text says of two words.

    Attributes:
        counts: how often each occurs.
        together: how often the second stands within the window of the first.
        pmi: their pointwise mutual information in bits; None where they never meet.
        shared: the contexts they share, by the smaller of the two PMIs, the highest first.
        lines: passages in which both occur within the window, words of the vocabulary only.
    """

    counts: tuple[int, int]
    together: int
    pmi: float | None
    shared: Sequence[Shared]
    lines: Sequence[str]


def explain(
    corpus: Corpus, words: tuple[str, str], *, window: int = 5, top: int = 15, lines: int = 5
) -> Explanation:
    """Compare the contexts of two different words of the corpus's vocabulary.

    Args:
        corpus: the text.
        words: the two.
        window: words on each side.
        top: how many shared contexts to return.
        lines: how many passages.

    Raises:
        UnknownWordError: a word is not in the vocabulary.
    """
    first, second = (_known(corpus, word) for word in words)
    places = [np.flatnonzero(corpus.ids == word) for word in (first, second)]
    contexts = [_contexts(corpus, place, window) for place in places]
    frequency = np.bincount(corpus.ids, minlength=len(corpus.vocabulary)) / max(1, len(corpus.ids))
    pmi = [_pmi(each, frequency) for each in contexts]
    often = (contexts[0] >= _FEWEST) & (contexts[1] >= _FEWEST)
    often[[first, second]] = False
    weaker = np.where(often, np.minimum(*pmi), -np.inf)
    best = np.argsort(-weaker, kind="stable")[:top]
    shared = [
        Shared(
            corpus.vocabulary[i],
            int(contexts[0][i]),
            int(contexts[1][i]),
            float(pmi[0][i]),
            float(pmi[1][i]),
        )
        for i in best.tolist()
        if weaker[i] > 0
    ]
    together = int(contexts[0][second])
    return Explanation(
        (len(places[0]), len(places[1])),
        together,
        float(pmi[0][second]) if together else None,
        shared,
        _passages(corpus, places[0], second, window, lines),
    )


def _known(corpus: Corpus, word: str) -> int:
    index = corpus.vocabulary.get(word)
    if index is None:
        raise UnknownWordError(word)
    return index


def _bounds(
    corpus: Corpus, places: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where the sentence of each place begins and ends."""
    sentence = np.searchsorted(corpus.offsets, places, side="right") - 1
    return corpus.offsets[sentence], corpus.offsets[sentence + 1]


def _contexts(corpus: Corpus, places: NDArray[np.int64], window: int) -> NDArray[np.int64]:
    """How often each word stands within the window of `places`: int64 (V,)."""
    low, high = _bounds(corpus, places)
    counts = np.zeros(len(corpus.vocabulary), np.int64)
    for distance in (*range(-window, 0), *range(1, window + 1)):
        at = places + distance
        counts += np.bincount(corpus.ids[at[(at >= low) & (at < high)]], minlength=len(counts))
    return counts


def _pmi(contexts: NDArray[np.int64], frequency: NDArray[np.float64]) -> NDArray[np.float64]:
    share = contexts / max(1, contexts.sum())
    ratio = np.divide(share, frequency, out=np.zeros_like(share), where=frequency > 0)
    bits: NDArray[np.float64] = np.log2(ratio, out=np.full_like(ratio, -np.inf), where=ratio > 0)
    return bits


def _passages(
    corpus: Corpus, places: NDArray[np.int64], other: int, window: int, n: int
) -> list[str]:
    low, high = _bounds(corpus, places)
    found: list[str] = []
    seen = -1
    for place, start, stop in zip(places.tolist(), low.tolist(), high.tolist(), strict=True):
        if len(found) == n:
            break
        near = corpus.ids[max(start, place - window) : min(stop, place + window + 1)]
        if place > seen and (near == other).any():
            seen = min(stop, place + _AROUND + 1)
            ids = corpus.ids[max(start, place - _AROUND) : seen].tolist()
            found.append(" ".join(corpus.vocabulary[i] for i in ids))
    return found
