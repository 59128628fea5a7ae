"""`embed vocab`: count the words of a text."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

import click

from embedcli.cli.number_options import number_option, recursive_option, threads_option
from embedcli.cli.options import json_option, text_options, verbosity_options
from embedcli.cli.output import echo, echo_json, for_terminal, say_choice, talk
from embedcli.cli.parameter_files import keep_apart
from embedcli.cli.progress_bar import show_progress
from embedcli.settings.text_rules import TextRules

if TYPE_CHECKING:
    from embedcli.text.corpus import Tally
    from embedcli.vocabulary import Vocabulary

__all__ = ["command"]

_STDOUT = "-"


@click.command(short_help="Count the words of a text.")
@click.argument("corpus", nargs=-1, required=True)
@click.option(
    "-o", "--output", default=_STDOUT, metavar="FILE", help="Write to this file.  [default: stdout]"
)
@number_option(
    "--min-count",
    default=5,
    text="Drop words that occur less often; the default is that of `embed train`.",
)
@click.option(
    "--max-vocab", type=click.IntRange(min=1), metavar="N", help="Keep the N most frequent words."
)
@recursive_option
@threads_option
@text_options
@json_option
@verbosity_options
def command(
    corpus: tuple[str, ...],
    output: str,
    min_count: int,
    max_vocab: int | None,
    recursive: bool,
    threads: int | None,
    rules: TextRules,
    as_json: bool,
) -> None:
    r"""Count the words of CORPUS and print `word count`, the most frequent first.

    \b
        embed vocab corpus.txt.gz --min-count 10 -o vocab.txt
        embed vocab 'corpus/*.txt' --lowercase | head

    CORPUS and the options for text are as in `embed train`: files, globs, directories, or - for
    standard input; plain, gzip, bzip2, xz or zstd.

    --json prints one object: what was read, and the words unless they go to a file.
    """
    from embedcli.files.publish import check_writable
    from embedcli.text.corpus_reader import count_corpus

    keep_apart([output], texts=corpus, recursive=recursive)
    check_writable(output, stdout=True)
    with show_progress() as on_progress:
        vocabulary, tally = count_corpus(
            corpus,
            rules=rules,
            recursive=recursive,
            min_count=min_count,
            max_vocab=max_vocab,
            threads=threads or len(os.sched_getaffinity(0)),
            on_rules=partial(say_choice, rules),
            on_progress=on_progress,
        )
    if not as_json or output != _STDOUT:
        _write(vocabulary, output)
    if as_json:
        echo_json(_summary(vocabulary, tally, with_words=output == _STDOUT))
    talk(
        f"read {tally.read:,} tokens = {tally.kept:,} of {len(vocabulary):,} words + "
        f"{tally.oov:,} of rarer ones + {tally.too_long:,} too long, in {tally.lines:,} lines"
    )


def _write(vocabulary: Vocabulary, output: str) -> None:
    from embedcli.formats.vocab import write_vocab

    if output == _STDOUT and sys.stdout.isatty() and vocabulary.counts is not None:
        for word, count in zip(vocabulary.words, vocabulary.counts.tolist(), strict=True):
            echo(f"{for_terminal(word)} {count}")
    else:
        write_vocab(vocabulary, output)


def _summary(vocabulary: Vocabulary, tally: Tally, *, with_words: bool) -> dict[str, object]:
    summary: dict[str, object] = {**asdict(tally), "n_words": len(vocabulary)}
    if with_words and vocabulary.counts is not None:
        counts = vocabulary.counts.tolist()
        summary["words"] = [list(pair) for pair in zip(vocabulary.words, counts, strict=True)]
    return summary
