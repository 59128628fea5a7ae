"""`embed predict`: the labels of lines, by a classifier."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import click

from embedcli.cli.number_options import number_option, recursive_option, threads_option
from embedcli.cli.options import (
    DEFAULT_MODEL,
    json_option,
    text_options_beside,
    verbosity_options,
)
from embedcli.cli.output import for_cell, talk
from embedcli.cli.parameter_files import keep_apart
from embedcli.errors import UsageError
from embedcli.quoting import json_text, quoted
from embedcli.settings.text_rules import OF_FILES, TextRules

if TYPE_CHECKING:
    from embedcli.classification.lines import Block
    from embedcli.classification.model import LabelModel
    from embedcli.classification.prediction import Labels

__all__ = ["command"]

_STDOUT: Final = "-"
_KEEP: Final = re.compile(r"(.+?)\s*>=\s*([0-9.]+(?:[eE]-?[0-9]+)?)", re.DOTALL)

Shown = Callable[["Block", "Labels"], bytes]


@click.command(short_help="Predict the labels of lines.")
@click.argument("text", nargs=-1, required=True)
@click.option(
    "-m",
    "--model",
    default=DEFAULT_MODEL,
    show_default=True,
    envvar="EMBED_MODEL",
    type=click.Path(),
    metavar="CLASSIFIER",
    help="Classifier: what `embed classify` wrote, or fastText's supervised .bin or .ftz.",
)
@number_option(
    "-k", default=1, text="Print the N most probable labels of each line; 0 for all.", least=0
)
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    metavar="P",
    help="Print only labels that are at least so probable.",
)
@click.option("--prob", is_flag=True, help="Print the probability behind each label.")
@click.option(
    "--keep",
    metavar="'LABEL>=P'",
    help="Print the lines themselves for which LABEL is at least so probable, and no labels.",
)
@click.option(
    "-o",
    "--output",
    default=_STDOUT,
    metavar="FILE",
    help="Write to this file, whole or not at all.  [default: stdout]",
)
@recursive_option
@threads_option
@text_options_beside(only=OF_FILES)
@json_option
@verbosity_options
def command(
    text: tuple[str, ...],
    model: str,
    k: int,
    threshold: float,
    prob: bool,
    keep: str | None,
    output: str,
    recursive: bool,
    threads: int | None,
    rules: TextRules,
    as_json: bool,
) -> None:
    r"""Print the labels of each line of TEXT: files, globs, directories, or - for standard input.

    \b
        embed predict reviews.txt -m lid.176.ftz --prob
        embed predict 'crawl/*.jsonl.zst' --field text -m quality.bin --keep '__label__hq>=0.5'

    Each line of TEXT gives a line: its labels, the most probable first, separated by tabs; with
    --prob a probability follows each label. A line without a label gives an empty line. Order and
    labels are those of the lines, whatever the number of threads. Memory is the model and a few
    megabytes for each thread.

    --keep filters: it prints the lines that pass as they were, with --field the whole record of
    JSON lines. --json prints an object a line: labels and probabilities.
    """
    from embedcli.classification.lines import blocks_of_lines
    from embedcli.classification.prediction import Predictor
    from embedcli.files.publish import check_writable
    from embedcli.formats.classifiers import load_classifier
    from embedcli.settings.config import usable_cores

    if keep is not None and (as_json or prob or k != 1 or threshold):
        raise UsageError("--keep prints lines, not labels: leave -k, --threshold, --prob, --json")
    keep_apart([output], [model], texts=text, recursive=recursive)
    check_writable(output, stdout=True)
    classifier = load_classifier(model)
    if keep is not None:
        label, least = _condition(keep, classifier, model)
        predictor = Predictor(classifier, 0, least)
        shown = _keeping(label)
    else:
        predictor = Predictor(classifier, k, threshold)
        shown = _json_lines(classifier) if as_json else _label_lines(classifier, with_prob=prob)
    read = replace(_rules_of(classifier), **{name: getattr(rules, name) for name in OF_FILES})
    blocks = blocks_of_lines(text, read, recursive=recursive, records=keep is not None)
    totals = [0, 0]

    def pieces() -> Iterator[bytes]:
        for block, labels in predictor.of_blocks(blocks, threads or usable_cores()):
            totals[0] += len(labels.found)
            totals[1] += int((labels.found == 0).sum())
            yield shown(block, labels)

    _write(output, pieces())
    if keep is None:
        talk(f"{totals[0]:,} lines, {totals[1]:,} of them without a label")


def _rules_of(classifier: LabelModel) -> TextRules:
    """How the model's text was cut into tokens; fastText's: at white space."""
    return TextRules.from_settings(classifier.metadata.get("settings", {}))


def _condition(keep: str, classifier: LabelModel, model: str) -> tuple[int, float]:
    """The label of --keep and its least probability."""
    from embedcli.classification.model import LABEL_PREFIX

    found = _KEEP.fullmatch(keep.strip())
    try:
        least = float(found[2]) if found else 2.0
    except ValueError:
        least = 2.0
    if found is None or not 0 <= least <= 1:
        raise UsageError(
            f"--keep is {quoted(keep)}, but must be a label and its least probability, from 0 to "
            "1: 'LABEL>=0.5'"
        )
    for name in (found[1], LABEL_PREFIX + found[1]):
        label = classifier.labels.get(name)
        if label is not None:
            return label, least
    some = ", ".join(quoted(classifier.labels[i]) for i in range(min(3, len(classifier.labels))))
    raise UsageError(
        f"--keep names the label {quoted(found[1])}, but the {len(classifier.labels):,} labels of "
        f"{model} are {some}{', ...' if len(classifier.labels) > 3 else ''}"
    )


def _label_lines(classifier: LabelModel, *, with_prob: bool) -> Shown:
    names = [for_cell(label) for label in classifier.labels.words]

    def show(block: Block, labels: Labels) -> bytes:
        lines = []
        rows = zip(
            labels.ids.tolist(), labels.probabilities.tolist(), labels.found.tolist(), strict=True
        )
        for ids, chances, n in rows:
            if with_prob:
                cells = [f"{names[i]}\t{p:.6g}" for i, p in zip(ids[:n], chances, strict=False)]
            else:
                cells = [names[i] for i in ids[:n]]
            lines.append("\t".join(cells))
        lines.append("")
        return "\n".join(lines).encode(errors="surrogateescape")

    return show


def _json_lines(classifier: LabelModel) -> Shown:
    names = classifier.labels.words

    def show(block: Block, labels: Labels) -> bytes:
        rows = zip(
            labels.ids.tolist(), labels.probabilities.tolist(), labels.found.tolist(), strict=True
        )
        lines = [
            json_text({
                "labels": [names[i] for i in ids[:n]],
                "probabilities": [round(p, 6) for p in chances[:n]],
            })
            for ids, chances, n in rows
        ]  # fmt: skip
        return "".join(line + "\n" for line in lines).encode()

    return show


def _keeping(label: int) -> Shown:
    def show(block: Block, labels: Labels) -> bytes:
        lines = block.raw.removesuffix(b"\n").split(b"\n")
        rows = zip(lines, labels.ids.tolist(), labels.found.tolist(), strict=True)
        return b"".join(line + b"\n" for line, ids, n in rows if label in ids[:n])

    return show


def _write(output: str, pieces: Iterator[bytes]) -> None:
    from embedcli.files.publish import publish

    if output == _STDOUT:
        for piece in pieces:
            sys.stdout.write(piece.decode(errors="surrogateescape"))
        return
    with publish(output) as sink:
        for piece in pieces:
            sink.write(piece)
