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

import numpy as np

from embedcli.kernels.barrier import LINE_ITEMS
from embedcli.kernels.intrinsics.access import unsigned
from embedcli.kernels.jit import inlined

__all__ = [
    "drawers_of",
    "forget_users",
    "no_users",
    "readers_of",
    "users_of_word",
    "with_user",
]

_STREAM_BITS = 8
_READERS = 24  # where the bits begin; slots are below
_DRAWERS = _READERS + _STREAM_BITS
_STAMP = _DRAWERS + _STREAM_BITS
_LAST_STAMP = (1 << (63 - _STAMP)) - 1
_SLOT = (1 << _READERS) - 1


@inlined
def forget_users(marks, stamps, thread) -> None:
    """A new round: what this thread marked is forgotten."""
    stamp = stamps[thread * LINE_ITEMS] + 1
    if stamp > _LAST_STAMP:
        marks[thread] = 0
        stamp = np.int64(1)
    stamps[thread * LINE_ITEMS] = stamp


@inlined
def no_users(stamps, thread) -> Any:
    """The mark of this round that says nothing else."""
    return stamps[unsigned(thread * LINE_ITEMS)] << _STAMP


@inlined
def with_user(mark, w, draws, n) -> Any:
    """The mark of a word that stream `w` draws or reads; its slot, `n` for a new one; if it is new.

    No branches: nothing could predict them.
    """
    reader, drawer = np.int64(1) << (_READERS + w), np.int64(1) << (_DRAWERS + w)
    is_new = mark & (reader | drawer) == 0
    old = mark & _SLOT
    slot = n if is_new else old
    return (mark ^ old) | (drawer if draws else reader) | slot, slot, is_new


@inlined
def users_of_word(marks, stamps, threads, word) -> Any:
    """What all threads together have marked a word with; of the slot, nothing."""
    marked = np.int64(0)
    for thread in range(threads):
        empty = no_users(stamps, thread)
        marked |= max(marks[unsigned(thread), unsigned(word)], empty) - empty
    return marked


@inlined
def readers_of(marked) -> Any:
    """The bits of the streams that have a word in their text."""
    return (marked >> _READERS) & ((1 << _STREAM_BITS) - 1)


@inlined
def drawers_of(marked) -> Any:
    """The bits of the streams that may draw a word."""
    return marked >> _DRAWERS
