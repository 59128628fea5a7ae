"""`embed align`: two spaces brought into one, and how well words translate."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from embedcli.cli.options import json_option, verbosity_options
from embedcli.cli.output import echo_json, echo_rows, talk
from embedcli.cli.reading import reading_options
from embedcli.errors import ThresholdError

if TYPE_CHECKING:
    from embedcli.reading import ReadingOptions
    from embedcli.spaces.alignment import Precision

__all__ = ["command"]

_KS = (1, 5, 10)


@click.command()
@click.argument("source")
@click.argument("target")
@click.option("-o", "--output", metavar="FILE", help="Write SOURCE as turned into TARGET's space.")
@click.option(
    "--dictionary",
    metavar="FILE",
    help="Pairs of words to align by, two a line.  [default: the words that both hold]",
)
@click.option("--test", metavar="FILE", help="Pairs of words to measure translation on.")
@click.option(
    "--refine",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="N",
    help="Turn again N times, by words that are each other's best translation.",
)
@click.option(
    "--restrict",
    type=click.IntRange(min=1),
    default=30_000,
    show_default=True,
    metavar="N",
    help="Translate among the N most frequent words of both.",
)
@click.option(
    "--fail-under", type=float, metavar="X", help="Exit with 1 unless precision@1 by CSLS is X."
)
@reading_options
@json_option
@verbosity_options
def command(
    source: str,
    target: str,
    output: str | None,
    dictionary: str | None,
    test: str | None,
    refine: int,
    restrict: int,
    fail_under: float | None,
    reading: ReadingOptions,
    as_json: bool,
) -> None:
    r"""Turn the vectors of SOURCE into the space of TARGET (orthogonal Procrustes).

    \b
        embed align ko.safetensors en.safetensors --dictionary ko-en.txt --test ko-en.test.txt
        embed align 1990.safetensors 2020.safetensors -o 1990-turned.safetensors

    No cosine within SOURCE changes. With --test: the percentage of words whose translation is the
    first, among the first 5, among the first 10, by CSLS and by plain cosine. Columns: method,
    p@1, p@5, p@10, asked, total.
    """
    from embedcli import formats
    from embedcli.spaces import alignment

    if output:
        formats.check_target(output)
    first, second = (formats.load(model, reading=reading) for model in (source, target))
    if output:
        formats.check_contents(formats.format_for_path(output), first.vocabulary)
    if dictionary:
        pairs = alignment.known_pairs(first, second, alignment.read_dictionary(dictionary))
    else:
        pairs = alignment.identical_pairs(first, second)
    rotation = alignment.turn(first, second, pairs)
    talk(f"aligned by {len(pairs):,} pairs{'' if dictionary else ': the words that both hold'}")
    facts: dict[str, Any] = {"pairs": len(pairs)}
    if refine:
        rotation, facts["refined_pairs"] = alignment.refine(
            first, second, rotation, refine, min(restrict, 10_000)
        )
        talk(f"refined {refine} times; {facts['refined_pairs']:,} pairs in the last")
    if test:
        spaces = first.head(restrict), second.head(restrict)
        asked = alignment.read_dictionary(test)
        facts["precision"] = {
            method: alignment.precision(
                alignment.Translator(*spaces, rotation, method), *spaces, asked
            )
            for method in ("csls", "cosine")
        }
    if output:
        formats.save(alignment.turned(first, rotation), output)
        talk(f"{output}: {len(first):,} words x {first.dim}")
        for lack in formats.left_out(first, formats.format_for_path(output)):
            talk(f"{output}: {lack}")
    _print(facts, as_json)
    if fail_under is not None and test:
        _check(facts["precision"]["csls"], fail_under)


def _print(facts: dict[str, Any], as_json: bool) -> None:
    scores: dict[str, Precision | None] = facts.get("precision", {})
    if as_json:
        listed = {
            method: p and {"asked": p.asked, "total": p.total} | {f"p@{k}": p.at[k] for k in _KS}
            for method, p in scores.items()
        }
        echo_json(facts | ({"precision": listed} if scores else {}))
        return
    if scores:
        header = ("method", *(f"p@{k}" for k in _KS), "asked", "total")
        rows = [
            (method, *(f"{p.at[k]:.2f}" for k in _KS), p.asked, p.total)
            if p
            else (method, *(["n/a"] * len(_KS)), 0, "n/a")
            for method, p in scores.items()
        ]
        echo_rows(rows, header if sys.stdout.isatty() else None)


def _check(score: Precision | None, threshold: float) -> None:
    if score is None or score.at[1] < threshold:
        shown = "n/a" if score is None else f"{score.at[1]:.2f}"
        raise ThresholdError(f"below --fail-under {threshold:g}: precision@1 is {shown}")
