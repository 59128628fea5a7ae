"""Character n-grams of words, hashed to buckets as fastText hashes them.

A word is wrapped in ``<`` and ``>``; its n-grams are all runs of `shortest` to `longest` characters
of that, except a lone ``<`` or ``>`` (Bojanowski et al. 2017, *Enriching Word Vectors with Subword
Information*). A run is hashed by FNV-1a over its UTF-8 bytes, each taken as a *signed* byte, as
fastText's C++ did by accident and every reader of its models must do, modulo `buckets`.
``</s>`` has no n-grams. A character is a byte and those of the form 10xxxxxx that follow: words
that are not UTF-8 are cut as fastText cuts them.

All words are cut at once, in NumPy: every run is a longer run's beginning, so one pass over all
characters for each length extends all hashes by one character. A million words take about two
seconds, which no training run notices, and nothing has to be compiled to look a word up.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from embedcli.vocabulary import Vocabulary

__all__ = ["Cut", "NGrams", "joined"]

Ids = NDArray[np.int32]
Places = NDArray[np.int64]

_BASIS: Final = np.uint32(2166136261)
_PRIME: Final = np.uint32(16777619)
_SIGN: Final = np.uint32(0xFFFFFF00)
_UNCUT: Final = b"</s>"
BLOCK_WORDS: Final = 1 << 16


class Cut(NamedTuple):
    """The parts of some words: those of word w are ``ids[offsets[w]:offsets[w + 1]]``.

    Attributes:
        ids: int32 (n,), each below the number of units.
        offsets: int64 (words + 1,).
    """

    ids: Ids
    offsets: Places


@dataclass(frozen=True)
class NGrams:
    """The rule that cuts words into n-grams.

    Attributes:
        shortest, longest: characters of an n-gram, at least 1; both 0 for none.
        buckets: how many ids there are.
    """

    shortest: int
    longest: int
    buckets: int

    @property
    def count(self) -> int:
        """How many ids there are."""
        return self.buckets

    def described(self) -> dict[str, Any]:
        """The rule as JSON keeps it."""
        return {
            "kind": "ngrams",
            "shortest": self.shortest,
            "longest": self.longest,
            "buckets": self.buckets,
        }

    def __str__(self) -> str:
        return f"{self.shortest}:{self.longest}"

    def cut(self, words: Vocabulary) -> Cut:
        """The n-grams of every word, by their first character, then by length; repeats kept."""
        if not self.longest:  # n-grams of words have the buckets to themselves
            return Cut(np.empty(0, np.int32), np.zeros(len(words) + 1, np.int64))
        starts = range(0, len(words), BLOCK_WORDS)
        blocks = [self._cut(words, start, min(start + BLOCK_WORDS, len(words))) for start in starts]
        return joined(blocks)

    def texts(self, word: str) -> list[str]:
        """The n-grams of one word, in the order of their ids in `cut`."""
        if word.encode() == _UNCUT:
            return []
        text = f"<{word}>"
        ends = (0, len(text) - 1)
        return [
            text[start : start + n]
            for start in range(len(text))
            for n in range(self.shortest, min(self.longest, len(text) - start) + 1)
            if not (n == 1 and start in ends)
        ]

    def _cut(self, words: Vocabulary, start: int, stop: int) -> Cut:
        text, bounds = _wrapped(words, start, stop)
        begins = np.flatnonzero((text & 0xC0) != 0x80)  # of characters, in bytes
        first = np.searchsorted(begins, bounds[:-1])  # of each word, in characters
        lengths = np.diff(first, append=len(begins))
        left = np.repeat(first + lengths, lengths) - np.arange(len(begins))  # to the word's end
        skipped = np.zeros(len(begins), np.int64)  # 1 where the first n-gram is a lone < or >
        if self.shortest == 1:
            skipped[first] = skipped[first + lengths - 1] = 1
        counts = np.maximum(np.minimum(self.longest, left) - self.shortest + 1 - skipped, 0)
        counts[np.repeat(_is_uncut(words, start, stop), lengths)] = 0
        places = np.cumsum(counts) - counts
        ids = np.empty(int(counts.sum()), np.int32)
        for n, begun, hashes in self._hashes(text, begins, left, counts):
            rank = n - self.shortest - skipped[begun]
            kept = rank >= 0
            ids[places[begun[kept]] + rank[kept]] = hashes[kept] % np.uint32(self.buckets)
        return Cut(ids, np.append(places[first], len(ids)))

    def _hashes(
        self, text: NDArray[np.uint8], begins: Places, left: Places, counts: Places
    ) -> Iterator[tuple[int, Places, NDArray[np.uint32]]]:
        """For each length n: the characters an n-gram begins at, and its hash, uint32."""
        widths = np.diff(begins, append=len(text))
        begun = np.flatnonzero(counts)
        hashes = np.full(len(begun), _BASIS, np.uint32)
        for n in range(1, self.longest + 1):
            fits = left[begun] >= n
            begun, hashes = begun[fits], hashes[fits]
            last = begun + n - 1
            hashes = _absorbed(hashes, text[begins[last]])
            for byte in itertools.count(1):  # over 4 where bytes are no UTF-8
                wide = np.flatnonzero(widths[last] > byte)
                if not len(wide):
                    break
                hashes[wide] = _absorbed(hashes[wide], text[begins[last[wide]] + byte])
            if n >= self.shortest:
                yield n, begun, hashes


def joined(cuts: Sequence[Cut]) -> Cut:
    """The parts of several lists of words as those of one list."""
    if not cuts:
        return Cut(np.empty(0, np.int32), np.zeros(1, np.int64))
    before = np.cumsum([0, *(len(cut.ids) for cut in cuts)])
    offsets = [cut.offsets[:-1] + n for cut, n in zip(cuts, before.tolist(), strict=False)]
    return Cut(np.concatenate([cut.ids for cut in cuts]), np.concatenate([*offsets, before[-1:]]))


def _wrapped(words: Vocabulary, start: int, stop: int) -> tuple[NDArray[np.uint8], Places]:
    """The bytes of ``<word>`` for words `start` to `stop`, and where each begins and ends."""
    source = words.offsets[start : stop + 1]
    bounds = source - source[0] + 2 * np.arange(stop - start + 1)
    text = np.empty(int(bounds[-1]), np.uint8)
    inside = np.ones(len(text), np.bool_)
    for ends, sign in ((bounds[:-1], b"<"), (bounds[1:] - 1, b">")):
        text[ends] = ord(sign)
        inside[ends] = False
    text[inside] = words.blob[source[0] : source[-1]]
    return text, bounds


def _is_uncut(words: Vocabulary, start: int, stop: int) -> NDArray[np.bool_]:
    """Which of the words have no n-grams at all."""
    offsets = words.offsets[start : stop + 1]
    found: NDArray[np.bool_] = np.diff(offsets) == len(_UNCUT)
    for i in np.flatnonzero(found).tolist():
        found[i] = words.blob[offsets[i] : offsets[i + 1]].tobytes() == _UNCUT
    return found


def _absorbed(hashes: NDArray[np.uint32], characters: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """FNV-1a over one more byte, with its sign extended."""
    signed = characters.astype(np.uint32)
    signed[characters >= 0x80] |= _SIGN
    return (hashes ^ signed) * _PRIME
