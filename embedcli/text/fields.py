"""The field of a record as a line of text, and the faults of malformed records.

A record is a line whatever is in it: ends of lines inside become spaces. A list is joined by
spaces; among items (`--items`) each of its elements is one token, spaces and all. A record without
the field, or with nothing in it, is an empty line, and so is one that cannot be read: both are
counted, and too many of the latter end the run. `records.py` reads the records.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Self

from embedcli.errors import CorpusError
from embedcli.quoting import quoted
from embedcli.settings.text_rules import ITEM_END, TextRules
from embedcli.settings.values import shorten

__all__ = [
    "ALL_SURROGATES",
    "ESCAPED_ONLY",
    "LONGEST_RECORD",
    "OVER_LONG",
    "Field",
    "Place",
    "Texts",
]

LONGEST_RECORD = 1 << 26  # bytes; a longer one is malformed
OVER_LONG = f"{{}}: more than {LONGEST_RECORD >> 20} MiB without a line end"
_BLOCK = 1 << 20
_SHOWN_FIELDS = 8
_LINE_END = re.compile(r"\r?\n")
_BREAKS_ITEM = re.compile(f"[\0\n\r{ITEM_END.decode()}]+")
# What decoding makes of malformed bytes is U+DC80 to U+DCFF: those are counted with all others.
ALL_SURROGATES = re.compile("[\ud800-\udfff]")
ESCAPED_ONLY = re.compile("[\ud800-\udc7f\udd00-\udfff]")

Place = Callable[[], str]


class Field:
    """The text of one field.

    Args:
        name: the field's; dots lead into nested ones.
        rules: how text becomes tokens.

    Attributes:
        number: which column of a table without a header it is, from 1; None: it has a name.
        records: how many were read.
        without: how many of them did not have the field.
        malformed: how many of them could not be read.
        surrogates: lone surrogates in JSON, each of which became U+FFFD.
        empty_files: files without a record.
    """

    def __init__(self, name: str, rules: TextRules) -> None:
        self.name = name
        self.rules = rules
        self.number = int(name) if name.isdecimal() and int(name) else None
        self.records = 0
        self.without = 0
        self.malformed = 0
        self.surrogates = 0
        self.empty_files: list[str] = []
        self._path = name.split(".")
        self._first_malformed = ""
        self._first_surrogate = ""
        self._names: list[str] = []  # those of the first record without the field
        separator = rules.separator_bytes
        self._between = None if separator is None else separator.decode()

    @classmethod
    def named_by(cls, rules: TextRules) -> Self | None:
        """The field that `rules` name, if any."""
        return None if rules.field is None else cls(rules.field, rules)

    def within(self, record: dict[str, Any]) -> Any:
        """The value of the field in a record, or None."""
        value = record[self.name] if self.name in record else _within(record, self._path)
        if value is None and not self._names:
            self._names = list(map(str, record))
        return value

    def text(self, value: Any, place: Place, surrogates: re.Pattern[str] | None = None) -> str:
        """A value as a line of text, or as nothing.

        Args:
            value: text, a number, or a list of values.
            place: says where it was found.
            surrogates: those that may be in it and no byte stands for.
        """
        self.records += 1
        leaves: list[str] = []
        stranger = _collect(value, leaves)
        if stranger:
            self.records -= 1
            return self.reject(
                f"{place()}: the field {quoted(self.name)} holds a {stranger}, not text"
            )
        if not leaves:
            self.without += value is None
            return ""
        if surrogates is not None:
            leaves = [self._mended(leaf, place, surrogates) for leaf in leaves]
        if self.rules.items:
            return ITEM_END.decode().join(self._items(leaves, is_list=not isinstance(value, str)))
        line = leaves[0] if len(leaves) == 1 else " ".join(leaves)
        return _LINE_END.sub(" ", line) if "\n" in line else line

    def reject(self, complaint: str) -> str:
        """Count a record that cannot be read; its text, which is empty."""
        self.records += 1
        self.malformed += 1
        self._first_malformed = self._first_malformed or complaint
        return ""

    def check_is_there(self, names: Iterable[str], title: str, *, nested: bool = False) -> None:
        """Refuse a table that does not have the field at all.

        Args:
            names: the columns there are.
            title: what to call it.
            nested: whether a column may hold structures with the field in them.

        Raises:
            CorpusError: names the columns there are.
        """
        found = list(names)
        if self.name not in found and not (nested and self._path[0] in found):
            raise CorpusError(
                f"{title} has no field {quoted(self.name)}; there are {_listed(found)}"
            )

    def check_number(self, n_columns: int, title: str) -> None:
        """Refuse the number of a column that a table does not have.

        Raises:
            CorpusError: says how many there are.
        """
        if self.number is not None and self.number > n_columns:
            raise CorpusError(
                f"{title} has no field {quoted(self.name)}; there are 1 to {n_columns}"
            )

    def check(self, title: str, *, is_part: bool) -> None:
        """Refuse records that are too often malformed, or never have the field.

        Args:
            title: what was read, for the message.
            is_part: whether it is a part of a text, which may lack the field.

        Raises:
            CorpusError: says the first one, and how many there are.
        """
        if self.malformed > self.rules.bad_records * self.records:
            raise CorpusError(
                f"{self._first_malformed}; {self.malformed} of {self.records} records are "
                f"malformed, and --bad-records {self.rules.bad_records:g} is the share that is "
                "left out"
            )
        if is_part:
            return
        if self.empty_files and not self.records:
            raise CorpusError(f"{title} holds no records")
        if self.records and self.without == self.records - self.malformed:
            if not self._names or self.name in self._names:
                raise CorpusError(
                    f"{title}: nothing is in the field {quoted(self.name)} of any record"
                )
            raise CorpusError(
                f"{title} has no field {quoted(self.name)}; there are {_listed(self._names)}"
            )

    def remarks(self) -> Iterator[str]:
        """What is worth a warning."""
        if self.without:
            yield f"{self.without} of {self.records} records have no {quoted(self.name)}"
        if self.malformed:
            yield (
                f"{self.malformed} of {self.records} records are malformed and were left out, the "
                f"first: {self._first_malformed}"
            )
        if self.surrogates:
            yield (
                f"{self.surrogates} lone surrogates (\\ud800 to \\udfff in JSON) were replaced by "
                f"U+FFFD, the first in {self._first_surrogate}"
            )
        if self.empty_files:
            more = f" and {len(self.empty_files) - 1} more" * (len(self.empty_files) > 1)
            yield f"no records in {self.empty_files[0]}{more}"

    def _mended(self, text: str, place: Place, surrogates: re.Pattern[str]) -> str:
        mended, n_found = surrogates.subn("\ufffd", text)
        if n_found and not self.surrogates:
            self._first_surrogate = place()
        self.surrogates += n_found
        return mended

    def _items(self, leaves: list[str], *, is_list: bool) -> Iterator[str]:
        """The tokens of a record: the elements of a list, or what a text is cut into."""
        for leaf in leaves:
            if is_list:
                yield _BREAKS_ITEM.sub(" ", leaf)
            else:
                one_line = _LINE_END.sub(" ", leaf)
                yield from (
                    one_line.split() if self._between is None else one_line.split(self._between)
                )


def _within(value: Any, path: list[str]) -> Any:
    """What `path` leads to in a nested value: names of keys, places in lists; None: nothing."""
    for depth, name in enumerate(path):
        if isinstance(value, dict):
            value = value.get(name)
        elif isinstance(value, list) and name.isdecimal():
            value = value[int(name)] if int(name) < len(value) else None
        elif isinstance(value, list):
            found = [_within(each, path[depth:]) for each in value]
            return [each for each in found if each is not None] or None
        else:
            return None
    return value


def _collect(value: Any, leaves: list[str]) -> str | None:
    """Append the texts and numbers in `value`; the name of its type where it has none."""
    if isinstance(value, str):
        leaves.append(value)
    elif isinstance(value, (int, float)):
        leaves.append(str(value))
    elif isinstance(value, bytes):
        leaves.append(value.decode(errors="surrogateescape"))
    elif isinstance(value, (list, tuple)):
        return next(filter(None, [_collect(each, leaves) for each in value]), None)
    elif value is not None:
        return type(value).__name__
    return None


def _listed(names: list[str]) -> str:
    more = ", ..." * (len(names) > _SHOWN_FIELDS)
    return (", ".join(map(shorten, names[:_SHOWN_FIELDS])) or "none") + more


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
