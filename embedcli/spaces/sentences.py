"""Vectors of texts from the vectors of their words: the mean, or SIF.

The mean is of the vectors as they are, or of vectors scaled to length 1, which is what fastText
(print-sentence-vectors) and gensim (get_mean_vector) do: there a frequent word, whose vector is
often short, and a rare one count the same. A zero vector then counts for nothing, as in fastText.

SIF (Arora, Liang & Ma 2017) weighs a word by a / (a + p), p being its share of the training text,
so that frequent words count less, and then takes away from every text what all texts have in
common: their first principal component. Words that nothing is known of count for nothing; a text
without a known word is zeros.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from embedcli.embeddings import Embeddings
from embedcli.errors import UsageError
from embedcli.lookup.exact import unit_rows
from embedcli.lookup.out_of_vocabulary import Fallbacks, resolve
from embedcli.settings.text_rules import TextRules
from embedcli.spaces.reduction import principal_axes
from embedcli.text.splitting_process import splitter

__all__ = ["SIF_A", "Averager", "remove_common", "word_weights"]

Floats = NDArray[np.float32]

SIF_A = 1e-3


class Averager:
    """Makes vectors of texts, a batch at a time.

    Args:
        embeddings: the model.
        weighting: ``mean`` or ``sif``.
        rules: how a text becomes tokens; None for those the model's training text was read by.
        fallbacks: how words that are not in the vocabulary may get a vector; all by default.
        unit: scale the vectors of words to length 1 first.

    Attributes:
        weighting, unit: as they were given.
        texts: how many texts were averaged so far.
        empty: how many of them had no known word.
        tokens: how many tokens they had.
        unknown: of how many of these nothing is known.
        answered_by: how many of them a fallback answered, by its name.

    Raises:
        UsageError: there is no such weighting, or SIF is asked of a model without counts.
    """

    def __init__(
        self,
        embeddings: Embeddings,
        weighting: str = "mean",
        *,
        rules: TextRules | None = None,
        fallbacks: Fallbacks | None = None,
        unit: bool = False,
    ) -> None:
        self.texts = self.empty = self.tokens = self.unknown = 0
        self.answered_by: Counter[str] = Counter()
        self._fallbacks = fallbacks
        self.unit = unit
        self.weighting = weighting
        self._embeddings = embeddings
        self._weights = word_weights(embeddings, weighting)
        settings = embeddings.metadata.get("settings", {})
        self._split = splitter(rules or TextRules.from_settings(settings))
        self._ids = {word: i for i, word in enumerate(embeddings.vocabulary.words)}

    def add(self, texts: Sequence[str]) -> Floats:
        """The vectors of a batch of texts: float32 (n, D)."""
        ids: list[int] = []
        lengths = np.zeros(len(texts), np.int64)
        split = [self._split(text) for text in texts]
        more, rows = self._other_words(split)
        for i, words in enumerate(split):
            found = [self._ids.get(word, more.get(word)) for word in words]
            known = [index for index in found if index is not None]
            ids += known
            lengths[i] = len(known)
            self.tokens += len(words)
            self.unknown += len(words) - len(known)
        self.texts += len(texts)
        self.empty += int((lengths == 0).sum())
        vectors = np.zeros((len(texts), self._embeddings.dim), np.float32)
        there = lengths > 0
        if ids:
            rows = self._rows(np.array(ids), rows)
            starts = (np.cumsum(lengths) - lengths)[there]
            sums = np.add.reduceat(rows, starts, axis=0, dtype=np.float64)
            counted = lengths[there]
            if self.unit:
                counted = np.maximum(np.add.reduceat(rows.any(axis=1), starts, dtype=np.int64), 1)
            vectors[there] = sums / counted[:, None]
        return vectors

    def _other_words(self, texts: Sequence[Sequence[str]]) -> tuple[dict[str, int], Floats]:
        """Those words of a batch that are not in the vocabulary: numbers from V on, and vectors."""
        tally = Counter(word for words in texts for word in words if word not in self._ids)
        resolved = resolve(self._embeddings, list(tally), self._fallbacks)
        for word, source in resolved.answered().items():
            self.answered_by[source] += tally[word]
        numbers = range(len(self._embeddings), len(self._embeddings) + len(tally))
        known = zip(resolved.words, numbers, resolved.sources, strict=True)
        return {word: number for word, number, source in known if source}, resolved.vectors

    def _rows(self, ids: NDArray[np.int64], others: Floats) -> Floats:
        """The weighed vectors of words by number; a word without a count has the weight 1."""
        n = len(self._embeddings)
        rows = np.empty((len(ids), self._embeddings.dim), np.float32)
        own = ids < n
        rows[own] = self._embeddings.rows(ids[own])
        rows[~own] = others[ids[~own] - n]
        if self.unit:
            rows = unit_rows(rows).astype(np.float32)
        rows[own] *= self._weights[ids[own], None]
        return rows

    def batches(self, texts: Iterable[str], size: int = 4096) -> Iterator[Floats]:
        """The vectors of many texts, `size` at a time."""
        batch: list[str] = []
        for text in texts:
            batch.append(text)
            if len(batch) == size:
                yield self.add(batch)
                batch = []
        if batch:
            yield self.add(batch)


def remove_common(vectors: Floats) -> Floats:
    """Take away the first principal component (about the origin) from the rows, float32 (n, D)."""
    if len(vectors) < 2:
        return vectors
    axes, _ = principal_axes(vectors)
    first = axes[:, 0].astype(np.float32)
    return vectors - (vectors @ first)[:, None] * first


def word_weights(embeddings: Embeddings, weighting: str) -> Floats:
    """The weight of every word in a mean, float32 (V,), by ``mean`` or ``sif``.

    Raises:
        UsageError: there is no such weighting, or the counts that SIF needs are not known.
    """
    if weighting == "mean":
        return np.ones(len(embeddings), np.float32)
    if weighting != "sif":
        raise UsageError(f"no weighting {weighting!r}; there are mean, sif")
    counts = embeddings.vocabulary.counts
    if counts is None:
        raise UsageError(
            "SIF needs the counts of the words, which this file does not hold: take the model's "
            "safetensors file, or the mean"
        )
    share = counts / max(1, counts.sum())
    weights: Floats = (SIF_A / (SIF_A + share)).astype(np.float32)
    return weights
