"""What all readers of rows share: collecting blocks of words and vectors, and checking them.

Memory is taken for rows that were read, or that the size of the file vouches for; never because a
header asks for it.
"""

from __future__ import annotations

import re
from typing import Final

import numpy as np
from numpy.typing import NDArray

from embedcli.embeddings import Embeddings
from embedcli.errors import FormatError
from embedcli.formats.source import Source
from embedcli.vocabulary import Vocabulary

__all__ = ["BOM", "LONGEST_ROW", "LONGEST_WORD", "Rows", "parse_header", "shown", "vocabulary_of"]

BOM: Final = b"\xef\xbb\xbf"
LONGEST_ROW: Final = 1 << 22  # bytes; D = 4096 needs 60,000
LONGEST_WORD: Final = 4096  # bytes

_SHOWN_BYTES: Final = 60
_HEADER: Final = re.compile(rb"([1-9][0-9]{0,17})[ \t]+([1-9][0-9]{0,8})[ \t]*\r?\n?")


def parse_header(line: bytes) -> tuple[int, int] | None:
    """Return (V, D) if `line` is word2vec's header: two whole ASCII numbers from 1."""
    match = _HEADER.fullmatch(line)
    return (int(match[1]), int(match[2])) if match else None


class Rows:
    """The rows read so far.

    Args:
        source: the file, for messages.
        dim: D.
        expected: V by the header, or None where the format has none.
        smallest_row: the fewest bytes a row can have; what the header promises must fit the file.
        decode_errors: ``"strict"`` refuses words that are not UTF-8, ``"replace"`` mends them.
    """

    def __init__(
        self,
        source: Source,
        dim: int,
        expected: int | None,
        smallest_row: int,
        decode_errors: str = "strict",
    ) -> None:
        self._where = source.path
        self._dim = dim
        self._expected = expected
        self._decode_errors = decode_errors
        self._words: list[bytes] = []
        self._n_rows = 0
        room = 0
        if expected is not None and source.size is not None:
            if expected * smallest_row > source.size:
                raise FormatError(
                    f"{source.path}: the header promises {expected} rows of {dim} numbers, at "
                    f"least {expected * smallest_row} bytes, but the file has {source.size}"
                )
            room = expected
        self._vectors = np.empty((room, dim), np.float32)

    def __len__(self) -> int:
        return self._n_rows

    def add(self, words: list[bytes], vectors: NDArray[np.float32]) -> None:
        """Append rows; float32 (n, D)."""
        stop = self._n_rows + len(words)
        if self._expected is not None and stop > self._expected:
            raise FormatError(
                f"{self._where}: the header promises {self._expected} rows, but more follow"
            )
        finite = np.isfinite(vectors)
        if not finite.all():
            row = int(np.argmin(finite.all(axis=1)))
            raise FormatError(
                f"{self._where}, row {self._n_rows + row + 1} ({shown(words[row])}): "
                f"a number is not finite"
            )
        if stop > len(self._vectors):
            grown = np.empty((max(stop, 2 * len(self._vectors)), self._dim), np.float32)
            grown[: self._n_rows] = self._vectors[: self._n_rows]
            self._vectors = grown
        self._vectors[self._n_rows : stop] = vectors
        self._words += words
        self._n_rows = stop

    def finish(self) -> Embeddings:
        """Check the whole and return it."""
        if self._expected is not None and self._n_rows != self._expected:
            raise FormatError(
                f"{self._where}: the header promises {self._expected} rows, "
                f"but the file has {self._n_rows}"
            )
        if not self._n_rows:
            raise FormatError(f"{self._where}: there is not a single row")
        vocabulary = vocabulary_of(self._where, self._words, None, self._decode_errors)
        return Embeddings(vocabulary, self._vectors[: self._n_rows])


def vocabulary_of(
    where: str, words: list[bytes], counts: NDArray[np.int64] | None, decode_errors: str
) -> Vocabulary:
    """Make a vocabulary of the words of a file, in its order.

    Raises:
        FormatError: a word is empty, too long, not UTF-8, or occurs twice; names the row.
    """
    lengths = np.fromiter(map(len, words), np.int64, len(words))
    if not lengths.all():
        raise FormatError(f"{where}, row {int(np.argmin(lengths)) + 1}: the word is empty")
    if lengths.max() > LONGEST_WORD:
        row = int(np.argmax(lengths))
        raise FormatError(
            f"{where}, row {row + 1}: a word of {lengths[row]} bytes; at most {LONGEST_WORD}"
        )
    words = _sound(where, words, decode_errors)
    if len(set(words)) < len(words):
        _raise_duplicate(where, words)
    offsets = np.zeros(len(words) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, words), np.int64, len(words)), out=offsets[1:])
    return Vocabulary(np.frombuffer(b"".join(words), np.uint8), offsets, counts)


def _sound(where: str, words: list[bytes], decode_errors: str) -> list[bytes]:
    try:
        b"\n".join(words).decode()
    except UnicodeDecodeError:
        if decode_errors == "replace":
            return [word.decode(errors="replace").encode() for word in words]
        for row, word in enumerate(words, 1):
            try:
                word.decode()
            except UnicodeDecodeError:
                raise FormatError(
                    f"{where}, row {row}: the word {shown(word)} is not UTF-8 "
                    f"(embed export --decode-errors replace mends it)"
                ) from None
    return words


def _raise_duplicate(where: str, words: list[bytes]) -> None:
    first: dict[bytes, int] = {}
    for row, word in enumerate(words, 1):
        if word in first:
            raise FormatError(f"{where}, row {row}: {shown(word)} is already in row {first[word]}")
        first[word] = row


def shown(text: bytes) -> str:
    """Quote the beginning of `text` for a message: as text if it is UTF-8, otherwise as bytes."""
    cut = text[:_SHOWN_BYTES]
    try:
        quoted = repr(cut.decode())
    except UnicodeDecodeError:
        quoted = repr(cut) if text == cut else repr(cut.decode(errors="ignore"))
    return quoted if text == cut else quoted + "..."
