"""The rows of a classifier: which features of its lines have one, and the two matrices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedcli.classification.examples import Examples
from embedcli.embeddings import Embeddings
from embedcli.kernels.alignment import aligned, row_stride
from embedcli.kernels.intrinsics.label_groups import ROWS
from embedcli.kernels.labelled_rounds import (
    Labelled,
    LineParts,
    mark_word_ngrams,
)
from embedcli.kernels.line_features import character_ngrams, hash_of_bytes
from embedcli.kernels.weights import Weights
from embedcli.settings.classifier_config import ClassifierConfig
from embedcli.subwords.ngrams import Cut, NGrams
from embedcli.subwords.table import Subwords
from embedcli.vocabulary import Vocabulary

__all__ = ["ClassifierModel", "Features", "initial_weights", "lines_of"]


class Features:
    """The rows of all features of some lines: words, then buckets that occur, by their number.

    Args:
        examples: the lines that are trained.
        config: resolved settings.
    """

    def __init__(self, examples: Examples, config: ClassifierConfig) -> None:
        self.n_words = examples.n_words
        self.units = _units(config)
        self._config = config
        cut = self._cut(examples.types)
        marks = np.zeros(self.units.buckets if self.units else 1, np.uint8)
        marks[cut.ids] = 1
        if config.word_ngrams > 1:
            parts = self._parts(examples.types, cut, np.zeros(len(marks), np.int32))
            mark_word_ngrams(lines_of(examples), parts, marks)
        self.ids = np.flatnonzero(marks).astype(np.int32) if self.units else np.empty(0, np.int32)
        self._places = np.full(len(marks), -1, np.int32)
        self._places[self.ids] = self.n_words + np.arange(len(self.ids), dtype=np.int32)
        self.parts = self._parts(examples.types, cut, self._places)

    def of(self, examples: Examples) -> LineParts:
        """The rows of the features of other lines; of those that are new, the one of zeros."""
        places = np.where(self._places < 0, np.int32(self.n_rows), self._places)
        return self._parts(examples.types, self._cut(examples.types), places)

    @property
    def n_rows(self) -> int:
        """How many rows there are; behind them is one of zeros."""
        return self.n_words + len(self.ids)

    def _cut(self, types: Vocabulary) -> Cut:
        units = self.units
        if units is None or not units.longest:
            return Cut(np.empty(0, np.int32), np.zeros(len(types) + 1, np.int64))
        rule = units.shortest, units.longest, np.uint32(units.buckets)
        ends = np.empty(len(types) + 1, np.int64)
        character_ngrams(types.blob, types.offsets, *rule, ends, np.empty(0, np.int32))
        ids = np.empty(int(ends[-1]), np.int32)
        if len(ids):
            character_ngrams(types.blob, types.offsets, *rule, ends, ids)
        return Cut(ids, ends)

    def _parts(self, types: Vocabulary, cut: Cut, places: NDArray[np.int32]) -> LineParts:
        """The own row of each word before those of its n-grams; the latter where they have one."""
        rows = places[cut.ids] if len(cut.ids) else cut.ids
        known = rows >= 0
        counts = np.diff(np.concatenate([[0], np.cumsum(known)])[cut.offsets])
        own = np.arange(len(types)) < self.n_words
        offsets = np.concatenate([[0], np.cumsum(counts + own)]).astype(np.int64)
        joined = np.empty(int(offsets[-1]), np.int32)
        is_own = np.zeros(len(joined), np.bool_)
        is_own[offsets[:-1][own]] = True
        joined[is_own] = np.arange(self.n_words)
        joined[~is_own] = rows[known]
        hashes = np.empty(len(types), np.uint32)
        hash_of_bytes(types.blob, types.offsets, hashes)
        words = self._config.word_ngrams
        buckets = np.uint64(len(places))
        return LineParts(joined, offsets, hashes.view(np.int32), words, buckets, places)


def _units(config: ClassifierConfig) -> NGrams | None:
    shortest = longest = 0
    if config.subword is not None:
        shortest, longest = map(int, config.subword.split(":"))
    elif config.word_ngrams == 1:
        return None
    return NGrams(shortest, longest, config.buckets)


def lines_of(examples: Examples) -> Labelled:
    """The lines as kernels see them."""
    return Labelled(examples.tokens, examples.offsets, examples.label_ids, examples.label_offsets)


class ClassifierModel:
    """The matrices of a classifier: a `Model` of a run.

    Args:
        weights: rows of words and n-grams; of labels, or of the nodes of their tree.
        dim: D.
        features: which rows there are.
        examples: the words and the labels.
    """

    tree_counts: NDArray[np.int64] | None = None

    def __init__(self, weights: Weights, dim: int, features: Features, examples: Examples) -> None:
        self.weights = weights
        self._dim, self._features = dim, features
        self._words, self._n_labels = examples.words, len(examples.labels)
        self.labels: Vocabulary | None = examples.labels

    def rows(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Rows of words and n-grams, float32 (V + U, D); of labels, float32 (C, D); views."""
        syn0, syn1, stride = self.weights
        outputs = syn1.reshape(-1, stride)[: self._n_labels, : self._dim]
        inputs = syn0.reshape(-1, stride)[: self._features.n_rows, : self._dim]
        return inputs, outputs

    def matrices(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The vectors of words, float32 (V, D), each with its n-grams; and the rows of labels."""
        inputs, outputs = self.rows()
        subwords = self.subwords()
        if subwords is None:
            return inputs, outputs
        return subwords.of_vocabulary(self._words), outputs

    def subwords(self) -> Subwords | None:
        """The rows as they are, where there are n-grams; views."""
        features, rows = self._features, self.rows()[0]
        if features.units is None:
            return None
        n = features.n_words
        return Subwords(features.units, rows[:n], features.ids, rows[n:])

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Nothing."""
        return {}

    def restore(self, saved: Embeddings, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Copy the rows."""
        inputs, outputs = self.rows()
        if saved.output_vectors is None:
            raise ValueError("a checkpoint of a classifier holds the rows of labels")
        outputs[:] = saved.output_vectors
        if saved.subwords is None:
            inputs[:] = saved.vectors
        else:
            inputs[: len(saved)] = saved.subwords.word_rows
            inputs[len(saved) :] = saved.subwords.rows


def initial_weights(features: Features, n_labels: int, config: ClassifierConfig) -> Weights:
    """Rows of features uniform on [-1/D, 1/D), as in fastText, and rows of labels 0."""
    stride = row_stride(config.dim)
    n_rows = features.n_rows
    syn0 = aligned((n_rows + 1) * stride)
    generator = np.random.Generator(np.random.Philox(config.seed))
    rows = syn0.reshape(-1, stride)
    at_once = max(1, (1 << 20) // config.dim)
    for start in range(0, n_rows, at_once):
        shape = min(at_once, n_rows - start), config.dim
        block = generator.random(shape, dtype=np.float32)
        rows[start : start + shape[0], : config.dim] = (2 * block - 1) / np.float32(config.dim)
    padded = -(-n_labels // ROWS) * ROWS
    return Weights(syn0, aligned(padded * stride), stride)
