"""Detects files of records by content, and yields the text of one field of each record.

``PAR1`` begins Parquet, ``{`` JSON lines or other JSON objects, ``[`` an array of them; anything
else is a table. Only JSON lines can be entered in the middle: a table's columns are named at its
beginning, and a line end may be within a cell.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator

from embedcli.text.encodings import Readable
from embedcli.text.fields import Field, Texts
from embedcli.text.json_records import json_line_texts, json_texts
from embedcli.text.lines import Lines
from embedcli.text.tables import table_texts

__all__ = ["is_json_lines", "texts_of", "texts_of_part"]

_MOST_OTHERS = 4  # lines before the first object


def texts_of(file: Readable, head: bytes, field: Field, title: str) -> Readable:
    """The texts of `file`, UTF-8 that begins with `head`; `title` is for messages."""
    start = _start(head)
    if is_json_lines(head):
        texts = json_line_texts(Lines(file), field, title)
    elif start in (b"{", b"["):
        texts = json_texts(file, field, title)
    else:
        texts = table_texts(Lines(file), field, title)
    return Texts(noted(texts, field, title))


def texts_of_part(file: Readable, field: Field, title: str) -> Readable:
    """The texts of a stretch of JSON lines, from a record on that is not the first."""
    return Texts(json_line_texts(Lines(file), field, title))


def noted(texts: Iterator[str], field: Field, title: str) -> Iterator[str]:
    """The same texts; a file without a record is noted."""
    before = field.records
    yield from texts
    if field.records == before:
        field.empty_files.append(title)


def is_json_lines(head: bytes) -> bool:
    """Whether a file of records that begins with `head` has one a line, each for itself."""
    lines = head.removeprefix(codecs.BOM_UTF8).replace(b"\r", b"\n").split(b"\n")
    whole = [line.strip() for line in lines[:-1] if line.strip()] or [lines[-1].strip()]
    first = whole[0]
    if first.startswith(b"{"):
        # What goes on in the next line ends with what opens or separates; a record, with neither.
        return not first.endswith((b"{", b"[", b",", b":")) or len(first) == len(head)
    objects = (line for line in whole[1 : 1 + _MOST_OTHERS] if line.startswith(b"{"))
    return not first.startswith(b"[") and any(map(_is_object, objects))


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _start(head: bytes) -> bytes:
    """The first byte of a text that is neither white space nor of a byte order mark."""
    return head.removeprefix(codecs.BOM_UTF8).lstrip()[:1]
