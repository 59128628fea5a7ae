"""Counts word pairs in windows, within a memory budget.

Each thread adds up pairs of frequent words in a table of its own and collects all other pairs in a
buffer. A full buffer is sorted, equal pairs are added up, and the result, a run, goes to disk. At
the end the tables become one more run, and all are merged (`runs.py`). The result depends neither
on the number of threads nor on the memory.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embedcli.cooccurrence.cells import CellFiles, Cooccurrences
from embedcli.cooccurrence.runs import Runs, compile_merging
from embedcli.errors import ResourceError
from embedcli.files.memory import memory_size
from embedcli.kernels.cooccurrence import (
    RADIX,
    UNITS,
    Counter,
    Layout,
    add_up,
    collect,
    sort_entries,
)
from embedcli.progress import OnProgress, Progress, ignore_progress
from embedcli.text.corpus import Corpus
from embedcli.text.ordered_pool import OrderedPool

__all__ = [
    "compile_counting",
    "count_cooccurrences",
    "counting_memory",
    "expected_cells",
    "make_layout",
]

_MEMORY_SHARE, _MEMORY_MOST = 8, 2 << 30
TOKENS_AT_ONCE = 1 << 16
SLOTS_AT_ONCE = 1 << 20
SENTENCES_AT_ONCE = 1 << 20
_PAIRS_FOR_A_SLOT = 16
FEWEST_ENTRIES, _MOST_ENTRIES = 1 << 12, 1 << 23
_NUMBER = 8  # bytes of a slot, an entry
_KINDS = 8  # of words, by their counts, from one power of two to the next
_MOST_BITS = 63


def counting_memory(memory: int | None, n_pairs: int, threads: int) -> int:
    """The bytes that the tables and buffers of counting take, all threads together.

    Args:
        memory: as in `count_cooccurrences`.
        n_pairs: pairs of tokens.
        threads: how many count.
    """
    n_slots, n_entries = _sizes(memory, n_pairs, threads)
    return threads * (n_slots + 2 * n_entries) * _NUMBER


def _sizes(memory: int | None, n_pairs: int, threads: int) -> tuple[int, int]:
    """How many slots the table of a thread has, and how many entries its buffer.

    No more than are of use: a larger table is slower, as it is not in the cache and its memory has
    to be had page by page (a million tokens took five times as long with 2 GiB).
    """
    share = (memory or min(memory_size() // _MEMORY_SHARE, _MEMORY_MOST)) // threads // _NUMBER
    n_slots = min(share // 2, n_pairs // threads // _PAIRS_FOR_A_SLOT)
    n_entries = min(share // 4, n_pairs // threads, _MOST_ENTRIES)
    return n_slots, n_entries


def count_cooccurrences(
    corpus: Corpus,
    *,
    window: int,
    symmetric: bool = True,
    distance_weighting: bool = True,
    threads: int = 1,
    memory: int | None = None,
    scratch: Path | None = None,
    on_progress: OnProgress = ignore_progress,
) -> Cooccurrences:
    """Count the pairs of words of a text, as `cooccur` of GloVe (Pennington et al. 2014) does.

    A token is paired with each of up to `window` tokens to its left in its sentence. At distance d
    that adds 1/d to X[left, right] and, where `symmetric`, to X[right, left].

    Args:
        corpus: the text as ids; tokens out of the vocabulary are not in it and count no distance.
        window: tokens to the left.
        symmetric: whether a word's context is on both sides of it, or on one.
        distance_weighting: whether a pair adds 1/d, or 1.
        threads: how many count.
        memory: bytes that counting may take; by default an eighth of what there is, 2 GiB at most.
        scratch: directory for temporary files.
        on_progress: called with `Progress` reports.

    Raises:
        ResourceError: the disk is full, or the vocabulary has more words than a cell's key has room
            for (2^28).
    """
    layout = make_layout(
        len(corpus.vocabulary), window, symmetric=symmetric, distance_weighting=distance_weighting
    )
    n_pairs, n_alone = _census(corpus.offsets, window)
    sizes = _sizes(memory, n_pairs, threads)
    with Runs(scratch) as runs, CellFiles(scratch) as files:
        _collect(corpus, layout, sizes, runs, threads, on_progress)
        runs.merge(layout, files, threads, on_progress)
        return Cooccurrences(files, is_symmetric=symmetric, n_pairs=n_pairs, n_alone=n_alone)


def expected_cells(counts: NDArray[np.int64], n_pairs: int, *, symmetric: bool) -> int:
    """About how many cells a text will have, from the counts of its words alone.

    As many as if its words stood in random order: a pair of words that is expected k times among
    the pairs of tokens occurs at all with probability 1 - exp(-k). Real texts repeat themselves,
    and have fewer.

    Args:
        counts: int64 (V,).
        n_pairs: pairs of tokens.
        symmetric: whether the order of two words does not matter.
    """
    counts = counts[counts > 0]
    kind, size = np.unique(np.floor(_KINDS * np.log2(counts)), return_counts=True)
    share = np.exp2((kind + 0.5) / _KINDS) / counts.sum()
    expected = -np.expm1(-n_pairs * np.outer(share, share) * (2 if symmetric else 1))
    n_cells = float((np.outer(size, size) * expected).sum()) / (2 if symmetric else 1)
    return int(min(n_cells, n_pairs))


def compile_counting() -> None:
    """Compile the kernels of counting, or load them from the cache."""
    layout = make_layout(2, 1, symmetric=True, distance_weighting=True)
    words, numbers = np.zeros(1, np.int32), np.zeros(2, np.uint64)
    counter = Counter(np.zeros(2, np.int64), numbers[:1].copy(), numbers, numbers.copy())
    collect(words, np.array([0, 1]), 0, 1, layout, counter, 0)
    sort_entries(numbers, numbers.copy(), np.empty(RADIX, np.int64), 0, 0, 1)
    add_up(numbers, 0, layout, numbers, numbers.copy())
    compile_merging(layout)


def make_layout(n_words: int, window: int, *, symmetric: bool, distance_weighting: bool) -> Layout:
    """How the keys of `n_words` words are made.

    Raises:
        ResourceError: two ids and a distance do not fit in a key.
    """
    id_bits = max(1, (n_words - 1).bit_length())
    sided = int(not symmetric)
    distance_bits = (window - 1).bit_length()
    if 2 * id_bits + sided + distance_bits > _MOST_BITS:
        raise ResourceError(
            f"pairs of {n_words:,} words at {window} distances cannot be counted; "
            "try --max-vocab 100000000"
        )
    distances = np.arange(1, window + 1) if distance_weighting else np.ones(window)
    parts = np.rint(UNITS / distances).astype(np.uint64)
    return Layout(window, sided, id_bits, distance_bits, parts)


def _census(offsets: NDArray[np.int64], window: int) -> tuple[int, int]:
    """How many pairs of tokens there are, and how many tokens are alone in their sentence."""
    n_pairs = n_alone = 0
    for first in range(0, len(offsets) - 1, SENTENCES_AT_ONCE):
        lengths = np.diff(offsets[first : first + SENTENCES_AT_ONCE + 1])
        short = np.minimum(lengths, window)
        n_pairs += int((short * (short - 1) // 2 + (lengths - short) * window).sum())
        n_alone += int(np.count_nonzero(lengths == 1))
    return n_pairs, n_alone


def _collect(
    corpus: Corpus,
    layout: Layout,
    sizes: tuple[int, int],
    runs: Runs,
    threads: int,
    on_progress: OnProgress,
) -> None:
    """Count every pair into runs; `sizes` are slots and entries of a thread."""
    n_tokens = len(corpus.ids)
    begins = range(0, n_tokens, TOKENS_AT_ONCE)
    stretches = iter(itertools.pairwise([*begins, n_tokens]))
    n_slots, n_entries = sizes[0], max(sizes[1], FEWEST_ENTRIES) + layout.window
    starts = _table_starts(len(corpus.vocabulary), n_slots, layout.sided)
    workers = [_Worker(corpus, layout, starts, n_entries, runs) for _ in range(threads)]

    def report() -> None:
        corpus.release()
        on_progress(Progress("counting", sum(w.n_tokens for w in workers), n_tokens))

    pool = OrderedPool(lambda: None)
    pool.run([partial(worker.count, pool, stretches) for worker in workers], report)
    first, *others = workers
    for worker in others:
        first.counter.table[:] += worker.counter.table
    _table_as_run(first.counter, layout, runs)


class _Worker:
    """What one thread counts in."""

    def __init__(
        self,
        corpus: Corpus,
        layout: Layout,
        starts: NDArray[np.int64],
        n_entries: int,
        runs: Runs,
    ) -> None:
        self.n_tokens = 0
        self.counter = Counter(
            starts,
            np.zeros(starts[-1] + 1, np.uint64),
            np.empty(n_entries, np.uint64),
            np.empty(n_entries, np.uint64),
        )
        self._places = np.empty(RADIX, np.int64)
        self._corpus, self._layout, self._runs = corpus, layout, runs

    def count(self, pool: OrderedPool, stretches: Iterator[tuple[int, int]]) -> None:
        """Count stretches of the text as long as there are any."""
        ids, offsets, n_entries = self._corpus.ids, self._corpus.offsets, 0
        for begin, end in stretches:
            place = begin
            while place < end and not pool.stopped:
                place, n_entries = collect(
                    ids, offsets, place, end, self._layout, self.counter, n_entries
                )
                if place < end:
                    self._spill(n_entries)
                    n_entries = 0
            if pool.stopped:
                return
            self.n_tokens += end - begin
        self._spill(n_entries)

    def _spill(self, n_entries: int) -> None:
        """Make a run of the entries."""
        layout, entries, spare = self._layout, self.counter.entries, self.counter.spare
        first = layout.distance_bits
        last = first + 2 * layout.id_bits + layout.sided
        if sort_entries(entries, spare, self._places, n_entries, first, last):
            entries, spare = spare, entries
        n_cells = add_up(entries, n_entries, layout, entries, spare)
        self._runs.append(entries[:n_cells], spare[:n_cells])


def _table_starts(n_words: int, n_slots: int, sided: int) -> NDArray[np.int64]:
    """Where the cells of each word begin in a table of at most `n_slots` cells (`Counter`).

    Of words r and c the table holds those with (r + 1) (c + 1) up to a limit, as frequent pairs are
    those whose ranks have a small product.
    """
    ranks = np.arange(1, min(n_words, n_slots) + 1)

    def widths(limit: int) -> NDArray[np.int64]:
        return np.minimum(ranks, limit // ranks) << sided

    low, high = 0, n_words * n_words + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if widths(middle).sum() <= n_slots else (low, middle)
    found = widths(low)
    found = found[found > 0]
    return np.concatenate([[0], np.cumsum(found), [found.sum()]]).astype(np.int64)


def _table_as_run(counter: Counter, layout: Layout, runs: Runs) -> None:
    """Write what is in the table; its order is that of the keys."""
    runs.append(np.empty(0, np.uint64), np.empty(0, np.uint64))
    for first in range(0, int(counter.starts[-1]), SLOTS_AT_ONCE):
        slots = first + np.flatnonzero(counter.table[first : first + SLOTS_AT_ONCE])
        slots = slots[slots < counter.starts[-1]]
        rare = np.searchsorted(counter.starts, slots, side="right") - 1
        slot_of_word = slots - counter.starts[rare]
        keys = (rare << (layout.id_bits + layout.sided)) | slot_of_word
        runs.append(keys.astype(np.uint64), counter.table[slots], goes_on=True)
