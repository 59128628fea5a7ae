"""Pairs of neighbours in a text of ids: counted, joined, and the text written out again.

A pair (a, b) is the key ``a << 32 | b``. Tables are open addressing with linear probing over a
power of two of slots, at most half of them taken; slot i is the key ``slots[2 i]`` and the value
``slots[2 i + 1]``, which is 0 where the slot is free. A table of millions of pairs lies in no
cache: slots are asked for some words before they are needed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from embedcli.kernels.intrinsics.access import prefetch
from embedcli.kernels.intrinsics.text_bytes import load8, store8
from embedcli.kernels.jit import kernel
from embedcli.kernels.sampling import mix

__all__ = [
    "ROOT",
    "count_pairs",
    "count_words",
    "insert_pairs",
    "join_pairs",
    "link_words",
    "write_text",
]

_32 = np.uint64(32)
_1 = np.uint64(1)
ROOT = 2**31 - 1  # what the first connector behind a word is a branch of
_NOTHING = -1
_AHEAD = 12  # words between asking for a slot and using it


@kernel
def count_words(ids, counts) -> None:
    """Add to ``counts``, int64 (V,), how often each word occurs in `ids`, int32 (N,)."""
    for i in range(ids.shape[0]):
        counts[ids[i]] += 1


@kernel
def count_pairs(firsts, seconds, offsets, wanted, part, n_parts, slots, state) -> Any:
    """Count neighbours from where `state` says on; False where the table is full.

    Args:
        firsts: int32 (N,), the words.
        seconds: int32 (N,), each as the neighbour of the word before it.
        offsets: int64 (S + 1,), the lines: neighbours stand in the same one.
        wanted: uint8, whether pairs with this word or neighbour are counted.
        part, n_parts: count only the pairs that hash to this part of so many.
        slots: uint64 (2 C,), the table: pairs and their counts.
        state: int64 (3,), line, place, and pairs in the table; advanced.
    """
    n_slots = slots.shape[0] // 2
    mask = np.uint64(n_slots - 1)
    mine, parts = np.uint64(part), np.uint64(n_parts)
    last = firsts.shape[0] - 1 - _AHEAD
    n_taken = state[2]
    t = state[1]
    for s in range(state[0], offsets.shape[0] - 1):
        t = max(t, offsets[s])
        while t < offsets[s + 1] - 1:
            if t < last:
                ahead = mix(
                    np.uint64(firsts[t + _AHEAD]) << _32 | np.uint64(seconds[t + _AHEAD + 1])
                )
                if ((ahead >> _32) * parts) >> _32 == mine:
                    prefetch(slots, np.int64((ahead & mask) << _1), 1)
            first, second = firsts[t], seconds[t + 1]
            if wanted[first] & wanted[second]:
                key = np.uint64(first) << _32 | np.uint64(second)
                hashed = mix(key)
                if ((hashed >> _32) * parts) >> _32 == mine:
                    at = (hashed & mask) << _1
                    while slots[at + _1] != 0 and slots[at] != key:
                        at = ((at >> _1) + _1 & mask) << _1
                    if slots[at + _1] == 0:
                        if 2 * n_taken >= n_slots:
                            state[0], state[1], state[2] = s, t, n_taken
                            return False
                        slots[at] = key
                        n_taken += 1
                    slots[at + _1] += _1
            t += 1
        t = 0
    state[2] = n_taken
    return True


@kernel
def insert_pairs(pairs, slots) -> None:
    """Put distinct `pairs`, laid out like a table, uint64 (2 n,), into the empty table `slots`.

    Pairs with the value 0 are left out, so that a table may be put into a larger one.
    """
    mask = np.uint64(slots.shape[0] // 2 - 1)
    for i in range(0, pairs.shape[0], 2):
        if pairs[i + 1] != 0:
            at = (mix(pairs[i]) & mask) << _1
            while slots[at + _1] != 0:
                at = ((at >> _1) + _1 & mask) << _1
            slots[at] = pairs[i]
            slots[at + _1] = pairs[i + 1]


@kernel
def _find(slots, first, second) -> Any:
    """The value of a pair, or 0."""
    mask = np.uint64(slots.shape[0] // 2 - 1)
    key = np.uint64(first) << _32 | np.uint64(second)
    at = (mix(key) & mask) << _1
    while slots[at + _1] != 0 and slots[at] != key:
        at = ((at >> _1) + _1 & mask) << _1
    return np.int64(slots[at + _1])


@kernel
def _branch(tree, node, word, connects, state) -> Any:
    """The node of `word` behind `node`, which is made if it is new; 0 where the tree is full."""
    n_slots = tree.shape[0] // 2
    mask = np.uint64(n_slots - 1)
    key = np.uint64(node) << _32 | np.uint64(word)
    at = (mix(key) & mask) << _1
    while tree[at + _1] != 0 and tree[at] != key:
        at = ((at >> _1) + _1 & mask) << _1
    if tree[at + _1] == 0:
        if 2 * state[2] >= n_slots:
            return np.int64(0)
        tree[at] = key
        tree[at + _1] = np.uint64(connects.shape[0] + state[2])
        state[2] += 1
    return np.int64(tree[at + _1])


@kernel
def link_words(ids, offsets, connects, tree, state, firsts, seconds, new_offsets) -> Any:
    """Leave connectors out, and link words by way of them; False where the tree is full.

    Args:
        ids: int32 (N,), the text.
        offsets: int64 (S + 1,), the lines to be linked, ``ids[offsets[s]:offsets[s + 1]]``.
        connects: uint8 (V,), which words are connectors.
        tree: uint64 (2 C,), the table of the branches: a node and a word, and the node they are.
        state: int64 (3,), the line to go on with, words written before it, nodes; advanced.
        firsts: int32, receives the words.
        seconds: int32, receives them as neighbours of the words before them.
        new_offsets: int64 (S + 1,), receives the lines.
    """
    n = state[1]
    for s in range(state[0], offsets.shape[0] - 1):
        begin = n
        new_offsets[s] = n
        node = np.int64(_NOTHING)
        for t in range(offsets[s], offsets[s + 1]):
            word = np.int64(ids[t])
            neighbour = word
            if node >= 0 or (connects[word] and n > begin):
                neighbour = _branch(tree, node if node >= 0 else ROOT, word, connects, state)
                if neighbour == 0:
                    state[0], state[1] = s, begin
                    return False
            if connects[word]:
                node = neighbour if n > begin else np.int64(_NOTHING)
            else:
                firsts[n], seconds[n] = word, neighbour
                n += 1
                node = np.int64(_NOTHING)
    new_offsets[offsets.shape[0] - 1] = n
    return True


@kernel
def join_pairs(ids, offsets, connects, tree, begins, slots, out, new_offsets) -> Any:
    """Replace pairs by words of their own, from left to right; returns how many ids remain.

    A word is part of one pair at most: the first one that it can be. `out` may be `ids`.

    Args:
        ids: int32 (N,).
        offsets: int64 (S + 1,), the lines.
        connects: uint8 (V,), which words are connectors.
        tree: uint64 (2 D,), the table of the branches, as in `link_words`.
        begins: uint8 (V,), whether any pair begins with this word.
        slots: uint64 (2 C,), the table: pairs, and one more than the id of the word that each is.
        out: int32 (N,), receives the ids.
        new_offsets: int64 (S + 1,), receives the lines.
    """
    n = np.int64(0)
    begin = offsets[0]
    for s in range(offsets.shape[0] - 1):
        end = offsets[s + 1]
        new_offsets[s] = n
        start = begin  # of what may become a pair, and is not written yet
        first = np.int64(_NOTHING)  # the word there, if it begins any
        node = np.int64(ROOT)
        for t in range(begin, end):
            word = np.int64(ids[t])
            if first >= 0 and connects[word]:
                node = _find(tree, node, word) if node > 0 else np.int64(0)
                continue
            if first >= 0:
                second = word
                if t > start + 1:
                    second = _find(tree, node, word) if node > 0 else np.int64(_NOTHING)
                joined = np.int64(0)
                if second > 0 or t == start + 1:
                    joined = _find(slots, first, second)
                if joined != 0:
                    out[n] = joined - 1
                    n += 1
                    start = t + 1
                    first = np.int64(_NOTHING)
                    continue
            for k in range(start, t):
                out[n] = ids[k]
                n += 1
            start = t
            first = np.int64(_NOTHING)
            if begins[word]:
                first = word
                node = np.int64(ROOT)
        for k in range(start, end):
            out[n] = ids[k]
            n += 1
        begin = end
    new_offsets[offsets.shape[0] - 1] = n
    return n


@kernel
def write_text(ids, offsets, words, ends, out) -> Any:
    """Write lines of words with a space between them; returns the number of bytes.

    Args:
        ids: int32, the text.
        offsets: int64 (S + 1,), the lines to write: ``ids[offsets[s]:offsets[s + 1]]``.
        words: uint8, the words one after the other, and 8 bytes to spare.
        ends: int64 (V + 1,), word w is ``words[ends[w]:ends[w + 1]]``.
        out: uint8, large enough, with 8 bytes to spare.
    """
    n = 0
    for s in range(offsets.shape[0] - 1):
        for t in range(offsets[s], offsets[s + 1]):
            begin = ends[ids[t]]
            length = ends[ids[t] + 1] - begin
            for i in range(0, length, 8):
                store8(out, n + i, load8(words, begin + i))
            n += length
            out[n] = 0x20 if t + 1 < offsets[s + 1] else 0x0A
            n += 1
    return n
