"""Reading analogy and similarity files, told apart by what is in them.

Analogies (word2vec's questions-words.txt): ``: section`` lines, and lines of four words.

Similarity: two words and a score a line, by tabs, commas, semicolons or spaces; or a table with a
header, whose score column is found by its name (SimLex-999 as its authors publish it has the score
in the fourth column). Lines that begin with ``#`` and empty lines are skipped in both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from embedcli.errors import FormatError
from embedcli.evaluation.analogies import Question, Section
from embedcli.evaluation.similarity import Pair

__all__ = ["read_evaluation_file"]

_SEPARATORS = ("\t", ",", ";")
# How the sets in use name the column: SimLex-999, WordSim-353's combined.csv, MEN, RareWords.
_SCORE_NAMES = ("simlex999", "human (mean)", "score", "similarity", "mean", "rating", "gold")

Line = tuple[int, str]


def read_evaluation_file(path: str) -> list[Section] | list[Pair]:
    """Read `path`: sections of questions if it holds analogies, else pairs.

    Raises:
        FormatError: the file cannot be read, or a line is neither; with the line's number.
    """
    lines = _lines(path)
    if not lines:
        raise FormatError(f"{path}: no question and no pair in it")
    if lines[0][1].startswith(":") or len(lines[0][1].split()) == 4 and _is_analogy(lines):
        return _read_sections(path, lines)
    return _read_pairs(path, lines)


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


def _is_analogy(lines: Sequence[Line]) -> bool:
    """Without a section line: four words, none of which is a number."""
    return not any(_number(field) is not None for field in lines[0][1].split())


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
    separator = next((s for s in _SEPARATORS if s in lines[0][1]), None)
    rows = [(i, [f.strip() for f in line.split(separator)]) for i, line in lines]
    column = 2
    if len(rows[0][1]) > 2 and _number(rows[0][1][column]) is None:
        column = _score_column(path, rows[0][1], rows[0][0])
        rows = rows[1:]
    if not rows:
        raise FormatError(f"{path}: a header and no pair")
    return [_pair(path, number, fields, column) for number, fields in rows]


def _score_column(path: str, header: Sequence[str], number: int) -> int:
    """Where a header line says that the score is; the third column where it says nothing known."""
    names = [name.strip('"').lower() for name in header]
    return next((names.index(name) for name in _SCORE_NAMES if name in names), 2)


def _pair(path: str, number: int, fields: Sequence[str], column: int) -> Pair:
    if len(fields) <= column:
        raise FormatError(
            f"{path}, line {number}: {len(fields)} columns; a pair has two words and a score"
        )
    score = _number(fields[column])
    if score is None or not math.isfinite(score):
        raise FormatError(f"{path}, line {number}: the score {fields[column]!r} is not a number")
    return fields[0], fields[1], score


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
