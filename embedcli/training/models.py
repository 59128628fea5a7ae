"""The matrices of words, and of words made of subwords, as a run trains and saves them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedcli.embeddings import Embeddings
from embedcli.kernels.weights import Weights
from embedcli.subwords.table import Subwords
from embedcli.training.word_parts import WordParts
from embedcli.vocabulary import Vocabulary

__all__ = ["SubwordModel", "WordModel"]


class WordModel:
    """A row of syn0 and one of syn1neg for each word: a `Model` of a run.

    Args:
        weights: the matrices.
        dim: D.
        tree_counts: see `Model`.
        squares: AdaGrad's sums of squares, float32 (V,), of the rows of syn0 and of syn1neg.
    """

    labels: Vocabulary | None = None

    def __init__(
        self,
        weights: Weights,
        dim: int,
        tree_counts: NDArray[np.int64] | None = None,
        squares: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None,
    ) -> None:
        self.weights, self._dim = weights, dim
        self.tree_counts = tree_counts
        self._squares: dict[str, NDArray[Any]] = {}
        if squares is not None:
            self._squares = {"squares0": squares[0], "squares1": squares[1]}

    def matrices(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """syn0 and syn1neg, float32 (V, D) with padded rows; views, not copies."""
        return self.rows()

    def rows(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The same."""
        syn0, syn1neg, stride = self.weights
        inputs = syn0.reshape(-1, stride)[:, : self._dim]
        return inputs, syn1neg.reshape(-1, stride)[:, : self._dim]

    def subwords(self) -> Subwords | None:
        """None."""
        return None

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The sums of squares, if there are any."""
        return dict(self._squares)

    def restore(self, saved: Embeddings, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Copy the vectors and the sums of squares."""
        syn0, syn1neg = self.rows()
        syn0[:] = saved.vectors
        syn1neg[:] = saved.output_vectors
        for name, squares in self._squares.items():
            squares[:] = arrays[name]


class SubwordModel(WordModel):
    """Rows of words and then of their parts, output vectors of words.

    Args:
        weights: syn0 has a row for each word and each part.
        dim: D.
        words: how words are cut.
        vocabulary: the words.
    """

    def __init__(
        self, weights: Weights, dim: int, words: WordParts, vocabulary: Vocabulary
    ) -> None:
        super().__init__(weights, dim)
        self._words, self._vocabulary = words, vocabulary

    def matrices(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The vectors the subwords make, a copy, and syn1neg, a view; float32 (V, D)."""
        return self.subwords().of_vocabulary(self._vocabulary), self.rows()[1]

    def subwords(self) -> Subwords:
        """The rows as they are; views, not copies."""
        rows, n_words = self.rows()[0], len(self._vocabulary)
        return Subwords(self._words.units, rows[:n_words], self._words.ids, rows[n_words:])

    def restore(self, saved: Embeddings, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Copy the rows of ``saved.subwords``."""
        if saved.subwords is None or saved.output_vectors is None:
            raise ValueError("a checkpoint of a run with subwords holds them")
        rows, syn1neg = self.rows()
        rows[: len(saved)] = saved.subwords.word_rows
        rows[len(saved) :] = saved.subwords.rows
        syn1neg[:] = saved.output_vectors
