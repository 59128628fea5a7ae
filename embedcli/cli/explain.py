"""`embed explain`: why two words are near each other, from the text itself."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import click

from embedcli.cli.model_options import reading_options
from embedcli.cli.number_options import number_option
from embedcli.cli.options import (
    json_option,
    model_option,
    text_encoding_option,
    verbosity_options,
)
from embedcli.cli.output import echo, echo_json, echo_rows, for_terminal, warn
from embedcli.cli.progress_bar import show_progress
from embedcli.cli.unknown import say_answered
from embedcli.errors import UnknownWordError, UsageError
from embedcli.quoting import quoted
from embedcli.settings.config import TrainConfig
from embedcli.settings.text_rules import TextRules

if TYPE_CHECKING:
    from embedcli.embeddings import Embeddings
    from embedcli.settings.reading import ReadingOptions
    from embedcli.spaces.contexts import Explanation
    from embedcli.text.corpus import Corpus

__all__ = ["command"]


@click.command()
@click.argument("first")
@click.argument("second")
@click.option(
    "--corpus",
    multiple=True,
    required=True,
    metavar="FILE",
    help="The text that the model was trained on, as for `embed train`; may be repeated.",
)
@model_option
@click.option(
    "--window", type=click.IntRange(1, 100), metavar="N", help="Window.  [default: the model's]"
)
@number_option("--top", default=15, text="Number of shared contexts.", least=0)
@number_option("--lines", default=5, text="Number of passages.", least=0)
@text_encoding_option
@reading_options
@json_option
@verbosity_options
def command(
    first: str,
    second: str,
    corpus: tuple[str, ...],
    model: str,
    reading: ReadingOptions,
    text_encoding: str | None,
    window: int | None,
    top: int,
    lines: int,
    as_json: bool,
) -> None:
    r"""Show why FIRST and SECOND are near: the contexts, counts and passages they share.

    \b
        embed explain cat dog --corpus corpus.txt

    The output has the cosine, the counts of the words and of their co-occurrences, and the contexts
    they share. Each context comes with its counts beside either word and its pointwise mutual
    information in bits. Passages that hold both words follow. In a pipe each row is a label and up
    to five cells.

    A word that is not in the vocabulary is looked up by another spelling of its case; if there is
    none, the exit code is 3.
    """
    import embedcli
    from embedcli.lookup.query import cosine_table
    from embedcli.spaces.contexts import explain
    from embedcli.text.corpus_reader import encode_corpus

    embeddings = embedcli.load(model, reading=reading)
    first, second = _as_spelt(embeddings, first, second)
    if first == second:
        raise UsageError(f"{quoted(first)} twice: give two words")
    cosine = float(cosine_table(embeddings, (first, second))[0, 1])
    settings = embeddings.metadata.get("settings", {})
    rules = TextRules.from_settings(settings)
    if text_encoding is not None:
        rules = replace(rules, encoding=text_encoding)
    with (
        show_progress() as on_progress,
        encode_corpus(
            corpus,
            rules=rules,
            vocabulary=embeddings.vocabulary,
            threads=len(os.sched_getaffinity(0)),
            on_progress=on_progress,
        ) as text,
    ):
        trained_on = embeddings.metadata.get("corpus", {}).get("sha256")
        if trained_on is not None and trained_on != text.digest:
            warn("this is not the text the model was trained on")
        size = window or _window(settings, text)
        found = explain(text, (first, second), window=size, top=top, lines=lines)
    if as_json:
        echo_json({"first": first, "second": second, "cosine": cosine, **asdict(found)})
    else:
        _print(first, second, cosine, found)


def _as_spelt(embeddings: Embeddings, *asked: str) -> Sequence[str]:
    """Words as the vocabulary spells them; one made of subwords or <unk> has no place in the text.

    Raises:
        UnknownWordError: the vocabulary holds a word in no case.
    """
    from embedcli.lookup.out_of_vocabulary import Fallbacks, resolve
    from embedcli.lookup.suggest import Suggester

    found = resolve(embeddings, asked, Fallbacks(subwords=False, token=False))
    for word, source in zip(asked, found.sources, strict=True):
        if source is None:
            raise UnknownWordError(word, Suggester(embeddings.vocabulary).suggest(word))
    say_answered(found.answered())
    return [embeddings.vocabulary[index] for index in found.ids.tolist()]


def _window(settings: Mapping[str, Any], text: Corpus) -> int:
    """The window the model was trained with."""
    said = {name: settings[name] for name in ("items", "window") if name in settings}
    return TrainConfig(**said).widest_window(text.longest_line)


def _print(first: str, second: str, cosine: float, found: Explanation) -> None:
    facts = [
        ("cosine", f"{cosine:.4f}"),
        (first, found.counts[0]),
        (second, found.counts[1]),
        ("together", found.together),
        ("pmi", "n/a" if found.pmi is None else f"{found.pmi:.2f}"),
    ]
    rows = [
        (s.word, s.first_count, s.second_count, f"{s.first_pmi:.2f}", f"{s.second_pmi:.2f}")
        for s in found.shared
    ]
    if not sys.stdout.isatty():
        echo_rows(("fact", *fact) for fact in facts)
        echo_rows(("context", *row) for row in rows)
        echo_rows(("line", line) for line in found.lines)
        return
    echo_rows(facts)
    echo("")
    beside = (f"beside {first}", f"beside {second}", f"pmi {first}", f"pmi {second}")
    echo_rows(rows, ("context", *map(for_terminal, beside)))
    echo("")
    for line in found.lines:
        echo(for_terminal(line))
