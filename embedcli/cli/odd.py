"""`embed odd`: which of these words does not belong?"""

from __future__ import annotations

import sys

import click

from embedcli.cli.options import json_option, model_option, verbosity_options
from embedcli.cli.output import echo_json, echo_rows
from embedcli.cli.unknown import say_ways
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

    Columns: word, and its mean cosine to the others; the odd one first. Words that are not in the
    vocabulary are answered as by `embed neighbors`, which is said on stderr and, in JSON, in
    answered_by; one that is unknown all the same is exit code 3.
    """
    import embedcli
    from embedcli.lookup import odd_one_out
    from embedcli.resolution import resolve

    asked = list(dict.fromkeys(words))
    if len(asked) < 3:
        raise UsageError(
            f"{len(asked)} different words: give three or more, of which one may be odd"
        )
    embeddings = embedcli.load(model)
    scored = odd_one_out(embeddings, asked)
    otherwise = resolve(embeddings, asked).answered()
    if as_json:
        made = {"answered_by": otherwise} if otherwise else {}
        rows = [{"word": word, "cosine": cosine} for word, cosine in scored]
        echo_json({"odd": scored[0].word, "words": rows, **made})
    else:
        echo_rows(scored, ("word", "cosine") if sys.stdout.isatty() else None)
    say_ways(otherwise)
