"""``csv``: a table as spreadsheets, pandas and R write it; only read.

    word,count,d0,d1                a header, or none
    "New York",7,0.25,-1.5          one row per word; quoted cells may hold anything

Cells are separated by commas, semicolons, tabs or ``|``. The words are in the column that is asked
for (by its name, or its number from 1), else in the only one that is not all numbers, else in
``word``, else in the first one. A column ``count`` is the counts; one without
a name, ``index`` or ``id`` is pandas' numbering of the rows, if another one holds the words. All
other columns of numbers are the components, in their order.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from embedcli.embeddings import Embeddings
from embedcli.errors import FormatError
from embedcli.files.source import Source
from embedcli.formats.decimals import is_number, looks_like_number, parse_numbers
from embedcli.formats.row_words import SKIP_HINT, embeddings_of
from embedcli.formats.rows import BOM
from embedcli.formats.text_rows import text_lines
from embedcli.quoting import quoted, quoted_bytes
from embedcli.settings.reading import ReadingOptions

__all__ = ["looks_like", "read"]

_DELIMITERS: Final = ",;\t|"
_SAMPLE: Final = 100  # rows that tell columns of numbers from others
_BATCH: Final = 1 << 11
_COUNTS: Final = ("count", "freq", "frequency")
_NAMES: Final = ("word", "words", "token", "tokens", "item", "key", "term", "index", "id")
_NUMBERING: Final = ("", "index", "id", "unnamed: 0")


def looks_like(lines: Sequence[bytes]) -> bool:
    """Whether a file that begins with `lines` is a table of words and at least two numbers."""
    return _delimiter(lines) is not None


def read(source: Source, reading: ReadingOptions) -> Embeddings:
    """Read all rows.

    Raises:
        FormatError: there is no column that is clearly the words, or a row is damaged.
    """
    return _Table(source, reading).read()


def _delimiter(lines: Sequence[bytes]) -> str | None:
    """What separates cells so that rows end in numbers; tabs without a header are GloVe's."""
    text = [line.decode("latin-1") for line in lines]
    for delimiter in _DELIMITERS:
        cells = _first_rows(text, delimiter)
        alike = len({len(row) for row in cells}) == 1
        has_header = len(cells) > 1 and _is_header(cells[0], cells[1])
        if alike and max(map(_n_numbers, cells)) > 1 and (delimiter != "\t" or has_header):
            return delimiter
    return None


def _first_rows(lines: Sequence[str], delimiter: str) -> list[list[str]]:
    """The first two rows that are not blank; none if what is quoted has no end."""
    table = csv.reader((f"{line}\n" for line in lines), delimiter=delimiter, skipinitialspace=True)
    try:
        return list(islice(filter(None, table), 2))
    except csv.Error:
        return []


def _n_numbers(cells: Sequence[str]) -> int:
    """How many cells at the end are numbers; the first is none."""
    n = 0
    for cell in reversed(cells[1:]):
        if not _number(cell):
            break
        n += 1
    return n


def _number(cell: str) -> bool:
    return looks_like_number(cell.strip().encode("latin-1")) and "," not in cell


def _is_header(first: Sequence[str], second: Sequence[str]) -> bool:
    """Whether the first row names columns: by words, or by 0 1 2 ... behind one of `_NAMES`."""
    if len(first) != len(second):
        return False
    pairs = list(zip(first, second, strict=True))
    names = [cell.strip() for cell, below in pairs[1:] if _number(below)]
    if not all(map(_number, names)) or (not first[0].strip() and second[0].strip()):
        return True
    counted = [[str(i) for i in range(n, n + len(names))] for n in (0, 1)]
    return names in counted and first[0].strip().lower() in _NAMES


@dataclass(frozen=True)
class _Columns:
    """Which columns hold what, and how many there are."""

    word: int
    count: int | None
    numbers: list[int]
    n: int


class _Table:
    """The rows of a table, and which of its columns hold what."""

    def __init__(self, source: Source, reading: ReadingOptions) -> None:
        self._where, self._reading = source.path, reading
        lines = source.head.removeprefix(BOM).split(b"\n", _SAMPLE)[:_SAMPLE]
        self._rows = csv.reader(
            _text(source),
            delimiter=_delimiter(lines) or ",",
            skipinitialspace=True,
            strict=True,
        )
        self._skipped: Counter[str] = Counter()

    def read(self) -> Embeddings:
        words: list[bytes] = []
        blocks: list[NDArray[np.float32]] = []
        counts: list[int] = []
        try:
            sample = list(islice(self._numbered(), _SAMPLE + 1))
            if not sample:
                raise FormatError(f"{self._where}: there is not a single row")
            columns, has_header = self._choose([row for _, row in sample])
            rows = chain(sample[has_header:], self._numbered())
            while batch := list(islice(rows, self._wanted(len(words)))):
                kept, numbers = self._parsed(batch, columns)
                words += [row[columns.word].encode("latin-1") for _, row in kept]
                blocks.append(numbers)
                if columns.count is not None:
                    counts += [self._count(line, row[columns.count]) for line, row in kept]
        except csv.Error as error:
            raise FormatError(f"{self._where}, line {self._rows.line_num}: {error}") from error
        if not words:
            raise FormatError(f"{self._where}: there is not a single row")
        tally = None if columns.count is None else np.array(counts, np.int64)
        vectors = np.concatenate(blocks)
        return embeddings_of(self._where, words, vectors, self._reading, tally, None, self._skipped)

    def _wanted(self, n_read: int) -> int:
        """How many rows to read next."""
        return self._reading.until_limit(n_read + _BATCH) - n_read

    def _numbered(self) -> Iterator[tuple[int, list[str]]]:
        for row in self._rows:
            yield self._rows.line_num, row

    def _choose(self, sample: list[list[str]]) -> tuple[_Columns, bool]:
        """The columns, and whether the first row is their names."""
        first = sample[0]
        has_header = len(sample) > 1 and _is_header(first, sample[1])
        rows = [row for row in sample[has_header:] if len(row) == len(first)]
        least = len(rows) // 2 + 1  # some may be bad
        numeric = [i for i in range(len(first)) if sum(_number(row[i]) for row in rows) >= least]
        names = [name.strip() for name in first] if has_header else []
        word = self._word(names, numeric, len(first))
        lower = [name.lower() for name in names]
        count = next((i for i in numeric if names and lower[i] in _COUNTS and i != word), None)
        numbers = [i for i in numeric if i not in (word, count)]
        if word not in numeric or word:
            numbers = [i for i in numbers if i or not names or lower[0] not in _NUMBERING]
        if not numbers:
            raise FormatError(f"{self._where}: no column holds numbers in all of its first rows")
        return _Columns(word, count, numbers, len(first)), has_header

    def _word(self, names: list[str], numeric: list[int], n: int) -> int:
        asked = self._reading.word_column
        if asked is not None:
            if asked in names:
                return names.index(asked)
            if asked.isascii() and asked.isdigit() and 1 <= int(asked[:9]) <= n:
                return int(asked) - 1
            held = ", ".join(map(quoted, names[:12])) or f"{n} without names: 1 to {n}"
            raise FormatError(f"{self._where} has no column {quoted(asked)}; it has {held}")
        others = [i for i in range(n) if i not in numeric]
        if len(others) == 1:
            return others[0]
        if "word" in names:
            return names.index("word")
        if others:
            held = ", ".join(quoted(names[i]) if names else str(i + 1) for i in others[:12])
            raise FormatError(
                f"{self._where}: any of the columns {held} may be the words "
                "(--word-column NAME or its number chooses)"
            )
        return 0

    def _parsed(
        self, batch: list[tuple[int, list[str]]], columns: _Columns
    ) -> tuple[list[tuple[int, list[str]]], NDArray[np.float32]]:
        """The rows of a batch that are sound, and their numbers, float32 (n, D)."""
        kept = [numbered for numbered in batch if len(numbered[1]) == columns.n]
        if len(kept) < len(batch):
            kept = [numbered for numbered in batch if self._has_cells(*numbered, columns.n)]
        numbers = _numbers(kept, columns)
        if numbers is None:
            kept = [numbered for numbered in kept if self._has_numbers(*numbered, columns)]
            numbers = _numbers(kept, columns)
        if numbers is None:  # every cell is a number by the stricter grammar
            raise AssertionError(self._where)
        return kept, numbers.reshape(len(kept), -1)

    def _has_cells(self, line: int, row: list[str], n: int) -> bool:
        if len(row) == n:
            return True
        what = f"{len(row)} cells, expected {n}" if row else "an empty line among the rows"
        return self._refused(line, what, "with another number of cells" if row else "blank")

    def _has_numbers(self, line: int, row: list[str], columns: _Columns) -> bool:
        for i in columns.numbers:
            cell = row[i].strip().encode("latin-1")
            if not is_number(cell):
                what = f"{quoted_bytes(cell)} in column {i + 1} is not a plain number"
                return self._refused(line, what, "with what is no number or not finite")
        return True

    def _refused(self, line: int, what: str, kind: str) -> bool:
        if not self._reading.skips:
            raise FormatError(f"{self._where}, line {line}: {what} ({SKIP_HINT})")
        self._skipped[kind] += 1
        return False

    def _count(self, line: int, cell: str) -> int:
        cell = cell.strip().removesuffix(".0")
        if not (cell.isascii() and cell.isdigit() and len(cell) < 19):
            raise FormatError(f"{self._where}, line {line}: the count {quoted(cell)} is none")
        return int(cell)


def _text(source: Source) -> Iterator[str]:
    """The lines of the file, a character for each byte."""
    first = True
    for lines in text_lines(source):
        for line in lines:
            yield (line.removeprefix(BOM) if first else line).decode("latin-1") + "\n"
            first = False


def _numbers(rows: list[tuple[int, list[str]]], columns: _Columns) -> NDArray[np.float32] | None:
    cells: Any = (row[i].strip() for _, row in rows for i in columns.numbers)
    parsed = parse_numbers(" ".join(cells).encode("latin-1")) if rows else np.empty(0, np.float32)
    wanted = len(rows) * len(columns.numbers)
    return parsed if parsed is not None and parsed.size == wanted else None
