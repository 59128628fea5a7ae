"""The kinds of evaluation and their columns: one entry in `KINDS` each."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

import click

from embedcli.cli.evaluate_output import GAIN, Columns, Layout, Table, gain_cells, part_as_json
from embedcli.cli.evaluate_request import Kind, Request
from embedcli.cli.number_options import number_option
from embedcli.cli.output import warn
from embedcli.errors import UsageError
from embedcli.quoting import quoted
from embedcli.settings.text_rules import TextRules

if TYPE_CHECKING:
    from embedcli.embeddings import Embeddings
    from embedcli.evaluation.histories import Lines
    from embedcli.evaluation.report import Part, Report

__all__ = ["KINDS", "kind_options"]


def _score_files(request: Request) -> list[Report]:
    from embedcli import evaluate
    from embedcli.evaluation.comparison import compare, with_gain

    names = ("protocol", "method", "restrict", "oov", "kind", "skip_bad_lines", "subwords", "unk")
    rules = {name: request.options[name] for name in names}
    resamples = request.options["bootstrap"]
    encoding = request.options["text_encoding"]
    first = request.models[0]
    base: dict[str, Report] = {}
    reports: list[Report] = []
    for model in request.models:
        for report in evaluate(
            request.load(model), request.asked, encoding=encoding, bootstrap=resamples, **rules
        ):
            named = replace(report, model=model)
            if model == first:
                base[report.path] = named
            else:
                gain = compare(first, base[report.path], report, resamples=resamples)
                named = with_gain(named, gain)
            reports.append(named)
    return reports


_PART: Columns = (("score", "score"), ("score_of_all", "score_of_all"))
_SIMILARITY: Columns = (
    ("score", "score"), ("low", "low"), ("high", "high"), ("score_of_all", "score_of_all"),
    ("pearson", "pearson"),
)  # fmt: skip
_COUNTS: Columns = (("seen", "seen"), ("total", "total"))


def _table_of_files(report: Report, part: Part) -> Table:
    """A table an analogy file, and one for all others of a kind and model."""
    columns = _SIMILARITY if report.kind == "similarity" else _PART
    if report.kind == "analogies":
        title = f"{report.model}, {report.path}"
        return Table(title, title, (("section", "name"), *columns, *_COUNTS))
    return Table(report.model, report.model, (("file", "file"), *columns, *_COUNTS))


def _files_as_json(reports: Sequence[Report]) -> list[dict[str, Any]]:
    return [
        {
            "model": report.model,
            "file": report.path,
            "kind": report.kind,
            "score": report.score,
            "parts": [{"pearson": None, **part_as_json(part)} for part in report.parts],
            "gain": None if report.main_part.gain is None else asdict(report.main_part.gain),
            "protocol": {**report.facts, "line": report.protocol_line},
            "answered_by": dict(report.answered),
            "skipped": len(report.skipped),
        }
        for report in reports
    ]


def _has_another(request: Request) -> bool:
    return len(set(request.models)) > 1


def _score_tasks(request: Request) -> list[Report]:
    from embedcli.evaluation.probes import probe
    from embedcli.lookup.out_of_vocabulary import Fallbacks

    options, models = request.options, request.loaded
    more = {
        "one_hot": options["one_hot"],
        "fallbacks": Fallbacks(subwords=options["subwords"], token=options["unk"]),
        "encoding": options["text_encoding"],
        "bootstrap": options["bootstrap"],
    }
    return [report for task in request.asked for report in probe(models, *task, **more)]


_FEATURES: Columns = (
    *(("features", "subject"), ("columns", "columns"), ("unknown", "unknown")),
    *(("score", "score"), ("low", "low"), ("high", "high"), *GAIN),
)


def _table_of_tasks(report: Report, part: Part) -> Table:
    return Table(report.path, f"{report.path}, {part.name}", _FEATURES)


def _tasks_as_json(reports: Sequence[Report]) -> list[dict[str, Any]]:
    return [
        {
            "task": path,
            "protocol": line,
            "features": [
                {
                    "features": report.subject,
                    **report.facts,
                    "scores": [
                        {**part_as_json(part), **gain_cells(part.gain)} for part in report.parts
                    ],
                }
                for report in group
            ],
        }
        for (path, line), group in groupby(reports, lambda r: (r.path, r.protocol_line))
    ]


def _remark_on_tokens(report: Report) -> str:
    made = report.facts["subwords"]
    if not made or report.is_baseline:
        return ""
    return (
        f"{report.path}: {made:.1%} of the tokens are not in the vocabulary of {report.model}, and "
        "answered by their subwords or <unk>"
    )


def _score_items(request: Request) -> list[Report]:
    from embedcli.evaluation.histories import read_lines
    from embedcli.evaluation.next_item import score_next_item

    options = request.options
    training = options["training"]
    reports: list[Report] = []
    for model, embeddings in request.loaded.items():
        rules = _text_rules(embeddings, options["separator"], options["text_encoding"])
        counted = None if training is None else read_lines(training, rules)
        for path in request.asked:
            lines = read_lines(path, rules)
            _warn_of_leak(model, embeddings, path, lines)
            found = score_next_item(
                embeddings,
                path,
                lines,
                training=counted,
                cutoffs=options["cutoffs"],
                wrong_if_unknown=options["oov"] == "wrong",
                recent=options["recent"] if options["ordered"] else None,
                bootstrap=options["bootstrap"],
            )
            reports += [replace(report, model=model) for report in found]
    return reports


def _text_rules(embeddings: Embeddings, separator: str | None, encoding: str | None) -> TextRules:
    """How the model's text was read, or by what --separator and --text-encoding say."""
    if separator is not None:
        return TextRules(items=True, separator=separator, encoding=encoding)
    rules = TextRules.from_settings(embeddings.metadata.get("settings", {}))
    return rules if encoding is None else replace(rules, encoding=encoding)


def _warn_of_leak(model: str, embeddings: Embeddings, path: str, lines: Lines) -> None:
    if embeddings.metadata.get("corpus", {}).get("sha256") == lines.digest:
        warn(
            f"{model} was trained on {path} itself, last items and all: it has seen the answers; "
            "train on the lines without them, or on other lines"
        )


_RANKINGS: Columns = (
    *(("method", "subject"), ("k", "k")),
    *(("hit_rate", "score"), ("hit_low", "low"), ("hit_high", "high")),
    *(("ndcg", "ndcg"), ("ndcg_low", "ndcg_low"), ("ndcg_high", "ndcg_high"), *GAIN),
)


def _table_of_items(report: Report, part: Part) -> Table:
    title = f"{report.model}, {report.path}"
    return Table(title, title, _RANKINGS)


def _items_as_json(reports: Sequence[Report]) -> list[dict[str, Any]]:
    found = []
    for (model, path), group in groupby(reports, lambda report: (report.model, report.path)):
        together = list(group)
        first = together[0]
        parts = [(r, r.parts[i]) for i in range(len(first.parts)) for r in together]
        scores = [
            {
                "method": report.subject,
                "hit_rate": part.score,
                "hit_low": part.low,
                "hit_high": part.high,
                **part.more,
                **gain_cells(part.gain),
            }
            for report, part in parts
        ]
        found.append({
            "model": model,
            "path": path,
            "scores": scores,
            "seen": first.main_part.seen,
            "total": first.main_part.total,
            **first.facts,
            "protocol_line": first.protocol_line,
        })  # fmt: skip
    return found


def _remark_on_lines(report: Report) -> str:
    part, short = report.main_part, report.facts["short"]
    asked = f"{part.seen:,} of {part.total:,} lines"
    return f"{report.path}: {asked}; {short:,} more hold one item only"


def _cutoffs(context: click.Context, parameter: click.Parameter, value: str) -> list[int]:
    if not re.fullmatch(r"[1-9][0-9]{0,6}(,[1-9][0-9]{0,6})*", value):
        raise UsageError(
            f"--cutoff is {quoted(value)}, but must be whole numbers by commas: 1,5,10"
        )
    return [int(number) for number in value.split(",")]


KINDS = {
    "files": Kind(
        "FILEs to score on",
        [
            click.argument("files", nargs=-1, metavar="[FILE]..."),
        ],
        _score_files,
        Layout(
            columns=(
                *(("model", "model"), ("file", "path"), ("part", "name")),
                *(*_SIMILARITY, *_COUNTS, *GAIN, ("protocol", "line")),
            ),
            table=_table_of_files,
            as_json=_files_as_json,
            compares=True,
        ),
        _has_another,
        frozenset(
            ("protocol", "method", "restrict", "oov", "kind", "skip_bad_lines", "subwords", "unk")
        ),
    ),
    "tasks": Kind(
        "--task TRAIN TEST",
        [
            click.option(
                "--task",
                "tasks",
                nargs=2,
                multiple=True,
                metavar="TRAIN TEST",
                help="Instead of FILEs: train a classifier on TRAIN and score it on TEST, with "
                "vectors and with one-hot features. Repeatable.",
            ),
            click.option(
                "--one-hot/--no-one-hot",
                default=True,
                help="With --task: also score one-hot features, and report gains over them. "
                "Without them, gains are over the first model.  [yes]",
            ),
        ],
        _score_tasks,
        Layout(
            columns=(("task", "path"), ("metric", "name"), *_FEATURES, ("protocol", "line")),
            table=_table_of_tasks,
            as_json=_tasks_as_json,
            remark=_remark_on_tokens,
        ),
        lambda request: request.options["one_hot"] or _has_another(request),
        frozenset(("one_hot", "subwords", "unk")),
    ),
    "item_files": Kind(
        "--next-item FILE",
        [
            click.option(
                "--next-item",
                "item_files",
                multiple=True,
                metavar="FILE",
                help="Instead of FILEs: predict the last item of each line from the items before "
                "it. Repeatable.",
            ),
            click.option(
                "--train",
                "training",
                metavar="FILE",
                help="With --next-item: the text that the baselines count, usually the training "
                "text.  [default: the lines without their last items]",
            ),
            click.option(
                "--separator",
                metavar="TEXT",
                help="With --next-item: the separator of items.  "
                "[default: as the model was trained]",
            ),
            click.option(
                "--cutoff",
                "-k",
                "cutoffs",
                default="10",
                show_default=True,
                metavar="K,K",
                callback=_cutoffs,
                help="With --next-item: count a hit if the last item is among the first K.",
            ),
            number_option(
                "--recent",
                default=5,
                text="With --next-item: rank by the last N items of each line, beside all of them.",
            ),
            click.option(
                "--ordered/--unordered",
                default=True,
                help="With --next-item: the items of a line have an order, as in a session. "
                "Without one, as in a basket, an item drawn by a seed is predicted from all "
                "others.  [ordered]",
            ),
        ],
        _score_items,
        Layout(
            columns=(
                *(("model", "model"), ("file", "path")),
                *(*_RANKINGS, *_COUNTS, ("protocol", "line")),
            ),
            table=_table_of_items,
            as_json=_items_as_json,
            is_by_part=True,
            remark=_remark_on_lines,
        ),
        lambda request: True,
        frozenset(("training", "separator", "cutoffs", "recent", "ordered", "oov")),
    ),
}


def kind_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of all kinds to the command."""
    for kind in reversed(KINDS.values()):
        for option in reversed(kind.options):
            function = option(function)
    return function
