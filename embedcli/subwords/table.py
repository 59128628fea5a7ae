"""The rows of parts of words, and the vectors they make.

The vector of a word is the mean of its own row and of the rows of its parts, repeats counted
(Bojanowski et al. 2017); that of a word never seen is the mean of the rows of its parts. A part
that no word of the vocabulary has was never trained: its row is zero and need not be kept, but it
counts in the mean, so that the vectors are those that other readers of the same rows make.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from embedcli.subwords.ngrams import Cut
from embedcli.vocabulary import Vocabulary

__all__ = ["Subwords", "Units"]

Floats = NDArray[np.float32]
BLOCK_BYTES = 1 << 24
PART_BYTES = 1 << 15


class Units(Protocol):
    """A rule that cuts words into parts."""

    @property
    def count(self) -> int:
        """How many ids of parts there are."""

    def cut(self, words: Vocabulary) -> Cut:
        """The parts of every word."""

    def texts(self, word: str) -> list[str]:
        """The parts of one word, in the order of `cut`."""

    def described(self) -> dict[str, Any]:
        """The rule as JSON keeps it."""


@dataclass(frozen=True, eq=False)
class Subwords:
    """What a model knows of words and their parts.

    Attributes:
        units: how words are cut.
        word_rows: float32 (V, D), the words' own rows.
        ids: int32 (U,), ascending: the parts that have a row.
        rows: float32 (U, D), theirs.
    """

    units: Units
    word_rows: Floats
    ids: NDArray[np.int32]
    rows: Floats

    def __post_init__(self) -> None:
        if self.rows.shape != (len(self.ids), self.word_rows.shape[1]):
            raise ValueError(f"{len(self.ids)} parts of words but rows {self.rows.shape}")

    @cached_property
    def _is_full(self) -> bool:
        return len(self.ids) == self.units.count

    def of_vocabulary(self, vocabulary: Vocabulary) -> Floats:
        """The vectors of the V words that have rows of their own: float32 (V, D)."""
        vectors = np.array(self.word_rows, np.float32)
        for part in _parts(vocabulary):
            of_part = vectors[part]
            cut = self.units.cut(vocabulary.between(part.start, part.stop))
            for words in self._blocks(cut):
                of_part[words] += self._sums(cut, words)
            of_part /= (1 + np.diff(cut.offsets)).astype(np.float32)[:, None]
        return vectors

    def of_unseen(self, words: Sequence[str]) -> tuple[Floats, NDArray[np.bool_]]:
        """Vectors of words that have no row of their own.

        Returns:
            float32 (n, D), zeros where nothing is known of any part; and bool (n,), whether
            something is.
        """
        cut = self.units.cut(Vocabulary.from_words(words))
        lengths = np.diff(cut.offsets)
        vectors = self._sums(cut, slice(0, len(words)))
        vectors /= np.maximum(lengths, 1).astype(np.float32)[:, None]
        known = np.append(np.cumsum(self.places(cut.ids) >= 0), 0)  # the last one is at place -1
        known = known[cut.offsets[1:] - 1] - known[cut.offsets[:-1] - 1]
        return vectors, (known > 0) & (lengths > 0)

    def places(self, ids: NDArray[np.int32]) -> NDArray[np.int64]:
        """The rows of parts: int64, -1 for those without one."""
        if self._is_full:
            return ids.astype(np.int64)
        found = np.minimum(np.searchsorted(self.ids, ids), len(self.ids) - 1)
        return np.where(self.ids[found] == ids, found, -1) if len(self.ids) else found

    def head(self, n: int) -> Subwords:
        """The same parts, with the first `n` words."""
        return Subwords(self.units, self.word_rows[:n], self.ids, self.rows)

    def turned(self, matrix: NDArray[np.float64]) -> Subwords:
        """Every row multiplied by `matrix`, float64 (D, D'): means of rows follow."""
        return Subwords(
            self.units, _product(self.word_rows, matrix), self.ids, _product(self.rows, matrix)
        )

    def _blocks(self, cut: Cut) -> Iterator[slice]:
        """Slices of words whose rows together take some megabytes."""
        most = max(1, BLOCK_BYTES // (4 * self.rows.shape[1]))
        start, n = 0, len(cut.offsets) - 1
        while start < n:
            limit = cut.offsets[start] + most
            stop = int(np.searchsorted(cut.offsets, limit, side="right")) - 1
            stop = min(max(stop, start + 1), n)
            yield slice(start, stop)
            start = stop

    def _sums(self, cut: Cut, words: slice) -> Floats:
        """The sum of the rows of the parts of each word: float32 (words, D)."""
        offsets = cut.offsets[words.start : words.stop + 1]
        places = self.places(cut.ids[offsets[0] : offsets[-1]])
        sums = np.zeros((len(offsets) - 1, self.rows.shape[1]), np.float32)
        if not len(places) or not len(self.rows):
            return sums
        rows = self.rows[places]
        rows[places < 0] = 0
        has = np.diff(offsets) > 0
        sums[has] = np.add.reduceat(rows, (offsets[:-1] - offsets[0])[has], axis=0)
        return sums


def _parts(vocabulary: Vocabulary) -> Iterator[slice]:
    """Slices of words of some kilobytes: what they are cut into is a hundred times as much."""
    start, n = 0, len(vocabulary)
    while start < n:
        limit = vocabulary.offsets[start] + PART_BYTES
        stop = int(np.searchsorted(vocabulary.offsets, limit, side="right")) - 1
        stop = min(max(stop, start + 1), n)
        yield slice(start, stop)
        start = stop


def _product(rows: Floats, matrix: NDArray[np.float64]) -> Floats:
    product = np.empty((len(rows), matrix.shape[1]), np.float32)
    step = max(1, BLOCK_BYTES // (8 * matrix.shape[0]))
    for start in range(0, len(rows), step):
        product[start : start + step] = rows[start : start + step].astype(np.float64) @ matrix
    return product
