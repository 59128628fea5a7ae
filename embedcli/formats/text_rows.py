"""Reading rows ``word f f ... f``, the common part of word2vec text and GloVe.

Rows end at the byte 0x0A and nowhere else. Fields are separated by spaces or tabs, one or more; one
may end the row (word2vec.c writes it) and so may a carriage return. The D numbers are taken from
the right: what stands before them is the word, spaces and all (glove.840B has the word ``. . .``).

A block of rows is taken apart in one go if nothing in it is unusual; otherwise row by row, which
finds the faulty row and names it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from embedcli.errors import FormatError
from embedcli.files.source import Source
from embedcli.formats.decimals import is_number, looks_like_number, parse_numbers
from embedcli.formats.row_words import SKIP_HINT
from embedcli.formats.rows import LONGEST_ROW, Rows
from embedcli.quoting import quoted_bytes

__all__ = ["count_numbers", "read_rows", "text_lines"]

BLOCK_BYTES: Final = 1 << 18  # what is made of it stays in the second-level cache
_SPARSE: Final = re.compile(rb"[0-9]+:[+-]?[0-9.]")


def text_lines(source: Source) -> Iterator[list[bytes]]:
    """Yield the lines of `source`, block by block, without their newlines."""
    carry = b""
    while block := source.read(BLOCK_BYTES):
        lines = (carry + block).split(b"\n")
        carry = lines.pop()
        if len(carry) > LONGEST_ROW:
            raise FormatError(
                f"{source.path}: a line of more than {LONGEST_ROW} bytes; is this a vector file?"
            )
        if lines:
            yield lines
    if carry:
        yield [carry]


def count_numbers(line: bytes) -> int:
    """Count the fields at the end of `line` that are meant as numbers; the first never counts."""
    fields = line.split()
    n_numbers = 0
    for field in reversed(fields[1:]):
        if not looks_like_number(field):
            break
        n_numbers += 1
    return n_numbers


class _BadRowError(FormatError):
    """A row that can be left out; `kind` says of many what is wrong with them."""

    def __init__(self, message: str, kind: str) -> None:
        super().__init__(message)
        self.kind = kind


def read_rows(
    source: Source, blocks: Iterator[list[bytes]], rows: Rows, dim: int, line: int
) -> None:
    """Read `blocks` of lines into `rows`, all or as many as are wanted.

    `line` is the number of the first one, from 1.
    """
    for lines in blocks:
        if rows.full:
            return
        wanted = lines[: rows.reading.until_limit(len(rows) + len(lines)) - len(rows)]
        regular = _regular(wanted, dim)
        if regular is None:
            regular = _row_by_row(source.path, lines, dim, line, rows)
        rows.add(*regular)
        line += len(lines)


def _regular(lines: list[bytes], dim: int) -> tuple[list[bytes], NDArray[np.float32]] | None:
    """Take apart rows that all have the plain form; None if one does not."""
    words, tails = [], []
    for line in lines:
        word, _, tail = line.partition(b" ")
        words.append(word)
        tails.append(tail.rstrip())
    if any(tail.count(b" ") != dim - 1 for tail in tails) or not all(words):
        return None
    text = b" ".join(tails)
    if b"  " in text or b"\t" in text or any(b"\t" in word for word in words):
        return None
    numbers = parse_numbers(text)
    if numbers is None or numbers.size != dim * len(lines):
        return None
    return words, numbers.reshape(-1, dim)


def _row_by_row(
    where: str, lines: list[bytes], dim: int, first: int, rows: Rows
) -> tuple[list[bytes], NDArray[np.float32]]:
    words: list[bytes] = []
    vectors = np.empty((len(lines), dim), np.float32)
    numbers_in_words = rows.has_header and rows.reading.numbers_in_words
    wanted = rows.reading.until_limit(len(rows) + len(lines)) - len(rows)
    for number, line in enumerate(lines, first):
        if len(words) == wanted:
            break
        try:
            word, vector = _one_row(f"{where}, line {number}", line, dim, numbers_in_words)
        except _BadRowError as error:
            if not rows.reading.skips:
                raise FormatError(f"{error}{rows.reading.hint(SKIP_HINT)}") from None
            rows.skip(error.kind)
            continue
        vectors[len(words)] = vector
        words.append(word)
    return words, vectors[: len(words)]


def _one_row(
    where: str, line: bytes, dim: int, numbers_in_words: bool
) -> tuple[bytes, NDArray[np.float32]]:
    fields = line.strip().rsplit(None, dim)
    if not fields:
        raise _BadRowError(f"{where}: an empty line among the rows", "blank")
    if len(fields) <= dim:
        wordless = len(fields) == dim and is_number(fields[0])
        kind = "without a word" if wordless else "with too few numbers"
        raise _BadRowError(
            f"{where}: {len(fields)} fields, expected a word and {dim} numbers: "
            f"{quoted_bytes(line)}",
            kind,
        )
    word, numbers = fields[0], fields[1:]
    for number in numbers:
        if not is_number(number):
            explained = _explain(number, dim, line)
            raise _BadRowError(f"{where}: {explained}", "with what is no number or not finite")
    if b"\r" in word:
        raise FormatError(f"{where}: a carriage return inside the row: {quoted_bytes(line)}")
    inner = word.split()
    if len(inner) > 1 and looks_like_number(inner[-1]) and not numbers_in_words:
        raise _BadRowError(
            f"{where}: {count_numbers(line)} numbers, expected {dim}: {quoted_bytes(line)}; "
            "--numbers-in-words makes the first of them part of the word, under a header",
            "with too many numbers",
        )
    parsed = parse_numbers(b" ".join(numbers))
    if parsed is None:  # every field is a number by the stricter grammar
        raise AssertionError(f"{where}: {numbers!r}")
    return word, parsed


def _explain(field: bytes, dim: int, line: bytes) -> str:
    quoted = quoted_bytes(field)
    if _SPARSE.match(field):
        return f"{quoted} is an entry of a sparse row; these are not dense vectors"
    if field.lstrip(b"+-").lower() in (b"nan", b"inf", b"infinity"):
        return f"{quoted} is not finite"
    if looks_like_number(field):
        return f"{quoted} is not a plain decimal number"
    n_numbers = count_numbers(line)
    if n_numbers < dim:
        return f"{n_numbers} numbers, expected {dim}: {quoted_bytes(line)}"
    return f"{quoted} is not a number"
