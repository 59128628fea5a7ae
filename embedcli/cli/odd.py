"""`embed odd`: which of these words does not belong?"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from embedcli.cli.model_options import reading_options
from embedcli.cli.options import json_option, model_option, verbosity_options
from embedcli.cli.output import echo_json, echo_rows, talk
from embedcli.cli.unknown import fallback_options, say_answered
from embedcli.errors import UnknownWordError, UsageError
from embedcli.quoting import quoted

if TYPE_CHECKING:
    from embedcli.lookup.out_of_vocabulary import Fallbacks
    from embedcli.settings.reading import ReadingOptions

__all__ = ["command"]


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="WORD WORD WORD...")
@model_option
@click.option("--skip-unknown", is_flag=True, help="Leave out unknown words, and report them.")
@fallback_options
@reading_options
@json_option
@verbosity_options
def command(
    words: tuple[str, ...],
    model: str,
    skip_unknown: bool,
    fallbacks: Fallbacks,
    reading: ReadingOptions,
    as_json: bool,
) -> None:
    r"""Show which WORD does not belong to the others.

    \b
        embed odd breakfast cereal dinner lunch

    Columns: word, and its mean cosine to the others; the odd one first.

    A word that is not in the vocabulary is looked up by its subwords, another spelling of its case
    or <unk>. A message on stderr says so, and answered_by in JSON. A word that is still unknown is
    an error (exit code 3). With --skip-unknown it is left out, and listed in skipped in JSON; three
    known words must remain.
    """
    import embedcli
    from embedcli.lookup.out_of_vocabulary import resolve
    from embedcli.lookup.query import odd_one_out
    from embedcli.lookup.suggest import Suggester

    asked = list(dict.fromkeys(words))
    if len(asked) < 3:
        raise UsageError(f"{len(asked)} different words: give three or more; one may be odd")
    embeddings = embedcli.load(model, reading=reading)
    resolved = resolve(embeddings, asked, fallbacks)
    answered = resolved.answered()
    pairs = list(zip(asked, resolved.sources, strict=True))
    skipped = [word for word, source in pairs if source is None and skip_unknown]
    if skipped:
        asked = [word for word in asked if word not in skipped]
        if len(asked) < 3:
            raise UnknownWordError(skipped[0], Suggester(embeddings.vocabulary).suggest(skipped[0]))
    scored = odd_one_out(embeddings, asked, fallbacks=fallbacks)
    if as_json:
        made = {"answered_by": answered} if answered else {}
        listed = [{"word": word, "cosine": cosine} for word, cosine in scored]
        left = {"skipped": skipped} if skip_unknown else {}
        echo_json({"odd": scored[0].word, "words": listed} | made | left)
    else:
        echo_rows(scored, ("word", "cosine") if sys.stdout.isatty() else None)
    say_answered(answered)
    if skipped:
        talk(f"{len(skipped)} unknown words left out: {', '.join(map(quoted, skipped))}")
