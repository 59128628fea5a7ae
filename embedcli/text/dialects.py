r"""How the cells of a table are written: what separates them, quotes them, and escapes a quote.

What separates columns is found among comma, tab, semicolon and ``|``: where the field has a name,
what makes a column of it out of the first line; where it has a number, what cuts the lines into the
same number of cells. Cells between commas and semicolons are quoted by ``"``, doubled inside, as
spreadsheets do. Whether those between tabs and ``|`` are, and whether ``\"`` is a quote inside
one, is asked where it first matters (`Dialect.asks`), and answered by which reading leaves the
fewest lines that make no sense.
"""

from __future__ import annotations

import csv
import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from embedcli.settings.text_rules import TextRules

__all__ = ["Dialect", "find_dialect", "header", "widths"]

_DELIMITERS = (",", "\t", ";", "|")
_OFTEN_UNQUOTED = ("\t", "|")
_REGULAR = 0.5  # of the lines have the same number of cells


@dataclass(frozen=True)
class Dialect:
    """How cells are written.

    Attributes:
        delimiter: what separates them.
        quote: what stands around those that are quoted.
        is_quoted: whether any are; None: not known yet.
        is_escaped: whether a backslash escapes what follows it; None: not known yet.
        is_spaced: whether a space follows the delimiter.
    """

    delimiter: str
    quote: str = '"'
    is_quoted: bool | None = True
    is_escaped: bool | None = None
    is_spaced: bool = False

    def reader(self, lines: Iterable[str]) -> Any:
        """A `csv.reader` of lines with their ends, which can go on after an error."""
        return csv.reader(
            lines,
            delimiter=self.delimiter,
            quotechar=self.quote,
            escapechar="\\" if self.is_escaped else None,
            quoting=csv.QUOTE_MINIMAL if self.is_quoted else csv.QUOTE_NONE,
            skipinitialspace=self.is_spaced,
            strict=True,
        )

    def asks(self, line: str) -> bool:
        """Whether `line` can be read in several ways."""
        if self.is_quoted is not False and self.is_escaped is None and f"\\{self.quote}" in line:
            return True
        begins = line.startswith(self.quote) or f"{self.delimiter}{self.quote}" in line
        return self.is_quoted is None and begins

    def decided(self, sample: Sequence[str], width: int) -> Dialect:
        """The reading that makes sense of the most lines of `sample`, rows of `width` cells."""
        readings = [replace(self, is_quoted=True)]
        if self.is_escaped is None and any(f"\\{self.quote}" in line for line in sample):
            readings = [replace(readings[0], is_escaped=each) for each in (True, False)]
        if self.is_quoted is None:
            readings.append(replace(self, is_quoted=False))
        return min(readings, key=lambda reading: _nonsense(reading, sample, width))


def find_dialect(
    rules: TextRules, delimiter: str | None, sample: Sequence[str], name: str | None
) -> Dialect:
    """The dialect of a table.

    Args:
        rules: say what quotes.
        delimiter: what separates columns; None: to be found.
        sample: its first lines.
        name: a column; None where it has no header.
    """
    found = delimiter or (_regular(sample) if name is None else _naming(sample, name))
    is_quoted = None if found in _OFTEN_UNQUOTED and rules.quote is None else rules.quote != "none"
    quote = '"' if rules.quote in (None, "none") else str(rules.quote)
    is_spaced = 0 < sample[0].count(f"{found} ") == sample[0].count(found)
    return Dialect(found, quote, is_quoted, is_spaced=is_spaced)


def header(sample: Sequence[str], dialect: Dialect) -> list[str]:
    """The cells of the first row, without the spaces around them; empty if it cannot be read."""
    try:
        return [name.strip() for name in next(dialect.reader(_ended(sample)), [])]
    except csv.Error:
        return []


def widths(dialect: Dialect, sample: Sequence[str]) -> Counter[int]:
    """How many rows have how many cells; 0 for those that cannot be read."""
    reader = dialect.reader(_ended(sample))
    found: Counter[int] = Counter()
    while True:
        try:
            found.update(len(row) for row in reader if row)
        except csv.Error:
            found[0] += 1
        else:
            return found


def _naming(sample: Sequence[str], name: str) -> str:
    """What makes the most columns of the first row, `name` among them if it can be."""
    rows = {each: header(sample, Dialect(each)) for each in _DELIMITERS}
    return max(_DELIMITERS, key=lambda each: (name in rows[each], len(rows[each])))


def _regular(sample: Sequence[str]) -> str:
    """What cuts the most lines into the same number of cells; a tab where nothing does."""
    best, most = "\t", (_REGULAR, 0)
    escaped = (None, True) if any('\\"' in line for line in sample) else (None,)
    for each, is_escaped in itertools.product(_DELIMITERS, escaped):
        counts = widths(Dialect(each, is_escaped=is_escaped), sample)
        width, n_rows = counts.most_common(1)[0] if counts else (0, 0)
        share = n_rows / counts.total() if width > 1 else 0.0
        if (share, width) > most:
            best, most = each, (share, width)
    return best


def _nonsense(dialect: Dialect, sample: Sequence[str], width: int) -> int:
    """How many lines cannot be read, or have another number of cells."""
    reader = dialect.reader(_ended(sample))
    n_lines = before = 0
    while True:
        try:
            row = next(reader)
            is_sound = not row or not width or len(row) == width
        except StopIteration:
            return n_lines
        except csv.Error:
            is_sound = False
        n_lines += 0 if is_sound else reader.line_num - before
        before = reader.line_num


def _ended(sample: Sequence[str]) -> Iterable[str]:
    return (f"{line}\n" for line in sample)
