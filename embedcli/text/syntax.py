"""Syntax that a text is full of, and that training would take for words.

What programs write for programs (records, markup, tables) is text, and can be trained on; as a rule
somebody forgot an option. The first kilobytes tell, and one line says which option it is. What must
hold is strict, as prose has tabs and commas too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

from embedcli.quoting import quoted
from embedcli.settings.text_rules import TextRules
from embedcli.text.dialects import Dialect, header, widths

__all__ = ["syntax"]

_LINES = 5  # of a table, at least
_SHOWN = 8  # fields
_DEEPEST = 8  # levels of records
_NUMBERS = 8  # behind a word, in a file of vectors
_EXTRACT = "extract its text first"
# How it begins, what it is, what to do.
_MARKS = (
    (rb"WARC/1\.", "WARC, an archive of web pages", "the .wet files beside it hold its text"),
    (rb"\{\\rtf", "RTF, a word processor's", "save it as plain text"),
    (
        rb"<\?xml.{,2000}<(?:w:document|pkg:package)",
        "a Word document in XML",
        "save it as plain text",
    ),
    (rb"(?:<\?xml.{,2000})?<mediawiki", "a dump of a wiki", f"{_EXTRACT}, without its markup"),
    (rb"<\?xml[\s?]|<!DOCTYPE (?!html)", "XML", f"{_EXTRACT}, without its tags"),
    (
        rb"<(?!s>|html|!)[A-Za-z][\w:.-]*(?:\s[^<>]*)?>.*</[\w:.-]+>",
        "XML or HTML",
        f"{_EXTRACT}, without its tags",
    ),
    (rb"WEBVTT\b", "subtitles (WebVTT)", "leave out its times"),
    (rb"1\r?\n\d\d:\d\d:\d\d[,.]\d{3} --> ", "subtitles (SubRip)", "leave out its times"),
    (rb"%!PS-", "PostScript", _EXTRACT),
    (rb"(?:%[^\n]*\n|\s)*\\document(?:class|style)\b", "TeX", f"{_EXTRACT}: detex FILE"),
    (rb"From \S+@\S+ [^\n]*\d{4}\r?\n[A-Za-z-]+:", "a mailbox", f"{_EXTRACT}, without its headers"),
    (
        rb"-- (?:MySQL|MariaDB|PostgreSQL) "
        rb"|(?:--[^\n]*\n|\s)*(?:CREATE TABLE|INSERT INTO|DROP TABLE) ",
        "SQL",
        "write its column to CSV, and give --field NAME",
    ),
)
_PATTERNS = [(re.compile(begin, re.DOTALL), what, advice) for begin, what, advice in _MARKS]
# Markup within a text: so many times in what is looked at, with the second at least once.
_FEWEST_MARKS = 5
_TAGS = (
    "a|b|big|blockquote|body|br|center|code|dd|div|dl|dt|em|font|h[1-6]|head|hr|html|i|img|li|ol|p|"
    "pre|ref|small|span|strong|sub|sup|table|tbody|td|th|title|tr|u|ul"
)
_MARKUP = (
    (
        re.compile(rf"</?(?:{_TAGS})(?:\s[^<>]*)?/?>|&(?:nbsp|amp|quot|lt|gt);".encode(), re.I),
        re.compile(rf"</(?:{_TAGS})>|&[a-z]+;".encode(), re.I),
        "HTML",
        f"{_EXTRACT}, without its tags",
    ),
    (
        re.compile(rb"\[\[[^\[\]\n]+\]\]|\{\{[^{}\n]+\}\}|^={2,}[^=\n]+={2,}\s*$", re.M),
        re.compile(rb"\[\[[^\[\]\n]+\]\]"),
        "the markup of a wiki",
        f"{_EXTRACT}, without its markup",
    ),
)
# What separates columns, how many there are at least, and what that is called.
_TABLES = (("\t", 2, "TSV"), (",", 3, "CSV"), (";", 3, "CSV"), ("|", 3, "a table"))
_VECTORS = re.compile(rf"\S+(?: -?\d+(?:\.\d+)?(?:[eE]-?\d+)?){{{_NUMBERS},}} ?")
_A_NAME = re.compile(r"[^\W\d][\w .:/-]{0,40}")


def syntax(head: bytes, rules: TextRules, *, has_columns: bool = False) -> str | None:
    """What a file that is read as plain text seems to be instead, and the option for it.

    Args:
        head: its first bytes, decompressed, in UTF-8.
        rules: how it is read.
        has_columns: whether lines may have tabs.
    """
    begin = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    for pattern, what, advice in _PATTERNS:
        if pattern.match(begin):
            return f"it looks like {what}: {advice}"
    lines = _whole_lines(begin)
    if not lines:
        return None
    fields = _json_fields(begin, lines)
    if fields is not None:
        return f"it looks like JSON; to read a field of it: --field {_longest(fields)}"
    if len(lines) >= 3 and all(map(_VECTORS.fullmatch, lines[1:])):
        return "it looks like a file of vectors, not text"
    if rules.items:
        return None
    return _markup(begin) or (None if has_columns else _table(lines))


def _markup(begin: bytes) -> str | None:
    """What to say of a text that is full of markup; None: it is not."""
    for marks, closing, what, advice in _MARKUP:
        if len(marks.findall(begin)) >= _FEWEST_MARKS and closing.search(begin):
            return f"it looks like {what}: {advice}"
    return None


def _whole_lines(begin: bytes) -> list[str]:
    """The lines that are there to their end."""
    text = begin.decode(errors="replace")
    lines = text.splitlines()
    return [
        line for line in (lines if text.endswith("\n") else lines[:-1] or lines) if line.strip()
    ]


def _json_fields(begin: bytes, lines: Sequence[str]) -> dict[str, object] | None:
    """The fields of the first record of JSON; None: it is none, or has none."""
    if not begin.startswith((b"{", b"[")):
        return None
    text = begin.decode(errors="replace").removeprefix("[").lstrip()
    for candidate in (lines[0], text):
        try:
            record, _ = json.JSONDecoder().raw_decode(candidate)
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict):
            return record
    is_cut = re.match(r'[\[{\s]*"((?:[^"\\]|\\.){1,60})"\s*:', text)
    return {is_cut[1]: ""} if is_cut else None


def _longest(record: dict[str, object]) -> str:
    """The field whose value is the longest text, and what others there are."""
    texts = dict(_texts(record, ""))
    best = max(texts or record, key=lambda name: texts.get(name, 0))
    others = [quoted(name) for name in (texts or record) if name != best][:_SHOWN]
    return quoted(best)[1:-1] + (f" (others are {', '.join(others)})" if others else "")


def _texts(value: object, name: str, depth: int = 0) -> Iterator[tuple[str, int]]:
    """The texts in a value, by the names that lead to them, and how long they are."""
    if isinstance(value, str):
        yield name, len(value)
    elif depth > _DEEPEST:
        return
    elif isinstance(value, list):
        for each in value[:1]:
            yield from _texts(each, name, depth + 1)
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _texts(each, f"{name}.{key}" if name else key, depth + 1)


def _table(lines: Sequence[str]) -> str | None:
    """What to say of a table; None: it is none."""
    sample = lines[:200]
    if len(sample) < _LINES:
        return None
    for delimiter, least, kind in _TABLES:
        dialect = Dialect(delimiter, is_quoted=delimiter != "\t")
        found = widths(dialect, sample)
        if len(found) == 1 and min(found) >= least:
            column = _column(sample, dialect)
            return f"it looks like {kind}; to read a column of it: --field {column}"
    return None


def _column(sample: Sequence[str], dialect: Dialect) -> str:
    """The name of the column with the longest texts, or its number."""
    rows = [row for row in dialect.reader(f"{line}\n" for line in sample) if row]
    lengths = [sum(len(cell) for cell in column) for column in zip(*rows[1:], strict=True)]
    longest = lengths.index(max(lengths))
    names = header(sample, dialect)
    has_names = len(set(names)) == len(names) and all(map(_A_NAME.fullmatch, names))
    return quoted(names[longest])[1:-1] if has_names else str(longest + 1)
