"""MurmurHash (Appleby, public domain) over many short texts at once.

`murmur64` is MurmurHash64A, which spaCy gives its words numbers by; `murmur128` is MurmurHash3's
x64 variant of 128 bits, which floret gives n-grams their rows by.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["murmur64", "murmur128"]

Hashes = NDArray[np.uint64]

_U64: Final = np.uint64
_M: Final = _U64(0xC6A4A7935BD1E995)
_C1, _C2 = _U64(0x87C37B91114253D5), _U64(0x4CF5AD432745937F)


def murmur64(texts: Sequence[bytes], seed: int) -> Hashes:
    """Their hashes, uint64 (n,)."""
    return _by_length(texts, 8, lambda words, length: _hash64(words, length, seed)[:, None])[:, 0]


def murmur128(texts: Sequence[bytes], seed: int) -> Hashes:
    """Their hashes, uint64 (n, 2)."""
    return _by_length(texts, 16, lambda words, length: _hash128(words, length, seed))


def _by_length(
    texts: Sequence[bytes], width: int, hashed: Callable[[Hashes, int], Hashes]
) -> Hashes:
    """Hash all texts of a length together: as uint64 (n, words), the last of them filled by 0."""
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    found = np.zeros((len(texts), width // 8), _U64)
    for length in np.unique(lengths).tolist():
        rows = np.flatnonzero(lengths == length)
        padded = length + -length % width or width
        filled = b"".join(texts[row].ljust(padded, b"\0") for row in rows.tolist())
        words = np.frombuffer(filled, "<u8").reshape(len(rows), -1).astype(_U64)
        found[rows] = hashed(words, length)
    return found


def _hash64(words: Hashes, length: int, seed: int) -> Hashes:
    shift = _U64(47)
    with np.errstate(over="ignore"):
        hashes = np.full(len(words), _U64(seed) ^ (_U64(length) * _M))
        for i in range(length // 8):
            mixed = words[:, i] * _M
            mixed = (mixed ^ (mixed >> shift)) * _M
            hashes = (hashes ^ mixed) * _M
        if length % 8:
            hashes = (hashes ^ words[:, length // 8]) * _M
        hashes = (hashes ^ (hashes >> shift)) * _M
        return hashes ^ (hashes >> shift)


def _hash128(words: Hashes, length: int, seed: int) -> Hashes:
    with np.errstate(over="ignore"):
        first, second = np.full(len(words), _U64(seed)), np.full(len(words), _U64(seed))
        for i in range(length // 16):
            first ^= _rotated(words[:, 2 * i] * _C1, 31) * _C2
            first = (_rotated(first, 27) + second) * _U64(5) + _U64(0x52DCE729)
            second ^= _rotated(words[:, 2 * i + 1] * _C2, 33) * _C1
            second = (_rotated(second, 31) + first) * _U64(5) + _U64(0x38495AB5)
        if length % 16 or not length:
            first ^= _rotated(words[:, -2] * _C1, 31) * _C2
            second ^= _rotated(words[:, -1] * _C2, 33) * _C1
        first, second = first ^ _U64(length), second ^ _U64(length)
        first = first + second
        second = second + first
        first, second = _finished(first), _finished(second)
        first = first + second
        return np.stack([first, second + first], axis=1)


def _rotated(values: Hashes, by: int) -> Hashes:
    return (values << _U64(by)) | (values >> _U64(64 - by))


def _finished(values: Hashes) -> Hashes:
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        values = (values ^ (values >> _U64(33))) * _U64(factor)
    return values ^ (values >> _U64(33))
