"""Pairs of neighbours in a text of ids: counted, joined, and the text written out again.

A pair (a, b) is the key ``a << 32 | b``. Tables are open addressing with linear probing over a
power of two of slots, at most half of them taken; a slot is free where its value is 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from embedcli.kernels.jit import kernel
from embedcli.kernels.sampling import mix

__all__ = ["count_pairs", "count_words", "insert_pairs", "join_pairs", "write_text"]

_32 = np.uint64(32)
_1 = np.uint64(1)


@kernel
def count_words(ids: Any, counts: Any) -> None:
    """Add to ``counts``, int64 (V,), how often each word occurs in `ids`, int32 (N,)."""
    for i in range(ids.shape[0]):
        counts[ids[i]] += 1


@kernel
def count_pairs(
    ids: Any,
    offsets: Any,
    wanted: Any,
    part: Any,
    n_parts: Any,
    keys: Any,
    counts: Any,
    state: Any,
) -> Any:
    """Count neighbours from where `state` says on; False where the table is full.

    Args:
        ids: int32 (N,).
        offsets: int64 (S + 1,), the lines: neighbours stand in the same one.
        wanted: uint8 (V,), whether pairs with this word are counted.
        part, n_parts: count only the pairs that hash to this part of so many.
        keys: uint64 (C,), C a power of two.
        counts: int64 (C,), the values.
        state: int64 (3,), line, place, and pairs in the table; advanced.
    """
    mask = np.uint64(keys.shape[0] - 1)
    n_taken = state[2]
    t = state[1]
    for s in range(state[0], offsets.shape[0] - 1):
        t = max(t, offsets[s])
        while t < offsets[s + 1] - 1:
            first, second = ids[t], ids[t + 1]
            if wanted[first] & wanted[second]:
                key = np.uint64(first) << _32 | np.uint64(second)
                hashed = mix(key)
                if ((hashed >> _32) * np.uint64(n_parts)) >> _32 == np.uint64(part):
                    slot = hashed & mask
                    while counts[slot] != 0 and keys[slot] != key:
                        slot = (slot + _1) & mask
                    if counts[slot] == 0:
                        if 2 * n_taken >= keys.shape[0]:
                            state[0], state[1], state[2] = s, t, n_taken
                            return False
                        keys[slot] = key
                        n_taken += 1
                    counts[slot] += 1
            t += 1
        t = 0
    state[2] = n_taken
    return True


@kernel
def insert_pairs(keys: Any, values: Any, table_keys: Any, table_values: Any) -> None:
    """Put distinct `keys`, uint64 (n,), with `values` other than 0 into an empty table."""
    mask = np.uint64(table_keys.shape[0] - 1)
    for i in range(keys.shape[0]):
        if values[i] != 0:
            slot = mix(keys[i]) & mask
            while table_values[slot] != 0:
                slot = (slot + _1) & mask
            table_keys[slot] = keys[i]
            table_values[slot] = values[i]


@kernel
def join_pairs(
    ids: Any, offsets: Any, begins: Any, keys: Any, values: Any, out: Any, new_offsets: Any
) -> Any:
    """Replace pairs by words of their own, from left to right; returns how many ids remain.

    A word is part of one pair at most: the first one that it can be. `out` may be `ids`.

    Args:
        ids: int32 (N,).
        offsets: int64 (S + 1,), the lines.
        begins: uint8 (V,), whether any pair begins with this word.
        keys: uint64 (C,), a table of pairs.
        values: int64 (C,), one more than the id of the word that stands for the pair.
        out: int32 (N,), receives the ids.
        new_offsets: int64 (S + 1,), receives the lines.
    """
    mask = np.uint64(keys.shape[0] - 1)
    n = np.int64(0)
    begin = offsets[0]
    for s in range(offsets.shape[0] - 1):
        end = offsets[s + 1]
        new_offsets[s] = n
        t = begin
        while t < end:
            word = np.int64(ids[t])
            t += 1
            if begins[word] and t < end:
                key = np.uint64(word) << _32 | np.uint64(ids[t])
                slot = mix(key) & mask
                while values[slot] != 0 and keys[slot] != key:
                    slot = (slot + _1) & mask
                if values[slot] != 0:
                    word = values[slot] - 1
                    t += 1
            out[n] = word
            n += 1
        begin = end
    new_offsets[offsets.shape[0] - 1] = n
    return n


@kernel
def write_text(ids: Any, offsets: Any, words: Any, ends: Any, out: Any) -> Any:
    """Write lines of words with a space between them; returns the number of bytes.

    Args:
        ids: int32, the text.
        offsets: int64 (S + 1,), the lines to write: ``ids[offsets[s]:offsets[s + 1]]``.
        words: uint8, the words one after the other.
        ends: int64 (V + 1,), word w is ``words[ends[w]:ends[w + 1]]``.
        out: uint8, large enough.
    """
    n = 0
    for s in range(offsets.shape[0] - 1):
        for t in range(offsets[s], offsets[s + 1]):
            for i in range(ends[ids[t]], ends[ids[t] + 1]):
                out[n] = words[i]
                n += 1
            out[n] = 0x20 if t + 1 < offsets[s + 1] else 0x0A
            n += 1
    return n
