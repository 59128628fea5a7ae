"""`embed combine`: combine the counts or changes of several shards."""

from __future__ import annotations

import click

from embedcli.cli.options import verbosity_options
from embedcli.cli.output import talk
from embedcli.cli.parameter_files import keep_apart
from embedcli.errors import UsageError

__all__ = ["command"]


@click.command(short_help="Combine counts or changes of shards.")
@click.argument("files", nargs=-1, required=True)
@click.option("-o", "--output", required=True, metavar="FILE", help="Output file.")
@verbosity_options
def command(files: tuple[str, ...], output: str) -> None:
    r"""Combine files of several shards that `embed shard` wrote.

    \b
        embed combine plan.json 0.counts 1.counts -o 0.safetensors
        embed combine 0.safetensors 0-0.change 1-0.change -o 1.safetensors

    \b
        PLAN COUNTS...    the model before the first round
        MODEL CHANGES...  the model after its next round
        COUNTS...         their sum, to be combined further
        CHANGES...        the same, to combine many shards in a tree

    The changes must be of the next round of MODEL, and of every shard exactly once, in any order.
    """
    from embedcli.cluster.step_files import kind_of
    from embedcli.files.publish import check_writable

    keep_apart([output], files)
    check_writable(output)
    first, *others = files
    if not others:
        raise UsageError(f"nothing to combine with {first}: give files of embed shard too")
    _COMBINERS.get(kind_of(first), _add)(first, others, output)


def _begin(plan: str, counts: list[str], output: str) -> None:
    from embedcli.cluster.file_driver import first_model
    from embedcli.cluster.plan import read_plan
    from embedcli.formats import save

    embeddings = first_model(read_plan(plan), counts)
    save(embeddings, output, "safetensors")
    talk(f"{output}: {len(embeddings):,} words x {embeddings.dim}")


def _advance(model: str, changes: list[str], output: str) -> None:
    from embedcli.cli.shard import load_model
    from embedcli.cluster.file_driver import next_model
    from embedcli.formats import save

    embeddings = next_model(load_model(model), changes)
    save(embeddings, output, "safetensors")
    for number, epoch in enumerate(embeddings.metadata["epochs"], 1):
        talk(f"epoch {number}: loss {epoch['loss']:.4f}")


def _add(first: str, others: list[str], output: str) -> None:
    from embedcli.cluster.file_driver import add_files

    add_files([first, *others], output)


_COMBINERS = {"": _begin, "embed": _advance}  # by the kind of the first file; "": no safetensors
