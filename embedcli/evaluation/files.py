"""Reading analogy and similarity files, told apart by what is in them.

Analogies (word2vec's questions-words.txt): ``: section`` lines, and lines of four words.

Similarity: two words and a score a line, by tabs, commas, semicolons or spaces, with or without a
header. The score is the first number after the words: SimLex-999 and SimVerb as their authors
publish them have a part of speech before it. A pair that comes twice counts twice.

Lines that begin with ``#`` and empty lines are skipped in both.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from embedcli.errors import FormatError
from embedcli.evaluation.analogies import Question, Section
from embedcli.evaluation.similarity import Pair
from embedcli.quoting import quoted

__all__ = ["Analogies", "Similarities", "read_evaluation_file"]

_SEPARATORS = ("\t", ",", ";")  # else white space
_SAMPLE = 20  # lines looked at to tell the kinds apart

Line = tuple[int, str]


@dataclass(frozen=True)
class Analogies:
    """What an analogy file holds."""

    sections: Sequence[Section]


@dataclass(frozen=True)
class Similarities:
    """What a similarity file holds."""

    pairs: Sequence[Pair]


def read_evaluation_file(path: str) -> Analogies | Similarities:
    """Read `path`; what is in it tells which kind it is.

    Raises:
        FormatError: the file cannot be read, or a line is neither; with the line's number.
    """
    lines = _lines(path)
    if not lines:
        raise FormatError(f"{path}: no question and no pair in it")
    if _is_analogies(lines):
        return Analogies(_read_sections(path, lines))
    return Similarities(_read_pairs(path, lines))


def _lines(path: str) -> list[Line]:
    """The lines that say something, with their numbers from 1."""
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise FormatError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise FormatError(
            f"{path}: byte {error.start} is not UTF-8; convert the file to UTF-8"
        ) from error
    stripped = ((i, line.strip(" \r\t")) for i, line in enumerate(text.split("\n"), 1))
    return [(i, line) for i, line in stripped if line and not line.startswith("#")]


def _is_analogies(lines: Sequence[Line]) -> bool:
    """Whether there is a section line, or most lines are four words without a score."""
    sample = [line.split() for _, line in lines[:_SAMPLE]]
    questions = [len(words) == 4 and not any(map(_is_score, words[2:])) for words in sample]
    return any(line.startswith(":") for _, line in lines) or 2 * sum(questions) > len(questions)


def _read_sections(path: str, lines: Sequence[Line]) -> list[Section]:
    sections: list[tuple[str, list[Question]]] = []
    for number, line in lines:
        if line.startswith(":"):
            sections.append((line[1:].strip(), []))
            continue
        words = line.split()
        if len(words) != 4:
            raise FormatError(f"{path}, line {number}: {len(words)} words; a question has 4")
        if not sections:
            sections.append(("(no section)", []))
        sections[-1][1].append((words[0], words[1], words[2], words[3]))
    return [Section(name, questions) for name, questions in sections]


def _read_pairs(path: str, lines: Sequence[Line]) -> list[Pair]:
    separator = next((s for s in _SEPARATORS if lines[0][1].count(s) >= 2), None)
    rows = [(i, [field.strip() for field in line.split(separator)]) for i, line in lines]
    column = _score_column([fields for _, fields in rows[:_SAMPLE]])
    if column is None:
        raise FormatError(
            f"{path}, line {lines[0][0]}: {quoted(lines[0][1][:80])} is neither a question (four "
            "words) nor a pair (two words and a score)"
        )
    if len(rows) > 1 and all(_number(field) is None for field in rows[0][1][column : column + 1]):
        rows = rows[1:]  # a header
    return [_pair(path, number, fields, column) for number, fields in rows]


def _score_column(rows: Sequence[Sequence[str]]) -> int | None:
    """The column where most rows have their first number after the two words.

    The first row counts only where no other has one: a header may name its columns 1, 2, 3.
    """
    firsts = [
        next((i for i in range(2, len(fields)) if _number(fields[i]) is not None), None)
        for fields in rows
    ]
    found = Counter(first for first in firsts[1:] if first is not None).most_common(1)
    return found[0][0] if found else firsts[0]


def _pair(path: str, number: int, fields: Sequence[str], column: int) -> Pair:
    if len(fields) <= column:
        raise FormatError(
            f"{path}, line {number}: {len(fields)} columns, and the score should be in column "
            f"{column + 1}"
        )
    score = _number(fields[column])
    if score is None or not math.isfinite(score):
        raise FormatError(
            f"{path}, line {number}: the score in column {column + 1} is {quoted(fields[column])}, "
            "not a finite number"
        )
    return fields[0], fields[1], score


def _is_score(text: str) -> bool:
    number = _number(text)
    return number is not None and math.isfinite(number)  # "nan" and "inf" are words, too


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
