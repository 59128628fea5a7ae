"""Counting which words stand near which: collect pairs, sort them, add equal ones up, merge.

A *cell* is an entry of the co-occurrence matrix X. Its key is made of the two words, the rarer one
(the higher id) in the upper bits::

    key = rare << (id_bits + sided) | common << sided | side

so that cells in the order of their keys are grouped by their rarer word. Where contexts are
symmetric, X[a, b] = X[b, a] is one cell, and `sided` and `side` are 0. Where only the words to the
left count, `sided` is 1, and `side` is 1 if the left word, whose row the cell is in, is the common
one.

A pair at distance d adds 1/d to its cell. Sums of floats would depend on their order, that is, on
the number of threads and on the memory; so counts are whole numbers of `UNITS` parts until the last
sum is made, and X is the same whatever the machine.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from embedcli.kernels.jit import inlined, kernel

__all__ = ["RADIX", "UNITS", "Counter", "Layout", "add_up", "collect", "merge", "sort_entries"]

UNITS = 1 << 30  # parts of a count of 1: exact to 1e-7 at distance 100, room for 1.7e10 in uint64

_RADIX_BITS = 11
RADIX = 1 << _RADIX_BITS


class Layout(NamedTuple):
    """How keys are made, and what a pair adds.

    Attributes:
        window: words to the left that a word is paired with, at most.
        sided: 0 where X is symmetric, else 1.
        id_bits: bits of a word's id.
        distance_bits: bits of ``distance - 1`` below the key in an entry.
        parts: uint64 (window,), what a pair at distance d adds: ``parts[d - 1]`` `UNITS`-ths.
    """

    window: int
    sided: int
    id_bits: int
    distance_bits: int
    parts: NDArray[np.uint64]


class Counter(NamedTuple):
    """What one thread counts in.

    The cells of frequent words, most of all pairs, are added up in a table at once: of the word
    with id r, the cells with the first ``starts[r + 1] - starts[r]`` partners. All other pairs
    become entries, to be sorted.

    Attributes:
        starts: int64 (H + 2,), where the cells of each of H words begin; the last width is 0, for
            all the words beyond.
        table: uint64 (n_slots + 1,); the last slot takes what is no concern of the table's.
        entries: uint64 (E,), ``key << distance_bits | distance - 1`` of each pair.
        spare: uint64 (E,), for sorting.
    """

    starts: NDArray[np.int64]
    table: NDArray[np.uint64]
    entries: NDArray[np.uint64]
    spare: NDArray[np.uint64]


@kernel
def collect(ids, offsets, begin, end, layout, counter, n_entries) -> Any:
    """Pair each token in ``ids[begin:end]`` with the tokens to its left in its sentence.

    Stops early when the entries are nearly full.

    Args:
        ids: int32 (N,), the text. offsets: int64 (S + 1,), its sentences.
        layout: `Layout`. counter: `Counter`.
        n_entries: how many entries there are already.

    Returns:
        The first token that was not paired, and how many entries there are now.
    """
    window, sided, id_bits = layout.window, layout.sided, layout.id_bits
    distance_bits, parts = layout.distance_bits, layout.parts
    starts, table, entries = counter.starts, counter.table, counter.entries
    beyond = starts.shape[0] - 2
    nowhere = table.shape[0] - 1
    full = entries.shape[0] - window
    sentence = np.searchsorted(offsets, begin, side="right") - 1
    for t in range(begin, end):
        if n_entries > full:
            return t, n_entries
        while offsets[sentence + 1] <= t:
            sentence += 1
        word = np.int64(ids[t])
        for s in range(max(offsets[sentence], t - window), t):
            left = np.int64(ids[s])
            rare, common = max(left, word), min(left, word)
            slot = (common << sided) | (sided & np.int64(left < word))
            row = min(rare, beyond)
            is_in_table = slot < starts[row + 1] - starts[row]
            # No branch: whether a pair is frequent is what no predictor can learn.
            table[starts[row] + slot if is_in_table else nowhere] += parts[t - s - 1]
            key = (rare << (id_bits + sided)) | slot
            entries[n_entries] = np.uint64((key << distance_bits) | (t - s - 1))
            n_entries += np.int64(not is_in_table)
    return end, n_entries


@kernel
def sort_entries(entries, spare, places, n, first_bit, last_bit) -> Any:
    """Sort by the bits from `first_bit` to below `last_bit`, 11 at a time, lowest first.

    Args:
        entries: uint64 (E,), of which the first `n` are sorted. spare: uint64 (E,), overwritten.
        places: int64 (`RADIX`,), overwritten.

    Returns:
        Whether the sorted entries are in `spare`.
    """
    source, target = entries, spare
    n_passes = 0
    for bit in range(first_bit, last_bit, _RADIX_BITS):
        shift = np.uint64(bit)
        mask = np.uint64((1 << min(_RADIX_BITS, last_bit - bit)) - 1)
        places[:] = 0
        for i in range(n):
            places[(source[i] >> shift) & mask] += 1
        total = 0
        for digit in range(RADIX):
            count = places[digit]
            places[digit] = total
            total += count
        for i in range(n):
            digit = (source[i] >> shift) & mask
            target[places[digit]] = source[i]
            places[digit] += 1
        source, target = target, source
        n_passes += 1
    return n_passes % 2 == 1


@kernel
def add_up(entries, n, layout, keys, sums) -> Any:
    """Make cells of sorted entries; returns how many.

    Args:
        entries: uint64 (E,), of which the first `n` count.
        keys: uint64 (E,), receives the keys; may be `entries` itself.
        sums: uint64 (E,), receives the counts in `UNITS`-ths.
    """
    shift = np.uint64(layout.distance_bits)
    mask = np.uint64((1 << layout.distance_bits) - 1)
    last = -1
    for i in range(n):
        entry = entries[i]
        key, part = entry >> shift, layout.parts[entry & mask]
        if last >= 0 and keys[last] == key:
            sums[last] += part
        else:
            last += 1
            keys[last] = key
            sums[last] = part
    return last + 1


@kernel
def merge(keys, sums, cursors, ends, heap, layout, rows, columns, counts) -> Any:
    """Merge sorted runs of cells, and add up those of the same key; returns how many are left.

    Args:
        keys, sums: uint64 (n,), all runs. cursors: int64 (R,), where each run begins; advanced to
            its end. ends: int64 (R,). layout: `Layout`.
        heap: int64 (R,), receives the runs, the one with the lowest key first.
        rows, columns: int32, receive the words of each cell; of a symmetric one the rarer first.
        counts: float32, receives X. A word's own cell counts twice where X is symmetric, as each of
            the two tokens is in the context of the other.
    """
    one = np.uint64(1)
    sided, bits = np.uint64(layout.sided), np.uint64(layout.id_bits)
    id_mask = (one << bits) - one
    n_runs = 0
    for run in range(cursors.shape[0]):
        if cursors[run] < ends[run]:
            heap[n_runs] = run
            n_runs += 1
    for place in range(n_runs // 2 - 1, -1, -1):
        _sift(heap, n_runs, place, keys, cursors)
    n = 0
    while n_runs > 0:
        key = keys[cursors[heap[0]]]
        total = np.uint64(0)
        while n_runs > 0 and keys[cursors[heap[0]]] == key:
            run = heap[0]
            total += sums[cursors[run]]
            cursors[run] += 1
            if cursors[run] == ends[run]:
                n_runs -= 1
                heap[0] = heap[n_runs]
            _sift(heap, n_runs, 0, keys, cursors)
        rare = np.int32(key >> (bits + sided))
        common = np.int32((key >> sided) & id_mask)
        is_turned = (key & sided) == one
        rows[n] = common if is_turned else rare
        columns[n] = rare if is_turned else common
        count = total / UNITS
        counts[n] = count + count if rare == common and sided == np.uint64(0) else count
        n += 1
    return n


@inlined
def _sift(heap, n, place, keys, cursors) -> None:
    """Move the run at `place` down to where no lower key is below it."""
    while 2 * place + 1 < n:
        child = 2 * place + 1
        if child + 1 < n and keys[cursors[heap[child + 1]]] < keys[cursors[heap[child]]]:
            child += 1
        if keys[cursors[heap[place]]] <= keys[cursors[heap[child]]]:
            break
        heap[place], heap[child] = heap[child], heap[place]
        place = child
