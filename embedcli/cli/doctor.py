"""`embed doctor`: what is in a text, before it is trained on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from embedcli.cli.options import json_option, text_options, verbosity_options
from embedcli.cli.output import echo, echo_json, echo_rows, for_terminal, say_choice, talk
from embedcli.cli.parameter_files import keep_apart
from embedcli.cli.progress_bar import show_progress
from embedcli.errors import UsageError
from embedcli.settings.text_rules import TextRules

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from embedcli.text.inspection import Inspected

__all__ = ["command"]

_KINDS = ("png", "svg", "pdf")
_MIN_COUNTS = (1, 2, 5, 10, 20, 50, 100)
_SHOWN_FILES, _SHOWN_WORDS = 20, 10
_NAME_WIDTH, _WORD_WIDTH = 22, 64
# So many tokens that the vocabulary keeps, and what that is enough for (docs/cli.md).
_ENOUGH = (
    (10_000_000, "enough: frequent and rarer words will get vectors that mean much"),
    (1_000_000, "fair: frequent words will get vectors that mean much, rarer ones less"),
    (100_000, "little: only the most frequent words will get vectors that mean much"),
    (0, "too little: neighbours will be mostly noise; find more text"),
)


@click.command(short_help="Describe a text before it is trained on.")
@click.argument("corpus", nargs=-1, required=True)
@click.option("-o", "--output", metavar="FILE", help="Also draw both curves: .png, .svg or .pdf.")
@click.option(
    "--min-count",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    metavar="N",
    help="What a run would take is forecast for this.",
)
@click.option("--recursive", is_flag=True, help="Read directories and everything below them.")
@text_options
@json_option
@verbosity_options
def command(
    corpus: tuple[str, ...],
    output: str | None,
    min_count: int,
    recursive: bool,
    rules: TextRules,
    as_json: bool,
) -> None:
    r"""Say what is in CORPUS: files, lines, scripts, words, and whether it is enough.

    \b
        embed doctor corpus.txt
        embed doctor corpus.txt.zst --json
        embed doctor tweets.jsonl --field text -o curves.svg

    CORPUS and the options for text are as in `embed train`. The text is read once, in bounded
    memory. What would end a run because of its encoding is reported instead.

    Tables: the text as a whole; its files with malformed sequences; letters by script; the words
    that each --min-count leaves; distinct words of random parts of the text (Heaps' law) and counts
    by rank (Zipf's law); the longest words; what seems wrong; and what training would take.
    Languages are not told apart, because a script is no language.
    """
    from embedcli.files.publish import check_writable
    from embedcli.text.corpus_reader import inspect_corpus

    kind = None if output is None else Path(output).suffix[1:].lower()
    if output is not None:
        if kind not in _KINDS:
            raise UsageError(f"-o is {output}, but a picture ends in .png, .svg or .pdf")
        keep_apart([output], texts=corpus, recursive=recursive)
        check_writable(output)
    with show_progress() as on_progress:
        found = inspect_corpus(
            corpus,
            rules=rules,
            recursive=recursive,
            on_rules=lambda chosen: say_choice(rules, chosen),
            on_progress=on_progress,
        )
    facts = _facts(found, min_count)
    if output is not None and kind is not None:
        _draw(facts, output, kind)
    if as_json:
        echo_json(facts)
    else:
        _print(facts)


def _facts(found: Inspected, min_count: int) -> dict[str, Any]:
    """Everything, as JSON."""
    from embedcli.text.inspection import heaps, scripts, zipf

    noted, tally, counts = found.noted, found.tally, found.counts
    return {
        "files": [asdict(file) for file in noted.files],
        "bytes": tally.n_bytes,
        "lines": tally.lines,
        "empty_lines": sum(file.empty_lines for file in noted.files),
        "line_bytes": {
            "median": noted.length_at(0.5),
            "p90": noted.length_at(0.9),
            "longest": max(file.longest_line for file in noted.files),
        },
        "repeated_lines": {"share": noted.repeated_share, "is_estimate": noted.is_estimate},
        "repeated_files": sum(file.same_as is not None for file in noted.files),
        "malformed": sum(file.malformed for file in noted.files),
        "tokenizer": found.rules.tokenizer,
        "lowercase": found.rules.lowercase,
        "tokens": tally.read,
        "too_long": tally.too_long,
        "types": len(counts),
        "types_left_out": tally.pruned_bound > 0,
        "scripts": scripts(found.vocabulary, counts),
        "min_counts": [_left(counts, n, tally.read) for n in _MIN_COUNTS],
        "heaps": heaps(counts),
        "zipf": zipf(counts),
        "longest_words": _longest(found),
        "remarks": [*found.remarks, *_file_remarks(found)],
        "training": _training(found, min_count),
    }


def _left(counts: NDArray[np.int64], min_count: int, n_tokens: int) -> dict[str, float]:
    """What a --min-count leaves."""
    kept = counts[counts >= min_count]
    tokens = int(kept.sum())
    return {
        "min_count": min_count,
        "words": len(kept),
        "tokens": tokens,
        "share": tokens / n_tokens if n_tokens else 0.0,
    }


def _file_remarks(found: Inspected) -> Iterator[str]:
    for file in found.noted.files:
        if file.likely is not None:
            yield f"{file.name}: seems to be {file.likely}; --encoding {file.likely} reads it"
        if file.same_as is not None:
            yield f"{file.name}: the same text as {file.same_as}"


def _longest(found: Inspected) -> list[str]:
    import numpy as np

    lengths = np.diff(found.vocabulary.offsets)
    order = np.argsort(-lengths, kind="stable")[:_SHOWN_WORDS]
    return [found.vocabulary[i] for i in order.tolist()]


def _training(found: Inspected, min_count: int) -> dict[str, Any]:
    """What a run with the defaults would take, and whether the text is enough for it."""
    from embedcli.settings.config import TrainConfig
    from embedcli.training.forecast import forecast
    from embedcli.vocabulary import Vocabulary

    counts, words = found.counts, found.vocabulary
    n_words = int((counts >= min_count).sum())
    n_tokens = int(counts[:n_words].sum())
    kept = Vocabulary(
        words.blob[: words.offsets[n_words]], words.offsets[: n_words + 1], counts[:n_words]
    )
    config = TrainConfig(min_count=min_count).resolve()
    needs = forecast(
        kept, config, n_tokens, [("model.safetensors", "safetensors")], checkpoints=True
    )
    return {
        "min_count": min_count,
        "words": n_words,
        "tokens": n_tokens,
        "words_seen_20_times": int((counts >= 20).sum()),
        "dim": config.dim,
        "memory": needs.memory,
        "disk": needs.disk,
        "verdict": next(text for least, text in _ENOUGH if n_tokens >= least),
    }


def _print(facts: Mapping[str, Any]) -> None:
    """Tables of at most 80 columns, on a terminal."""
    for title, header, rows in _tables(facts):
        echo(title)
        echo_rows(rows, header)
        echo("")
    for remark in facts["remarks"]:
        echo(for_terminal(f"remark: {remark}"))
    echo(f"verdict: {facts['training']['verdict']}")


def _tables(
    facts: Mapping[str, Any],
) -> Iterator[tuple[str, Sequence[str], list[Sequence[object]]]]:
    """Each table: its title, its header, its rows."""
    yield "text", ("fact", "value"), _summary(facts)
    columns = ("n_bytes", "n_lines", "longest_line", "malformed")
    files: list[Sequence[object]] = [
        (_cut(file["name"], _NAME_WIDTH), file["encoding"], *(file[name] for name in columns))
        for file in facts["files"][:_SHOWN_FILES]
    ]
    more = len(facts["files"]) - _SHOWN_FILES
    title = f"files (the first {_SHOWN_FILES}, {more:,} more)" if more > 0 else "files"
    yield title, ("file", "read as", "bytes", "lines", "longest", "malformed"), files
    shares: list[Sequence[object]] = [
        (name, f"{share:.2%}") for name, share in facts["scripts"].items() if share >= 5e-5
    ]
    yield "letters", ("script", "share"), shares
    yield (
        "words",
        ("min-count", "words", "tokens", "share"),
        [
            (row["min_count"], row["words"], row["tokens"], f"{row['share']:.1%}")
            for row in facts["min_counts"]
        ],
    )
    yield "distinct words of random parts", ("tokens", "words"), facts["heaps"]
    yield "counts by rank", ("rank", "count"), facts["zipf"]
    longest: list[Sequence[object]] = [
        (len(word.encode()), _cut(word, _WORD_WIDTH)) for word in facts["longest_words"]
    ]
    yield "longest words", ("bytes", "word"), longest


def _summary(facts: Mapping[str, Any]) -> list[Sequence[object]]:
    from embedcli.files.targets import readable_size

    lengths, lines, needs = facts["line_bytes"], facts["repeated_lines"], facts["training"]
    lower = " in lower case" if facts["lowercase"] else ""
    return [
        ("files", f"{len(facts['files']):,}, {facts['repeated_files']:,} of them repeated"),
        ("bytes", f"{facts['bytes']:,}"),
        ("lines", f"{facts['lines']:,}, {facts['empty_lines']:,} of them empty"),
        ("repeated lines", f"{lines['share']:.1%}{', about' if lines['is_estimate'] else ''}"),
        (
            "bytes of a line",
            f"median {lengths['median']:,}, nine in ten up to {lengths['p90']:,}, "
            f"longest {lengths['longest']:,}",
        ),
        ("malformed", f"{facts['malformed']:,}"),
        ("read as", f"--tokenizer {facts['tokenizer']}{lower}"),
        ("tokens", f"{facts['tokens']:,}, {facts['too_long']:,} of them too long"),
        ("words", f"{facts['types']:,}"),
        (
            "training",
            f"{needs['words']:,} words, {needs['tokens']:,} tokens at --min-count "
            f"{needs['min_count']}",
        ),
        (
            "needs",
            f"{readable_size(needs['memory'])} of memory, {readable_size(needs['disk'])} of disk "
            f"at --dim {needs['dim']}",
        ),
    ]


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width // 2 - 2]}...{text[-(width // 2) + 1 :]}"


def _draw(facts: Mapping[str, Any], output: str, kind: str) -> None:
    from embedcli.files.publish import publish
    from embedcli.maps.figures import draw_power_laws

    panels = {"Distinct words": facts["heaps"], "Counts by rank": facts["zipf"]}
    picture = draw_power_laws(panels, "tokens|rank", "words|count", kind)
    with publish(output) as sink:
        sink.write(picture)
    talk(f"{output}: both curves")
