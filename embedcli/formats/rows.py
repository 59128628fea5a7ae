"""Collects blocks of words and vectors, what all readers of rows share.

Memory is taken for rows that were read, or that the size of the file vouches for; never because a
header asks for it.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

import numpy as np
from numpy.typing import NDArray

from embedcli.embeddings import Embeddings
from embedcli.errors import FormatError
from embedcli.files.source import Source
from embedcli.formats.row_words import embeddings_of, not_finite
from embedcli.settings.reading import ReadingOptions

__all__ = ["BOM", "LONGEST_ROW", "Rows", "parse_header"]

BOM: Final = b"\xef\xbb\xbf"
LONGEST_ROW: Final = 1 << 22  # bytes; D = 4096 needs 60,000

_HEADER_HINT: Final = "--header ignore reads the rows that are there"
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
        reading: what becomes of blemishes, and how many rows to read.
    """

    def __init__(
        self,
        source: Source,
        dim: int,
        expected: int | None,
        smallest_row: int,
        reading: ReadingOptions,
    ) -> None:
        self._where = source.path
        self._dim = dim
        self._promised = expected
        self._expected = None if reading.header == "ignore" else expected
        self.reading = reading
        self._words: list[bytes] = []
        self._n_rows = 0
        self._unsound: list[int] = []
        self._skipped: Counter[str] = Counter()
        room = 0
        if expected is not None and source.size is not None:
            if self._expected is not None and expected * smallest_row > source.size:
                raise FormatError(
                    f"{source.path}: the header promises {expected} rows of {dim} numbers, at "
                    f"least {expected * smallest_row} bytes, but the file has {source.size} "
                    f"({_HEADER_HINT})"
                )
            room = reading.until_limit(min(expected, source.size // smallest_row))
        if 4 * dim > LONGEST_ROW:
            raise FormatError(
                f"{source.path} has rows of {dim} numbers; at most {LONGEST_ROW // 4} are read"
            )
        self._vectors = np.empty((room, dim), np.float32)

    def __len__(self) -> int:
        return self._n_rows

    @property
    def words(self) -> list[bytes]:
        """The words so far, as they stand in the file."""
        return self._words

    @property
    def vectors(self) -> NDArray[np.float32]:
        """Their vectors, float32 (n, D)."""
        return self._vectors[: self._n_rows]

    @property
    def has_header(self) -> bool:
        """Whether a header says how wide the rows are."""
        return self._promised is not None

    @property
    def full(self) -> bool:
        """Whether no more rows are wanted."""
        return self._n_rows == self.reading.limit

    def skip(self, kind: str) -> None:
        """Count a row that was left out, and why."""
        self._skipped[kind] += 1

    def add(self, words: list[bytes], vectors: NDArray[np.float32]) -> None:
        """Append rows, float32 (n, D); those beyond the limit are left."""
        wanted = self.reading.until_limit(self._n_rows + len(words)) - self._n_rows
        words, vectors = words[:wanted], vectors[:wanted]
        stop = self._n_rows + len(words)
        if self._expected is not None and stop > self._expected:
            raise FormatError(
                f"{self._where}: the header promises {self._expected} rows, but more follow "
                f"({_HEADER_HINT})"
            )
        finite = np.isfinite(vectors)
        if not finite.all():
            rows = np.flatnonzero(~finite.all(axis=1)).tolist()
            if not self.reading.skips:
                raise not_finite(self._where, self._n_rows + rows[0], words[rows[0]], self.reading)
            self._unsound += [self._n_rows + row for row in rows]
        if stop > len(self._vectors):
            grown = np.empty((max(stop, 2 * len(self._vectors)), self._dim), np.float32)
            grown[: self._n_rows] = self._vectors[: self._n_rows]
            self._vectors = grown
        self._vectors[self._n_rows : stop] = vectors
        self._words += words
        self._n_rows = stop

    def finish(self) -> Embeddings:
        """Check the whole and return it."""
        if not self.full:
            self._check_promise()
        if not self._n_rows:
            raise FormatError(f"{self._where}: there is not a single row")
        return embeddings_of(
            self._where, self._words, self.vectors, self.reading, None, self._unsound, self._skipped
        )

    def _check_promise(self) -> None:
        """Whether the header is right; rows that were skipped may have been promised or not."""
        most = self._n_rows + self._skipped.total()
        if self._promised is None or self._n_rows <= self._promised <= most:
            return
        promise = f"the header promises {self._promised} rows"
        if self._expected is not None:
            raise FormatError(
                f"{self._where}: {promise}, but the file has {self._n_rows} ({_HEADER_HINT})"
            )
        self.reading.on_mended(f"{self._where}: {promise}; read the {self._n_rows} that are there")
