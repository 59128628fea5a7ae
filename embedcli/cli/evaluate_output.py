"""The output of `embed evaluate` for every kind: tables, rows or JSON; and the thresholds."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from embedcli.cli.output import echo, echo_json, echo_rows, for_terminal, talk, warn
from embedcli.errors import ThresholdError

if TYPE_CHECKING:
    from embedcli.evaluation.report import Gain, Part, Report

__all__ = [
    "GAIN",
    "Columns",
    "Layout",
    "Table",
    "check_thresholds",
    "gain_cells",
    "is_below",
    "part_as_json",
    "show",
    "shown_gain",
]

Columns = tuple[tuple[str, str], ...]  # the name of a column, and which cell stands in it

GAIN: Columns = (("gain", "gain"), ("gain_low", "gain_low"), ("gain_high", "gain_high"))


@dataclass(frozen=True)
class Table:
    """The table on a terminal that a score stands in.

    Attributes:
        block: tables that the same line of rules closes.
        title: what stands above it.
        columns: its columns.
    """

    block: str
    title: str
    columns: Columns


@dataclass(frozen=True)
class Layout:
    """How the reports of one kind of evaluation are shown.

    Cells are the fields of a report and a part (`_cells`), by name.

    Attributes:
        columns: of tab-separated output.
        table: the table of a part of a report.
        as_json: what JSON holds of all reports.
        is_by_part: whether the first parts of all reports on a file come first, then the second.
        compares: whether tables of scores and gains by model close what a terminal shows.
        remark: what is said of a report on stderr; nothing if empty.
    """

    columns: Columns
    table: Callable[[Report, Part], Table]
    as_json: Callable[[Sequence[Report]], list[dict[str, Any]]]
    is_by_part: bool = False
    compares: bool = False
    remark: Callable[[Report], str] = lambda report: ""


def show(reports: Sequence[Report], layout: Layout, *, as_json: bool) -> None:
    """Print all reports."""
    for report in {report.path: report for report in reports}.values():
        if n := len(report.skipped):
            warn(f"{n:,} bad line{'s' * (n > 1)} left out; {report.skipped[0]}")
    if as_json:
        echo_json(layout.as_json(reports))
    elif sys.stdout.isatty():
        _print_tables(reports, layout)
    else:
        header = [name for name, _ in layout.columns]
        echo_rows((_row(*one, layout.columns) for one in _in_order(reports, layout)), header)
    for remark in dict.fromkeys(map(layout.remark, reports)):
        if remark:
            talk(remark)


def _in_order(reports: Sequence[Report], layout: Layout) -> Iterator[tuple[Report, Part]]:
    if not layout.is_by_part:
        yield from ((report, part) for report in reports for part in report.parts)
        return
    for _, group in groupby(reports, lambda report: (report.model, report.path)):
        together = list(group)
        for i in range(len(together[0].parts)):
            yield from ((report, report.parts[i]) for report in together)


def _print_tables(reports: Sequence[Report], layout: Layout) -> None:
    def closed(one: tuple[Report, Part]) -> tuple[str, str]:
        return layout.table(*one).block, one[0].protocol_line

    for (_, line), block in groupby(_in_order(reports, layout), closed):
        tables: dict[Table, list[tuple[Report, Part]]] = {}
        for one in block:
            tables.setdefault(layout.table(*one), []).append(one)
        for table, rows in tables.items():
            echo(for_terminal(table.title))
            header = [name for name, _ in table.columns]
            echo_rows((_row(*one, table.columns) for one in rows), header)
        echo(f"{line}\n")
    gained = [report for report in reports if report.main_part.gain is not None]
    if layout.compares and gained:
        _print_comparison(reports)
        _print_gains(gained)


def _print_comparison(reports: Sequence[Report]) -> None:
    """A line a file, a column a model."""
    by_file: dict[str, dict[str, Part]] = {}
    for report in reports:
        by_file.setdefault(report.path, {})[report.model] = report.main_part
    models = list(dict.fromkeys(report.model for report in reports))
    rows = ((path, *(_score(parts[m]) for m in models)) for path, parts in by_file.items())
    echo_rows(rows, ("score", *map(for_terminal, models)))


def _print_gains(gained: Sequence[Report]) -> None:
    """A line a file and model: the difference to the first model, paired, with its interval."""
    rows = []
    for report in gained:
        gain = report.main_part.gain
        if gain is not None:
            shown = map(_number, (gain.gain, gain.low, gain.high))
            rows.append((report.path, report.model, *shown, gain.items))
            over = for_terminal(gain.over)
    echo(f"\ngain over {over} on the items that both know, 95 % interval from paired resamples")
    echo_rows(rows, ("file", "model", "gain", "low", "high", "items"))


def _row(report: Report, part: Part, columns: Columns) -> list[object]:
    cells = _cells(report, part)
    return [cells.get(key, "n/a") for _, key in columns]


def _cells(report: Report, part: Part) -> Mapping[str, object]:
    """All that can stand in a row, as it is shown."""
    numbers = {"low": part.low, "high": part.high, **part.more, **gain_cells(part.gain)}
    return {
        **{key: _number(value) for key, value in numbers.items()},
        **{key: _fact(key, value) for key, value in report.facts.items()},
        "model": report.model,
        "path": report.path,
        "subject": report.subject,
        "name": part.name,
        "file": report.path if part is report.main_part else f"{report.path}, {part.name}",
        "score": _score(part),
        "seen": part.seen,
        "total": part.total,
        "line": report.protocol_line,
    }


def gain_cells(gain: Gain | None) -> dict[str, float | None]:
    """A gain as cells of a row."""
    if gain is None:
        return dict.fromkeys(("gain", "gain_low", "gain_high"))
    return {"gain": gain.gain, "gain_low": gain.low, "gain_high": gain.high}


def part_as_json(part: Part) -> dict[str, Any]:
    """A part without its gain."""
    fields = asdict(part)
    del fields["more"], fields["gain"]
    return {**fields, **part.more}


def check_thresholds(
    reports: Sequence[Report], fail_under: float | None, fail_under_gain: float | None
) -> None:
    """Hold every model on every file to the thresholds, by the best of its reports there.

    Raises:
        ThresholdError: a score is below `fail_under`, or undefined; or the interval of a gain
            begins below `fail_under_gain`, or the gain is undefined.
    """
    judged: dict[tuple[str, str], list[Report]] = {}
    for report in reports:
        if not report.is_baseline:
            judged.setdefault((report.model, report.path), []).append(report)
    if fail_under is not None:
        missed = []
        for (model, path), some in judged.items():
            best = max(some, key=lambda report: _or_least(report.score)).main_part
            if best.score is None or best.score < fail_under:
                missed.append(f"{_score(best)} by {model} on {path}")
        if missed:
            raise ThresholdError(f"below --fail-under {fail_under:g}: {', '.join(missed)}")
    if fail_under_gain is not None:
        missed = []
        for (model, path), some in judged.items():
            gains = [gain for report in some if (gain := report.main_part.gain) is not None]
            if gains and all(is_below(fail_under_gain, gain.gain, gain.low) for gain in gains):
                gain = max(gains, key=lambda gain: _or_least(gain.gain))
                missed.append(f"{shown_gain(gain.gain, gain.low, gain.high)} by {model} on {path}")
        if missed:
            raise ThresholdError(
                f"below --fail-under-gain {fail_under_gain:g}: {', '.join(missed)}"
            )


def is_below(threshold: float, gain: float | None, low: float | None) -> bool:
    """Whether a gain misses `threshold`.

    The low end of the interval has to reach it, where there is an interval. An undefined gain
    misses every threshold.
    """
    least = gain if low is None else low
    return least is None or least < threshold


def shown_gain(gain: float | None, low: float | None, high: float | None) -> str:
    """``+1.23 (0.10 to 2.31)``."""
    if gain is None:
        return "n/a"
    if low is None or high is None:
        return f"{gain:+.2f}"
    return f"{gain:+.2f} ({low:.2f} to {high:.2f})"


def _or_least(value: float | None) -> float:
    return float("-inf") if value is None else value


def _score(part: Part) -> str:
    if part.score is None:
        return f"n/a ({part.seen} of {part.total} covered)"
    return _number(part.score)


def _fact(key: str, value: object) -> object:
    return f"{value:.1%}" if key == "unknown" and isinstance(value, float) else value


def _number(value: float | None) -> str:
    if value is None:
        return "n/a"
    return str(value) if isinstance(value, int) else f"{value:.2f}"
