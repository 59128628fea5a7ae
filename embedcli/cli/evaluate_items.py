"""`embed evaluate --next-item`: what comes next in a line, as a table, tab-separated or JSON."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import click

from embedcli.cli.output import echo, echo_json, echo_rows, for_terminal, talk, warn
from embedcli.errors import ThresholdError, UsageError
from embedcli.quoting import quoted
from embedcli.settings.text_rules import TextRules

if TYPE_CHECKING:
    from embedcli.embeddings import Embeddings
    from embedcli.evaluation.histories import Lines
    from embedcli.evaluation.next_item import NextItemReport, NextItemScore

__all__ = ["evaluate_items", "parse_cutoffs"]

_COLUMNS = (
    *("hit_rate", "hit_low", "hit_high", "ndcg", "ndcg_low", "ndcg_high"),
    *("gain", "gain_low", "gain_high"),
)

Result = tuple[str, "NextItemReport"]


def parse_cutoffs(context: click.Context, parameter: click.Parameter, value: str) -> list[int]:
    """The numbers of --cutoff."""
    if not re.fullmatch(r"[1-9][0-9]{0,6}(,[1-9][0-9]{0,6})*", value):
        raise UsageError(
            f"--cutoff is {quoted(value)}, but must be whole numbers by commas: 1,5,10"
        )
    return [int(number) for number in value.split(",")]


def evaluate_items(
    models: Mapping[str, Embeddings],
    files: Sequence[str],
    *,
    training: str | None,
    separator: str | None,
    encoding: str | None,
    cutoffs: Sequence[int],
    wrong_if_unknown: bool,
    bootstrap: int,
    fail_under: float | None,
    as_json: bool,
) -> None:
    """Score every model on the last items of every file, and print.

    Raises:
        ThresholdError: neither of a model's rankings hits `fail_under` at the first cutoff.
    """
    from embedcli.evaluation.histories import read_lines
    from embedcli.evaluation.next_item import score_next_item

    results: list[Result] = []
    for model, embeddings in models.items():
        rules = _rules(embeddings, separator, encoding)
        counted = None if training is None else read_lines(training, rules)
        for file in files:
            lines = read_lines(file, rules)
            _warn_of_leak(model, embeddings, file, lines)
            report = score_next_item(
                embeddings,
                file,
                lines,
                training=counted,
                cutoffs=cutoffs,
                wrong_if_unknown=wrong_if_unknown,
                bootstrap=bootstrap,
            )
            results.append((model, report))
    if as_json:
        echo_json([{"model": model, **asdict(report)} for model, report in results])
    elif sys.stdout.isatty():
        for result in results:
            _print_table(*result)
    else:
        header = ("model", "file", "method", "k", *_COLUMNS, "seen", "total", "protocol")
        echo_rows(_rows(results), header)
    if fail_under is not None:
        _check(results, fail_under)


def _rules(embeddings: Embeddings, separator: str | None, encoding: str | None) -> TextRules:
    """How the model's text was read, or by what --separator and --text-encoding say."""
    if separator is not None:
        return TextRules(items=True, separator=separator, encoding=encoding)
    rules = TextRules.from_settings(embeddings.metadata.get("settings", {}))
    return rules if encoding is None else replace(rules, encoding=encoding)


def _warn_of_leak(model: str, embeddings: Embeddings, file: str, lines: Lines) -> None:
    if embeddings.metadata.get("corpus", {}).get("sha256") == lines.digest:
        warn(
            f"{model} was trained on {file} itself, last items and all: it has seen the answers; "
            "train on the lines without them, or on other lines"
        )


def _print_table(model: str, report: NextItemReport) -> None:
    echo(for_terminal(f"{model}, {report.path}"))
    echo_rows(
        ((score.method, score.k, *_cells(score)) for score in report.scores),
        ("method", "k", *_COLUMNS),
    )
    echo(f"{report.protocol_line}\n")
    talk(f"{report.seen:,} of {report.total:,} lines; {report.short:,} more hold one item only")


def _rows(results: Sequence[Result]) -> Iterator[tuple[object, ...]]:
    for model, report in results:
        for score in report.scores:
            place = model, report.path, score.method, score.k
            yield *place, *_cells(score), report.seen, report.total, report.protocol_line


def _cells(score: NextItemScore) -> Iterator[str]:
    for column in _COLUMNS:
        value: float | None = getattr(score, column)
        yield "n/a" if value is None else f"{value:.2f}"


def _check(results: Sequence[Result], threshold: float) -> None:
    missed = []
    for model, report in results:
        first = [
            score.hit_rate or 0.0
            for score in report.scores
            if score.k == report.scores[0].k and score.method in ("nearest", "predicted")
        ]
        if max(first) < threshold:
            missed.append(f"{max(first):.2f} by {model} on {report.path}")
    if missed:
        raise ThresholdError(f"below --fail-under {threshold:g}: {', '.join(missed)}")
