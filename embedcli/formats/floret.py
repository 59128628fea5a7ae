"""``floret``: the rows of n-grams that floret writes as text, ``.floret``; only read.

    buckets dim minn maxn hashes seed begin end
    i f f ... f                    a row for each bucket, in order

It holds no words, for floret makes the vector of any text from its n-grams: those of the ``.vec``
of the same name beside it, which floret writes too, are the vocabulary, and words that are not in
it get their vectors from the rows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from embedcli.embeddings import Embeddings
from embedcli.errors import FormatError
from embedcli.files.source import Source
from embedcli.formats import word2vec_text
from embedcli.formats.rows import Rows
from embedcli.formats.text_rows import read_rows, text_lines
from embedcli.quoting import quoted_bytes
from embedcli.settings.reading import ReadingOptions
from embedcli.subwords.floret import FloretParts
from embedcli.subwords.table import Subwords
from embedcli.vocabulary import Vocabulary

__all__ = ["looks_like", "made_of_parts", "read"]

_HEADER: Final = re.compile(
    rb"([1-9][0-9]{0,8}) ([1-9][0-9]{0,5}) ([0-9]{1,2}) ([0-9]{1,2}) ([1-4]) ([0-9]{1,10}) "
    rb"(\S{1,9}) (\S{1,9})\s*"
)


def looks_like(line: bytes) -> bool:
    """Whether the first line of a file is a header of floret's."""
    return _HEADER.fullmatch(line) is not None


def read(source: Source, reading: ReadingOptions) -> Embeddings:
    """Read the rows, and the words of the file beside it.

    Raises:
        FormatError: it is damaged, or there is no such file.
    """
    blocks = text_lines(source)
    lines = next(blocks, [b""])
    header = _HEADER.fullmatch(lines[0])
    if header is None:
        raise FormatError(
            f"{source.path}, line 1: the header should be six numbers and what words are wrapped "
            f"in, but is {quoted_bytes(lines[0])}"
        )
    buckets, dim, shortest, longest, hashes, seed = map(int, header.groups()[:6])
    wraps = [part.decode(errors="replace") for part in header.groups()[6:]]
    rows = Rows(source, dim, buckets, 2 * dim + 1, replace(reading.keeping_rows, limit=None))
    read_rows(source, iter([lines[1:]]), rows, dim, 2)
    read_rows(source, blocks, rows, dim, 1 + len(lines))
    if rows.words != [b"%d" % row for row in range(len(rows))]:
        raise FormatError(f"{source.path}: the rows are not numbered from 0")
    units = FloretParts(shortest, longest, buckets, hashes, seed, *wraps)
    words = _beside(source.path, dim, reading)
    return made_of_parts(words.vocabulary, words.vectors, units, rows.finish().vectors)


def made_of_parts(
    vocabulary: Vocabulary,
    known: NDArray[np.float32],
    units: FloretParts,
    rows: NDArray[np.float32],
) -> Embeddings:
    """Words whose vectors are the means of rows; a word without parts has that in `known`.

    Args:
        vocabulary: V words.
        known: float32 (V, D).
        units: how words are cut.
        rows: float32 (buckets, D).
    """
    own = np.array(known, np.float32)
    ids = np.arange(len(rows), dtype=np.int32)
    step = 1 << 14
    for start in range(0, len(vocabulary), step):
        words: Sequence[str] = vocabulary.words[start : start + step]
        means, has_parts = Subwords(units, own[:0], ids, rows).of_unseen(words)
        own[start : start + step][has_parts] = means[has_parts]
    subwords = Subwords(units, own, ids, rows)
    return Embeddings(vocabulary, subwords.of_vocabulary(vocabulary), subwords=subwords)


def _beside(path: str, dim: int, reading: ReadingOptions) -> Embeddings:
    beside = Path(path).with_suffix(".vec")
    if beside == Path(path) or not beside.is_file():
        raise FormatError(
            f"{path} holds rows of n-grams and no words: {beside}, which floret writes beside it, "
            "has them; copy it there"
        )
    with Source(beside) as source:
        words = word2vec_text.read(source, reading)
    if words.dim != dim:
        raise FormatError(f"{beside} has {words.dim} dimensions, but {path} has {dim}")
    return words
