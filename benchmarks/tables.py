"""Tables of figures: printed as Markdown, to be read or pasted, and kept as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Table", "goals", "ratio"]


@dataclass
class Table:
    """Rows of figures under named columns.

    Attributes:
        title: what was measured.
        columns: for each column its name, with the unit, and the format of its numbers (``".1f"``).
        rows: a value a column; None is printed as n/a.
        notes: sentences to be read with the figures.
    """

    title: str
    columns: Mapping[str, str]
    rows: list[Sequence[Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, *values: Any) -> None:
        """Append a row."""
        if len(values) != len(self.columns):
            raise ValueError(f"{len(values)} values for the columns {', '.join(self.columns)}")
        self.rows.append(values)

    def markdown(self) -> str:
        """The table as Markdown, numbers to the right."""
        cells = [[_cell(*pair) for pair in zip(row, self.columns.values(), strict=True)]
                 for row in self.rows]  # fmt: skip
        widths = [max(3, *map(len, column)) for column in zip(self.columns, *cells, strict=True)]
        right = [bool(spec) for spec in self.columns.values()]
        rule = [f"{'-' * (w - 1)}:" if r else "-" * w for w, r in zip(widths, right, strict=True)]
        body = [_line(row, widths, right) for row in (list(self.columns), rule, *cells)]
        notes = [f"\n{note}" for note in self.notes]
        return "\n".join([f"### {self.title}\n", *body, *notes])

    def as_json(self) -> dict[str, Any]:
        """The table with its numbers as measured, unrounded."""
        rows = [dict(zip(self.columns, row, strict=True)) for row in self.rows]
        return {"title": self.title, "rows": rows, "notes": self.notes}


def goals(title: str) -> Table:
    """A table of figures beside their targets; nothing fails when one is missed."""
    return Table(title, {"figure": "", "measured": ".2f", "target": ""})


def ratio(a: float | None, b: float | None) -> float | None:
    """How many times `b` goes into `a`; None where either was not measured."""
    return None if a is None or b is None else a / b


def _cell(value: Any, spec: str) -> str:
    if value is None:
        return "n/a"
    return str(value) if isinstance(value, str) else format(value, spec)


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    return f"| {' | '.join(_padded(cells, widths, right))} |"


def _padded(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> Iterator[str]:
    for cell, width, to_the_right in zip(cells, widths, right, strict=True):
        yield cell.rjust(width) if to_the_right else cell.ljust(width)
