"""Every random choice of training: which words stay, how wide a window is, which negatives.

Random numbers are counter-based: the i-th number of a stream is ``mix(key + i * GOLDEN)``
(SplitMix64, Steele, Lea & Flood 2014), and a key is made from (seed, epoch, chunk). Nothing is
carried from word to word: what is drawn for one depends on its place in the chunk alone. So any
number of threads draws the same samples, whoever stages which word, and a run that was interrupted
draws them again.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from embedcli.kernels.intrinsics.access import unsigned
from embedcli.kernels.intrinsics.matrix_rows import SPARE
from embedcli.kernels.jit import inlined, kernel

__all__ = [
    "GOLDEN",
    "KEPT_BLOCK",
    "RADIUS",
    "ROUND_STRETCH",
    "STRETCH_WINDOWS",
    "Noise",
    "Staged",
    "count_kept",
    "draw_in_stretch",
    "draw_outputs",
    "draw_radius",
    "draw_shared",
    "fill_pool",
    "make_staged",
    "mix",
    "shuffle",
    "stage",
    "stretch_items",
    "stretch_windows",
    "windows_of_stretch",
]

GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio: consecutive counters far apart
RADIUS = np.uint64(0xD1B54A32D192ED03)  # separates the window stream from the subsampling stream

_SCATTER_ROUNDS = 5  # with 3, pairs of neighbours in the pool are visibly dependent; 4 pass
_DRAWS_BEFORE_SEARCH = 64  # in vain, before the next free word is taken instead

# A stretch of the pool, enough for 16 windows (for wide ones, more: `stretch_windows`), is read
# eight times before the next one: the rows of its words are fetched from memory once and then still
# lie in the second-level cache. Windows that share a negative are 16 words apart, so no context
# word meets fewer different negatives than it would otherwise; the scores do not change
# (docs/training.md).
STRETCH_WINDOWS = 16
STRETCH_READINGS = 8
# In rounds each word of a stretch is listed, and copied if another stream has it, so they read one
# more often (`rounds.py`).
ROUND_READINGS = 16
ROUND_STRETCH = STRETCH_WINDOWS * ROUND_READINGS  # words in a row that draw from one
_PLAIN_STRETCH = STRETCH_WINDOWS * STRETCH_READINGS

# Negatives that several words to predict share are eight times as many, and their rows half of what
# a window takes: fewer windows share a stretch, and it is read more often.
SHARED_WINDOWS = 12
SHARED_READINGS = 8

KEPT_BLOCK = 512  # tokens counted together by `count_kept`
_KEPT_STEP = 8


class Staged(NamedTuple):
    """The words of a chunk that survived subsampling; `make_staged` makes room for them.

    Attributes:
        kept: int32 (n + `SPARE`,), word ids.
        first, last: int32 (n,), the bounds in `kept` of the sentence each word stands in.
    """

    kept: NDArray[np.int32]
    first: NDArray[np.int32]
    last: NDArray[np.int32]


def make_staged(n: int) -> Staged:
    """Room for a chunk of `n` words."""
    return Staged(np.zeros(n + SPARE, np.int32), np.empty(n, np.int32), np.empty(n, np.int32))


class Noise(NamedTuple):
    """Where the negatives of a chunk come from.

    Attributes:
        pool: int32 (P,), word ids in the proportions of the noise distribution, shuffled; read one
            after the other, because a draw at random would miss every cache.
        begin: int64, where the chunk begins to read.
        key: uint64, for the few draws at random.
    """

    pool: NDArray[np.int32]
    begin: np.int64
    key: np.uint64


@inlined
def mix(z) -> Any:
    """SplitMix64's finaliser: uint64 to uint64, every input bit changes half the output bits."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@kernel
def shuffle(tokens, offsets, key, shuffled) -> None:
    """Shuffle the words of each line of a chunk (Fisher & Yates, from the inside out).

    Args:
        tokens: int32 (n,), the chunk's words.
        offsets: int64 (S + 1,), its lines: ``tokens[offsets[s]:offsets[s + 1]]``.
        key: uint64, the chunk's random key.
        shuffled: int32, at least n long; receives the words.
    """
    counter = key
    for s in range(offsets.shape[0] - 1):
        begin = offsets[s]
        for t in range(begin, offsets[s + 1]):
            counter += GOLDEN
            n_choices = np.uint64(t - begin + 1)
            place = begin + np.int64(((mix(counter) >> np.uint64(32)) * n_choices) >> np.uint64(32))
            shuffled[t] = shuffled[place]
            shuffled[place] = tokens[t]


@kernel
def stage(tokens, offsets, keep, key, staged) -> Any:
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


@kernel
def count_kept(tokens, keep, kept) -> None:
    """How many tokens of each `KEPT_BLOCK` will stay, nearly: those of a sample are expected to.

    Args:
        tokens: int32 (n,). keep: as in `stage`.
        kept: float64 (n / `KEPT_BLOCK`, rounded up,), receives the result.
    """
    n = tokens.shape[0]
    for block in range(kept.shape[0]):
        total, n_counted = 0.0, 0
        begin, end = block * KEPT_BLOCK, min(n, (block + 1) * KEPT_BLOCK)
        for t in range(begin, end, _KEPT_STEP):
            total += keep[unsigned(tokens[unsigned(t)])]
            n_counted += 1
        kept[block] = total * (end - begin) / (n_counted * float(0xFFFFFFFF))


@inlined
def draw_radius(key, position, window) -> Any:
    """A window radius, uniform on 1..window (word2vec's dynamic window)."""
    bits = mix(key + np.uint64(position) * RADIUS) >> np.uint64(32)
    return window - np.int64((bits * np.uint64(window)) >> np.uint64(32))


def stretch_windows(window: int) -> int:
    """Windows that a stretch is enough for, where the widest has this radius.

    As many as a word is in, so that it does not meet the same negatives again in one of them.
    """
    n_windows = STRETCH_WINDOWS
    while n_windows < 2 * window and n_windows < ROUND_STRETCH:
        n_windows *= 2
    return n_windows


windows_of_stretch = inlined(stretch_windows)  # the same for kernels


@inlined
def draw_outputs(
    centre, position, noise, n_windows, n_outputs, stride, n_words, rows, first
) -> None:
    """Write the offsets of `n_outputs` distinct output rows to `rows` from `first` on.

    The centre word comes first. The K negatives of the word at `position` are the K items of its
    stretch that follow those of the word before, round and round. A negative equal to the centre or
    to an earlier one is drawn again, at random, because a block stores each of its output rows
    once. Should a distribution be so steep that draws keep coming up taken, the next free word is:
    it ends as long as V >= `n_outputs`.
    """
    pool, size = noise.pool, np.int64(noise.pool.shape[0])
    n_readings = max(1, _PLAIN_STRETCH // n_windows)
    begin, item, length = _stretch(position, noise, n_outputs - 1, n_windows, n_readings)
    rows[unsigned(first)] = centre * stride
    for k in range(1, n_outputs):
        row = np.int64(pool[unsigned(begin + item)]) * stride
        item += 1
        if item == length:
            item = 0
        in_vain = 0
        while _is_taken(row, rows, first, k):
            in_vain += 1
            if in_vain <= _DRAWS_BEFORE_SEARCH:
                place = position * n_outputs + k + (in_vain << 32)
                drawn = mix(noise.key + np.uint64(place) * GOLDEN) % np.uint64(size)
                row = np.int64(pool[drawn]) * stride
            else:
                row = (row + stride) % (n_words * stride)
        rows[unsigned(first + k)] = row


@inlined
def draw_in_stretch(
    centre, position, noise, n_windows, n_outputs, items, begin, spare, stride, rows, first
) -> None:
    """Write the offsets of the centre word's row and of K distinct others to `rows`.

    As `draw_outputs`, but all come from the stretch of the word at `position`, so that what will be
    drawn is known beforehand: a negative that is taken is replaced by the next item that is not,
    and should there be none, by the first word 0, 1, .. that is not.

    Args:
        centre: the row of the centre word.
        items: int32, the rows of the stretch's items from `begin` on, and those of the words 0 to K
            from `spare` on.
    """
    n_readings = ROUND_STRETCH // n_windows
    _, item, length = _stretch(position, noise, n_outputs - 1, n_windows, n_readings)
    rows[unsigned(first)] = np.int64(centre) * stride
    for k in range(1, n_outputs):
        row = np.int64(items[unsigned(begin + item)]) * stride
        item = item + 1 if item + 1 < length else 0
        in_vain = 0
        while _is_taken(row, rows, first, k):
            in_vain += 1
            if in_vain < length:
                row = np.int64(items[unsigned(begin + item)]) * stride
                item = item + 1 if item + 1 < length else 0
            else:
                row = np.int64(items[unsigned(spare + in_vain - length)]) * stride
        rows[unsigned(first + k)] = row


@inlined
def stretch_items(number, noise, n_windows, n_negatives) -> Any:
    """Where in the pool the stretch of `ROUND_STRETCH` positions begins and ends."""
    n_readings = ROUND_STRETCH // n_windows
    begin, _, length = _stretch(number * ROUND_STRETCH, noise, n_negatives, n_windows, n_readings)
    return begin, begin + length


@inlined
def draw_shared(position, noise, apart, n, stride, rows, first) -> None:
    """Write the offsets of `n` output rows of the word at `position` to `rows`.

    As they come: repeats and the words to predict are kept. Who uses these updates one output after
    the other, and with several words to predict, each negative may be any of the others. Positions
    read `apart` items apart; one that takes more shares the rest with the next.
    """
    begin, item, length = _stretch(position, noise, apart, SHARED_WINDOWS, SHARED_READINGS)
    for k in range(n):
        rows[first + k] = np.int64(noise.pool[begin + item]) * stride
        item += 1
        if item == length:
            item = 0


@inlined
def _stretch(position, noise, n_negatives, n_windows, n_readings) -> Any:
    """The stretch of the word at `position`: where it begins, its item to begin with, its length.

    It is one item longer than its `n_windows` need, so that the same negatives do not meet in one
    window again at the next of its `n_readings`.
    """
    size = np.int64(noise.pool.shape[0])
    length = min(n_windows * n_negatives + 1, size)
    stretch, within = divmod(position, n_windows * n_readings)
    begin = (noise.begin + stretch * length) % (size - length + 1)
    return begin, (within * n_negatives) % length, length


@inlined
def _is_taken(row, rows, first, n) -> Any:
    taken = False
    for k in range(n):
        taken |= rows[unsigned(first + k)] == row
    return taken


@kernel
def fill_pool(cumulative, phase, key, pool) -> None:
    """Fill `pool` with word ids in noise proportions, exact to one slot, in pseudo-random order.

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
