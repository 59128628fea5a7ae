"""Telling formats apart by what the file holds, never by its name.

In this order:

1. ``safetensors``: eight bytes of length, not all text, then ``{``;
2. binary files of other kinds, by their first bytes: named in the error, with what to do
   (`files/kinds.py`); ``parquet``, ``sqlite``, ``fasttext``, ``npz`` and ``gensim`` (a pickle),
   by theirs;
   ``fasttext-2016``, which has no magic number, by numbers that can be its arguments and sizes;
3. a first line of two whole numbers V D: ``word2vec``, ``word2vec-bin`` or ``vocab``, by what
   follows (`under_header.py`);
4. lines that are all a word and a whole number: ``vocab``;
5. cells between commas, semicolons, ``|`` or, under a header, tabs, the last two or more of which
   are numbers: ``csv``; a header of six numbers and two words: ``floret``;
6. a first line of a word and numbers: ``glove``;
7. text files of other kinds, such as a web page: named in the error;
8. eight-byte floats: ``glove-bin``.

One case is ambiguous by nature: one-dimensional GloVe vectors whose first row is two whole numbers.
They are taken for word2vec, whose reader then finds that the count of rows is another; ``--from``
decides.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from embedcli.errors import FormatError
from embedcli.files.kinds import foreign_text, foreign_to_vectors
from embedcli.files.source import Source
from embedcli.formats import csv_rows, fasttext_2016, floret, glove_binary
from embedcli.formats.registry import FORMATS, Format
from embedcli.formats.rows import BOM, parse_header
from embedcli.formats.text_rows import count_numbers
from embedcli.formats.under_header import BEGINS_WITH_HEADER, under_header
from embedcli.formats.vocab import is_vocab_line
from embedcli.quoting import quoted_bytes

__all__ = ["detect_format"]

_VOCAB_LINES: Final = 100
_THREE_NUMBERS: Final = re.compile(rb"[1-9][0-9]{0,11} [1-9][0-9]{0,5} [0-9]{1,12}\r?")


def detect_format(source: Source) -> str:
    """Return the name of the format of `source`, looking only at its head.

    Raises:
        FormatError: it is none that embed reads; says what it seems to be.
    """
    head = source.head
    if not head:
        raise FormatError(f"{source.path} is empty")
    if head[8:9] == b"{" and b"\0" in head[:8] and not BEGINS_WITH_HEADER.match(head):
        return "safetensors"
    _refuse(source, foreign_to_vectors(head, is_whole=source.is_whole))
    for entry in FORMATS.values():
        if isinstance(entry, Format) and entry.magic and head.startswith(entry.magic):
            return entry.name
    if fasttext_2016.looks_like(head):
        return "fasttext-2016"
    _refuse_bare_returns(source)
    lines = _whole_lines(source)
    header = parse_header(lines[0])
    if header is not None:
        return under_header(source, header, lines)
    if all(map(is_vocab_line, lines)):
        return "vocab"
    if floret.looks_like(lines[0]):
        return "floret"
    if csv_rows.looks_like(lines):
        return "csv"
    _refuse(source, _three_numbers(lines))
    if count_numbers(lines[0]):
        _refuse_broken_header(source.path, lines[0], lines[1] if len(lines) > 1 else b"")
        return "glove"
    _refuse(source, foreign_text(head))
    if glove_binary.looks_like(source):
        return "glove-bin"
    raise FormatError(
        f"{source.path} is not a vector file that embed knows; it begins with "
        f"{quoted_bytes(lines[0])}"
    )


def _refuse(source: Source, kind: str | None) -> None:
    """Say what it is, if that is known."""
    if kind is not None:
        inside = f" (inside {source.compression})" if source.compression else ""
        raise FormatError(f"{source.path}{inside} is {kind}")


def _refuse_bare_returns(source: Source) -> None:
    """Lines that end by a carriage return and nothing else: all of the file would be one row."""
    first, end, rest = source.head.removeprefix(BOM).partition(b"\r")
    if end and b"\n" not in source.head and (parse_header(first) or count_numbers(first)) and rest:
        raise FormatError(
            f"{source.path}: its lines end with a carriage return alone; `tr '\\r' '\\n'` makes "
            "newlines of them"
        )


def _whole_lines(source: Source) -> list[bytes]:
    """Return the first lines, the last of them whole unless there is only one."""
    lines = source.head.removeprefix(BOM).split(b"\n", _VOCAB_LINES)
    if len(lines) > _VOCAB_LINES or (not source.is_whole and len(lines) > 1) or not lines[-1]:
        lines = lines[:-1] or lines
    return lines


def _refuse_broken_header(path: str, first: bytes, second: bytes) -> None:
    """A first line such as ``+5 3`` or ``1_000 300``, over rows of another width."""
    fields = first.split()
    if len(fields) == 2 and all(map(_is_some_integer, fields)) and count_numbers(second) != 1:
        raise FormatError(
            f"{path}, line 1: the header should be two whole numbers from 1 in plain digits, rows "
            f"and dimension, but is {quoted_bytes(first)}"
        )


def _is_some_integer(field: bytes) -> bool:
    """Tell whether Python would take it: with a sign, underscores, digits of any script."""
    try:
        int(field.decode()) if len(field) < 100 else int("x")
    except ValueError:
        return False
    return True


def _three_numbers(lines: Sequence[bytes]) -> str | None:
    """What a text is whose first line is rows, dimension and one number more."""
    if _THREE_NUMBERS.fullmatch(lines[0]) is None or len(lines) < 2:
        return None
    dim = int(lines[0].split()[1])
    # With two numbers it might be a word and its two numbers.
    if not lines[1].startswith(b"B64:") and not count_numbers(lines[1]) == dim != 2:
        return None
    return (
        "a file of Deeplearning4j, whose header has three numbers: leave out the third (`sed "
        "'1s/ [0-9]*$//'`); words that begin with B64: are base64"
    )
