"""Embeddings: a vocabulary and its matrix of vectors. Readers return them, look-ups take them.

`formats/` reads and writes them; `lookup/exact.py` searches in them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedcli.errors import FormatError, UnknownWordError
from embedcli.quoting import quoted
from embedcli.subwords.table import Subwords
from embedcli.vocabulary import Vocabulary

__all__ = ["Embeddings"]

_BLOCK_BYTES = 1 << 22  # a block of rows that stays in the second-level cache while it is squared


@dataclass(frozen=True, eq=False)
class Embeddings:
    """V words and their vectors. The object is immutable.

    Attributes:
        vocabulary: the V words, in the order of the rows.
        vectors: float32 (V, D), the input vectors (word2vec's ``syn0``). The array may be a
            read-only memory map, and its rows may be padded (``vectors.strides[0] > 4 * D``).
        output_vectors: float32 (V, D), the output vectors (word2vec's ``syn1neg``), or None if the
            file does not hold them. With hierarchical softmax (`outputs_are_nodes`) they are the
            vectors of the tree's nodes.
        metadata: how the model was made, as its file says: ``settings``, ``seed``, ``versions``,
            ``corpus``, ``timings``, ``loss``. Empty if the file does not say it.
        subwords: makes vectors of words that are not in the vocabulary; None without subwords. The
            `vectors` are then the sums that it makes for the V words.
        tree_counts: int64 (V,), the counts that the tree of hierarchical softmax is built from if
            `continue_from` has extended it (`training/huffman.py`); None: the vocabulary's counts.
        labels: of a classifier, the C labels; `output_vectors` are then theirs, float32 (C, D).

    Raises:
        ValueError: the vectors are not (V, D), or do not fit `subwords`.

    Example:
        >>> import numpy as np
        >>> vocabulary = embedcli.Vocabulary.from_words(["cat", "dog"], [3, 2])
        >>> embeddings = embedcli.Embeddings(vocabulary, np.eye(2, dtype=np.float32))
        >>> embeddings
        Embeddings(2 words x 2)
        >>> embeddings["dog"].tolist(), embeddings.norms.tolist()
        ([0.0, 1.0], [1.0, 1.0])
        >>> "cow" in embeddings
        False
    """

    vocabulary: Vocabulary
    vectors: NDArray[np.float32]
    output_vectors: NDArray[np.float32] | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    subwords: Subwords | None = None
    tree_counts: NDArray[np.int64] | None = None
    labels: Vocabulary | None = None

    def __post_init__(self) -> None:
        if self.vectors.ndim != 2 or len(self.vectors) != len(self.vocabulary):
            raise ValueError(f"{len(self.vocabulary)} words but vectors {self.vectors.shape}")
        if self.subwords is not None and self.subwords.word_rows.shape != self.vectors.shape:
            raise ValueError(
                f"vectors {self.vectors.shape} but rows of words {self.subwords.word_rows.shape}"
            )

    def __len__(self) -> int:
        return len(self.vocabulary)

    @property
    def dim(self) -> int:
        """D, the number of components of a vector."""
        return int(self.vectors.shape[1])

    def __contains__(self, word: object) -> bool:
        return word in self.vocabulary

    def __getitem__(self, word: str) -> NDArray[np.float32]:
        """The vector of `word`, float32 (D,): its own, or one made of its subwords.

        Raises:
            UnknownWordError: `word` is not in the vocabulary, and no subwords make its vector.
        """
        index = self.vocabulary.get(word)
        if index is not None:
            vector: NDArray[np.float32] = self.rows([index])[0]
            return vector
        vectors, known = self.from_subwords([word])
        if not known[0]:
            raise UnknownWordError(word)
        made: NDArray[np.float32] = vectors[0]
        return made

    def rows(self, ids: Sequence[int] | NDArray[np.int64]) -> NDArray[np.float32]:
        """The vectors of words by id, float32 (n, D): a copy."""
        rows: NDArray[np.float32] = self.vectors[ids]
        return rows

    def from_subwords(self, words: Sequence[str]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Make the vectors of n words from their subwords.

        Returns:
            float32 (n, D), the vectors, and bool (n,), whether there is one. Without subwords, and
            for a word that they do not cover, the row is 0 and the flag False.

        Raises:
            FormatError: a vector is not finite.
        """
        vectors = np.zeros((len(words), self.dim), np.float32)
        known = np.zeros(len(words), np.bool_)
        if self.subwords is not None and words:
            sound = [i for i, word in enumerate(words) if word and _is_text(word)]
            vectors[sound], known[sound] = self.subwords.of_unseen([words[i] for i in sound])
            if not np.isfinite(vectors).all():
                word = words[int(np.argmin(np.isfinite(vectors).all(axis=1)))]
                raise FormatError(
                    f"the subwords of {quoted(word)} make a vector that is not finite"
                )
        return vectors, known

    def __repr__(self) -> str:
        return f"Embeddings({len(self)} words x {self.dim})"

    @cached_property
    def norms(self) -> NDArray[np.float32]:
        """float32 (V,), the Euclidean norm of each vector."""
        norms = np.empty(len(self), np.float32)
        rows = max(1, _BLOCK_BYTES // (4 * max(1, self.dim)))
        for start in range(0, len(self), rows):
            block, out = self.vectors[start : start + rows], norms[start : start + rows]
            np.sqrt(np.einsum("ij,ij->i", block, block), out=out)
            # the squares of very small or very large components leave the range of float32
            extreme = ~((out > 1e-15) & (out < 1e15))
            if extreme.any():
                exact = np.linalg.norm(block[extreme].astype(np.float64), axis=1)
                out[extreme] = np.minimum(exact, np.finfo(np.float32).max)
        return norms

    @property
    def outputs_are_nodes(self) -> bool:
        """Whether `output_vectors` belong to nodes of a Huffman tree over all V words."""
        if self.labels is not None:
            return False
        settings, fasttext = (self.metadata.get(name) for name in ("settings", "fasttext"))
        if isinstance(settings, Mapping) and "loss" in settings:
            return bool(settings["loss"] == "hs")
        return isinstance(fasttext, Mapping) and fasttext.get("loss") == 1

    def head(self, n: int) -> Embeddings:
        """The first (most frequent) `n` words; shares memory with these embeddings.

        Output vectors that belong to a tree over more words are left out.
        """
        n = min(n, len(self))
        output = self._matrix("output_vectors")
        output = output if output is None or self.labels is not None else output[:n]
        if n < len(self) and self.outputs_are_nodes:
            output = None
        subwords = None if self.subwords is None else self.subwords.head(n)
        vocabulary = self.vocabulary.head(n)
        tree = self.tree_counts if n == len(self) else None
        vectors = self._matrix("vectors")[:n]
        return Embeddings(vocabulary, vectors, output, self.metadata, subwords, tree, self.labels)

    def _matrix(self, name: str) -> Any:
        """`vectors` or `output_vectors`, without looking at what is in them."""
        return getattr(self, name)


def _is_text(word: str) -> bool:
    """Not so for a lone surrogate that stands for no byte."""
    try:
        word.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        return False
    return True
