"""The order of a vocabulary: falling count, then the words' UTF-8 bytes; a few NumPy sorts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from embedcli.text.words import Words

__all__ = ["rank"]


def rank(words: Words) -> NDArray[np.int64]:
    """The order of distinct words, int64 (n,): most frequent first, equal counts by their bytes."""
    falling = -words.counts
    ranked = np.lexsort((*_keys(words, np.arange(len(words)), 0), falling))
    falling = falling[ranked]
    # Runs of equal count and equal first 16 bytes are sorted again by the next 16, and so on.
    group = _groups(falling, *_keys(words, ranked, 0))
    at = 16
    while True:
        tied = np.flatnonzero(_repeats(group))
        if not len(tied):
            return ranked
        members, runs = ranked[tied], group[tied]
        order = np.lexsort((*_keys(words, members, at), runs))
        ranked[tied] = members[order]
        fine = _groups(runs, *_keys(words, ranked[tied], at))
        group = np.full(len(group), -1, np.int64)
        group[tied] = fine
        at += 16


def _keys(words: Words, chosen: NDArray[np.int64], at: int) -> tuple[NDArray[np.uint64], ...]:
    """Bytes at + 8.. and at.. of each word as big-endian numbers, zero padded (last key first)."""
    lengths = words.lengths[chosen] - at
    starts = words.offsets[chosen] + at
    window = np.ndarray((len(words.blob) - 7,), ">u8", words.blob, strides=(1,))
    keys = []
    for shift in (8, 0):
        left = np.clip(lengths - shift, 0, 8)
        loaded = window[np.where(left > 0, starts + shift, 0)].astype(np.uint64)
        unwanted = (64 - 8 * np.maximum(left, 1)).astype(np.uint64)
        keys.append(np.where(left > 0, loaded >> unwanted << unwanted, np.uint64(0)))
    return tuple(keys)


def _groups(*keys: NDArray[np.int64] | NDArray[np.uint64]) -> NDArray[np.int64]:
    """Number the runs of rows in which all keys are equal."""
    differs = np.zeros(len(keys[0]), bool)
    for key in keys:
        differs[1:] |= key[1:] != key[:-1]
    return np.cumsum(differs)


def _repeats(group: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which rows share their group with a neighbour."""
    same = (group[1:] == group[:-1]) & (group[1:] >= 0)
    repeats = np.zeros(len(group), bool)
    repeats[1:] |= same
    repeats[:-1] |= same
    return repeats
