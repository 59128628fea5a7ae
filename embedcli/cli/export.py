"""`embed export`: convert vectors between file formats."""

from __future__ import annotations

from pathlib import Path

import click

from embedcli.cli.options import verbosity_options
from embedcli.cli.output import talk
from embedcli.errors import UsageError

__all__ = ["command"]


@click.command()
@click.argument("model")
@click.argument("out")
@click.option("--format", "to", metavar="F", help="Write this format, whatever the suffix of OUT.")
@click.option("--from", "origin", metavar="F", help="Read MODEL as this format, whatever it seems.")
@click.option("--top", type=click.IntRange(min=1), metavar="N", help="Only the first N words.")
@click.option(
    "--decode-errors",
    type=click.Choice(["strict", "replace"]),
    default="strict",
    show_default=True,
    help="What to do with words of MODEL that are not UTF-8.",
)
@verbosity_options
def command(
    model: str, out: str, to: str | None, origin: str | None, top: int | None, decode_errors: str
) -> None:
    """Convert MODEL, a file in any format embed reads, to OUT.

    Formats: safetensors (embed's own; it alone keeps counts, output vectors and settings),
    word2vec, word2vec-bin, glove and vocab (words and counts only). The suffix of OUT decides
    (.safetensors, .vec or .txt, .bin, .glove.txt, .vocab), or --format. OUT may be - for standard
    output, with --format.
    """
    from embedcli import formats

    target = to or _format_of(out)
    if target not in formats.FORMATS:
        raise UsageError(f"there is no format {target!r}; there are {', '.join(formats.FORMATS)}")
    if _same_file(model, out):
        raise UsageError(f"{out} is the input itself: name another file")
    embeddings = formats.load(model, origin, decode_errors=decode_errors)
    if top is not None:
        embeddings = embeddings.head(top)
    formats.save(embeddings, out, target)
    talk(f"{out}: {len(embeddings)} words x {embeddings.dim}, {target}")


def _format_of(out: str) -> str:
    from embedcli import formats

    if out == "-":
        raise UsageError("standard output has no suffix: give --format")
    return formats.format_for_path(out)


def _same_file(model: str, out: str) -> bool:
    return Path(model).exists() and Path(out).is_file() and Path(model).samefile(out)
