"""Tables as programs write them: CSV, TSV and their like, in any dialect (`dialects.py`).

Before the header there may be blank lines, comments (``#``) and Excel's ``sep=;``. A column that is
given by its number belongs to a table without a header. A quote that is never closed costs its own
line, not the rest of the file.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator, Sequence

from embedcli.text.dialects import Dialect, find_dialect, header, widths
from embedcli.text.fields import LONGEST_RECORD, OVER_LONG, Field

__all__ = ["table_texts"]

_SAMPLE = 1 << 20  # characters
_MOST_REREADS = 100  # of the lines behind a quote that is never closed
_MOST_REREAD = 1 << 28  # bytes that they take, together
_LINE = 64  # bytes that a line takes beside its characters
_SEP = "sep="


def table_texts(lines: Iterator[bytes | None], field: Field, title: str) -> Iterator[str]:
    """The texts of a column.

    Raises:
        CorpusError: there is no such column.
    """
    csv.field_size_limit(LONGEST_RECORD)
    return _Table(lines, field, title).texts()


class _Undecidedness(Exception):
    """A line that can be read in several ways."""


class _Table:
    """A table being read.

    Args:
        lines: of the file.
        field: which column is read.
        title: what to call the file.
    """

    def __init__(self, lines: Iterator[bytes | None], field: Field, title: str) -> None:
        self._lines = lines
        self._field = field
        self._title = title
        self._waiting: deque[str] = deque()  # lines that were looked at, and are read again
        self._record: list[str] = []  # the lines of the record that is being read
        self._number = 0  # of lines read
        self._n_rereads = 0
        self._reread = 0  # bytes that the lines read again took
        self._width = 0  # cells of a row

    def texts(self) -> Iterator[str]:
        """The cells of the column, as text."""
        sample, delimiter = self._preamble()
        if not sample:
            return
        name = None if self._field.number else self._field.name
        dialect = find_dialect(self._field.rules, delimiter, sample, name)
        if any(map(dialect.asks, sample[:1] if name else sample)):
            dialect = dialect.decided(sample, 0)
        names = [] if name is None else header(sample, dialect)
        column = self._column(names, dialect, sample)
        rows = self._rows(dialect)
        if name is not None:
            next(rows)
        for row in rows:
            if isinstance(row, str):
                yield self._field.reject(row)
            elif len(row) > self._width and any(row[self._width :]):
                yield self._field.reject(
                    f"{self._place()}: {len(row)} cells in a table of {self._width} columns: is "
                    "it quoted, or is another --delimiter meant?"
                )
            elif row and [cell.strip() for cell in row] != names:  # a header in the middle: joined
                yield self._field.text(row[column] if column < len(row) else None, self._place)

    def _place(self) -> str:
        return f"{self._title}, line {self._number}"

    def _preamble(self) -> tuple[Sequence[str], str | None]:
        """Read up to the header or the first row: the lines from there on, and the delimiter."""
        delimiter = self._field.rules.delimiter_character
        while sample := self._sample():
            first = sample[0]
            if first.lower().startswith(_SEP) and len(first) == len(_SEP) + 1:
                delimiter = delimiter or first[-1]
            elif first.strip() and not self._is_comment(first, delimiter):
                return sample, delimiter
            self._next()
        return (), delimiter

    def _is_comment(self, line: str, delimiter: str | None) -> bool:
        """Whether a first line is a comment, and not a header that begins with #."""
        if not line.startswith("#") or self._field.rules.quote == "#":
            return False
        name = self._field.name
        return name not in header([line], find_dialect(self._field.rules, delimiter, [line], name))

    def _column(self, names: Sequence[str], dialect: Dialect, sample: Sequence[str]) -> int:
        """Where the column is, from 0."""
        if self._field.number is None:
            self._field.check_is_there(names, self._title)
            self._width = len(names)
            return names.index(self._field.name)
        found = widths(dialect, sample)
        self._width = found.most_common(1)[0][0]
        self._field.check_number(max(found), self._title)
        return self._field.number - 1

    def _rows(self, dialect: Dialect) -> Iterator[list[str] | str]:
        """The rows; in place of one that cannot be read, what is wrong with it."""
        while True:
            try:
                self._record.clear()
                for row in dialect.reader(self._feed(dialect)):
                    self._record.clear()
                    yield row
                return
            except _Undecidedness:
                self._put_back(0)
                dialect = dialect.decided(self._sample(), self._width)
            except csv.Error as error:
                begin = self._number - len(self._record) + 1
                size = sum(map(len, self._record)) + _LINE * len(self._record)
                if self._n_rereads < _MOST_REREADS and self._reread + size <= _MOST_REREAD:
                    self._n_rereads += 1
                    self._reread += size
                    self._put_back(1)
                complaint = f"{self._title}, line {begin}: not as a table is quoted: {error}"
                yield from [complaint] * len(self._record)

    def _feed(self, dialect: Dialect) -> Iterator[str]:
        """The lines of the file as `csv` takes them, noted as those of a record."""
        size = 0
        while (line := self._next()) is not None:
            if dialect.asks(line):
                raise _Undecidedness
            size = len(line) + _LINE + (size if len(self._record) > 1 else 0)
            if size > LONGEST_RECORD:
                raise csv.Error(f"more than {LONGEST_RECORD >> 20} MiB")
            yield f"{line}\n"

    def _next(self) -> str | None:
        """The next line, without its end; None at the end of the file."""
        line = self._waiting.popleft() if self._waiting else self._read()
        if line is not None:
            self._number += 1
            self._record.append(line)
        return line

    def _read(self) -> str | None:
        for line in self._lines:
            if line is not None:
                text = line.decode(errors="surrogateescape").rstrip("\r")
                return text.replace("\r", " ") if "\r" in text else text
            self._number += 1
            self._field.reject(OVER_LONG.format(self._place()))
        return None

    def _sample(self) -> list[str]:
        """The lines that follow, about a megabyte of them; they stay to be read."""
        size = sum(map(len, self._waiting))
        while size < _SAMPLE and (line := self._read()) is not None:
            self._waiting.append(line)
            size += len(line)
        return list(self._waiting)

    def _put_back(self, first: int) -> None:
        """Have the lines of this record read again, from its line `first` on."""
        self._waiting.extendleft(reversed(self._record[first:]))
        self._number -= len(self._record) - first
        del self._record[first:]
