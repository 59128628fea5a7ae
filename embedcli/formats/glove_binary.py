"""``glove-bin``: GloVe's own ``vectors.bin`` (``-binary 1`` of its C program); only read.

    V times    D float64, the word's vector, and a float64, its bias
    V times    the same of the words as contexts

There are no words in it: they are in the ``vocab.txt`` beside it, which ``vocab_count`` wrote, in
the same order. As in GloVe's text, the vectors are the sums of both; those of contexts are kept as
output vectors.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from embedcli.embeddings import Embeddings
from embedcli.errors import FormatError
from embedcli.files.source import Source
from embedcli.formats.row_words import vocabulary_of
from embedcli.formats.vocab import read_vocab
from embedcli.settings.reading import ReadingOptions

__all__ = ["looks_like", "read"]

_WORDS: Final = "vocab.txt"
_ROWS: Final = 1 << 12
_SAMPLE: Final = 64
_LARGEST: Final = 1e4  # what a component is not


def looks_like(source: Source) -> bool:
    """Whether all that is seen of the file can be components of GloVe's vectors."""
    if source.size is None or source.size % 16 or source.size < 32:
        return False
    seen = np.abs(np.frombuffer(source.head[: 8 * _SAMPLE], "<f8"))
    return bool(np.isfinite(seen).all() and (seen < _LARGEST).all() and (seen > 1e-12).mean() > 0.9)


def read(source: Source, reading: ReadingOptions) -> Embeddings:
    """Read vectors, with the words and counts of `vocab.txt`.

    Raises:
        FormatError: there is no such file, or it has another number of words; or damaged.
    """
    held = source.plain_size("a vectors.bin of GloVe")
    beside = Path(source.path).with_name(_WORDS)
    if not beside.is_file():
        raise FormatError(
            f"{source.path} looks like GloVe's own binary, which holds no words: {beside}, which "
            "vocab_count wrote, has them; copy it there"
        )
    words = read_vocab(beside)
    n_words, width = len(words), held // (16 * len(words))
    if held != 16 * n_words * width or width < 2:
        raise FormatError(
            f"{source.path} has {held} bytes, which are no two rows of numbers for each of "
            f"the {n_words} words of {beside}"
        )
    both = np.memmap(source.path, "<f8", "r", shape=(2, n_words, width))
    vectors, output = (np.empty((n_words, width - 1), np.float32) for _ in range(2))
    with np.errstate(over="ignore"):
        for start in range(0, n_words, _ROWS):
            rows = both[:, start : start + _ROWS, :-1]
            vectors[start : start + _ROWS] = rows[0] + rows[1]
            output[start : start + _ROWS] = rows[1]
    finite = np.isfinite(vectors).all(axis=1) & np.isfinite(output).all(axis=1)
    if not finite.all():
        row = int(np.argmin(finite)) + 1
        raise FormatError(f"{source.path}, row {row}: a number is not finite")
    encoded = [word.encode() for word in words.words]
    vocabulary = vocabulary_of(str(beside), encoded, words.counts, reading.keeping_rows)
    return Embeddings(vocabulary, vectors, output)
