"""Detects the kind of an evaluation file by its first lines (`item_files.py` has the kinds)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

__all__ = ["KINDS", "SAMPLE", "Line", "groups_of", "kind_of", "number_in", "separator_in"]

KINDS: Final = ("analogies", "similarity", "pairs", "categories", "odd")
SAMPLE: Final = 20  # lines looked at to tell the kinds apart

_SEPARATORS = ("\t", ",", ";")  # else white space
_FEWEST_ODD = 5  # words in a line that cannot be a question or a pair

Line = tuple[int, str]


def kind_of(every: Sequence[Line], lines: Sequence[Line]) -> str:
    """Which kind of file it is, by its lines with and without the empty ones."""
    if _is_analogies(lines):
        return "analogies"
    sample = [line for _, line in lines[:SAMPLE]]
    separator = separator_in(sample[0], 1)
    columns = [line.split(separator) for line in sample]
    if all(len(fields) == 2 for fields in columns):
        named = [line.split(separator)[-1].strip() for _, line in lines]
        if any("/" in name for name in named):
            return "pairs"
        if separator is not None and not any(_is_score(name) for name in named):
            return "categories" if _is_categories(lines, separator) else "pairs"
    if len(groups_of(every)) % 2 == 0 and all(len(fields) == 1 for fields in columns):
        return "odd"
    words = [line.split(separator_in(line, _FEWEST_ODD - 1)) for line in sample]
    odd = [len(each) >= _FEWEST_ODD and not any(map(_is_score, each[2:])) for each in words]
    return "odd" if all(odd) else "similarity"


def separator_in(line: str, times: int) -> str | None:
    """The first separator that is in a line so many times; None for white space."""
    return next((s for s in _SEPARATORS if line.count(s) >= times), None)


def _is_categories(lines: Sequence[Line], separator: str | None) -> bool:
    """Whether one of two columns names groups: each of its values is there twice, on average."""
    rows = [[field.strip() for field in line.split(separator)] for _, line in lines]
    return any(2 * len({row[side] for row in rows}) <= len(rows) for side in (0, -1))


def _is_analogies(lines: Sequence[Line]) -> bool:
    """Whether there is a section line, or most lines are four words without a score."""
    sample = [line.split() for _, line in lines[:SAMPLE]]
    questions = [len(words) == 4 and not any(map(_is_score, words[2:])) for words in sample]
    return any(line.startswith(":") for _, line in lines) or 2 * sum(questions) > len(questions)


def groups_of(every: Sequence[Line]) -> list[list[Line]]:
    """Runs of lines between empty ones."""
    groups: list[list[Line]] = [[]]
    for number, line in every:
        if line:
            groups[-1].append((number, line))
        elif groups[-1]:
            groups.append([])
    return [group for group in groups if group]


def _is_score(text: str) -> bool:
    number = number_in(text)
    return number is not None and math.isfinite(number)  # "nan" and "inf" are words, too


def number_in(text: str) -> float | None:
    """The number that a field is; None if it is none."""
    try:
        return float(text)
    except ValueError:
        return None
