"""`embed shard`: the steps of a run in shards, as files, for Make and batch systems."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from embedcli.cli.options import train_options_without, verbosity_options
from embedcli.cli.output import say_choice, talk
from embedcli.cli.parameter_files import keep_apart
from embedcli.errors import UsageError
from embedcli.settings.compatibility import COMPATIBILITY, used_by
from embedcli.settings.config import TrainConfig, usable_cores
from embedcli.settings.text_rules import text_settings
from embedcli.settings.values import Value

if TYPE_CHECKING:
    from embedcli.cluster.plan import Plan
    from embedcli.embeddings import Embeddings

__all__ = ["command"]

_output = click.option("-o", "--output", required=True, metavar="FILE", help="Output file.")
_threads = click.option(
    "--threads",
    type=click.IntRange(1, 1024),
    metavar="N",
    help="Number of threads; by default one for each core.",
)


@click.group(short_help="Count, encode and train parts of a text, as files.")
def command() -> None:
    r"""Run one step of a run in shards, from files to a file, without a scheduler.

    \b
        embed shard plan corpus.txt --shards 2 --rounds 4 -o plan.json
        embed shard count plan.json 0 -o 0.counts             # and 1
        embed combine plan.json 0.counts 1.counts -o 0.safetensors
        embed shard encode plan.json 0 -m 0.safetensors -o 0.ids     # and 1
        embed shard train 0.safetensors 0.ids -o 0-0.change          # and 1
        embed combine 0.safetensors 0-0.change 1-0.change -o 1.safetensors

    The last two steps repeat for each round of each epoch. examples/Makefile.shards runs all steps.
    In a batch system, each step is an array job over the shards. With --threads 1 a step writes the
    same bytes on every machine.
    """


@command.command(short_help="Cut a text into shards and fix the settings.")
@click.argument("corpus", nargs=-1, required=True)
@_output
@train_options_without(*COMPATIBILITY.keys() - used_by("shards") - text_settings().keys())
@verbosity_options
def plan(
    corpus: tuple[str, ...], output: str, config: TrainConfig, chosen: dict[str, Value]
) -> None:
    """Cut CORPUS into shards, and write the shards and the settings as a plan.

    CORPUS is files, globs, directories or URLs that every machine can read under the same names.
    Only the places of the cuts are read.
    """
    from embedcli.cluster.plan import make_plan, shard_settings, write_plan
    from embedcli.files.publish import check_writable

    if config.shards is None or config.rounds is None:
        missing = "--shards" if config.shards is None else "--rounds"
        raise UsageError(f"a plan needs {missing}: how many {missing[2:]} there are")
    config = shard_settings(config)
    keep_apart([output], texts=corpus, recursive=config.recursive)
    check_writable(output, stdout=True)
    asked = config.resolve()
    made = make_plan(corpus, asked)
    say_choice(asked, made.config)
    write_plan(made, output)
    talk(f"{output}: {len(made.shards)} shards, {config.epochs} epochs of {config.rounds} rounds")


@command.command(short_help="Count the words of one shard.")
@click.argument("plan_file", metavar="PLAN")
@click.argument("number", type=click.IntRange(min=0))
@_output
@_threads
@verbosity_options
def count(plan_file: str, number: int, output: str, threads: int | None) -> None:
    """Count the words of shard NUMBER (from 0) of PLAN."""
    from embedcli.cluster.file_driver import count_shard
    from embedcli.cluster.plan import read_plan
    from embedcli.files.publish import check_writable

    made = read_plan(plan_file)
    keep_apart([output], [plan_file], texts=_texts(made))
    check_writable(output)
    n_words = count_shard(made, number, output, threads or usable_cores())
    talk(f"{output}: {n_words:,} distinct words")


@command.command(short_help="Encode one shard.")
@click.argument("plan_file", metavar="PLAN")
@click.argument("number", type=click.IntRange(min=0))
@click.option("-m", "--model", required=True, metavar="MODEL", help="Any model of this run.")
@_output
@_threads
@verbosity_options
def encode(plan_file: str, number: int, model: str, output: str, threads: int | None) -> None:
    """Encode shard NUMBER (from 0) of PLAN with the vocabulary of MODEL."""
    from embedcli.cluster.file_driver import encode_shard
    from embedcli.cluster.plan import read_plan
    from embedcli.files.publish import check_writable

    made = read_plan(plan_file)
    keep_apart([output], [plan_file, model], texts=_texts(made))
    check_writable(output)
    n_ids = encode_shard(made, number, load_model(model), output, threads or usable_cores())
    talk(f"{output}: {n_ids:,} words")


@command.command(short_help="Train one shard for one round.")
@click.argument("model")
@click.argument("ids")
@_output
@_threads
@verbosity_options
def train(model: str, ids: str, output: str, threads: int | None) -> None:
    """Train the encoded shard IDS for the next round of MODEL, and write the change."""
    from embedcli.cluster.file_driver import train_shard
    from embedcli.files.publish import check_writable

    keep_apart([output], [model, ids])
    check_writable(output)
    loss = train_shard(load_model(model), ids, output, threads or usable_cores())
    talk(f"{output}: " + ("nothing to train" if loss is None else f"loss {loss:.4f}"))


def _texts(plan: Plan) -> list[str]:
    """The files of all shards that exist on this machine."""
    spans = [span for shard in plan.shards for span in shard.spans]
    return sorted({span.source for span in spans if Path(span.source).exists()})


def load_model(path: str) -> Embeddings:
    """Load a model between two rounds, which only embed's own format can hold."""
    from embedcli.formats import load

    return load(path, "safetensors")
