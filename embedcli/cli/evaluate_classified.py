"""`embed evaluate` of a classifier: files of labelled lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from embedcli.cli.evaluate_output import GAIN, Columns, Layout, Table, part_as_json
from embedcli.cli.evaluate_request import Kind, Request
from embedcli.quoting import quoted
from embedcli.settings.text_rules import OF_FILES, TextRules

if TYPE_CHECKING:
    from embedcli.evaluation.report import Part, Report

__all__ = ["CLASSIFIED"]

_COLUMNS: Columns = (
    ("f1", "score"), ("low", "low"), ("high", "high"), ("precision", "precision"),
    ("recall", "recall"), ("predicted", "seen"), ("lines", "total"),
)  # fmt: skip
_SHOWN = 5


def _score(request: Request) -> list[Report]:
    from embedcli.evaluation.classified import score_classifier
    from embedcli.evaluation.comparison import compare, with_gain
    from embedcli.formats.classifiers import load_classifier

    resamples = request.options["bootstrap"]
    encoding = request.options["text_encoding"]
    base: dict[str, Report] = {}
    reports: list[Report] = []
    for model in request.models:
        classifier = load_classifier(model)
        rules = TextRules.from_settings(classifier.metadata.get("settings", {}))
        # What the test is in does not depend on what the training text was in.
        rules = replace(rules, **{name: getattr(TextRules(), name) for name in OF_FILES})
        rules = replace(rules, encoding=encoding)
        for path in request.asked:
            report = replace(
                score_classifier(classifier, path, rules, bootstrap=resamples), model=model
            )
            if path in base:
                gain = compare(request.models[0], base[path], report, resamples=resamples)
                report = with_gain(report, gain)
            base.setdefault(path, report)
            reports.append(report)
    return reports


def _table(report: Report, part: Part) -> Table:
    title = f"{report.model}, {report.path}"
    return Table(title, title, (("label", "name"), *_COLUMNS))


def _as_json(reports: Sequence[Report]) -> list[dict[str, Any]]:
    return [
        {
            "model": report.model,
            "file": report.path,
            "score": report.score,
            "parts": [part_as_json(part) for part in report.parts],
            "gain": None if report.main_part.gain is None else asdict(report.main_part.gain),
            **report.facts,
            "protocol": report.protocol_line,
        }
        for report in reports
    ]


def _remark(report: Report) -> str:
    """The pairs of labels that are most often taken for each other."""
    pairs = [
        (n, right, best)
        for right, row in report.facts["confusion"].items()
        for best, n in row.items()
    ]
    most = sorted(pairs, key=lambda pair: -pair[0])[:_SHOWN]
    if not most:
        return ""
    shown = ", ".join(f"{quoted(right)} for {quoted(best)} {n:,}" for n, right, best in most)
    return f"{report.path}: lines of one label taken for another: {shown}"


CLASSIFIED = Kind(
    "FILEs of labelled lines",
    [],
    _score,
    Layout(
        columns=(
            *(("model", "model"), ("file", "path"), ("label", "name")),
            *(*_COLUMNS, *GAIN, ("protocol", "line")),
        ),
        table=_table,
        as_json=_as_json,
        remark=_remark,
    ),
    lambda request: len(set(request.models)) > 1,
    frozenset(),
)
