r"""One field of every record of a file, a line each: JSON lines, CSV, TSV, Parquet.

They are told apart by what is in them: ``{`` begins JSON lines, ``PAR1`` Parquet; anything else is
a table with a header. A tab in the header makes it TSV, whose cells are never quoted; else it is
CSV, quoted as spreadsheets do. Only JSON lines can be entered in the middle: a table's columns are
named at its beginning, and a line end may be within a cell.

A record is a line whatever is in it: ends of lines inside become spaces. A list of texts or numbers
is joined, by what separates items or by a space. A record without the field, or with nothing in it,
is an empty line.
"""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Self

from embedcli.errors import CorpusError, MissingExtraError
from embedcli.quoting import quoted
from embedcli.rules import TextRules
from embedcli.text.blocks import Readable

__all__ = ["IS_PARQUET", "Field", "Texts", "is_json_lines", "parquet_texts"]

IS_PARQUET = b"PAR1"  # the first bytes

_BLOCK = 1 << 20
_LARGEST_CELL = 1 << 30
_SHOWN_FIELDS = 8


class _Csv(csv.excel):
    strict = True


class _Tsv(csv.excel_tab):
    quoting = csv.QUOTE_NONE


class Field:
    """The text of one field.

    Args:
        name: the field's.
        between: what joins the elements of a list.

    Attributes:
        records: how many were read.
        without: how many of them did not have the field.
    """

    def __init__(self, name: str, between: str = " ") -> None:
        self.name = name
        self.records = 0
        self.without = 0
        self._between = between

    @classmethod
    def named_by(cls, rules: TextRules) -> Self | None:
        """The field that `rules` name, if any."""
        if rules.field is None:
            return None
        between = rules.separator_bytes
        return cls(rules.field, " " if between is None else between.decode())

    def of(self, file: Readable, head: bytes, title: str) -> Readable:
        """The texts of `file`, UTF-8 that begins with `head`; `title` is for messages."""
        if _start(head) == b"[":
            raise CorpusError(
                f"{title} is a JSON array; --field reads an object a line: jq -c '.[]' {title}"
            )
        texts = self._of_json if is_json_lines(head) else self._of_table
        return Texts(texts(_Lines(file), title))

    def of_part(self, file: Readable, title: str) -> Readable:
        """The texts of a stretch of JSON lines, from a record on that is not the first."""
        return Texts(self._of_json(_Lines(file), title, is_first=False))

    def text(self, value: Any, place: Callable[[], str]) -> str:
        """A value as a line of text, or as nothing.

        Raises:
            CorpusError: it is neither text nor a number nor a list of these; `place` says where.
        """
        self.records += 1
        if value is None:
            self.without += 1
            return ""
        parts = value if isinstance(value, (list, tuple)) else [value]
        if not all(isinstance(part, (str, int, float)) for part in parts):
            kind = type(value).__name__
            raise CorpusError(f"{place()}: the field {quoted(self.name)} holds a {kind}, not text")
        line = self._between.join(map(str, parts))
        return line.replace("\r\n", " ").replace("\n", " ") if "\n" in line else line

    def _of_json(
        self, lines: Iterable[bytes], title: str, *, is_first: bool = True
    ) -> Iterator[str]:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                record = json.loads(line.decode(errors="surrogateescape"))
                value = record.get(self.name)
            except (ValueError, AttributeError, RecursionError) as error:
                raise CorpusError(
                    f"{title}, line {number}: expected a JSON object, found {line[:60]!r}"
                ) from error
            if is_first and number == 1 and self.name not in record:
                self.check_is_there(record, title)
            yield self.text(value, lambda: f"{title}, line {number}")  # noqa: B023 (called at once)

    def _of_table(self, lines: Iterable[bytes], title: str) -> Iterator[str]:
        decoded = (line.decode(errors="surrogateescape") + "\n" for line in lines)
        header = next(decoded, "")
        csv.field_size_limit(_LARGEST_CELL)
        dialect = _Tsv if "\t" in header else _Csv
        rows = csv.reader(itertools.chain([header], decoded), dialect)
        try:
            names = next(rows, [])
            self.check_is_there(names, title)
            column = names.index(self.name)
            for row in rows:
                if row:
                    yield self.text(row[column] if column < len(row) else None, lambda: title)
        except csv.Error as error:
            raise CorpusError(
                f"{title}, line {rows.line_num}: not as a table is quoted: {error}"
            ) from error

    def check_is_there(self, names: Iterable[str], title: str) -> None:
        """Refuse a file that does not have the field at all."""
        found = list(names)
        if self.name not in found:
            more = ", ..." * (len(found) > _SHOWN_FIELDS)
            shown = ", ".join(map(quoted, found[:_SHOWN_FIELDS])) + more
            raise CorpusError(
                f"{title} has no field {quoted(self.name)}; there are {shown or 'none'}"
            )


def is_json_lines(head: bytes) -> bool:
    """Whether a file of records that begins with `head` has one a line, each for itself."""
    return _start(head) == b"{"


def _start(head: bytes) -> bytes:
    """The first byte of a text that is neither white space nor of a byte order mark."""
    return head.removeprefix(codecs.BOM_UTF8).lstrip()[:1]


def parquet_texts(file: Any, field: Field, title: str) -> Iterator[str]:
    """The texts of a column of a Parquet file.

    Args:
        file: the file, seekable.
        field: the column.
        title: the file's name.

    Raises:
        MissingExtraError: pyarrow is not installed.
        CorpusError: it is damaged, or has no such column.
    """
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise MissingExtraError("Parquet", "pyarrow", "interchange") from error
    if not file.seekable():
        raise CorpusError(f"{title}: Parquet is read from its end; give a file, not a pipe")
    try:
        table = ParquetFile(file)
        field.check_is_there(table.schema_arrow.names, title)
        for batch in table.iter_batches(columns=[field.name]):
            for value in batch.column(0).to_pylist():
                yield field.text(value, lambda: title)
    except ArrowException as error:
        raise CorpusError(f"{title} is damaged: {error}; is the download complete?") from error


class Texts:
    """Texts read as the bytes of a file, a line each."""

    def __init__(self, texts: Iterator[str]) -> None:
        self._texts = texts
        self._ready = memoryview(b"")

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill `buffer` from its start; the number of bytes, 0 at the end."""
        if not self._ready:
            lines, length = [], 0
            for text in self._texts:
                lines.append(text)
                length += len(text) + 1
                if length >= _BLOCK:
                    break
            joined = "".join(f"{line}\n" for line in lines)
            self._ready = memoryview(joined.encode(errors="surrogateescape"))
        n = min(len(buffer), len(self._ready))
        buffer[:n] = self._ready[:n]
        self._ready = self._ready[n:]
        return n


class _Lines(Iterator[bytes]):
    """The lines of a file, without their ends."""

    def __init__(self, file: Readable) -> None:
        self._file = file
        self._buffer = memoryview(bytearray(_BLOCK))
        self._lines: Iterator[bytes] = iter(())
        self._rest: bytes | None = b""

    def __next__(self) -> bytes:
        line = next(self._lines, None)
        while line is None:
            if self._rest is None:
                raise StopIteration
            line = self._fill(self._rest)
        return line

    def _fill(self, rest: bytes) -> bytes | None:
        """Read on; the first line of what was read, if there is a whole one."""
        pieces = io.BytesIO()
        pieces.write(rest)
        while n := self._file.readinto(self._buffer):
            pieces.write(self._buffer[:n])
            if b"\n" in bytes(self._buffer[:n]):
                *lines, self._rest = pieces.getvalue().split(b"\n")
                self._lines = iter(lines)
                return next(self._lines)
        self._rest = None
        return pieces.getvalue() or None
