r"""``fasttext-2016``: fastText's ``.bin`` as its first version wrote it (July to December 2016).

    12 x i32, f64          the arguments, as in version 12 (`fasttext.py`)
    i32 size, i32 nwords, i32 nlabels, i64 ntokens
    size times:            word, \0, i64 count, i8 type
    i64 m, i64 n           a plain matrix
    i64 m, i64 n           the output vectors

There is no magic number, no version, no pruning and no quantisation: what is missing is put in
while the file is read, and `fasttext.py` reads it. ``</s>`` had n-grams then: the row that it gets
here is the vector that it had.
"""

from __future__ import annotations

import struct
from collections.abc import Generator, Iterator
from dataclasses import replace
from typing import Final

import numpy as np

from embedcli.embeddings import Embeddings
from embedcli.files.source import Made, Source
from embedcli.formats import fasttext
from embedcli.settings.reading import ReadingOptions
from embedcli.subwords.ngrams import NGrams

__all__ = ["looks_like", "read"]

_ARGUMENTS: Final = struct.Struct("<12id")
_SIZES: Final = struct.Struct("<iiiq")
_SHAPE: Final = struct.Struct("<qq")
_ENTRY_BYTES: Final = 9
_BLOCK_BYTES: Final = 1 << 20
_VERSION: Final = (12).to_bytes(4, "little")
_END: Final = "</s>"
_NOT_PRUNED: Final = (-1).to_bytes(8, "little", signed=True)


def looks_like(head: bytes) -> bool:
    """Whether a file that begins with `head` has arguments and sizes as fastText's are."""
    if len(head) < _ARGUMENTS.size + _SIZES.size:
        return False
    dim, window, epochs, _, negatives, _, loss, model, buckets, shortest, longest, _, rate = (
        _ARGUMENTS.unpack_from(head)
    )
    size, words, labels, tokens = _SIZES.unpack_from(head, _ARGUMENTS.size)
    sound = 1 <= dim <= 1 << 16 and 0 <= window <= 1 << 16 and epochs >= 0 and negatives >= 0
    sound = sound and 1 <= loss <= 3 and 1 <= model <= 3 and buckets >= 0 and 0 <= rate <= 1
    sound = sound and 0 <= shortest <= 1 << 10 and 0 <= longest <= 1 << 10
    return bool(sound and size == words + labels > 0 and min(words, labels, tokens) >= 0)


def read(source: Source, reading: ReadingOptions) -> Embeddings:
    """Read a model, as `fasttext.read` does.

    Raises:
        FormatError: as there.
    """
    more = len(fasttext.MAGIC + _VERSION + _NOT_PRUNED) + 2
    size = None if source.size is None else source.size + more
    read = fasttext.read(Made(source.path, size, _renewed(source)), reading)
    end = read.vocabulary.get(_END)
    subwords = read.subwords
    if end is None or subwords is None or not isinstance(subwords.units, NGrams):
        return read
    parts = [subwords.rows[place] for place in _ngrams(_END, subwords.units)]
    own, vectors = subwords.word_rows.copy(), read.vectors.copy()
    own[end] = vectors[end] = np.mean([own[end], *parts], axis=0)
    return replace(read, vectors=vectors, subwords=replace(subwords, word_rows=own))


def _ngrams(word: str, units: NGrams) -> list[int]:
    """The buckets of the n-grams of a word of ASCII, as `NGrams` finds those of other words."""
    text, found = f"<{word}>".encode(), []
    for start in range(len(text)):
        for stop in range(start + units.shortest, min(start + units.longest, len(text)) + 1):
            hashed = 2166136261
            for byte in text[start:stop]:
                hashed = (hashed ^ byte) * 16777619 & 0xFFFFFFFF
            found.append(hashed % units.buckets)
    return found


def _renewed(source: Source) -> Iterator[bytes]:
    """The bytes of the file as version 12 would have them."""
    arguments, sizes = source.read(_ARGUMENTS.size), source.read(_SIZES.size)
    yield fasttext.MAGIC + _VERSION + arguments + sizes + _NOT_PRUNED
    if len(sizes) < _SIZES.size:
        return
    n_entries = _SIZES.unpack(sizes)[0]
    rest = yield from _entries(source, n_entries)
    for _ in range(2):
        rest += source.read(max(0, _SHAPE.size - len(rest)))
        yield b"\0" + rest[: _SHAPE.size]
        if len(rest) < _SHAPE.size:
            return
        n_rows, width = _SHAPE.unpack_from(rest)
        rest = yield from _matrix(source, rest[_SHAPE.size :], max(0, 4 * n_rows * width))
    yield rest
    while block := source.read(_BLOCK_BYTES):
        yield block


def _entries(source: Source, n_entries: int) -> Generator[bytes, None, bytes]:
    """The words, and what was read beyond them as the value of the generator."""
    data = b""
    while n_entries > 0:
        start = 0
        while n_entries > 0 and (end := data.find(b"\0", start)) >= 0:
            if len(data) < end + 1 + _ENTRY_BYTES:
                break
            start, n_entries = end + 1 + _ENTRY_BYTES, n_entries - 1
        if start:
            yield data[:start]
        if n_entries > 0:
            block = source.read(_BLOCK_BYTES)
            if not block or len(data) - start > _BLOCK_BYTES:  # no word is so long
                yield data[start:] + block
                return b""
            data = data[start:] + block
        else:
            data = data[start:]
    return data


def _matrix(source: Source, data: bytes, n_bytes: int) -> Generator[bytes, None, bytes]:
    """The numbers of a matrix, and what was read beyond them."""
    while n_bytes > 0:
        data = data or source.read(min(n_bytes, _BLOCK_BYTES))
        if not data:
            return b""
        yield data[:n_bytes]
        data, n_bytes = data[n_bytes:], n_bytes - len(data[:n_bytes])
    return data
