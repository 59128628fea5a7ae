"""Did you mean: the words of a vocabulary that are spelt nearly like a word it does not hold.

Other spellings in case come first, then words one edit away, then two; among equals the more
frequent. An edit inserts, deletes or replaces a character, or swaps two neighbours (the optimal
string alignment distance). All words of nearly the right length are compared at once, column by
column of the distance table, which takes about 0.2 s for a million words.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from embedcli.vocabulary import Vocabulary

__all__ = ["Suggester"]

_MAX_EDITS = 2
_SHORT = 4  # words up to this length get one edit, and single characters none: more makes anything
_FAR = 100  # a distance nobody asks for
WORDS_AT_ONCE = 1 << 15  # words compared at once: the table's columns stay in cache
_N_CODES = 0x110000  # Unicode code points

Distances = NDArray[np.int8]


class Suggester:
    """Finds suggestions in one vocabulary; what it derives from the words is kept."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary

    def suggest(self, word: str, n: int = 3) -> tuple[str, ...]:
        """Up to `n` words like `word`, best first."""
        target = np.array([ord(c) for c in _fold(word)], np.int32)
        allowed = min(len(target) - 1, 1) if len(target) <= _SHORT else _MAX_EDITS
        near = np.flatnonzero(np.abs(self._lengths - len(target)) <= allowed)
        parts = (near[i : i + WORDS_AT_ONCE] for i in range(0, len(near), WORDS_AT_ONCE))
        distances = np.concatenate([np.empty(0, np.int8), *(self._edits(p, target) for p in parts)])
        found = np.flatnonzero(distances <= allowed)
        best = found[np.argsort(distances[found], kind="stable")[:n]]
        return tuple(self._vocabulary[int(i)] for i in near[best])

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        """Where each word begins in `_codes`: int64 (V + 1,)."""
        vocabulary = self._vocabulary
        begins_character = (vocabulary.blob & 0xC0) != 0x80
        before = np.zeros(len(vocabulary.blob) + 1, np.int64)
        np.cumsum(begins_character, out=before[1:])
        return before[vocabulary.offsets]

    @cached_property
    def _lengths(self) -> NDArray[np.int64]:
        return np.diff(self._starts)

    @cached_property
    def _codes(self) -> NDArray[np.int32]:
        """The code points of all words, lower-cased where that keeps their number; and one 0."""
        text = self._vocabulary.blob.tobytes().decode()
        codes = np.frombuffer(text.encode("utf-32-le"), np.int32)
        used = np.zeros(_N_CODES, np.bool_)
        used[codes] = True
        lower = np.zeros(_N_CODES, np.int32)
        for code in np.flatnonzero(used).tolist():
            lower[code] = ord(_fold(chr(code)))
        return np.append(lower[codes], np.int32(0))

    def _edits(self, ids: NDArray[np.int64], target: NDArray[np.int32]) -> Distances:
        """Edits between the words of `ids` and `target`, exact where at most `_MAX_EDITS`."""
        lengths = self._lengths[ids]
        width = len(target) + _MAX_EDITS
        where = self._starts[ids] + np.arange(width)[:, None]
        letters = self._codes[np.minimum(where, len(self._codes) - 1)]
        table = _distance_columns(letters, target)
        return table[lengths, np.arange(len(ids))]


def _distance_columns(letters: NDArray[np.int32], target: NDArray[np.int32]) -> Distances:
    """Edits between each word's first i letters and the whole target: int8 (width + 1, n).

    Args:
        letters: (width, n), word j is column j; what follows its end does not matter.
        target: (m,).

    Only the band where the lengths differ by at most `_MAX_EDITS` is computed.
    """
    width, n = letters.shape
    older = np.full((width + 1, n), _FAR, np.int8)
    old = older.copy()
    old[: _MAX_EDITS + 1] = np.arange(min(_MAX_EDITS, width) + 1, dtype=np.int8)[:, None]
    for j in range(1, len(target) + 1):
        new = np.full((width + 1, n), _FAR, np.int8)
        if j <= _MAX_EDITS:
            new[0] = j
        for i in range(max(1, j - _MAX_EDITS), min(width, j + _MAX_EDITS) + 1):
            same = letters[i - 1] == target[j - 1]
            cell = np.minimum(old[i], new[i - 1]) + np.int8(1)
            np.minimum(cell, old[i - 1] + ~same, out=cell)
            if i > 1 and j > 1:
                swapped = (letters[i - 1] == target[j - 2]) & (letters[i - 2] == target[j - 1])
                np.minimum(cell, older[i - 2] + np.int8(1), out=cell, where=swapped)
            new[i] = cell
        older, old = old, new
    return old


def _fold(text: str) -> str:
    """Lower case, character by character, so that the number of characters stays the same."""
    return "".join(low if len(low := c.lower()) == 1 else c for c in text)
