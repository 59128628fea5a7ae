"""`embed analogy`: A is to B as C is to what?"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from embedcli.cli.model_options import reading_options
from embedcli.cli.number_options import number_option, restrict_option
from embedcli.cli.options import json_option, model_option, verbosity_options
from embedcli.cli.output import echo_json, echo_rows
from embedcli.cli.unknown import fallback_options, say_answered

if TYPE_CHECKING:
    from embedcli.lookup.out_of_vocabulary import Fallbacks
    from embedcli.settings.reading import ReadingOptions

__all__ = ["command"]

_SCORES = {"cosadd": "cosine", "cosmul": "quotient", "pairdistance": "cosine"}


@click.command()
@click.argument("a")
@click.argument("b")
@click.argument("c")
@model_option
@number_option("-k", default=10, text="Number of answers.")
@click.option(
    "--method",
    type=click.Choice(tuple(_SCORES)),
    default="cosadd",
    show_default=True,
    help="cosadd: cosine to B - A + C. cosmul: cos(B) cos(C) / (cos(A) + 0.001), with cosines "
    "mapped to 0..1. pairdistance: cosine between the answer minus C and B - A.",
)
@restrict_option("Answer from the N most frequent words only")
@fallback_options
@reading_options
@json_option
@verbosity_options
def command(
    a: str,
    b: str,
    c: str,
    model: str,
    reading: ReadingOptions,
    k: int,
    method: str,
    restrict: int | None,
    fallbacks: Fallbacks,
    as_json: bool,
) -> None:
    r"""Answer "A is to B as C is to what?" from unit vectors.

    \b
        embed analogy man king woman
        embed analogy paris france rome --method cosmul -k 3 --json

    A, B and C are never answers. Columns: rank, word, and cosine or quotient (cosmul). On a
    terminal the columns are aligned under a header; in a pipe they are tab-separated, without
    one. --json prints one object: a, b, c, method, and answers, a list of word and cosine or
    quotient.

    A word that is not in the vocabulary is looked up by its subwords, another spelling of its case
    or <unk>. A message on stderr says so, and answered_by in JSON.
    """
    import embedcli
    from embedcli.lookup.out_of_vocabulary import resolve
    from embedcli.lookup.query import analogy

    embeddings = embedcli.load(model, reading=reading)
    answers = analogy(
        embeddings, (a, b, c), k, method=method, restrict=restrict, fallbacks=fallbacks
    )
    answered = resolve(embeddings, (a, b, c), fallbacks).answered()
    score = _SCORES[method]
    if as_json:
        listed = [{"word": word, score: value} for word, value in answers]
        made = {"answered_by": answered} if answered else {}
        echo_json({"a": a, "b": b, "c": c, "method": method, "answers": listed} | made)
    else:
        rows = ((rank, word, value) for rank, (word, value) in enumerate(answers, 1))
        echo_rows(rows, ("rank", "word", score) if sys.stdout.isatty() else None)
    say_answered(answered)
