r"""``word2vec-bin``: the binary format of word2vec.c (GoogleNews-vectors-negative300.bin).

    V D\n                              ASCII, two whole numbers
    word, one space, D float32, \n     V rows; little-endian

word2vec.c ends each row with the newline, gensim and the GoogleNews file leave it out. Which of the
two a file is, its first row tells; all rows must agree, and the last must end where the file ends.
(Readers that guess instead chop the first letter of every word, or find garbage.) We write the
newline. Words that hold white space or NUL are refused when writing.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from embedcli.embeddings import Embeddings
from embedcli.errors import FormatError
from embedcli.files.publish import Sink
from embedcli.files.source import Source
from embedcli.formats.checks import check_savable, check_spaceless, check_words
from embedcli.formats.garbage import binary_garbage
from embedcli.formats.row_words import LONGEST_WORD
from embedcli.formats.rows import Rows, parse_header
from embedcli.quoting import quoted, quoted_bytes
from embedcli.settings.reading import ReadingOptions
from embedcli.vocabulary import Vocabulary

__all__ = ["check", "file_size", "read", "write"]

BLOCK_BYTES: Final = 1 << 23
_LONGEST_HEADER: Final = 64


def check(vocabulary: Vocabulary) -> None:
    """Refuse words that could not be read back: `write` would."""
    check_words(vocabulary)
    check_spaceless(vocabulary, "word2vec-bin")
    if (vocabulary.blob == 0).any():
        word = next(word for word in vocabulary if "\0" in word)
        raise FormatError(f"cannot save {quoted(word)} as word2vec-bin: NUL is of a number there")


def write(embeddings: Embeddings, sink: Sink) -> None:
    """Write `embeddings`.

    Raises:
        FormatError: what could not be read back, such as a word with a space in it.
    """
    check(embeddings.vocabulary)
    check_savable(embeddings)
    if (garbage := binary_garbage((), embeddings.vectors)) is not None:
        raise FormatError(f"cannot save as word2vec-bin, for a reader would find that {garbage}")
    sink.write(_header(embeddings))
    words = embeddings.vocabulary.words
    size = 4 * embeddings.dim
    n_rows = max(1, BLOCK_BYTES // size)
    for start in range(0, len(embeddings), n_rows):
        block = memoryview(embeddings.vectors[start : start + n_rows].astype("<f4").tobytes())
        parts: list[bytes | memoryview] = []
        for row, word in enumerate(words[start : start + n_rows]):
            parts += (word.encode(), b" ", block[row * size : (row + 1) * size], b"\n")
        sink.write(b"".join(parts))


def file_size(embeddings: Embeddings) -> int:
    """How many bytes `write` will write."""
    words = len(embeddings.vocabulary.blob)
    return len(_header(embeddings)) + words + len(embeddings) * (4 * embeddings.dim + 2)


def read(source: Source, reading: ReadingOptions) -> Embeddings:
    """Read all rows, of either layout.

    Raises:
        FormatError: the header is no header, or the rows do not end exactly with the file.
    """
    line, newline, rest = source.read(BLOCK_BYTES).partition(b"\n")
    header = parse_header(line) if newline and len(line) < _LONGEST_HEADER else None
    if header is None:
        raise FormatError(
            f"{source.path}: the header should be two whole numbers, rows and dimension, but is "
            f"{quoted_bytes(line)}"
        )
    n_rows, dim = header
    rows = Rows(source, dim, n_rows, 4 * dim + 2, reading)
    reader = _RowReader(source, rest, len(line) + 1, dim)
    counted = reading.header == "exact"
    while not rows.full and (len(rows) < n_rows if counted else reader.has_more()):
        rows.add(*reader.block(len(rows), n_rows if counted else None))
    if counted and not rows.full:
        reader.expect_end(n_rows)
    if reading.format is None and (garbage := binary_garbage(rows.words, rows.vectors)):
        raise FormatError(f"{source.path}: {garbage} (--from word2vec-bin reads it all the same)")
    return rows.finish()


class _RowReader:
    """Cuts a stream into rows, as many at a time as one read holds."""

    def __init__(self, source: Source, data: bytes, position: int, dim: int) -> None:
        self._source = source
        self._data = data
        self._position = position  # of data[0] in the file
        self._vector_bytes = 4 * dim
        self._newline: bool | None = None

    def has_more(self) -> bool:
        """Whether anything follows."""
        self._fill(1)
        return bool(self._data)

    def block(self, first: int, n_rows: int | None) -> tuple[list[bytes], NDArray[np.float32]]:
        """Return the next rows, at least one; `first` of `n_rows`, if given, were read before."""
        words: list[bytes] = []
        vectors: list[memoryview] = []
        self._fill(self._vector_bytes + LONGEST_WORD + 2)
        data, view, size = self._data, memoryview(self._data), self._vector_bytes
        start = 0
        while start < len(data) if n_rows is None else len(words) < n_rows - first:
            space = data.find(b" ", start, start + LONGEST_WORD + 1)
            stop = space + 1 + size
            if space < 0 or stop + 1 > len(data):  # + 1: to see the newline
                if words and len(data) - start <= size + LONGEST_WORD + 2:
                    break  # the rest of the row comes with the next read
                self._check_complete(first + len(words), start, space, stop)
            words.append(data[start:space])
            vectors.append(view[space + 1 : stop])
            start = self._skip_newline(data, stop, first + len(words))
        self._position += start
        self._data = data[start:]
        numbers = np.frombuffer(b"".join(vectors), "<f4").reshape(len(words), -1)
        return words, numbers.astype(np.float32, copy=False)

    def expect_end(self, n_rows: int) -> None:
        """Refuse anything behind the last row."""
        if self.has_more():
            raise FormatError(
                f"{self._source.path}: the header promises {n_rows} rows, but the file goes on "
                f"behind them at byte {self._position} (--header ignore reads on)"
            )

    def _fill(self, least: int) -> None:
        if len(self._data) < least:
            self._data += self._source.read(max(BLOCK_BYTES, least))

    def _check_complete(self, row: int, start: int, space: int, stop: int) -> None:
        """Tell a last row without its newline from one that is cut short."""
        place = f"{self._source.path}, row {row + 1} (byte {self._position + start})"
        if space < 0 and len(self._data) - start > LONGEST_WORD:
            raise FormatError(f"{place}: no space within {LONGEST_WORD} bytes: no word begins here")
        if space < 0:
            raise FormatError(f"{place}: the file ends at byte {self._end()}, inside a word")
        if stop > len(self._data):
            raise FormatError(
                f"{place}: the file ends at byte {self._end()}, but the vector needs "
                f"{self._vector_bytes} bytes from byte {self._position + space + 1}"
            )

    def _end(self) -> int:
        return self._position + len(self._data)

    def _skip_newline(self, data: bytes, stop: int, row: int) -> int:
        newline = data[stop : stop + 1] == b"\n"
        if self._newline is None:
            self._newline = newline
        elif self._newline != newline and stop < len(data):
            seen = "none follows" if self._newline else "one follows"
            raise FormatError(
                f"{self._source.path}, row {row} (byte {self._position + stop}): the first row "
                f"{'ends' if self._newline else 'does not end'} with a newline, here {seen}"
            )
        return stop + newline


def _header(embeddings: Embeddings) -> bytes:
    return b"%d %d\n" % (len(embeddings), embeddings.dim)
