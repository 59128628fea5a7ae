"""Marks of words: which streams read a word in a round, and which may draw it.

Each thread marks in a table of its own, so that nothing has to be atomic, and reads those of all
others when they are done. A mark is one number: a *stamp* of the round in its highest bits, then a
bit for each stream that may draw the word, then one for each that has it in its text, then the
word's slot in the list of the stream that is being listed. Stamps grow, so a mark of an earlier
round is less than any of this one, and `max` with the empty mark of this round forgets it: tables
are cleared only when stamps run out.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from embedcli.kernels.jit import at

__all__ = [
    "LINE_ITEMS",
    "all_marks",
    "begin_marks",
    "drawers_of",
    "empty_mark",
    "readers_of",
    "with_drawer",
    "with_reader",
]

LINE_ITEMS = 8  # int64 items in a cache line
_STREAM_BITS = 8
_READERS = 24  # where the bits begin; slots are below
_DRAWERS = _READERS + _STREAM_BITS
_STAMP = _DRAWERS + _STREAM_BITS
_LAST_STAMP = (1 << (63 - _STAMP)) - 1
_SLOT = (1 << _READERS) - 1


@numba.njit(inline="always")
def begin_marks(marks: Any, stamps: Any, thread: Any) -> None:
    """A new round: what this thread marked is forgotten."""
    stamp = stamps[thread * LINE_ITEMS] + 1
    if stamp > _LAST_STAMP:
        marks[thread] = 0
        stamp = np.int64(1)
    stamps[thread * LINE_ITEMS] = stamp


@numba.njit(inline="always")
def empty_mark(stamps: Any, thread: Any) -> Any:
    """The mark of this round that says nothing else."""
    return stamps[at(thread * LINE_ITEMS)] << _STAMP


@numba.njit(inline="always")
def with_reader(mark: Any, w: Any, n: Any) -> Any:
    """The mark of a word in the text of stream `w`, its slot (`n` if it is new), and if it is."""
    bit = np.int64(1) << (_READERS + w)
    return _with_slot(mark, bit, bit, n)


@numba.njit(inline="always")
def with_drawer(mark: Any, w: Any, n: Any) -> Any:
    """The same of a word that stream `w` may draw."""
    reads, draws = np.int64(1) << (_READERS + w), np.int64(1) << (_DRAWERS + w)
    return _with_slot(mark, draws, reads | draws, n)


@numba.njit(inline="always")
def _with_slot(mark: Any, bit: Any, known_by: Any, n: Any) -> Any:
    is_new = mark & known_by == 0
    old = mark & _SLOT
    slot = n if is_new else old
    return (mark ^ old) | bit | slot, slot, is_new


@numba.njit(inline="always")
def all_marks(marks: Any, stamps: Any, threads: Any, word: Any) -> Any:
    """What all threads together have marked a word with; of the slot, nothing."""
    marked = np.int64(0)
    for thread in range(threads):
        empty = empty_mark(stamps, thread)
        marked |= max(marks[at(thread), at(word)], empty) - empty
    return marked


@numba.njit(inline="always")
def readers_of(marked: Any) -> Any:
    """The bits of the streams that have a word in their text."""
    return (marked >> _READERS) & ((1 << _STREAM_BITS) - 1)


@numba.njit(inline="always")
def drawers_of(marked: Any) -> Any:
    """The bits of the streams that may draw a word."""
    return marked >> _DRAWERS
