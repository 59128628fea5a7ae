"""Reads evaluation files, whose kind is detected by content.

Analogies (word2vec's questions-words.txt): ``: section`` lines, and lines of four words.

Similarity: two words and a score a line, by tabs, commas, semicolons or spaces, with or without a
header. The score is the first number after the words: SimLex-999 and SimVerb as their authors
publish them have a part of speech before it. A pair that comes twice counts twice.

Pairs (BATS): a word, a tab and what it is to, alternatives by ``/``.

Categories: two columns, a word and its category; a category is there for two words or more.

The odd one out: five words or more a line, the last of which does not belong; or, a line each, the
words of a group, an empty line, and words that do not belong (Camacho-Collados & Navigli 2016).

Lines that begin with ``#`` and empty lines are skipped in all.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from embedcli.errors import FormatError, UsageError
from embedcli.evaluation.analogies import Linked, Question, Section
from embedcli.evaluation.content import encoding_error, read_content
from embedcli.evaluation.file_kinds import (
    KINDS,
    SAMPLE,
    Line,
    groups_of,
    kind_of,
    number_in,
    separator_in,
)
from embedcli.evaluation.similarity import Pair
from embedcli.quoting import quoted

__all__ = [
    "KINDS",
    "Analogies",
    "Categories",
    "Content",
    "OddOnes",
    "Similarities",
    "read_evaluation_file",
]

_Read = TypeVar("_Read")


@dataclass(frozen=True)
class Content:
    """What a file holds.

    Attributes:
        items: what is scored.
        skipped: what was wrong with the lines that were left out.
    """

    items: Sequence[Any]
    skipped: Sequence[str] = field(default=(), kw_only=True, compare=False)


@dataclass(frozen=True)
class Analogies(Content):
    """What an analogy file or one of pairs holds."""

    items: Sequence[Section]


@dataclass(frozen=True)
class Similarities(Content):
    """What a similarity file holds."""

    items: Sequence[Pair]


@dataclass(frozen=True)
class Categories(Content):
    """What a file of categories holds: a word and its category."""

    items: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class OddOnes(Content):
    """What an odd-one-out file holds: words that belong together, and the one that does not."""

    items: Sequence[tuple[tuple[str, ...], str]]


def read_evaluation_file(
    path: str,
    kind: str | None = None,
    *,
    encoding: str | None = None,
    skip_bad_lines: bool = False,
) -> Content:
    """Read `path`.

    Args:
        path: the file.
        kind: one of `KINDS`, instead of what the content says.
        encoding: what it is encoded in, where no byte order mark says it; UTF-8 if None.
        skip_bad_lines: leave out lines that are not what the others are; `skipped` says why.

    Raises:
        FormatError: the file cannot be read, or a line is of no kind; with the line's number.
        UsageError: there is no such kind.
    """
    if kind is not None and kind not in KINDS:
        raise UsageError(f"no kind {quoted(kind)}; there are {', '.join(KINDS)}")
    bad = _BadLines(skip_bad_lines)
    every = _lines(path, encoding, bad)
    lines = [(i, line) for i, line in every if line]
    if not lines:
        raise FormatError(f"{path}: no question and no pair in it")
    kind = kind or kind_of(every, lines)
    if kind == "analogies":
        return Analogies(_read_sections(path, lines, bad), skipped=bad.found)
    if kind == "pairs":
        pairs = bad.tried(lambda line: _linked(path, *line), lines)
        return Analogies([Section(Path(path).stem, (), pairs)], skipped=bad.found)
    if kind == "categories":
        return Categories(_read_categories(path, lines, bad), skipped=bad.found)
    if kind == "odd":
        return OddOnes(_read_odd(path, every, bad), skipped=bad.found)
    return Similarities(_read_pairs(path, lines, bad), skipped=bad.found)


class _BadLines:
    """What to do about lines that are not what they should be."""

    def __init__(self, skip: bool) -> None:
        self.skip = skip
        self.found: list[str] = []

    def tried(self, read: Callable[[Line], _Read], lines: Sequence[Line]) -> list[_Read]:
        """What `read` makes of every line; those it refuses are left out, or end the reading.

        Raises:
            FormatError: of the first that is refused, or of all where all are.
        """
        done = []
        for line in lines:
            try:
                done.append(read(line))
            except FormatError as error:
                if not self.skip:
                    raise
                self.found.append(str(error))
        if lines and not done:
            raise FormatError(f"{self.found[-1]}; and no other line is better")
        return done


def _lines(path: str, encoding: str | None, bad: _BadLines) -> list[Line]:
    """All lines but comments, with their numbers from 1."""
    content = read_content(path, encoding)
    try:
        whole = list(enumerate(content.decode().split("\n"), 1))
    except UnicodeDecodeError as error:
        if not bad.skip:
            raise encoding_error(path, content, error) from error
        rows = list(enumerate(content.split(b"\n"), 1))
        whole = bad.tried(lambda row: (row[0], _decoded(path, *row)), rows)  # type: ignore[arg-type]
    stripped = ((i, line.strip(" \r\t")) for i, line in whole)
    return [(i, line) for i, line in stripped if not line.startswith("#")]


def _decoded(path: str, number: int, line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise FormatError(f"{path}, line {number}: byte {error.start} is not UTF-8") from error


def _read_sections(path: str, lines: Sequence[Line], bad: _BadLines) -> list[Section]:
    sections: list[tuple[str, list[Question]]] = []

    def read(numbered: Line) -> None:
        number, line = numbered
        if line.startswith(":"):
            sections.append((line[1:].strip(), []))
            return
        words = line.split()
        if len(words) != 4:
            raise FormatError(f"{path}, line {number}: {len(words)} words; a question has 4")
        if not sections:
            sections.append(("(no section)", []))
        sections[-1][1].append((words[0], words[1], words[2], words[3]))

    bad.tried(read, lines)
    if bad.found and not any(questions for _, questions in sections):
        raise FormatError(f"{bad.found[-1]}; and no other line is better")
    return [Section(name, questions) for name, questions in sections]


def _linked(path: str, number: int, line: str) -> Linked:
    """A word and what it is to: ``man<TAB>woman/lady``."""
    fields = [field.strip() for field in line.split(separator_in(line, 1))]
    answers = tuple(filter(None, fields[-1].split("/")))
    if len(fields) != 2 or not answers or not fields[0]:
        raise FormatError(
            f"{path}, line {number}: expected a word and what it is to, as man<TAB>woman/lady, "
            f"found {quoted(line[:60])}"
        )
    return fields[0], answers


def _read_categories(path: str, lines: Sequence[Line], bad: _BadLines) -> list[tuple[str, str]]:
    def read(numbered: Line) -> tuple[str, str]:
        number, line = numbered
        fields = [field.strip() for field in line.split(separator)]
        if len(fields) != 2 or not all(fields):
            raise FormatError(
                f"{path}, line {number}: expected a word and its category, found "
                f"{quoted(line[:60])}"
            )
        return fields[0], fields[1]

    separator = separator_in(lines[0][1], 1)
    rows = bad.tried(read, lines)
    first, second = (len({row[side] for row in rows}) for side in (0, 1))
    if first < second and 2 * first <= len(rows):  # the category stands first
        rows = [(word, category) for category, word in rows]
    return rows


def _read_odd(
    path: str, every: Sequence[Line], bad: _BadLines
) -> list[tuple[tuple[str, ...], str]]:
    groups = [[line for _, line in group] for group in groups_of(every)]
    if len(groups) % 2 == 0 and all(len(line.split()) < 3 for group in groups for line in group):
        pairs = zip(groups[::2], groups[1::2], strict=True)
        return [(tuple(inside), word) for inside, outside in pairs for word in outside]

    def read(numbered: Line) -> tuple[tuple[str, ...], str]:
        number, line = numbered
        words = [word.strip() for word in line.split(separator_in(line, 2))]
        if len(words) < 3 or not all(words):
            raise FormatError(
                f"{path}, line {number}: {len(words)} words; three or more have an odd one out"
            )
        return tuple(words[:-1]), words[-1]

    return bad.tried(read, [line for line in every if line[1]])


def _read_pairs(path: str, lines: Sequence[Line], bad: _BadLines) -> list[Pair]:
    separator = separator_in(lines[0][1], 2)
    rows = [(i, [field.strip() for field in line.split(separator)]) for i, line in lines]
    column = _score_column([fields for _, fields in rows[:SAMPLE]])
    if column is None:
        raise FormatError(
            f"{path}, line {lines[0][0]}: {quoted(lines[0][1][:80])} is neither a question (four "
            "words) nor a pair (two words and a score); --kind says what else it is"
        )
    if len(rows) > 1 and all(number_in(field) is None for field in rows[0][1][column : column + 1]):
        lines = lines[1:]  # a header

    def read(numbered: Line) -> Pair:
        number, line = numbered
        return _pair(path, number, [field.strip() for field in line.split(separator)], column)

    return bad.tried(read, lines)


def _score_column(rows: Sequence[Sequence[str]]) -> int | None:
    """The column where most rows have their first number after the two words.

    The first row counts only where no other has one: a header may name its columns 1, 2, 3.
    """
    firsts = [
        next((i for i in range(2, len(fields)) if number_in(fields[i]) is not None), None)
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
    score = number_in(fields[column])
    if score is None or not math.isfinite(score):
        raise FormatError(
            f"{path}, line {number}: the score in column {column + 1} is {quoted(fields[column])}, "
            "not a finite number"
        )
    return fields[0], fields[1], score
