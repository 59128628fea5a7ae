"""One of several tables of counted words, in memory or on disk, whose words lie by parts.

Words are dealt into parts by a hash of their bytes: equal words of all tables are in the same part,
and what the tables hold of one part can be added up at a time (`merging.py`).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embedcli.files.scratch import Shelf
from embedcli.text.words import BATCH_WORDS, NO_WORDS, Words

__all__ = ["N_PARTS", "Subtotal", "parts_of"]

N_PARTS = 64


class Subtotal:
    """One table's words, and after `merge` their final ids.

    Attributes:
        ids: int32 (n,), the final id of each provisional one, -1 for those without one.
        distinct: whether no two words are equal.
    """

    def __init__(self, words: Words = NO_WORDS) -> None:
        self.fill(words, distinct=True)

    def fill(self, words: Words, *, distinct: bool) -> None:
        """Set the words: word i has provisional id i; say whether no two are equal."""
        self.distinct = distinct
        self._shelf: Shelf | None = None  # where everything lies if not in memory
        self.ids = np.empty(len(words), np.int32)
        self._words = words
        self._order: NDArray[np.int64] | None = None  # provisional id of each of _words
        self._bounds = np.array([0, len(words)])

    @property
    def is_dealt(self) -> bool:
        """Whether the words lie by parts."""
        return self._order is not None

    def deal(self) -> None:
        """Lay the words by parts."""
        parts = parts_of(self._words)
        self._order = np.argsort(parts, kind="stable")
        self._words = self._words.take(self._order)
        self._bounds = np.searchsorted(parts[self._order], np.arange(N_PARTS + 1))

    def spill(self, directory: Path | None) -> None:
        """Move everything to disk."""
        self.deal()
        shelf = Shelf(directory)
        words = self._words
        self._words = Words(
            shelf.store(words.blob), shelf.store(words.offsets), shelf.store(words.counts)
        )
        self._order = None if self._order is None else shelf.store(self._order)
        self.ids = shelf.store(self.ids)
        self._shelf = shelf

    def release(self) -> None:
        """Let what lies on disk go from memory."""
        if self._shelf is not None:
            self._shelf.release()

    def part(self, part: int) -> Words:
        """The words of one part."""
        return self._words.part(*self._bounds[part : part + 2])

    def set_ids(self, part: int, ids: NDArray[np.int32]) -> None:
        """Set the ids of the words of one part."""
        where = slice(*self._bounds[part : part + 2])
        self.ids[where if self._order is None else self._order[where]] = ids

    def translate(self, final: NDArray[np.int32]) -> None:
        """Replace every id i by ``final[i]``, where negative ids count from its end."""
        for row in range(0, len(self.ids), BATCH_WORDS):
            ids = self.ids[row : row + BATCH_WORDS]
            ids[:] = final[ids]
        self.release()

    def let_go(self) -> None:
        """Forget the words; the ids stay."""
        self._words = NO_WORDS


def parts_of(words: Words) -> NDArray[np.uint8]:
    """Deal words into parts by a multilinear hash of their bytes, uint8 (n,)."""
    factors = np.random.default_rng(0).integers(1, 2**63, 257, np.uint64) | np.uint64(1)
    parts = np.empty(len(words), np.uint8)
    for row in range(0, len(words), BATCH_WORDS):
        offsets = words.offsets[row : row + BATCH_WORDS + 1]
        lengths = np.diff(offsets)
        place = np.arange(offsets[0], offsets[-1]) - np.repeat(offsets[:-1], lengths)
        terms = (words.blob[offsets[0] : offsets[-1]] + np.uint64(1)) * factors[place]
        sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(terms)])
        hashes = sums[offsets[1:] - offsets[0]] - sums[offsets[:-1] - offsets[0]]
        parts[row : row + BATCH_WORDS] = (hashes >> np.uint64(58)).astype(np.uint8)
    return parts
