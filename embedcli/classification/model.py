"""`LabelModel`: rows of words and n-grams, rows of labels, and the rules that join them.

fastText's classifier (Joulin et al. 2017, *Bag of Tricks for Efficient Text Classification*): a
line is the mean of the rows of its features, and its labels are told from this mean alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from embedcli.embeddings import Embeddings
from embedcli.kernels.huffman import join
from embedcli.kernels.label_scores import Nodes
from embedcli.kernels.line_features import (
    Buckets,
    Dense,
    Dictionary,
    Features,
    Quantized,
    fill_buckets,
    fill_slots,
    hash_of_bytes,
)
from embedcli.subwords.ngrams import NGrams
from embedcli.vocabulary import Vocabulary

__all__ = [
    "END",
    "LABEL_PREFIX",
    "LabelModel",
    "Loss",
    "Matrix",
    "NGramRows",
    "classifier_of",
    "joined_words",
]

END: Final = "</s>"
LABEL_PREFIX: Final = "__label__"
Loss = Literal["softmax", "ova", "hs", "ns"]
Matrix = Dense | Quantized


@dataclass(frozen=True, eq=False)
class NGramRows:
    """Which n-grams of a line have rows, behind those of the words.

    Attributes:
        shortest, longest: characters of those of words; none where `longest` is 0.
        words: tokens of those of lines, at most; 1: none.
        buckets: how many numbers all of them are hashed to; 0 where there are none.
        kept: int32 (n,), the buckets that have a row, or None for all.
        rows: int32 (n,), which row, counted from the first behind the words.
        counts_missing: whether an n-gram without a row counts in the mean of a line, as a row of
            zeros: what was never trained. Where rows were pruned it does not.
    """

    shortest: int = 0
    longest: int = 0
    words: int = 1
    buckets: int = 0
    kept: NDArray[np.int32] | None = None
    rows: NDArray[np.int32] | None = None
    counts_missing: bool = False

    @property
    def n_rows(self) -> int:
        """How many rows there are behind those of the words."""
        return self.buckets if self.kept is None else len(self.kept)


@dataclass(frozen=True, eq=False)
class LabelModel:
    """A classifier as it predicts.

    Attributes:
        words: the V words. labels: the C labels, as the training text had them, with counts.
        inputs: the rows of words, then of n-grams: V + U rows of D.
        outputs: the rows of labels, C of D; with a tree those of its inner nodes, the last unused.
        ngrams: which n-grams have rows.
        loss: what it was trained with, and predicts with.
        metadata: what its file says of how it was made.
    """

    words: Vocabulary
    labels: Vocabulary
    inputs: Matrix
    outputs: Matrix
    ngrams: NGramRows
    loss: Loss
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def dim(self) -> int:
        """D."""
        return int(self.inputs.dim)

    @cached_property
    def dictionary(self) -> Dictionary:
        """Words and labels as kernels look them up."""
        both = joined_words(self.words, self.labels)
        hashes = np.empty(len(both), np.uint32)
        hash_of_bytes(both.blob, both.offsets, hashes)
        slots = np.zeros(1 << (2 * len(both)).bit_length(), np.int32)
        fill_slots(hashes, slots)
        end = self.words.get(END)
        prefix = np.frombuffer(LABEL_PREFIX.encode(), np.uint8)
        end = -1 if end is None else end
        return Dictionary(slots, hashes, both.offsets, both.blob, len(self.words), end, prefix)

    @cached_property
    def buckets(self) -> Buckets:
        """The buckets of n-grams as kernels look them up."""
        ngrams = self.ngrams
        keys = places = np.empty(0, np.int32)
        if ngrams.kept is not None and ngrams.rows is not None:
            size = 1 << (2 * len(ngrams.kept) + 1).bit_length()
            keys, places = np.zeros(size, np.int32), np.zeros(size, np.int32)
            fill_buckets(ngrams.kept, ngrams.rows, keys, places)
        return Buckets(np.uint32(max(1, ngrams.buckets)), keys, places, ngrams.counts_missing)

    @cached_property
    def features(self) -> Features:
        """Which n-grams lines have, as kernels see it."""
        ngrams = self.ngrams
        return Features(ngrams.shortest, ngrams.longest, ngrams.words if ngrams.buckets else 1)

    @cached_property
    def columns(self) -> Dense:
        """Dense outputs column by column."""
        if not isinstance(self.outputs, Dense):
            raise TypeError("quantised outputs have no columns")
        rows = self.outputs.rows.reshape(len(self.labels), self.dim)
        return Dense(np.ascontiguousarray(rows.T).ravel(), self.dim)

    @cached_property
    def nodes(self) -> Nodes:
        """The tree of hierarchical softmax: Huffman's, of the counts of labels."""
        n = len(self.labels)
        counts = np.full(2 * n - 1, 0.0)
        if self.labels.counts is not None:
            counts[:n] = self.labels.counts
        parents, is_second = np.zeros(2 * n - 1, np.int64), np.zeros(2 * n - 1, np.int8)
        join(counts, parents, is_second)
        children = np.zeros((2, n - 1), np.int32)
        below = np.arange(2 * n - 2)
        children[is_second[:-1].astype(np.int64), parents[:-1] - n] = below
        return Nodes(children[0].copy(), children[1].copy())


def classifier_of(embeddings: Embeddings) -> LabelModel:
    """The classifier that embeddings with labels are; rows are copied.

    Raises:
        ValueError: there are no labels.
    """
    labels, outputs, subwords = embeddings.labels, embeddings.output_vectors, embeddings.subwords
    if labels is None or outputs is None:
        raise ValueError("these embeddings have no labels")
    settings = embeddings.metadata.get("settings", {})
    rows, ngrams = embeddings.vectors, NGramRows()
    if subwords is not None and isinstance(subwords.units, NGrams):
        units = subwords.units
        rows = np.concatenate([subwords.word_rows, subwords.rows])
        ngrams = NGramRows(
            units.shortest,
            units.longest,
            int(settings.get("word_ngrams", 1)),
            units.buckets,
            np.ascontiguousarray(subwords.ids),
            np.arange(len(subwords.ids), dtype=np.int32),
            counts_missing=True,
        )
    dim = embeddings.dim
    return LabelModel(
        embeddings.vocabulary,
        labels,
        Dense(np.array(rows, np.float32).ravel(), dim),
        Dense(np.array(outputs, np.float32).ravel(), dim),
        ngrams,
        settings.get("loss", "softmax"),
        embeddings.metadata,
    )


def joined_words(first: Vocabulary, second: Vocabulary) -> Vocabulary:
    """The words of both, one after the other, without counts."""
    offsets = np.concatenate([first.offsets, second.offsets[1:] + first.offsets[-1]])
    return Vocabulary(np.concatenate([first.blob, second.blob]), offsets)
