"""`embed evaluate --task`: what the vectors do for a task, as tables, tab-separated or JSON."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from embedcli.cli.gains import is_below, shown_gain
from embedcli.cli.output import echo, echo_json, echo_rows, for_terminal, talk
from embedcli.errors import ThresholdError, UsageError

if TYPE_CHECKING:
    from embedcli.embeddings import Embeddings
    from embedcli.evaluation.probes import TaskReport, TaskScore
    from embedcli.lookup.out_of_vocabulary import Ways

__all__ = ["evaluate_tasks"]

_COLUMNS = (
    "features",
    "columns",
    "unknown",
    "score",
    "low",
    "high",
    "gain",
    "gain_low",
    "gain_high",
)

Result = tuple[str, str, "list[TaskReport]"]


def evaluate_tasks(
    models: Mapping[str, Embeddings],
    tasks: Sequence[tuple[str, str]],
    *,
    one_hot: bool,
    ways: Ways,
    encoding: str | None,
    bootstrap: int,
    fail_under: float | None,
    fail_under_gain: float | None,
    as_json: bool,
) -> None:
    """Train and score the probes of every (training, test) pair, and print them.

    Raises:
        ThresholdError: a model's features score below `fail_under` on a task, or the interval of
            what they gain over one-hot features, or without them over the first model, begins below
            `fail_under_gain`.
        UsageError: there is nothing to gain over.
    """
    from embedcli.evaluation.probes import probe

    if fail_under_gain is not None and not one_hot and len(models) < 2:
        raise UsageError("--fail-under-gain without one-hot features wants a second -m")
    results = [
        (
            test,
            *probe(
                models,
                training,
                test,
                one_hot=one_hot,
                ways=ways,
                encoding=encoding,
                bootstrap=bootstrap,
            ),
        )
        for training, test in tasks
    ]
    for test, _, reports in results:
        for report in reports:
            if report.subwords and report.features in models:
                talk(
                    f"{test}: {report.subwords:.1%} of the tokens are not in the vocabulary of "
                    f"{report.features}, and answered by their subwords or <unk>"
                )
    if as_json:
        echo_json([_as_json(*result) for result in results])
    elif sys.stdout.isatty():
        for result in results:
            _print_table(*result)
    else:
        echo_rows(_all_rows(results), ("task", "metric", *_COLUMNS, "protocol"))
    _check(results, set(models), fail_under)
    _check_gains(results, set(models if one_hot else list(models)[1:]), fail_under_gain)


def _print_table(test: str, protocol: str, reports: Sequence[TaskReport]) -> None:
    for i, metric in enumerate(score.name for score in reports[0].scores):
        echo(for_terminal(f"{test}, {metric}"))
        echo_rows((_cells(report, report.scores[i]) for report in reports), _COLUMNS)
    echo(f"{protocol}\n")


def _all_rows(results: Sequence[Result]) -> Iterator[tuple[object, ...]]:
    for test, protocol, reports in results:
        for report in reports:
            for score in report.scores:
                yield test, score.name, *_cells(report, score), protocol


def _cells(report: TaskReport, score: TaskScore) -> tuple[object, ...]:
    unknown = "n/a" if report.unknown is None else f"{report.unknown:.1%}"
    numbers = (score.score, score.low, score.high, score.gain, score.gain_low, score.gain_high)
    shown = ("n/a" if number is None else f"{number:.2f}" for number in numbers)
    return report.features, report.columns, unknown, *shown


def _as_json(test: str, protocol: str, reports: Sequence[TaskReport]) -> dict[str, object]:
    return {"task": test, "protocol": protocol, "features": [asdict(r) for r in reports]}


def _check(results: Sequence[Result], models: set[str], threshold: float | None) -> None:
    if threshold is None:
        return
    missed = [
        f"{score.score:.2f} by {features} on {test}"
        for test, features, score in _first_scores(results, models)
        if score.score < threshold
    ]
    if missed:
        raise ThresholdError(f"below --fail-under {threshold:g}: {', '.join(missed)}")


def _check_gains(results: Sequence[Result], models: set[str], threshold: float | None) -> None:
    if threshold is None:
        return
    missed = [
        f"{shown_gain(score.gain, score.gain_low, score.gain_high)} by {features} on {test}"
        for test, features, score in _first_scores(results, models)
        if is_below(threshold, score.gain, score.gain_low)
    ]
    if missed:
        raise ThresholdError(f"below --fail-under-gain {threshold:g}: {', '.join(missed)}")


def _first_scores(
    results: Sequence[Result], models: set[str]
) -> Iterator[tuple[str, str, TaskScore]]:
    """Task, features and first score of what the models' own vectors did."""
    for test, _, reports in results:
        for report in reports:
            if report.features in models:
                yield test, report.features, report.scores[0]
