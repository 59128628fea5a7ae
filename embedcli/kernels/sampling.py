"""Every random choice of training: which words stay, how wide a window is, which negatives.

Random numbers are counter-based: the i-th number of a stream is ``mix(key + i * GOLDEN)``
(SplitMix64, Steele, Lea & Flood 2014), and a key is made from (seed, epoch, chunk). Nothing is
carried from chunk to chunk, so any number of threads draws the same samples, and a run that was
interrupted draws them again.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from embedcli.kernels.jit import kernel

__all__ = [
    "GOLDEN",
    "RADIUS",
    "Noise",
    "Staged",
    "at_pool",
    "draw_outputs",
    "draw_radius",
    "draw_shared",
    "fill_pool",
    "mix",
    "stage",
]

GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio: consecutive counters far apart
RADIUS = np.uint64(0xD1B54A32D192ED03)  # separates the window stream from the subsampling stream

_SCATTER_ROUNDS = 5  # with 3, pairs of neighbours in the pool are visibly dependent; 4 pass
_DRAWS_BEFORE_SEARCH = 64  # in vain, before the next free word is taken instead

# A stretch of the pool, enough for 16 windows, is read four times before the next one: the rows of
# its words are fetched from memory once and then still lie in the second-level cache. Windows that
# share a negative are 16 words apart, so no context word meets fewer different negatives than it
# would otherwise; the scores do not change (docs/training.md).
STRETCH_WINDOWS = 16
STRETCH_READINGS = 4


class Staged(NamedTuple):
    """The words of a chunk that survived subsampling.

    Attributes:
        kept: int32 (n,), word ids.
        first, last: int32 (n,), the bounds in `kept` of the sentence each word stands in.
    """

    kept: NDArray[np.int32]
    first: NDArray[np.int32]
    last: NDArray[np.int32]


class Noise(NamedTuple):
    """Where negatives come from.

    Attributes:
        pool: int32 (P,), word ids in the proportions of the noise distribution, shuffled; read one
            after the other, because a draw at random would miss every cache.
        cursor: int64 (3,), the next item to read, the end of the stretch it is in, and how often
            that is to be read again.
    """

    pool: NDArray[np.int32]
    cursor: NDArray[np.int64]


def at_pool(pool: NDArray[np.int32], position: int) -> Noise:
    """The noise read from `position` of `pool` on."""
    return Noise(pool, np.array([position, position, 0], np.int64))


@numba.njit(inline="always")
def mix(z: Any) -> Any:
    """SplitMix64's finaliser: uint64 to uint64, every input bit changes half the output bits."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@kernel
def stage(tokens: Any, offsets: Any, keep: Any, key: Any, staged: Any) -> Any:
    """Subsample a chunk; returns how many words stay.

    Args:
        tokens: int32 (n,), the chunk's words.
        offsets: int64 (S + 1,), its sentences: ``tokens[offsets[s]:offsets[s + 1]]``.
        keep: uint32 (V,), word w stays when 32 random bits are at most ``keep[w]``.
        key: uint64, the chunk's random key.
        staged: `Staged`, at least n long; receives the result.
    """
    n = np.int64(0)
    counter = key
    for s in range(offsets.shape[0] - 1):
        begin = n
        for t in range(offsets[s], offsets[s + 1]):
            word = tokens[t]
            counter += GOLDEN
            staged.kept[n] = word
            # No branch: whether a word stays is a coin toss no predictor can learn.
            n += np.int64(np.uint32(mix(counter) >> np.uint64(32)) <= keep[word])
        for i in range(begin, n):
            staged.first[i] = begin
            staged.last[i] = n
    return n


@numba.njit(inline="always")
def draw_radius(key: Any, position: Any, window: Any) -> Any:
    """A window radius, uniform on 1..window (word2vec's dynamic window)."""
    bits = mix(key + np.uint64(position) * RADIUS) >> np.uint64(32)
    return window - np.int64((bits * np.uint64(window)) >> np.uint64(32))


@numba.njit(inline="always")
def draw_outputs(
    centre: Any, noise: Any, n_outputs: Any, stride: Any, n_words: Any, rows: Any, first: Any
) -> None:
    """Write the offsets of `n_outputs` distinct output rows to `rows` from `first` on.

    The centre word comes first; a negative equal to it or to an earlier one is drawn again,
    because a block stores each of its output rows once. Should a distribution be so steep that
    draws keep coming up taken, the next free word is: it ends as long as V >= `n_outputs`.
    """
    pool = noise.pool
    cursor = noise.cursor[0]
    rows[first] = centre * stride
    k = 1
    in_vain = 0
    while k < n_outputs:
        if cursor == noise.cursor[1]:
            cursor = _next_stretch(noise, n_outputs - 1)
        row = np.int64(pool[cursor]) * stride
        cursor += 1
        taken = _is_taken(row, rows, first, k)
        if taken:
            in_vain += 1
            if in_vain > _DRAWS_BEFORE_SEARCH:
                while _is_taken(row, rows, first, k):
                    row = (row + stride) % (n_words * stride)
                taken = False
        if not taken:
            rows[first + k] = row
            k += 1
    noise.cursor[0] = cursor


@numba.njit(inline="always")
def draw_shared(noise: Any, n_negatives: Any, stride: Any, rows: Any, first: Any) -> None:
    """Write the offsets of the next `n_negatives` output rows of the pool to `rows`, as they come.

    Repeats and the words to predict are kept: who uses these updates one output after the other,
    and with n words to predict, each negative may be any of the others.
    """
    cursor = noise.cursor[0]
    for k in range(n_negatives):
        if cursor == noise.cursor[1]:
            cursor = _next_stretch(noise, n_negatives)
        rows[first + k] = np.int64(noise.pool[cursor]) * stride
        cursor += 1
    noise.cursor[0] = cursor


@numba.njit(inline="always")
def _next_stretch(noise: Any, n_negatives: Any) -> Any:
    """Where to read on at the end of a stretch.

    It is one item longer than 16 windows need, so that the same negatives do not meet in one window
    again at the next reading.
    """
    length = min(STRETCH_WINDOWS * n_negatives + 1, noise.pool.shape[0])
    if noise.cursor[2] > 0:
        noise.cursor[2] -= 1
    else:
        noise.cursor[2] = STRETCH_READINGS - 1
        begin = noise.cursor[1]
        if begin + length > noise.pool.shape[0]:
            begin = 0
        noise.cursor[1] = begin + length
    return noise.cursor[1] - length


@numba.njit(inline="always")
def _is_taken(row: Any, rows: Any, first: Any, n: Any) -> Any:
    taken = False
    for k in range(n):
        taken |= rows[first + k] == row
    return taken


@kernel
def fill_pool(cumulative: Any, phase: Any, key: Any, pool: Any) -> None:
    """Fill `pool` with word ids in exact noise proportions, in pseudo-random order.

    Word w gets every slot i with ``cumulative[w - 1] <= (i + phase) / P < cumulative[w]``, so its
    share is off by less than one slot; slot i then goes to a place given by a keyed bijection on
    0..P-1 (P a power of two), which scatters as well as a shuffle for what negatives need and
    costs one pass.

    Args:
        cumulative: float64 (V,), the cumulative noise distribution; its last value is 1.
        phase: float64 in [0, 1).
        key: uint64.
        pool: int32 (P,), P a power of two of at least 2^8.
    """
    size = np.uint64(pool.shape[0])
    mask = size - np.uint64(1)
    bits = np.uint64(0)
    while (np.uint64(1) << bits) < size:
        bits += np.uint64(1)
    half = (bits + np.uint64(1)) >> np.uint64(1)
    word = 0
    for i in range(pool.shape[0]):
        point = (i + phase) / pool.shape[0]
        while word < cumulative.shape[0] - 1 and point >= cumulative[word]:
            word += 1
        place = np.uint64(i)
        for r in range(_SCATTER_ROUNDS):
            odd = mix(key + np.uint64(r) * GOLDEN) | np.uint64(1)
            place = (place * odd) & mask
            place ^= place >> half
        pool[place] = word
