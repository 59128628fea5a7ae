"""`embed phrases`: find phrases and join their words."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import click

from embedcli.cli.number_options import number_option, recursive_option, threads_option
from embedcli.cli.options import json_option, text_options_beside, verbosity_options
from embedcli.cli.output import echo_json, echo_rows, say_choice, talk
from embedcli.cli.parameter_files import keep_apart
from embedcli.cli.progress_bar import show_progress
from embedcli.errors import UsageError
from embedcli.quoting import quoted
from embedcli.settings.text_rules import TextRules

if TYPE_CHECKING:
    from embedcli.phrases.finding import Phrase, PhraseRules, PhraseText

__all__ = ["command"]

_STDOUT = "-"
_SCORES = ("word2vec", "gensim", "npmi")
_COLUMNS = ("pass", "first", "second", "phrase", "count", "score")


def _parse_thresholds(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> list[float]:
    if value is None:
        return []
    number = r"-?(\d+(\.\d*)?|\.\d+)"
    if not re.fullmatch(rf"{number}(,{number})*", value):
        raise UsageError(f"--threshold is {quoted(value)}, but must be numbers by commas: 200,100")
    return [float(each) for each in value.split(",")]


@click.command(short_help="Join words that belong together.")
@click.argument("corpus", nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    default="-",
    metavar="FILE",
    help="Write the text to this file.  [default: stdout]",
)
@click.option(
    "--score",
    type=click.Choice(_SCORES),
    default="word2vec",
    show_default=True,
    help="Score of a pair of words.",
)
@click.option(
    "--threshold",
    "thresholds",
    metavar="X,X",
    callback=_parse_thresholds,
    help="Score above which a pair is a phrase; one per pass, the last holds for all others.  "
    "[default: 100 (word2vec), 10 (gensim), 0.5 (npmi)]",
)
@number_option("--min-count", default=5, text="Drop pairs that occur less often.")
@number_option(
    "--passes",
    default=1,
    text="Number of passes; N passes find phrases of up to 2 ** N words.",
    most=10,
)
@click.option(
    "--delimiter", "joint", default="_", show_default=True, help="Text between the joined words."
)
@click.option(
    "--connectors",
    metavar="english|FILE",
    help="Words that may stand inside a phrase, but not at its ends: bank_of_england.",
)
@click.option(
    "--keep-out",
    metavar="FILE",
    help="Words that belong to no phrase, and pairs that are no phrase, one per line.",
)
@click.option("--save", metavar="FILE.tsv", help="Also write the phrases to this file.")
@click.option(
    "--apply", metavar="FILE.tsv", help="Join the phrases in this file instead of finding new ones."
)
@click.option("--list", "listed", is_flag=True, help="Print the phrases, not the text.")
@recursive_option
@threads_option
@text_options_beside("--delimiter")
@json_option
@verbosity_options
def command(
    corpus: tuple[str, ...],
    output: str,
    score: str,
    thresholds: list[float],
    min_count: int,
    passes: int,
    joint: str,
    connectors: str | None,
    keep_out: str | None,
    save: str | None,
    apply: str | None,
    listed: bool,
    recursive: bool,
    threads: int | None,
    rules: TextRules,
    as_json: bool,
) -> None:
    r"""Join words that occur together more often than by chance: new_york.

    \b
        embed phrases corpus.txt | embed train -
        embed phrases corpus.txt --passes 2 --save phrases.tsv -o phrased.txt
        embed phrases more.txt --apply phrases.tsv -o more-phrased.txt

    CORPUS and the options for text are as in `embed train`. The output has one line for each input
    line with a word; words are separated by spaces.

    --score word2vec is the score of word2phrase, gensim the default of gensim's Phrases, and npmi
    normalised pointwise mutual information (docs/text.md). --list prints pass, the two words, the
    phrase, its count and its score; --json prints the same as JSON.
    """
    from embedcli.files.publish import check_writable
    from embedcli.phrases.finding import PhraseText
    from embedcli.phrases.linking import read_words
    from embedcli.phrases.phrase_list import read_phrases, write_phrases
    from embedcli.text.corpus_reader import encode_corpus

    if rules.items:
        raise UsageError("--items are ids in no order: they make no phrases")
    if not joint or any(character.isspace() for character in joint):
        raise UsageError(f"--delimiter is {quoted(joint)}, but must be text without white space")
    keep_apart(filter(None, (output, save)), texts=corpus, recursive=recursive)
    check_writable(output, stdout=True)
    if save is not None:
        check_writable(save)
    if apply is not None and connectors is not None:
        raise UsageError(
            f"--connectors finds phrases, and {apply} has its own: leave one of them out"
        )
    linking = frozenset() if connectors is None else _connectors(connectors)
    kept_out = frozenset() if keep_out is None else frozenset(read_words(keep_out))
    given = None if apply is None else read_phrases(apply)
    n_threads = threads or len(os.sched_getaffinity(0))
    with (
        show_progress() as on_progress,
        encode_corpus(
            corpus,
            rules=rules,
            recursive=recursive,
            min_count=1,
            threads=n_threads,
            on_progress=on_progress,
        ) as encoded,
    ):
        say_choice(rules, encoded.rules)
        tally = encoded.tally
        talk(f"read {tally.read:,} tokens, {tally.too_long:,} of them too long and left out")
        text = PhraseText(encoded, threads=n_threads)
        if given is None:
            rule = _rules(score, thresholds, min_count, joint, linking, kept_out)
            found = [_found(text, rule(number)) for number in range(passes)]
        else:
            found = [[p for p in phrases if not p.is_among(kept_out)] for phrases in given]
            for phrases in found:
                text.join(phrases)
        talk(f"{sum(map(len, found)):,} phrases; {len(text.ids):,} words are left")
        if save is not None:
            write_phrases(found, save)
        if output != _STDOUT or not (listed or as_json):
            _write(text, output)
    if as_json:
        echo_json(list(_rows(found)))
    elif listed:
        rows = list(_rows(found))
        columns = tuple(rows[0]) if rows else _COLUMNS
        echo_rows(((*row.values(),) for row in rows), columns if sys.stdout.isatty() else None)


def _rules(
    score: str,
    thresholds: Sequence[float],
    min_count: int,
    delimiter: str,
    connectors: frozenset[str],
    kept_out: frozenset[str],
) -> Callable[[int], PhraseRules]:
    """The rules of each pass, from 0."""
    from embedcli.phrases.finding import PhraseRules
    from embedcli.phrases.scores import THRESHOLDS

    each = thresholds or [THRESHOLDS[score]]
    return lambda number: PhraseRules(
        score, each[min(number, len(each) - 1)], min_count, delimiter, connectors, kept_out
    )


def _connectors(chosen: str) -> frozenset[str]:
    from embedcli.phrases.linking import ENGLISH, read_words

    if chosen == "english":
        return ENGLISH
    words = read_words(chosen)
    for word in words:
        if " " in word:
            raise UsageError(f"{chosen}: {quoted(word)} is no word; give one a line")
    return frozenset(words)


def _found(text: PhraseText, rules: PhraseRules) -> list[Phrase]:
    """The phrases of one pass, joined in the text."""
    phrases = text.find(rules)
    text.join(phrases)
    return phrases


def _write(text: PhraseText, output: str) -> None:
    from embedcli.files.publish import publish

    with publish(output, stdout=True) as sink:
        for lines in text.write():
            sink.write(lines)


def _rows(found: Sequence[Sequence[Phrase]]) -> Iterator[dict[str, object]]:
    linked = any(phrase.between for phrases in found for phrase in phrases)
    for number, phrases in enumerate(found, 1):
        for phrase in phrases:
            values = phrase.first, phrase.second, phrase.joined, phrase.count, phrase.score
            row: dict[str, object] = dict(zip(_COLUMNS, (number, *values), strict=True))
            yield row | ({"between": " ".join(phrase.between)} if linked else {})
