"""Parts of words as floret cuts and hashes them: each part has several rows, words have none.

The parts of a word are itself, wrapped in `begin` and `end`, and the n-grams of that. Each is
hashed by MurmurHash3 to 128 bits, whose first `hashes` times 32 bits, modulo `buckets`, are its
rows. The vector of a word is the mean of all these rows (explosion's floret, 2021); a model keeps
that mean as the word's own row, which changes no mean. ``</s>`` has no parts.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from embedcli.subwords.murmur import murmur128
from embedcli.subwords.ngrams import Cut, joined
from embedcli.vocabulary import Vocabulary

__all__ = ["FloretParts"]

_UNCUT: Final = "</s>"
_BLOCK_WORDS: Final = 1 << 14


@dataclass(frozen=True)
class FloretParts:
    """The rule that cuts words into parts.

    Attributes:
        shortest, longest: characters of an n-gram.
        buckets: how many rows there are.
        hashes: rows of each part, 1 to 4.
        seed: of the hash.
        begin, end: what words are wrapped in.
    """

    shortest: int
    longest: int
    buckets: int
    hashes: int
    seed: int
    begin: str = "<"
    end: str = ">"

    @property
    def count(self) -> int:
        """How many rows there are."""
        return self.buckets

    def described(self) -> dict[str, Any]:
        """The rule as JSON keeps it."""
        return {"kind": "floret", **asdict(self)}

    def __str__(self) -> str:
        return f"{self.shortest}:{self.longest}"

    def cut(self, words: Vocabulary) -> Cut:
        """The rows of the parts of every word; repeats kept."""
        starts = range(0, len(words), _BLOCK_WORDS)
        return joined([self._cut(words.words[start : start + _BLOCK_WORDS]) for start in starts])

    def texts(self, word: str) -> list[str]:
        """The parts of one word, each as often as it has rows, in the order of `cut`."""
        return [part.decode() for part in self._parts(word) for _ in range(self.hashes)]

    def _cut(self, words: list[str]) -> Cut:
        parts = [self._parts(word) for word in words]
        distinct: dict[bytes, int] = {}
        places = np.array(
            [distinct.setdefault(part, len(distinct)) for some in parts for part in some], np.int64
        )
        hashed = murmur128(list(distinct), self.seed)
        halves = np.stack([hashed & np.uint64(0xFFFFFFFF), hashed >> np.uint64(32)], axis=2)
        rows = halves.reshape(len(hashed), 4)[:, : self.hashes] % np.uint64(self.buckets)
        lengths = [len(some) * self.hashes for some in parts]
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])
        return Cut(rows[places].astype(np.int32).reshape(-1), offsets)

    def _parts(self, word: str) -> list[bytes]:
        if word == _UNCUT:
            return []
        wrapped = self.begin + word + self.end
        n = len(wrapped)
        ngrams = [
            wrapped[start:stop]
            for start in range(n)
            for stop in range(start + max(1, self.shortest), min(start + self.longest, n) + 1)
            if stop - start > 1 or 0 < start < n - 1
        ]
        return [part.encode() for part in (wrapped, *ngrams)]
