"""Tells apart the formats that begin with ``V D``: rows of text, rows of floats, or counts.

Decided by what can be told for sure, as a byte of a float may be a newline behind a digit, and a
word may be a number:

1. every line is a word and D numbers: ``word2vec``, unless rule 3 holds as well and a word has a
   space in it or a number cannot be read, or rule 2 does and there are not V lines;
2. every line is a word and a whole number: ``vocab``, unless rule 3 holds as well and not all of it
   is text, or counts stand behind a space in one line and behind a tab in another;
3. V rows of a word, a space and 4 D bytes end where the file ends (of a large file: the rows that
   are in its head follow each other so): ``word2vec-bin``;
4. neither, so something is damaged: text if most lines have D numbers or nothing in it is foreign
   to text, otherwise ``word2vec-bin``. The reader then says what is wrong.

Text whose numbers all have three characters fits rule 3, too (``a 1.5`` and its newline are a word
and a float): a line that is damaged there leaves most others sound, and floats do not.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from typing import Final

from embedcli.files.source import Source
from embedcli.formats.decimals import is_number
from embedcli.formats.row_words import LONGEST_WORD
from embedcli.formats.text_rows import count_numbers
from embedcli.formats.vocab import is_vocab_line

__all__ = ["BEGINS_WITH_HEADER", "under_header"]

BEGINS_WITH_HEADER: Final = re.compile(rb"[1-9][0-9]{0,17}[ \t]+[1-9][0-9]{0,8}[ \t]*\r?\n")
_OTHER_SPACE: Final = re.compile(rb"[\r\v\f]")
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0e-\x1f]")
_LOOKED_AT: Final = 1 << 16  # bytes searched for what is foreign to text
_MOST_ROWS: Final = 10_000  # followed in the head of a large file


def under_header(source: Source, header: tuple[int, int], lines: Sequence[bytes]) -> str:
    """Return the name of the format.

    Args:
        source: the file, of which only the head is looked at.
        header: V and D.
        lines: its first lines, the header among them; the last is whole, unless it is the only one
            that is known or the file ends with it.
    """
    rows = lines[1:]
    sound = [_is_row(row, header[1]) for row in rows]
    is_binary = _has_binary_rows(source, header)
    plain = not is_binary or all(_is_plain(row, header[1]) for row in rows)
    are_counts = (bool(rows) or source.is_whole) and all(map(is_vocab_line, lines))
    if rows and all(sound) and plain:
        n_rows = source.head.rstrip(b"\n").count(b"\n")
        is_other = are_counts and source.is_whole and n_rows != header[0]
        return "vocab" if is_other else "word2vec"
    is_text = _is_text(source)
    if are_counts and (not is_binary or (is_text and _have_one_separator(lines))):
        return "vocab"
    if is_binary:
        return "word2vec" if is_text and 2 * sum(sound) > len(sound) > 1 else "word2vec-bin"
    return "word2vec" if is_text or 2 * sum(sound) > len(sound) else "word2vec-bin"


def _have_one_separator(lines: Sequence[bytes]) -> bool:
    """Whether the same character stands before the last field of all lines."""
    ends = [line.rstrip() for line in lines]
    return len({end[: len(end) - len(end.split()[-1])][-1:] for end in ends if end}) == 1


def _is_plain(line: bytes, dim: int) -> bool:
    """Whether `line` is a word without a space and `dim` numbers that can be read."""
    fields = line.split()
    return len(fields) == dim + 1 and all(map(is_number, fields[1:]))


def _is_row(line: bytes, dim: int) -> bool:
    """Whether `line` ends in `dim` numbers, with nothing but spaces and tabs between them."""
    return count_numbers(line) >= dim and not _OTHER_SPACE.search(line.rstrip())


def _has_binary_rows(source: Source, header: tuple[int, int]) -> bool:
    """Whether binary rows fit: all of them, to the last byte, or those that are in the head."""
    head, (n_rows, dim) = source.head, header
    start = head.index(b"\n") + 1
    newline: bool | None = None
    for _ in range(n_rows if source.is_whole else min(n_rows, _MOST_ROWS)):
        space = head.find(b" ", start, start + LONGEST_WORD + 1)
        stop = space + 1 + 4 * dim
        if space < 0 or stop > len(head):
            return not source.is_whole and (space >= 0 or len(head) - start <= LONGEST_WORD)
        ended = head[stop : stop + 1] == b"\n"
        if newline is not None and newline != ended and stop < len(head):
            return False
        newline = ended
        start = stop + ended
    return start == len(head) or not source.is_whole


def _is_text(source: Source) -> bool:
    """Whether the beginning holds no control characters and is UTF-8."""
    looked_at = source.head[:_LOOKED_AT]
    if _CONTROL.search(looked_at):
        return False
    try:
        final = source.is_whole and len(source.head) <= _LOOKED_AT
        codecs.getincrementaldecoder("utf-8")().decode(looked_at, final)
    except UnicodeDecodeError:
        return False
    return True
