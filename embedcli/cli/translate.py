"""`embed translate`: the words of another model nearest to a word of this one."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from embedcli.cli.align import Alignment, alignment_options
from embedcli.cli.model_options import reading_options
from embedcli.cli.number_options import number_option
from embedcli.cli.options import json_option, verbosity_options
from embedcli.cli.output import echo_json, echo_rows
from embedcli.cli.unknown import asked_words, fallback_options, report_unknown, say_answered
from embedcli.errors import UnknownWordError

if TYPE_CHECKING:
    from embedcli.lookup.out_of_vocabulary import Fallbacks
    from embedcli.settings.reading import ReadingOptions

__all__ = ["command"]


@click.command()
@click.argument("source")
@click.argument("target")
@click.argument("words", nargs=-1, required=True, metavar="WORD...")
@number_option("-k", default=10, text="Answers per word.")
@click.option(
    "--method",
    type=click.Choice(["csls", "cosine"]),
    default="csls",
    show_default=True,
    help="CSLS, which subtracts the mean cosine of a word to its neighbours, or the plain cosine.",
)
@alignment_options
@fallback_options
@reading_options
@json_option
@verbosity_options
def command(
    source: str,
    target: str,
    words: tuple[str, ...],
    k: int,
    method: str,
    how: Alignment,
    fallbacks: Fallbacks,
    reading: ReadingOptions,
    as_json: bool,
) -> None:
    r"""Show the words of TARGET nearest to each WORD of SOURCE; - reads words from stdin.

    \b
        embed translate ko.safetensors en.safetensors 고양이 --dictionary ko-en.txt
        embed translate 1990.safetensors 2020.safetensors web -k 5
        embed translate turned.safetensors en.safetensors - --as-is < words.txt

    SOURCE is aligned to TARGET as by `embed align`. Columns: word, rank, translation, score (CSLS,
    or the cosine), cosine. --json prints a list with one object per word: word, and translations, a
    list of word, score and cosine; null for an unknown word.

    WORD may be any word of SOURCE, or a word that its subwords can make. --restrict limits the
    answers to frequent words of TARGET. An unknown WORD is an error on stderr; the others are
    answered, and the exit code is 3.
    """
    import embedcli
    from embedcli.lookup.out_of_vocabulary import resolve
    from embedcli.spaces.alignment import Translator

    first, second = (embedcli.load(model, reading=reading) for model in (source, target))
    rotation, _ = how.rotation(first, second)
    asked = asked_words(words)
    resolved = resolve(first, asked, fallbacks)
    known = [i for i, source in enumerate(resolved.sources) if source is not None]
    heads = how.frequent(first, second)
    translator = Translator(*heads, rotation, method)
    found = translator.nearest(resolved.vectors[known], k)
    names = heads[1].vocabulary
    answers = {
        i: [(names[j], score, cosine) for j, score, cosine in zip(*rows, strict=True)]
        for i, *rows in zip(known, *(part.tolist() for part in found), strict=True)
    }
    if as_json:
        echo_json([{"word": word, "translations": _listed(answers.get(i))} for i, word in
                   enumerate(asked)])  # fmt: skip
    else:
        rows = ((asked[i], rank, *one) for i in known for rank, one in enumerate(answers[i], 1))
        header = ("word", "rank", "translation", "score", "cosine")
        echo_rows(rows, header if sys.stdout.isatty() else None)
    say_answered(resolved.answered())
    missing = [word for word, source in zip(asked, resolved.sources, strict=True) if source is None]
    if missing:
        report_unknown(first, missing)
        click.get_current_context().exit(UnknownWordError.exit_code)


def _listed(found: list[tuple[str, float, float]] | None) -> list[dict[str, object]] | None:
    if found is None:
        return None
    return [{"word": word, "score": score, "cosine": cosine} for word, score, cosine in found]
