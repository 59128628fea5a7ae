"""`embed tune`: how many dimensions does this text deserve?"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import click

from embedcli.cli.clusters import check_options
from embedcli.cli.options import OF_ONE_RUN, json_option, train_options_without, verbosity_options
from embedcli.cli.output import echo_json, echo_rows, talk
from embedcli.cli.progress import show_progress
from embedcli.config import TrainConfig
from embedcli.errors import UsageError
from embedcli.settings import Value, seconds

__all__ = ["command"]


def _parse_dims(context: click.Context, parameter: click.Parameter, value: str) -> list[int]:
    if not re.fullmatch(r"[1-9][0-9]{0,3}(,[1-9][0-9]{0,3})*", value):
        raise UsageError(f"--dims is {value!r}, but must be whole numbers by commas: 25,50,100")
    return [int(number) for number in value.split(",")]


def _parse_budget(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> float | None:
    if value is None:
        return None
    length = seconds(value)
    if length is None:
        raise UsageError(f"--budget is {value!r}, but must be a duration: 90s, 20m or 2h")
    return length


@click.command(short_help="Find out how many dimensions to train.")
@click.argument("corpus", nargs=-1, required=True)
@click.option(
    "--dims",
    default="25,50,100,200",
    show_default=True,
    metavar="N,N",
    callback=_parse_dims,
    help="The numbers of dimensions to try.",
)
@click.option(
    "--evaluate",
    "files",
    multiple=True,
    required=True,
    metavar="FILE",
    help="Score on this analogy or similarity file; may be repeated.",
)
@click.option(
    "--budget",
    metavar="TIME",
    callback=_parse_budget,
    help="Begin nothing that would probably end later: 90s, 20m, 2h.",
)
@click.option("-o", "--output", metavar="FILE.yaml", help="Write the recommended settings.")
@train_options_without(*OF_ONE_RUN)
@json_option
@verbosity_options
def command(
    corpus: tuple[str, ...],
    dims: list[int],
    files: tuple[str, ...],
    budget: float | None,
    output: str | None,
    config: TrainConfig,
    chosen: Mapping[str, Value],
    as_json: bool,
) -> None:
    r"""Train on CORPUS at several --dims, twice each, and say what each is worth.

    \b
        embed tune corpus.txt --dims 25,50,100 --evaluate pairs.tsv --budget 20m -o best.yaml
        embed train corpus.txt --config best.yaml

    Columns: dim, the mean score, training loss of the last epoch, seconds of a run, megabytes of
    the vectors, and PIP loss between two runs with different seeds (0: the same space; 1.41:
    unrelated). Recommended is the smallest dim that scores 99 % of the best. All training options
    apply but --dim, which --dims takes the place of.
    """
    from embedcli.evaluation.files import read_evaluation_file
    from embedcli.storage.publish import check_writable, publish
    from embedcli.tuning.dimensions import recommended, try_dimensions

    check_options(None, chosen, dry_run=False)
    if "-" in corpus:
        raise UsageError("the text is read several times: standard input cannot be tuned on")
    for file in files:  # before the work, not after it
        read_evaluation_file(file)
    if output:
        check_writable(output)
    with show_progress() as on_progress:
        trials, skipped = try_dimensions(
            corpus,
            config,
            dims,
            files,
            budget=float("inf") if budget is None else budget,
            on_trial=lambda trial: talk(f"dim {trial.dim}: {_number(trial.score)}", at=1),
            on_progress=on_progress,
        )
    best = recommended(trials)
    if as_json:
        listed = [asdict(trial) for trial in trials]
        dim = None if best is None else best.dim
        echo_json({"files": files, "trials": listed, "skipped": skipped, "recommended": dim})
    else:
        rows = (
            (t.dim, *map(_number, (t.score, t.loss, t.seconds, t.n_bytes / 1e6, t.pip_loss)))
            for t in trials
        )
        header = ("dim", "score", "loss", "seconds", "MB", "pip_loss")
        echo_rows(rows, header if sys.stdout.isatty() else None)
    if skipped:
        talk(f"left out for want of time: {', '.join(map(str, skipped))}")
    if best is None:
        talk("no score is defined: nothing is recommended")
        return
    settings = {"dim": best.dim} | {n: v for n, v in chosen.items() if n != "dim"}
    flags = " ".join(_flag(name, value) for name, value in settings.items())
    talk(f"recommended: embed train {' '.join(corpus)} {flags}")
    if output:
        with publish(output) as sink:
            sink.write("".join(f"{n}: {_yaml(v)}\n" for n, v in settings.items()).encode())
        talk(f"{output}: the same as a configuration (embed train --config {output})")


def _flag(name: str, value: Value) -> str:
    option = name.replace("_", "-")
    if isinstance(value, bool):
        return f"--{option}" if value else f"--no-{option}"
    return f"--{option} {value}"


def _yaml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3f}"
