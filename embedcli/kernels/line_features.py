"""Lines of text to the mean of the rows of their features, as fastText's classifier has them.

A line is cut at white space into tokens, and ends with the token ``</s>``. Its features, in this
order, each a row of the input matrix:

1. of each token: its own row, if the dictionary holds it, and those of its character n-grams
   (`subwords/ngrams.py` has the rule);
2. of each token and the 1 to N - 1 that follow it: the row of the hash of this word n-gram,
   h(w_1 .. w_j) = 116049371 h(w_1 .. w_{j-1}) + h(w_j) in 64 bits.

Hashes are FNV-1a of 32 bits over signed bytes. N-grams of both kinds share the buckets, which
follow the V words in the matrix; in a pruned model only some of the buckets have a row
(`Buckets`). A token that begins as labels do is no feature.

The rows are added up in this order, component by component, without fused operations: what fastText
computes, to the last bit. Rows to be added wait in a short list, so that memory is asked for them
early. Nothing is kept of a line but the hashes of its tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from embedcli.kernels.intrinsics.access import prefetch_to_read
from embedcli.kernels.jit import inlined_step, kernel, step

__all__ = [
    "END_HASH",
    "WAITING",
    "Buckets",
    "Dense",
    "Dictionary",
    "Features",
    "Quantized",
    "begins_as_label",
    "character_ngrams",
    "fill_buckets",
    "fill_slots",
    "find_entry",
    "hash_of_bytes",
    "is_end",
    "is_space",
    "means",
    "token_end",
]

WAITING = 32  # rows that wait to be added

_BASIS = np.uint32(2166136261)
_PRIME = np.uint32(16777619)
_SIGN = np.uint32(0xFFFFFF00)
_NGRAM_PRIME = np.uint64(116049371)
_SPREAD = np.uint32(2654435769)
END_HASH = np.uint32(3617362777)  # of </s>


class Dictionary(NamedTuple):
    """Words and labels, V and C, in one open-addressing table.

    Attributes:
        slots: int32 (a power of two,), entry + 1, 0 is empty.
        hashes: uint32 (V + C,), of each entry.
        offsets: int64 (V + C + 1,), entry i is ``blob[offsets[i]:offsets[i + 1]]``.
        blob: uint8.
        n_words: V.
        end: the entry ``</s>``, or -1.
        prefix: uint8, what labels begin with.
    """

    slots: NDArray[np.int32]
    hashes: NDArray[np.uint32]
    offsets: NDArray[np.int64]
    blob: NDArray[np.uint8]
    n_words: int
    end: int
    prefix: NDArray[np.uint8]


class Buckets(NamedTuple):
    """Which buckets have rows: all of them in order, or those of a table.

    Attributes:
        n: how many buckets there are.
        keys: int32 (a power of two,), bucket + 1, 0 is empty; of length 0 where all have rows.
        rows: int32 (as many,), the row of the bucket, counted behind those of the words.
        counts: whether one without a row counts in the mean, as a row of zeros.
    """

    n: np.uint32
    keys: NDArray[np.int32]
    rows: NDArray[np.int32]
    counts: bool


class Features(NamedTuple):
    """Which n-grams a line has: characters from `shortest` to `longest`, words up to `words`."""

    shortest: int
    longest: int
    words: int


class Dense(NamedTuple):
    """A matrix: float32 (n * dim,), row after row."""

    rows: NDArray[np.float32]
    dim: int


class Quantized(NamedTuple):
    """A matrix by product quantisation (`classification/matrices.py`).

    Attributes:
        codes: uint8 (n * parts,).
        centres: float32 (256 * dim,): of each part 256 centres of `width` numbers; the last part
            may have fewer numbers.
        norms: uint8 (n,), codes of the norms; of length 0 where rows have none.
        norm_centres: float32 (256,).
        dim, parts, width: D, and how it is cut.
    """

    codes: NDArray[np.uint8]
    centres: NDArray[np.float32]
    norms: NDArray[np.uint8]
    norm_centres: NDArray[np.float32]
    dim: int
    parts: int
    width: int


@inlined_step
def _absorb(h, byte):
    wide = np.uint32(byte)
    if byte >= 0x80:
        wide |= _SIGN
    return np.uint32((h ^ wide) * _PRIME)


@kernel
def hash_of_bytes(blob, offsets, hashes) -> None:
    """The hash of each word: uint32 (n,) of uint8 `blob` and int64 (n + 1,) `offsets`."""
    for i in range(len(hashes)):
        h = _BASIS
        for at in range(offsets[i], offsets[i + 1]):
            h = _absorb(h, blob[at])
        hashes[i] = h


@kernel
def fill_slots(numbers, slots) -> None:
    """Put items 0, 1, .. into an open-addressing table, by their numbers, uint32 (n,).

    `slots` are int32, a power of two and more than n, zeros; they get item + 1.
    """
    mask = len(slots) - 1
    for item in range(len(numbers)):
        slot = np.int64(numbers[item]) & mask
        while slots[slot]:
            slot = (slot + 1) & mask
        slots[slot] = item + 1


@inlined_step
def find_entry(dictionary, text, begin, end, h):
    """The entry that is ``text[begin:end]``, or -1."""
    mask = len(dictionary.slots) - 1
    slot = np.int64(h) & mask
    while True:
        entry = dictionary.slots[slot] - 1
        if entry < 0:
            return entry
        start = dictionary.offsets[entry]
        if dictionary.hashes[entry] == h and dictionary.offsets[entry + 1] - start == end - begin:
            i = 0
            while i < end - begin and dictionary.blob[start + i] == text[begin + i]:
                i += 1
            if i == end - begin:
                return entry
        slot = (slot + 1) & mask


@kernel
def fill_buckets(ids, rows, keys, places) -> None:
    """Make the table of `Buckets`: buckets `ids` with their `rows`, int32 (n,).

    `keys` are zeros, more than n; the first of two rows of a bucket counts.
    """
    mask = len(keys) - 1
    for item in range(len(ids)):
        slot = np.int64(np.uint32(np.uint32(ids[item]) * _SPREAD)) & mask
        while keys[slot] and keys[slot] != ids[item] + 1:
            slot = (slot + 1) & mask
        if not keys[slot]:
            keys[slot], places[slot] = ids[item] + 1, rows[item]


@inlined_step
def _row_of(buckets, bucket):
    """The row of a bucket behind the words, or -1."""
    mask = len(buckets.keys) - 1
    if mask < 0:
        return np.int64(bucket)
    slot = np.int64(np.uint32(np.uint32(bucket) * _SPREAD)) & mask
    while True:
        key = buckets.keys[slot] - 1
        if key == np.int64(bucket):
            return np.int64(buckets.rows[slot])
        if key < 0:
            return np.int64(-1)
        slot = (slot + 1) & mask


@inlined_step
def is_space(byte):
    """Whether a byte is white space between tokens: ASCII's, or NUL."""
    return byte == 32 or 9 <= byte <= 13 or byte == 0


@inlined_step
def begins_as_label(text, begin, end, prefix):
    """Whether a token begins with `prefix`, uint8."""
    n = len(prefix)
    if n == 0 or end - begin < n:
        return False
    i = 0
    while i < n and text[begin + i] == prefix[i]:
        i += 1
    return i == n


@inlined_step
def _ask_dense(matrix, row):
    prefetch_to_read(matrix.rows, row * matrix.dim, matrix.dim)


@inlined_step
def _ask_quantized(matrix, row):
    prefetch_to_read(matrix.codes, row * matrix.parts, 1)


@inlined_step
def _add_dense(matrix, row, total):
    begin = np.uint64(row * matrix.dim)
    for d in range(np.uint64(matrix.dim)):
        total[d] += matrix.rows[begin + d]


@inlined_step
def _add_quantized(matrix, row, total):
    norm = np.float32(1.0)
    if len(matrix.norms):
        norm = matrix.norm_centres[matrix.norms[row]]
    width, last = np.uint64(matrix.width), np.uint64(matrix.parts - 1)
    codes = np.uint64(row * matrix.parts)
    at = np.uint64(0)
    for part in range(last):
        centre = (part * np.uint64(256) + np.uint64(matrix.codes[codes + part])) * width
        for n in range(width):
            total[at + n] += norm * matrix.centres[centre + n]
        at += width
    rest = np.uint64(matrix.dim) - at
    centre = last * np.uint64(256) * width + np.uint64(matrix.codes[codes + last]) * rest
    for n in range(rest):
        total[at + n] += norm * matrix.centres[centre + n]


@inlined_step
def token_end(text, at, stop):
    """Where the token that begins at `at` ends, and its hash."""
    h = _BASIS
    while at < stop and not is_space(text[at]):
        h = _absorb(h, text[at])
        at += 1
    return at, h


@inlined_step
def is_end(text, begin, end):
    """Whether a token is what ends a line: nothing, or ``</s>``."""
    if end - begin != 4:
        return end == begin
    return text[begin] == 60 and text[begin + 1] == 47 and text[begin + 2] == 115 and (
        text[begin + 3] == 62
    )  # fmt: skip


@inlined_step
def _byte_of(text, begin, length, place):
    """A byte of ``<token>``, the token from place 0 on."""
    if place < 0:
        return np.uint8(60)
    if place == length:
        return np.uint8(62)
    return text[begin + place]


@inlined_step
def _continues(text, begin, length, place):
    """Whether the byte at a place of the token goes on with a character."""
    return 0 <= place < length and (text[begin + place] & 0xC0) == 0x80


@cache
def means(is_dense: bool) -> Callable[..., None]:
    """The kernel for matrices that are `Dense` or `Quantized`."""
    ask: Any = _ask_dense if is_dense else _ask_quantized
    add: Any = _add_dense if is_dense else _add_quantized

    @inlined_step
    def add_all(matrix, waiting, n, total):
        for i in range(n):
            add(matrix, waiting[i], total)

    @inlined_step
    def push(matrix, waiting, n, row, total):
        """Let a row wait, and add those that do when there is no more room."""
        waiting[n] = row
        ask(matrix, waiting[n])
        if n + 1 < WAITING:
            return n + 1
        add_all(matrix, waiting, WAITING, total)
        return 0

    @step
    def push_characters(text, begin, end, dictionary, buckets, features, matrix, waiting, n, total):
        length = end - begin
        n_features = 0
        for first in range(-1, length + 1):
            if _continues(text, begin, length, first):
                continue
            g, place = _BASIS, first
            for size in range(1, features.longest + 1):
                if place > length:
                    break
                g = _absorb(g, _byte_of(text, begin, length, place))
                place += 1
                while _continues(text, begin, length, place):
                    g = _absorb(g, text[begin + place])
                    place += 1
                alone = size == 1 and (first < 0 or place > length)
                if size >= features.shortest and not alone:
                    row = _row_of(buckets, g % buckets.n)
                    n_features += row >= 0 or buckets.counts
                    if row >= 0:
                        n = push(matrix, waiting, n, dictionary.n_words + row, total)
        return n, n_features

    @step
    def push_words(hashes, n_tokens, dictionary, buckets, features, matrix, waiting, n, total):
        n_features = 0
        for i in range(n_tokens):
            wide = np.uint64(np.int64(hashes[i]))
            for j in range(i + 1, min(n_tokens, i + features.words)):
                wide = wide * _NGRAM_PRIME + np.uint64(np.int64(hashes[j]))
                row = _row_of(buckets, np.uint32(wide % np.uint64(buckets.n)))
                n_features += row >= 0 or buckets.counts
                if row >= 0:
                    n = push(matrix, waiting, n, dictionary.n_words + row, total)
        return n, n_features

    @kernel
    def line_means(
        text, begins, ends, dictionary, buckets, features, matrix, hashes, waiting, hidden, counts
    ) -> None:
        """The mean of the rows of the features of each line.

        Args:
            text: uint8.
            begins, ends: int64 (n,), where lines begin and end.
            dictionary, buckets, features: `Dictionary`, `Buckets`, `Features`.
            matrix: of the kind.
            hashes: int32, for as many tokens as a line may have, and one.
            waiting: int64 (`WAITING`,).
            hidden: float32 (n, D), gets the means; zeros where there is no feature.
            counts: int64 (n,), gets how many features there are.
        """
        for line in range(len(begins)):
            total = hidden[line]
            total[:] = 0
            n_tokens, n_features, n = 0, 0, 0
            end = begins[line]
            is_over = False
            while not is_over:
                while end < ends[line] and is_space(text[end]):
                    end += 1
                begin = end
                end, h = token_end(text, begin, ends[line])
                is_over = is_end(text, begin, end)
                if is_over:  # the end of the line is a token
                    h, entry = END_HASH, np.int64(dictionary.end)
                else:
                    entry = np.int64(find_entry(dictionary, text, begin, end, h))
                if entry >= dictionary.n_words or (
                    entry < 0 and begins_as_label(text, begin, end, dictionary.prefix)
                ):
                    continue
                hashes[n_tokens] = np.int32(h)
                n_tokens += 1
                if entry >= 0:
                    n = push(matrix, waiting, n, entry, total)
                    n_features += 1
                if features.longest > 0 and not is_over:
                    n, more = push_characters(
                        text, begin, end, dictionary, buckets, features, matrix, waiting, n, total
                    )
                    n_features += more
            if features.words > 1:
                n, more = push_words(
                    hashes, n_tokens, dictionary, buckets, features, matrix, waiting, n, total
                )
                n_features += more
            add_all(matrix, waiting, n, total)
            counts[line] = n_features
            if n_features:
                share = np.float32(1.0 / n_features)
                for d in range(len(total)):
                    total[d] *= share

    return line_means


@kernel
def character_ngrams(blob, offsets, shortest, longest, n_buckets, ends, ids) -> None:
    """The buckets of the n-grams of words, as `subwords.ngrams.NGrams.cut` has them.

    Args:
        blob, offsets: the words, uint8 and int64 (n + 1,).
        shortest, longest: characters. n_buckets: uint32.
        ends: int64 (n + 1,), gets where the n-grams of each word end, from 0 on.
        ids: int32, gets the buckets; of length 0 to count them only.
    """
    n = 0
    ends[0] = 0
    for word in range(len(offsets) - 1):
        begin, length = offsets[word], offsets[word + 1] - offsets[word]
        first = length + 1 if is_end(blob, begin, begin + length) else np.int64(-1)
        while first <= length:
            if not _continues(blob, begin, length, first):
                g, place = _BASIS, first
                for size in range(1, longest + 1):
                    if place > length:
                        break
                    g = _absorb(g, _byte_of(blob, begin, length, place))
                    place += 1
                    while _continues(blob, begin, length, place):
                        g = _absorb(g, blob[begin + place])
                        place += 1
                    if size >= shortest and not (size == 1 and (first < 0 or place > length)):
                        if len(ids):
                            ids[n] = g % n_buckets
                        n += 1
            first += 1
        ends[word + 1] = n
