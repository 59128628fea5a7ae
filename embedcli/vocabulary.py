"""The vocabulary: words, their ids and their counts.

Words live in one blob of UTF-8 with int64 offsets, the layout of the model file, so that one of a
million words opens without creating a million Python strings. Ids run from 0 by falling count,
ties by the UTF-8 bytes of the word: the same counts give the same ids on every machine.

Counting text is not done here (`text/corpus_reader.py`), nor is reading a vocabulary file
(`formats/vocab.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["LARGEST_SUM", "UNKNOWN", "Vocabulary", "counts_fault"]

UNKNOWN = "<unk>"  # the word whose vector stands for those that were too rare to have their own

# A byte that is not UTF-8 (word2vec.c and fastText cut words inside a character) is a lone
# surrogate in a Python string, as in the arguments of a command, and that byte again in the blob.
_ERRORS = "surrogateescape"

# A dictionary of a million words takes 0.3 s to build; this many scans of the blob take less.
_SCANS_BEFORE_INDEX = 32
_SCANS_BEFORE_FIND = 4  # so many scans take what hashing all words takes
_SLOT_BITS = 20
LARGEST_SUM = (1 << 62) - 1  # so that those of two texts can be added


class Vocabulary:
    """An immutable sequence of V distinct words and their counts.

    The id of a word is its position. Words that were counted are in order of falling count.

    Args:
        blob: uint8 (n_bytes,), the UTF-8 bytes of all words, without separators.
        offsets: int64 (V + 1,); word i is ``blob[offsets[i]:offsets[i + 1]]``.
        counts: int64 (V,), or None if the source has no counts, as most vector files.

    Raises:
        ValueError: there are not V counts.

    Example:
        >>> vocabulary = embedcli.Vocabulary.from_words(["the", "cat"], [7, 2])
        >>> vocabulary[0], vocabulary.get("cat"), vocabulary.get("dog")
        ('the', 1, None)
        >>> vocabulary.words, vocabulary.counts.tolist()
        (['the', 'cat'], [7, 2])
    """

    def __init__(
        self,
        blob: NDArray[np.uint8],
        offsets: NDArray[np.int64],
        counts: NDArray[np.int64] | None = None,
    ) -> None:
        if counts is not None and len(counts) != len(offsets) - 1:
            raise ValueError(f"{len(offsets) - 1} words but {len(counts)} counts")
        self.blob = blob
        self.offsets = offsets
        self.counts = counts
        self._scans = 0

    @classmethod
    def from_words(cls, words: Iterable[str], counts: Sequence[int] | None = None) -> Self:
        """Make a vocabulary of distinct words in this order; `counts` has one for each word."""
        return cls._from_bytes([word.encode(errors=_ERRORS) for word in words], counts)

    @classmethod
    def _from_bytes(cls, encoded: Sequence[bytes], counts: Sequence[int] | None = None) -> Self:
        offsets = np.zeros(len(encoded) + 1, np.int64)
        np.cumsum([len(word) for word in encoded], out=offsets[1:])
        blob = np.frombuffer(b"".join(encoded), np.uint8)
        return cls(blob, offsets, None if counts is None else np.asarray(counts, np.int64))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> str:
        if not -len(self) <= index < len(self):
            raise IndexError(f"id {index} in a vocabulary of {len(self)} words")
        return self._bytes(index % len(self)).decode(errors=_ERRORS)

    def __iter__(self) -> Iterator[str]:
        return iter(self.words)

    def __contains__(self, word: object) -> bool:
        return isinstance(word, str) and self.get(word) is not None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Vocabulary):
            return NotImplemented
        return np.array_equal(self.offsets, other.offsets) and np.array_equal(self.blob, other.blob)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Vocabulary({len(self)} words)"

    @cached_property
    def words(self) -> list[str]:
        """All V words as Python strings, in the order of their ids; made on first use."""
        blob = self.blob.tobytes()
        ends = self.offsets.tolist()
        return [blob[a:b].decode(errors=_ERRORS) for a, b in pairwise(ends)]

    @cached_property
    def is_utf8(self) -> bool:
        """Whether all words are UTF-8, each for itself."""
        try:
            str(self.blob.data, "utf-8")
        except UnicodeDecodeError:
            return False
        starts = self.offsets[:-1][self._lengths > 0]
        return not bool((self.blob[starts] & 0xC0 == 0x80).any())

    def get(self, word: str) -> int | None:
        """The id of `word`, or None. The first calls scan the blob, later ones use a dictionary."""
        if "_index" not in self.__dict__ and self._scans < _SCANS_BEFORE_INDEX:
            self._scans += 1
            return self._scan(_encode(word))
        return self._index.get(word)

    def find(self, words: Sequence[str]) -> list[int | None]:
        """The ids of many words at once; None for those that are not there.

        One pass over a hash of every word picks the few that may be among `words`. For a million
        words that takes a tenth of what a dictionary takes to build.
        """
        if "_index" in self.__dict__ or len(words) < _SCANS_BEFORE_FIND:
            return [self.get(word) for word in words]
        asked = [_encode(word) for word in words]
        marked = np.zeros(1 << _SLOT_BITS, np.bool_)
        marked[Vocabulary._from_bytes(asked)._slots] = True
        ids = {self._bytes(i): i for i in np.flatnonzero(marked[self._slots]).tolist()}
        return [ids.get(word) for word in asked]

    def head(self, n: int) -> Vocabulary:
        """The first (most frequent) `n` words; shares memory with this vocabulary."""
        offsets = self.offsets[: n + 1]
        counts = None if self.counts is None else self.counts[:n]
        return Vocabulary(self.blob[: offsets[-1]], offsets, counts)

    def between(self, start: int, stop: int) -> Vocabulary:
        """The words from `start` to before `stop`; shares memory, but for offsets."""
        offsets = self.offsets[start : stop + 1]
        counts = None if self.counts is None else self.counts[start:stop]
        return Vocabulary(self.blob[offsets[0] : offsets[-1]], offsets - offsets[0], counts)

    def fault(self, *, any_bytes: bool = False) -> str | None:
        """What is wrong with words that came from a file; None if nothing is.

        Words that are not UTF-8 are wrong unless they may hold `any_bytes`.
        """
        blob, offsets = self.blob, self.offsets
        rises = len(offsets) and offsets[0] == 0 and bool((offsets[1:] > offsets[:-1]).all())
        if not rises or offsets[-1] != len(blob):
            return "offsets that do not cut the words' bytes into words"
        if any_bytes:
            return None
        try:
            str(blob.data, "utf-8")
        except UnicodeDecodeError as error:
            return f"words that are not UTF-8: {error}"
        if (blob[offsets[:-1]] & 0xC0 == 0x80).any():
            return "a word that begins inside a character"
        return None

    @cached_property
    def _index(self) -> dict[str, int]:
        return {word: i for i, word in enumerate(self.words)}

    @cached_property
    def _lengths(self) -> NDArray[np.int64]:
        return np.diff(self.offsets)

    @cached_property
    def _slots(self) -> NDArray[np.uint32]:
        """A hash of each word: uint32 (V,), of its first and last eight bytes and its length."""
        padded = np.concatenate([np.zeros(8, np.uint8), self.blob, np.zeros(8, np.uint8)])
        eights = np.ndarray(len(padded) - 7, "<u8", padded, strides=(1,))
        lengths = self._lengths.astype(np.uint64)
        unused = 8 * (8 - np.minimum(lengths, 8).astype(np.uint64))
        # A shift by 64 is undefined: the empty word is shifted twice by 32.
        first = eights[self.offsets[:-1] + 8] << (unused // 2) << (unused - unused // 2)
        last = eights[self.offsets[1:]] >> (unused // 2) >> (unused - unused // 2)
        mixed = (first ^ (first >> np.uint64(29))) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= (last ^ (last >> np.uint64(31))) * np.uint64(0xC2B2AE3D27D4EB4F)
        mixed += lengths * np.uint64(0x165667B19E3779F9)
        slots: NDArray[np.uint32] = (mixed >> np.uint64(64 - _SLOT_BITS)).astype(np.uint32)
        return slots

    def _bytes(self, index: int) -> bytes:
        return self.blob[self.offsets[index] : self.offsets[index + 1]].tobytes()

    def _scan(self, word: bytes) -> int | None:
        """Look among the words of the right length, narrowing byte by byte."""
        candidates = np.flatnonzero(self._lengths == len(word))
        for position, byte in enumerate(word):
            if not len(candidates):
                return None
            candidates = candidates[self.blob[self.offsets[candidates] + position] == byte]
        return int(candidates[0]) if len(candidates) else None


def _encode(word: str) -> bytes:
    """UTF-8; of a word that is none, such as a shell may hand over, the bytes it stands for."""
    try:
        return word.encode(errors=_ERRORS)
    except UnicodeEncodeError:  # a lone surrogate that stands for no byte
        return word.encode(errors="surrogatepass")


def counts_fault(counts: NDArray[np.int64]) -> str | None:
    """What is wrong with counts, int64 (V,), that came from a file; None if nothing is."""
    if len(counts) and int(counts.min()) < 0:
        return f"a count of {int(counts.min())}"
    # A sum may be larger than int64: the halves of the numbers are added up apart.
    total = (int((counts >> 32).sum()) << 32) + int((counts & 0xFFFFFFFF).sum())
    if total > LARGEST_SUM:
        return f"counts that add up to {total}; at most {LARGEST_SUM}"
    return None
