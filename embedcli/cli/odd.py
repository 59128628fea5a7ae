"""`embed odd`: which of these words does not belong?"""

from __future__ import annotations

import sys

import click

from embedcli.cli.options import json_option, model_option, verbosity_options
from embedcli.cli.output import echo_json, echo_rows
from embedcli.errors import UsageError

__all__ = ["command"]


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="WORD WORD WORD...")
@model_option
@json_option
@verbosity_options
def command(words: tuple[str, ...], model: str, as_json: bool) -> None:
    r"""Show which WORD does not belong to the others.

    \b
        embed odd breakfast cereal dinner lunch

    Columns: word, and its mean cosine to the others; the odd one first.
    """
    import embedcli
    from embedcli.lookup import odd_one_out

    if len(set(words)) < 3:
        raise UsageError(f"{len(set(words))} words: give three or more, of which one may be odd")
    scored = odd_one_out(embedcli.load(model), list(dict.fromkeys(words)))
    if as_json:
        echo_json({"odd": scored[0].word, "words": [{"word": w, "cosine": c} for w, c in scored]})
    else:
        echo_rows(scored, ("word", "cosine") if sys.stdout.isatty() else None)
