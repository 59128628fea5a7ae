"""`embed classify`: labelled lines in, a classifier out."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import click

from embedcli.cli import run_report
from embedcli.cli.options import Duration, classifier_options, json_option, verbosity_options
from embedcli.cli.output import echo_json, talk, warn
from embedcli.cli.parameter_files import named_files
from embedcli.cli.progress_bar import show_progress
from embedcli.cli.signals import Deferred, heard
from embedcli.errors import UsageError
from embedcli.quoting import shell_line
from embedcli.settings.config import TrainConfig
from embedcli.settings.values import Value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from embedcli.embeddings import Embeddings
    from embedcli.training.callbacks import Callbacks

__all__ = ["command"]


@click.command(short_help="Train a classifier of lines.")
@click.argument("train", nargs=-1)
@click.option(
    "-o",
    "--output",
    default="model.safetensors",
    show_default=True,
    metavar="FILE",
    help="Output file: .safetensors.",
)
@click.option("--resume", is_flag=True, help="Continue from the newest checkpoint of the output.")
@click.option(
    "--checkpoint-every",
    "every",
    type=Duration(),
    default="10m",
    show_default=True,
    envvar="EMBED_CLASSIFY_CHECKPOINT_EVERY",
    help="How often to save a checkpoint beside the output; or `never`.",
)
@classifier_options
@json_option
@verbosity_options
def command(
    train: tuple[str, ...],
    output: str,
    resume: bool,
    every: float,
    config: TrainConfig,
    chosen: dict[str, Value],
    as_json: bool,
) -> None:
    r"""Train a classifier on TRAIN: files, globs, directories, or - for standard input.

    \b
        embed classify reviews.txt -o reviews.safetensors --word-ngrams 2
        embed predict more.txt -m reviews.safetensors --prob

    Each line of TRAIN is an example: `__label__NAME` anywhere among its words, several of them if
    need be, or NAME, a tab and the text. Lines without a label are left out. The model is
    fastText's: the mean of the vectors of words, n-grams of characters (--subword) and n-grams of
    words (--word-ngrams), and a row for each label.

    The same lines and settings give the same bytes for any number of threads. --valid measures the
    loss on other lines after every epoch. `embed classify --resume` continues a run that was
    interrupted or killed. docs/classification.md describes the algorithm.
    """
    from embedcli.files.locks import locked
    from embedcli.training.classifying import ClassifierTrainer
    from embedcli.training.outputs import check_outputs, find_targets
    from embedcli.training.session import Session

    targets, named = find_targets([output], None), list(named_files())
    if targets[0][1] != "safetensors":
        raise UsageError(
            f"-o is {output}, but a classifier is written as .safetensors; `embed export` makes "
            "other files of it"
        )
    check_outputs(targets, config, train, named)
    config = config.resolve()
    began = time.perf_counter()
    if not train and not resume:
        raise click.UsageError("Missing argument 'TRAIN...'.", click.get_current_context())
    with locked([output]):
        session = Session(
            train,
            targets,
            [output],
            config,
            chosen,
            None if math.isinf(every) else every,
            named=named,
            trainer=ClassifierTrainer(),
            callbacks=_callbacks(),
            began=began,
        )
        embeddings = session.run(resume=resume)
    if not session.was_complete:
        _summarise(embeddings, output, time.perf_counter() - began)
    if as_json:
        echo_json(dict(embeddings.metadata))


def _callbacks() -> Callbacks:
    from embedcli.training.callbacks import Callbacks
    from embedcli.training.classifying import digest_examples

    signals = Deferred()
    return Callbacks(
        say=talk,
        warn=warn,
        show_progress=show_progress,
        deferred=signals.deferred,
        raise_deferred=signals.raise_it,
        interrupted=heard,
        resume_line=_resume_line,
        digest=digest_examples,
    )


def _resume_line(sources: Sequence[str], outputs: Sequence[str]) -> str:
    return shell_line(["embed", "classify", "--resume", *sources, "-o", *outputs])


def _summarise(embeddings: Embeddings, output: str, seconds: float) -> None:
    run_report.summarise(embeddings, [output], seconds)
    corpus = embeddings.metadata["corpus"]
    left = corpus["without_label"]
    talk(
        f"{corpus['lines']:,} lines, {corpus['labels']:,} labels"
        + (f"; {left:,} lines without a label were left out" if left else "")
    )
    if unknown := embeddings.metadata.get("held_out", {}).get("unknown_label"):
        warn(f"{unknown:,} held-out lines have only labels that training never saw: left out")
