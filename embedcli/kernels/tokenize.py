"""Text bytes to word ids: split, count and encode in one scan.

A scan classifies 64 bytes at a time into bit masks of white space and then jumps from set bit to
set bit, so that the length of a word or a line costs nothing. A word of up to 16 bytes is two
masked 8-byte loads, which are also its key in the table; longer ones carry a hash in place of the
second load and are compared byte for byte.

The table is open addressing with linear probing over slots of four uint64, half a cache line::

    slot[0]  bytes 0..7 of the word, little endian, zero padded (a word never holds NUL)
    slot[1]  bytes 8..15, or a hash of bytes 8.. of a word longer than 16
    slot[2]  (id + 1) << 16 | length in bytes; 0 is an empty slot
    slot[3]  count

The hash folds a 64x64 to 128 bit product keyed by seeds that are drawn anew for each table, so that
nobody can prepare words that collide; results do not depend on the seeds.

Items (`--items`) are separated by one byte of their own and by nothing else but the end of a line:
the same scan with other bit masks, compiled for that byte (`tokenizer`).

Nothing here allocates or validates: `text/words.py` owns the arrays and grows them when a kernel
comes back early. The specification, in plain Python, is `tests/reference/tokenize.py`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from embedcli.kernels.intrinsics.text_bytes import (
    classify,
    fold,
    load8,
    lowest_bit,
    prefetch_slot,
    store8,
)
from embedcli.kernels.jit import kernel

__all__ = [
    "BLOB",
    "LINES",
    "MAX_BYTES",
    "NULS",
    "N_STATES",
    "OUT",
    "PAD",
    "POSITION",
    "TOO_LONG",
    "TOO_LONG_BYTES",
    "WORDS",
    "Table",
    "absorb",
    "rehash",
    "remap",
    "tokenizer",
]

MAX_BYTES = 256  # the longest token that is kept
_AHEAD = 8  # words between asking for a slot and needing it
PAD = 128  # separators a text must be followed by: loads run past the end

# Where a scan stands, in an int64 array that it shares with its caller.
POSITION, OUT, WORDS, BLOB, LINES, NULS, TOO_LONG, TOO_LONG_BYTES = range(N_STATES := 8)


class Table(NamedTuple):
    """A hash table of words.

    Attributes:
        seeds: uint64 (4,), the key of the hash.
        slots: uint64 (4 C,), C a power of two, at most half of them taken.
        offsets: int64, word i is ``blob[offsets[i]:offsets[i + 1]]``.
        blob: uint8, the words one after the other in order of first sight.
    """

    seeds: NDArray[np.uint64]
    slots: NDArray[np.uint64]
    offsets: NDArray[np.int64]
    blob: NDArray[np.uint8]


_LOW7 = np.uint64(0x7F7F7F7F7F7F7F7F)
_HIGH = np.uint64(0x8080808080808080)
_TO_A = np.uint64(0x3F3F3F3F3F3F3F3F)  # 0x80 - "A" in each byte
_TO_Z = np.uint64(0x2525252525252525)  # 0x7F - "Z" in each byte
_ONES = np.uint64(0xFFFFFFFFFFFFFFFF)
_0, _1, _2, _3, _8, _16, _62, _63, _64 = (np.uint64(n) for n in (0, 1, 2, 3, 8, 16, 62, 63, 64))
_LENGTH = np.uint64(0xFFFF)


@kernel
def _piece(text, at, n_bytes, lower) -> Any:
    """``min(n_bytes, 8)`` bytes from `at` on, zero padded; A-Z made a-z if `lower` is _HIGH."""
    word = load8(text, at)
    if n_bytes < 8:
        if n_bytes <= 0:
            return _0
        word &= _ONES >> (_64 - (_8 * np.uint64(n_bytes)))
    low = word & _LOW7
    upper = ((low + _TO_A) ^ (low + _TO_Z)) & ~word & lower
    return word | (upper >> _2)


@kernel
def _key(text, start, length, lower, seeds) -> Any:
    """The first two words of a token's slot, and its hash."""
    first = _piece(text, start, length, lower)
    second = _piece(text, start + 8, length - 8, lower)
    if length > 16:
        for i in range(16, length, 8):
            second = fold(second ^ seeds[2], _piece(text, start + i, length - i, lower) ^ seeds[3])
    return first, second, fold(first ^ seeds[0], second ^ seeds[1])


@kernel
def _intern(text, start, length, weight, lower, table, state) -> Any:
    """Count ``text[start:start + length]`` `weight` times; its id, or -1 where the table is full.

    A new word is appended to the blob and the offsets. Half the slots at most are taken.
    """
    seeds, slots, offsets, blob = table
    first, second, at = _key(text, start, length, lower, seeds)
    mask = np.uint64(slots.size // 4 - 1)
    at &= mask
    while slots[(at << _2) + _2]:
        slot = at << _2
        tag = slots[slot + _2]
        same = slots[slot] == first and slots[slot + _1] == second
        if same and tag & _LENGTH == np.uint64(length):
            word = np.int64(tag >> _16) - 1
            if length > 16:
                for i in range(8, length, 8):
                    stored = _piece(blob, offsets[word] + i, length - i, _0)
                    same &= stored == _piece(text, start + i, length - i, lower)
            if same:
                slots[slot + _3] += weight
                return word
        at = (at + _1) & mask
    slot = at << _2
    word, used = state[WORDS], state[BLOB]
    if word + 1 >= offsets.size or used + MAX_BYTES + 16 > blob.size or 8 * word >= slots.size:
        return -1
    slots[slot], slots[slot + _1], slots[slot + _3] = first, second, weight
    slots[slot + _2] = np.uint64(word + 1) << _16 | np.uint64(length)
    for i in range(0, length, 8):
        store8(blob, used + i, _piece(text, start + i, length - i, lower))
    state[WORDS], state[BLOB] = word + 1, used + length
    offsets[word + 1] = used + length
    return word


@functools.cache
def tokenizer(separator: int) -> Callable[..., Any]:
    """The scan of texts whose tokens are apart by the byte `separator`, or by `WHITE_SPACE`."""

    @kernel
    def tokenize(text, n, lowercase, table, out, state) -> Any:
        """Encode ``text[state[POSITION]:n]`` until done (True) or until the table is full (False).

        Args:
            text: uint8, separators from `n` on for `PAD` bytes.
            n: where the text ends.
            lowercase: whether A-Z become a-z.
            table: `Table`.
            out: int32, at least n + 1 long: ids, and -1 where one line or more ended.
            state: int64 (8,), advanced.
        """
        seeds, slots, _, _ = table
        start = base = state[POSITION]
        n_out = state[OUT]
        mask = np.uint64(slots.size // 4 - 1)
        lower = _HIGH if lowercase else _0
        spill = _0  # bits of a white space that runs over the end of a chunk
        while base <= n:  # the white space behind the text ends its last token
            space, two, three, counted = classify(separator, text, base)
            space |= two | two << _1 | three | three << _1 | three << _2 | spill
            spill = two >> _63 | three >> _63 | three >> _62
            while space:
                bit = lowest_bit(space)
                length = base + bit - start
                if length > 0:
                    first = _piece(text, start, length, lower)
                    second = _piece(text, start + 8, length - 8, lower)
                    slot = (fold(first ^ seeds[0], second ^ seeds[1]) & mask) << _2
                    tag = slots[slot + _2]
                    if (
                        slots[slot] == first
                        and slots[slot + _1] == second
                        and tag & _LENGTH == np.uint64(length)
                        and length <= 16
                    ):  # what _intern finds at its first probe, nearly always the right one
                        slots[slot + _3] += _1
                        out[n_out] = np.int64(tag >> _16) - 1
                        n_out += 1
                    elif length > MAX_BYTES:
                        state[TOO_LONG] += 1
                        state[TOO_LONG_BYTES] += length
                    else:
                        word = _intern(text, start, length, _1, lower, table, state)
                        if word < 0:
                            state[POSITION], state[OUT] = start, n_out
                            return False
                        out[n_out] = word
                        n_out += 1
                if (counted >> np.uint64(bit)) & _1:
                    if text[base + bit] == 0:
                        state[NULS] += 1
                    else:
                        state[LINES] += 1
                        if n_out == 0 or out[n_out - 1] >= 0:
                            out[n_out] = -1
                            n_out += 1
                start = base + bit + 1
                space &= space - _1
            base += 64
        state[POSITION], state[OUT] = n, n_out
        return True

    return tokenize


@kernel
def absorb(words, ends, counts, table, ids, state) -> Any:
    """Add one table's words to another from ``state[POSITION]`` on; False where it is full.

    Args:
        words: uint8, the words one after the other and 16 bytes to spare.
        ends: int64 (n + 1,), word i is ``words[ends[i]:ends[i + 1]]``.
        counts: int64 (n,).
        table: `Table` that grows.
        ids: int32 (n,), where the ids that the words have there are written.
        state: int64 (8,), advanced.
    """
    seeds, slots, _, _ = table
    mask = np.uint64(slots.size // 4 - 1)
    for i in range(state[POSITION], counts.size):
        ahead = i + _AHEAD
        if ahead < counts.size:
            _, _, at = _key(words, ends[ahead], ends[ahead + 1] - ends[ahead], _0, seeds)
            prefetch_slot(slots, (at & mask) << _2)
        length = ends[i + 1] - ends[i]
        word = _intern(words, ends[i], length, np.uint64(counts[i]), _0, table, state)
        if word < 0:
            state[POSITION] = i
            return False
        ids[i] = word
    state[POSITION] = counts.size
    return True


@kernel
def rehash(table, larger) -> None:
    """Copy all slots of `table` to `larger`, uint64, which is empty."""
    seeds, slots, _, _ = table
    mask = np.uint64(larger.size // 4 - 1)
    for slot in range(0, slots.size, 4):
        if slots[slot + 2]:
            at = fold(slots[slot] ^ seeds[0], slots[slot + 1] ^ seeds[1]) & mask
            while larger[(at << _2) + _2]:
                at = (at + _1) & mask
            for i in range(4):
                larger[(at << _2) + np.uint64(i)] = slots[slot + i]


@kernel
def remap(provisional, ids, out, ends) -> Any:
    """Translate ids, leave out what has none, and note where sentences end.

    Args:
        provisional: int32 (n,), ids, -1 where a line ends.
        ids: int32, the final id of each provisional one, negative for words left out.
        out: int32 (n,), receives the ids that remain.
        ends: int64 (n,), receives the number of ids before each line end, without repetitions.

    Returns:
        The number of ids and the number of ends written.
    """
    n_out = n_ends = 0
    for i in range(provisional.size):
        word = provisional[i]
        if word >= 0:
            out[n_out] = ids[word]
            n_out += ids[word] >= 0
        elif n_ends == 0 or ends[n_ends - 1] != n_out:
            ends[n_ends] = n_out
            n_ends += 1
    return n_out, n_ends
