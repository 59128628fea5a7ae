"""`embed shard`: the steps of a run in shards, one file each, for Make and batch systems."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from embedcli.cli.apart import keep_apart
from embedcli.cli.options import train_options_without, verbosity_options
from embedcli.cli.output import talk
from embedcli.errors import UsageError
from embedcli.settings.compatibility import COMPATIBILITY, used_by
from embedcli.settings.config import TrainConfig, usable_cores
from embedcli.settings.text_rules import text_settings
from embedcli.settings.values import Value

if TYPE_CHECKING:
    from embedcli.cluster.plan import Plan
    from embedcli.embeddings import Embeddings

__all__ = ["command"]

_output = click.option("-o", "--output", required=True, metavar="FILE", help="Where to write.")
_threads = click.option(
    "--threads", type=click.IntRange(1, 1024), metavar="N", help="Default: the cores there are."
)


@click.group(short_help="Count, encode and train parts of a text, as files.")
def command() -> None:
    r"""Do one step of a run in shards, from files to a file, without any scheduler.

    \b
        embed shard plan corpus.txt --shards 2 --rounds 4 -o plan.json
        embed shard count plan.json 0 -o 0.counts             # and 1
        embed combine plan.json 0.counts 1.counts -o 0.safetensors
        embed shard encode plan.json 0 -m 0.safetensors -o 0.ids     # and 1
        embed shard train 0.safetensors 0.ids -o 0-0.change          # and 1
        embed combine 0.safetensors 0-0.change 1-0.change -o 1.safetensors

    The last two steps repeat, once for each round of each epoch. examples/Makefile.shards does all
    of it; on a cluster, each step is a task of an array. With --threads 1 each step writes the same
    bytes again, wherever it runs.
    """


@command.command(short_help="Cut a text into shards and fix the settings.")
@click.argument("corpus", nargs=-1, required=True)
@_output
@train_options_without(*COMPATIBILITY.keys() - used_by("shards") - text_settings().keys())
@verbosity_options
def plan(
    corpus: tuple[str, ...], output: str, config: TrainConfig, chosen: dict[str, Value]
) -> None:
    """Cut CORPUS into --shards parts, and write them and the settings as a plan.

    CORPUS is files, globs, directories or URLs that every machine can read under the same names.
    Nothing but the places of the cuts is read of them.
    """
    from embedcli.cluster.plan import make_plan, shard_settings, write_plan
    from embedcli.files.publish import check_writable

    if config.shards is None or config.rounds is None:
        missing = "--shards" if config.shards is None else "--rounds"
        raise UsageError(f"a plan needs {missing}: how many {missing[2:]} there are")
    config = shard_settings(config)
    keep_apart([output], texts=corpus, recursive=config.recursive)
    check_writable(output, stdout=True)
    made = make_plan(corpus, config.resolve())
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


@command.command(short_help="Turn one shard into ids.")
@click.argument("plan_file", metavar="PLAN")
@click.argument("number", type=click.IntRange(min=0))
@click.option("-m", "--model", required=True, metavar="MODEL", help="Any model of the run.")
@_output
@_threads
@verbosity_options
def encode(plan_file: str, number: int, model: str, output: str, threads: int | None) -> None:
    """Turn shard NUMBER (from 0) of PLAN into ids of the vocabulary of MODEL."""
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
    """Train the encoded shard IDS for the round that MODEL is due for; write what changed."""
    from embedcli.cluster.file_driver import train_shard
    from embedcli.files.publish import check_writable

    keep_apart([output], [model, ids])
    check_writable(output)
    loss = train_shard(load_model(model), ids, output, threads or usable_cores())
    talk(f"{output}: " + ("nothing to train" if loss is None else f"loss {loss:.4f}"))


def _texts(plan: Plan) -> list[str]:
    """The files of all shards that are in reach."""
    spans = [span for shard in plan.shards for span in shard.spans]
    return sorted({span.source for span in spans if Path(span.source).exists()})


def load_model(path: str) -> Embeddings:
    """A model between two rounds, which only embed's own format can hold."""
    from embedcli.formats import load

    return load(path, "safetensors")
