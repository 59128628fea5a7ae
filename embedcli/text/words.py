"""Distinct words and their counts while a text is read: the tables behind the tokenize kernels."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedcli.kernels import tokenize as kernels
from embedcli.kernels.intrinsics.text_bytes import WHITE_SPACE
from embedcli.text.blocks import Block

__all__ = ["BATCH_WORDS", "NO_WORDS", "SPARE", "WordTable", "Words", "concatenate"]

SPARE = kernels.MAX_BYTES + 16  # bytes a blob must have left: kernels load and store 8 at a time
_FIRST_WORDS = 1 << 15
_NEARLY_FULL = 0.8
BATCH_WORDS = 1 << 13  # words that NumPy handles at a time where an index costs 8 bytes a byte


@dataclass(frozen=True, slots=True)
class Words:
    """Words in no particular order; the same word may stand there twice.

    Attributes:
        blob: uint8, the words one after the other, then at least 16 spare bytes.
        offsets: int64 (n + 1,), word i is ``blob[offsets[i]:offsets[i + 1]]``.
        counts: int64 (n,).
    """

    blob: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    counts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Bytes of each word."""
        return np.diff(self.offsets)

    def part(self, begin: int, end: int) -> Words:
        """The words from `begin` up to `end`; shares memory."""
        return Words(self.blob, self.offsets[begin : end + 1], self.counts[begin:end])

    def take(self, chosen: NDArray[np.int64]) -> Words:
        """The `chosen` words in this order, in memory of their own."""
        lengths = self.lengths[chosen]
        offsets = np.zeros(len(chosen) + 1, np.int64)
        np.cumsum(lengths, out=offsets[1:])
        blob = np.zeros(offsets[-1] + SPARE, np.uint8)
        shifts = self.offsets[chosen] - offsets[:-1]
        for row in range(0, len(chosen), BATCH_WORDS):
            rows = slice(row, row + BATCH_WORDS)
            begin, end = offsets[row], offsets[min(row + BATCH_WORDS, len(chosen))]
            index = np.repeat(shifts[rows], lengths[rows]) + np.arange(begin, end)
            blob[begin:end] = self.blob[index]
        return Words(blob, offsets, self.counts[chosen])


NO_WORDS = Words(np.zeros(SPARE, np.uint8), np.zeros(1, np.int64), np.zeros(0, np.int64))


def concatenate(several: list[Words]) -> Words:
    """All words of `several`, one after the other."""
    blobs = [words.blob[words.offsets[0] : words.offsets[-1]] for words in several]
    lengths = np.concatenate([words.lengths for words in several])
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    blob = np.concatenate([*blobs, np.zeros(SPARE, np.uint8)])
    return Words(blob, offsets, np.concatenate([words.counts for words in several]))


class WordTable:
    """A hash table of words that one thread fills; ids run from 0 in the order of first sight.

    Args:
        n_words: how many words to make room for; there can be more.
        lowercase: whether A-Z are made a-z (the rest of lower case is `decoding.normalise`'s).
        separator: the byte between tokens, or `WHITE_SPACE`.
    """

    def __init__(
        self,
        n_words: int = _FIRST_WORDS,
        *,
        lowercase: bool = False,
        separator: int = WHITE_SPACE,
    ) -> None:
        n_words = 1 << (max(n_words, _FIRST_WORDS) - 1).bit_length()
        self._lowercase = lowercase
        self._tokenize = kernels.tokenizer(separator)
        self._table = kernels.Table(
            np.frombuffer(bytearray(os.urandom(32)), np.uint64),
            np.zeros(8 * n_words, np.uint64),
            np.zeros(n_words + 1, np.int64),
            np.empty(8 * n_words + SPARE, np.uint8),
        )
        self._state = np.zeros(kernels.N_STATES, np.int64)

    def __len__(self) -> int:
        return int(self._state[kernels.WORDS])

    @property
    def n_bytes(self) -> int:
        """Memory taken."""
        return sum(array.nbytes for array in self._table)

    @property
    def too_long(self) -> int:
        """Tokens dropped for their length so far."""
        return int(self._state[kernels.TOO_LONG])

    @property
    def too_long_bytes(self) -> int:
        """Their bytes."""
        return int(self._state[kernels.TOO_LONG_BYTES])

    @property
    def lines(self) -> int:
        """Line ends seen so far."""
        return int(self._state[kernels.LINES])

    @property
    def nuls(self) -> int:
        """NUL bytes seen so far."""
        return int(self._state[kernels.NULS])

    def encode(
        self, block: Block, text: NDArray[np.uint8], out: NDArray[np.int32]
    ) -> NDArray[np.int32]:
        """The ids of a block's tokens, -1 where lines end; a part of `out`."""
        state = self._state
        state[kernels.POSITION], state[kernels.OUT] = block.start, 0
        state[kernels.TOO_LONG_BYTES] += block.start  # the rest of a token that was counted before
        while not self._tokenize(text, block.end, self._lowercase, self._table, out, state):
            self._grow()
        n_out = int(state[kernels.OUT])
        if block.ends_file:
            out[n_out] = -1
            n_out += 1
        return out[:n_out]

    def absorb(self, words: Words) -> NDArray[np.int32]:
        """Add words with their counts; the ids they have here, int32 (n,)."""
        ids = np.empty(len(words), np.int32)
        state = self._state
        state[kernels.POSITION] = 0
        arrays = words.blob, words.offsets, words.counts
        while not kernels.absorb(*arrays, self._table, ids, state):
            self._grow()
        return ids

    def is_due(self, share: int) -> bool:
        """Whether it is too large for `share` bytes, or would be once it has grown again."""
        fullness = len(self) / (len(self._table.offsets) - 1)
        return self.n_bytes > share or (fullness > _NEARLY_FULL and 3 * self.n_bytes > share)

    def words(self) -> Words:
        """What the table holds, by id; shares its memory."""
        _, slots, offsets, blob = self._table
        tags = slots[2::4]
        taken = np.flatnonzero(tags)
        counts = np.empty(len(self), np.int64)
        counts[(tags[taken] >> np.uint64(16)).astype(np.int64) - 1] = slots[3::4][taken]
        return Words(blob, offsets[: len(self) + 1], counts)

    def _grow(self) -> None:
        """Double what is full."""
        _, slots, offsets, blob = self._table
        if self._state[kernels.BLOB] + SPARE > blob.size:
            larger_blob = np.empty(2 * blob.size, np.uint8)
            larger_blob[: blob.size] = blob
            self._table = self._table._replace(blob=larger_blob)
        if 8 * len(self) >= slots.size:
            larger = np.zeros(2 * slots.size, np.uint64)
            kernels.rehash(self._table, larger)
            offsets = np.concatenate([offsets, np.zeros(len(offsets) - 1, np.int64)])
            self._table = self._table._replace(slots=larger, offsets=offsets)
