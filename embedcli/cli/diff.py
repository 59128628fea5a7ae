"""`embed diff`: which words moved between two models."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from embedcli.cli.model_options import reading_options
from embedcli.cli.number_options import number_option, restrict_option
from embedcli.cli.options import json_option, verbosity_options
from embedcli.cli.output import echo_json, echo_rows, report_error, talk
from embedcli.errors import UnknownWordError
from embedcli.quoting import quoted

if TYPE_CHECKING:
    from embedcli.settings.reading import ReadingOptions

__all__ = ["command"]


@click.command()
@click.argument("old")
@click.argument("new")
@click.argument("words", nargs=-1, metavar="[WORD]...")
@number_option("--top", default=20, text="Number of words to show.")
@number_option("-k", default=5, text="Neighbours per word.")
@restrict_option("Compare words among the N most frequent of both models", 10_000)
@click.option("--as-is", is_flag=True, help="Do not rotate: the two spaces are aligned already.")
@reading_options
@json_option
@verbosity_options
def command(
    old: str,
    new: str,
    words: tuple[str, ...],
    top: int,
    k: int,
    restrict: int | None,
    as_is: bool,
    reading: ReadingOptions,
    as_json: bool,
) -> None:
    r"""Show the words that moved most between the models OLD and NEW, or these WORDs.

    \b
        embed diff 1990.safetensors 2020.safetensors
        embed diff 1990.safetensors 2020.safetensors web mail

    OLD is aligned to NEW over the words of both. The cosine of a word with itself then says how far
    it has moved. Columns: word, cosine, number of its k neighbours that are the same, neighbours in
    OLD, neighbours in NEW. Compare with two runs on the same text: their difference is the noise.
    """
    import embedcli
    from embedcli.spaces.drift import drift

    first, second = (embedcli.load(model, reading=reading) for model in (old, new))
    result = drift(first, second, top=top, k=k, restrict=restrict, words=words, as_is=as_is)
    talk(
        f"{result.shared:,} words in both, {result.only_old:,} only in {old}, {result.only_new:,} "
        f"only in {new}; median cosine of the {result.compared:,} compared: {result.median:.4f}"
    )
    if as_json:
        echo_json(asdict(result))
    else:
        header = ("word", "cosine", "shared", "before", "after")
        echo_rows(
            (
                (m.word, m.cosine, m.shared, " ".join(m.before), " ".join(m.after))
                for m in result.moved
            ),
            header if sys.stdout.isatty() else None,
        )
    missing = [word for word in words if word not in {m.word for m in result.moved}]
    for word in missing:
        report_error(f"unknown word {quoted(word)}: it is not in both models")
    if missing:
        click.get_current_context().exit(UnknownWordError.exit_code)
