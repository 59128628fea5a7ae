"""`embed evaluate`: score models on analogy and word-similarity files."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING, Any

import click

from embedcli.cli.evaluate_items import evaluate_items, parse_cutoffs
from embedcli.cli.gains import is_below, shown_gain
from embedcli.cli.options import (
    json_option,
    text_encoding_option,
    threshold_option,
    verbosity_options,
)
from embedcli.cli.output import echo, echo_json, echo_rows, for_terminal, warn
from embedcli.cli.reading import reading_options
from embedcli.errors import ThresholdError, UsageError

if TYPE_CHECKING:
    from embedcli.evaluation import Report
    from embedcli.evaluation.comparison import Gain
    from embedcli.evaluation.parts import Part
    from embedcli.reading import ReadingOptions

__all__ = ["command"]

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


@click.command()
@click.argument("files", nargs=-1, metavar="[FILE]...")
@click.option(
    "--task",
    "tasks",
    nargs=2,
    multiple=True,
    metavar="TRAIN TEST",
    help="Instead of FILEs: train a classifier on TRAIN and score it on TEST, with the vectors and "
    "with one-hot features; may be repeated.",
)
@click.option(
    "--one-hot/--no-one-hot",
    default=True,
    help="With --task: score one-hot features too, and what the vectors gain over them; without, "
    "models gain over the first.  [yes]",
)
@click.option(
    "--next-item",
    "item_files",
    multiple=True,
    metavar="FILE",
    help="Instead of FILEs: predict the last item of each line from those before it; may be "
    "repeated.",
)
@click.option(
    "--train",
    "training",
    metavar="FILE",
    help="What the baselines of --next-item count: the text the model was trained on.  "
    "[default: the lines without their last items]",
)
@click.option(
    "--separator",
    metavar="TEXT",
    help="What stands between the items of --next-item.  [default: as the model was trained]",
)
@click.option(
    "--cutoff",
    "-k",
    "cutoffs",
    default="10",
    show_default=True,
    metavar="K,K",
    callback=parse_cutoffs,
    help="Among how many items the last one should be.",
)
@click.option(
    "-m",
    "--model",
    "models",
    multiple=True,
    metavar="MODEL",
    help="Any file of vectors that embed reads; may be given several times. "
    "[default: EMBED_MODEL, or model.safetensors]",
)
@click.option(
    "--protocol",
    type=click.Choice(["word2vec", "gensim"]),
    default="word2vec",
    show_default=True,
    help="Whose rules to score by: word2vec sees the first 30,000 words for analogies and all for "
    "similarity, gensim 300,000 for both.",
)
@click.option(
    "--method",
    type=click.Choice(["cosadd", "cosmul", "pairdistance", "cosavg", "lrcos"]),
    help="How analogies and pairs are answered: cosadd; cosavg and lrcos learn from all pairs of a "
    "section or file but the one that is asked.",
)
@click.option(
    "--restrict",
    type=click.IntRange(min=0),
    metavar="N",
    help="See only the first N words; 0 for all.",
)
@click.option(
    "--oov",
    type=click.Choice(["skip", "wrong"]),
    help="Score without questions, pairs and lines that hold an unknown word (skip, as both "
    "protocols), or with them as wrong and as cosine 0.",
)
@click.option(
    "--kind",
    type=click.Choice(["analogies", "similarity", "pairs", "categories", "odd"]),
    help="What the FILEs are, instead of what is in them says.",
)
@click.option(
    "--skip-bad-lines",
    is_flag=True,
    help="Leave out lines that cannot be read, and count them, instead of refusing the FILE.",
)
@click.option(
    "--subwords/--no-subwords",
    default=True,
    help="Words that the model does not hold get vectors made of their subwords, if it has any; "
    "not in analogies and pairs.  [yes]",
)
@click.option(
    "--unk/--no-unk", default=False, help="Those still unknown get the vector of <unk>.  [no]"
)
@click.option(
    "--bootstrap",
    type=click.IntRange(0, 1_000_000),
    default=1000,
    show_default=True,
    metavar="N",
    help="Resamples for 95 % intervals; 0 for none.",
)
@threshold_option(
    "--fail-under",
    "Exit with 1 unless every model scores X or more on every file: percent of analogies, "
    "100 x Spearman's rho, hit rate.",
)
@threshold_option(
    "--fail-under-gain",
    "Exit with 1 unless the interval of every gain, over the first model or with --task over "
    "one-hot features, begins at X or above; the gain itself with --bootstrap 0.",
)
@text_encoding_option
@reading_options
@json_option
@verbosity_options
def command(
    files: tuple[str, ...],
    tasks: tuple[tuple[str, str], ...],
    one_hot: bool,
    item_files: tuple[str, ...],
    training: str | None,
    separator: str | None,
    text_encoding: str | None,
    cutoffs: list[int],
    models: tuple[str, ...],
    fail_under: float | None,
    fail_under_gain: float | None,
    reading: ReadingOptions,
    as_json: bool,
    **rules: Any,
) -> None:
    r"""Score embeddings on FILEs of analogies, pairs, similarity, categories or odd ones out.

    \b
        embed evaluate questions-words.txt EN-WS-353-ALL.txt -m a.safetensors -m b.safetensors
        embed evaluate --task spam.train.tsv spam.test.tsv
        embed evaluate --next-item baskets.csv

    What is in a file says which kind it is. The rules are those of a named protocol, and the line
    that states them is always printed. Elsewhere than on a terminal: tab-separated with a header,
    one line a section of an analogy file (and semantic, syntactic, total), one any other file.
    Scores are percent, or 100 x Spearman's rho for similarity; n/a is what cannot be computed.

    --task asks whether a task gets better with the vectors: label<TAB>text, fastText labels or
    CoNLL columns; the same classifier on the model's features and on one-hot ones.

    --next-item asks what comes next: hit rate and NDCG of the last item of each line, beside
    popularity and co-occurrence. Train on the lines without their last items.
    """
    from embedcli import evaluate, load
    from embedcli.evaluation.parts import left_out

    n_kinds = sum(map(bool, (files, tasks, item_files)))
    if n_kinds != 1:
        more = "; not two of them" if n_kinds else ""
        raise UsageError(f"give FILEs to score on, or --task TRAIN TEST, or --next-item FILE{more}")
    if text_encoding is not None and not item_files:
        raise UsageError("--text-encoding is for the lines of --next-item; convert other files")
    models = models or (os.environ.get("EMBED_MODEL") or "model.safetensors",)
    if tasks:
        from embedcli.cli.evaluate_task import evaluate_tasks
        from embedcli.resolution import Ways

        evaluate_tasks(
            {model: load(model, reading=reading) for model in models},
            tasks,
            one_hot=one_hot,
            ways=Ways(subwords=rules["subwords"], token=rules["unk"]),
            bootstrap=rules["bootstrap"],
            fail_under=fail_under,
            fail_under_gain=fail_under_gain,
            as_json=as_json,
        )
        return
    if item_files:
        evaluate_items(
            {model: load(model, reading=reading) for model in models},
            item_files,
            training=training,
            separator=separator,
            encoding=text_encoding,
            cutoffs=cutoffs,
            wrong_if_unknown=rules["oov"] == "wrong",
            bootstrap=rules["bootstrap"],
            fail_under=fail_under,
            as_json=as_json,
        )
        return
    if fail_under_gain is not None and len(set(models)) < 2:
        raise UsageError("--fail-under-gain compares models: give a second -m")
    scored: list[Scored] = []
    for model in models:
        reports = evaluate(load(model, reading=reading), files, **rules)
        scored += [(model, report) for report in reports]
    for report in {report.path: report for _, report in scored}.values():
        if report.skipped:
            warn(f"{left_out(report.skipped)[2:]}; {report.skipped[0]}")
    gains = _gains(scored, rules["bootstrap"])
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
