"""The scores of `embed evaluate FILE...`: tables, rows or JSON, held to thresholds."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING, Any

from embedcli.cli.gains import is_below, shown_gain
from embedcli.cli.output import echo, echo_json, echo_rows, for_terminal, warn
from embedcli.errors import ThresholdError

if TYPE_CHECKING:
    from embedcli.evaluation import Report
    from embedcli.evaluation.comparison import Gain
    from embedcli.evaluation.parts import Part

__all__ = ["show_scores"]

_SCORES = ("score", "score_of_all")
_SIMILARITY_SCORES = ("score", "low", "high", "score_of_all", "pearson")
_COUNTS = ("seen", "total")
_GAINS = ("gain", "low", "high")
_COLUMNS = (
    *("model", "file", "part", *_SIMILARITY_SCORES, *_COUNTS),
    *("gain", "gain_low", "gain_high", "protocol"),
)

Scored = tuple[str, "Report"]
Gains = dict[tuple[str, str], "Gain"]  # by model and file


def show_scores(
    scored: Sequence[Scored],
    *,
    resamples: int,
    fail_under: float | None,
    fail_under_gain: float | None,
    as_json: bool,
) -> None:
    """Print the reports of every model and file, and what each gains over the first model.

    Raises:
        ThresholdError: a score is below `fail_under`, or a gain's interval begins below
            `fail_under_gain`.
    """
    from embedcli.evaluation.parts import left_out

    for report in {report.path: report for _, report in scored}.values():
        if report.skipped:
            warn(f"{left_out(report.skipped)[2:]}; {report.skipped[0]}")
    gains = _gains(scored, resamples)
    if as_json:
        echo_json([_as_json(*one, gains) for one in scored])
    elif sys.stdout.isatty():
        _print_tables(scored, gains)
    else:
        echo_rows((row for one in scored for row in _rows(*one, gains)), _COLUMNS)
    _check(scored, fail_under)
    _check_gains(gains, fail_under_gain)


def _gains(scored: Sequence[Scored], resamples: int) -> Gains:
    """What each model after the first gains over the first, on each file."""
    from embedcli.evaluation.comparison import compare

    base = {report.path: report for model, report in scored if model == scored[0][0]}
    return {
        (model, report.path): compare(scored[0][0], base[report.path], report, resamples=resamples)
        for model, report in scored
        if model != scored[0][0]
    }


def _print_tables(scored: Sequence[Scored], gains: Gains) -> None:
    """For people: a table an analogy file, and one for all others of a kind and model."""
    for (model, file, line), group in groupby(scored, _table):
        reports = [report for _, report in group]
        columns = _SIMILARITY_SCORES if reports[0].kind == "similarity" else _SCORES
        echo(for_terminal(f"{model}, {file}" if file else model))
        echo_rows(
            (
                (part.name if file else _named(report, part), *_cells(part, columns))
                for report in reports
                for part in report.parts
            ),
            ("section" if file else "file", *columns, *_COUNTS),
        )
        echo(f"{line}\n")
    if gains:
        _print_comparison(scored)
        _print_gains(gains)


def _table(one: Scored) -> tuple[str, str, str]:
    """What the reports in one table share."""
    model, report = one
    return model, report.path if report.kind == "analogies" else "", report.protocol_line


def _named(report: Report, part: Part) -> str:
    """The part of a file that has no table of its own."""
    return report.path if part.name == report.parts[-1].name else f"{report.path}, {part.name}"


def _print_comparison(scored: Sequence[Scored]) -> None:
    """A line a file, a column a model."""
    by_file: dict[str, dict[str, Part]] = {}
    for model, report in scored:
        by_file.setdefault(report.path, {})[model] = report.parts[-1]
    models = list(dict.fromkeys(model for model, _ in scored))
    rows = ((path, *(_score(parts[m]) for m in models)) for path, parts in by_file.items())
    echo_rows(rows, ("score", *map(for_terminal, models)))


def _print_gains(gains: Gains) -> None:
    """A line a file and model: the difference to the first model, paired, with its interval."""
    over = for_terminal(next(iter(gains.values())).over)
    rows = (
        (path, model, *map(_number, (gain.gain, gain.low, gain.high)), gain.items)
        for (model, path), gain in gains.items()
    )
    echo(f"\ngain over {over} on the items that both know, 95 % interval from paired resamples")
    echo_rows(rows, ("file", "model", *_GAINS, "items"))


def _rows(model: str, report: Report, gains: Gains) -> Iterator[tuple[object, ...]]:
    """The lines of the tab-separated output; the gain stands in the last line of a file."""
    parts = report.parts
    for part in parts:
        cells = _cells(part, _SIMILARITY_SCORES)
        gain = gains.get((model, report.path)) if part is parts[-1] else None
        shown = (None,) * 3 if gain is None else (gain.gain, gain.low, gain.high)
        yield model, report.path, part.name, *cells, *map(_number, shown), report.protocol_line


def _cells(part: Part, columns: Sequence[str]) -> Iterator[object]:
    yield _score(part)
    for column in columns[1:]:
        yield _number(getattr(part, column))
    yield from (part.seen, part.total)


def _as_json(model: str, report: Report, gains: Gains) -> dict[str, Any]:
    rules = report.protocol
    gain = gains.get((model, report.path))
    return {
        "model": model,
        "file": report.path,
        "kind": report.kind,
        "score": report.score,
        "parts": [asdict(part) for part in report.parts],
        "gain": None if gain is None else asdict(gain),
        "protocol": {
            "name": rules.name,
            "changed": rules.changed,
            "method": rules.method if report.kind in ("analogies", "pairs") else None,
            "words": report.searched,
            "oov": rules.oov,
            "line": report.protocol_line,
        },
        "answered_by": dict(report.answered),
        "skipped": len(report.skipped),
    }


def _check(scored: Sequence[Scored], threshold: float | None) -> None:
    if threshold is None:
        return
    missed = [
        f"{_score(report.parts[-1])} by {model} on {report.path}"
        for model, report in scored
        if report.score is None or report.score < threshold
    ]
    if missed:
        raise ThresholdError(f"below --fail-under {threshold:g}: {', '.join(missed)}")


def _check_gains(gains: Gains, threshold: float | None) -> None:
    if threshold is None:
        return
    missed = [
        f"{shown_gain(gain.gain, gain.low, gain.high)} by {model} on {file}"
        for (model, file), gain in gains.items()
        if is_below(threshold, gain.gain, gain.low)
    ]
    if missed:
        raise ThresholdError(f"below --fail-under-gain {threshold:g}: {', '.join(missed)}")


def _score(part: Part) -> str:
    if part.score is None:
        return f"n/a ({part.seen} of {part.total} covered)"
    return _number(part.score)


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.2f}"
