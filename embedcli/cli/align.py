"""`embed align`: two spaces brought into one, and how well words translate."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from embedcli.cli.model_options import reading_options
from embedcli.cli.number_options import restrict_option, threshold_option
from embedcli.cli.options import json_option, verbosity_options
from embedcli.cli.output import echo_json, echo_rows, talk, warn
from embedcli.cli.parameter_files import keep_apart
from embedcli.errors import ThresholdError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from embedcli.embeddings import Embeddings
    from embedcli.settings.reading import ReadingOptions
    from embedcli.spaces.alignment import Precision

    Doubles = NDArray[np.float64]

__all__ = ["Alignment", "alignment_options", "command"]

_KS = (1, 5, 10)
_REFINED = 10_000  # refining compares all with all, and rare words mislead it


@dataclass(frozen=True)
class Alignment:
    """How SOURCE is turned into the space of TARGET: what `alignment_options` says.

    Attributes:
        dictionary: a file of pairs to turn by; None for the words that both hold.
        refine: how often to turn again.
        as_is: the axes of both are the same already.
        restrict: translate among so many words of both; None for all.
        skip_bad_lines: leave out lines of dictionaries that are no pairs.
    """

    dictionary: str | None
    refine: int
    as_is: bool
    restrict: int | None
    skip_bad_lines: bool

    def __post_init__(self) -> None:
        if self.as_is and (self.dictionary or self.refine):
            raise UsageError("--as-is turns nothing: leave --dictionary and --refine out")

    def rotation(self, first: Embeddings, second: Embeddings) -> tuple[Doubles, dict[str, Any]]:
        """The rotation, and what it comes from; said on stderr."""
        from embedcli.spaces import alignment

        if self.as_is:
            return alignment.same_axes(first, second), {"as_is": True}
        if self.dictionary:
            pairs = alignment.known_pairs(first, second, self.read(self.dictionary))
        else:
            pairs = alignment.identical_pairs(first, second)
        rotation = alignment.turn(first, second, pairs)
        talk(
            f"aligned by {len(pairs):,} pairs"
            f"{'' if self.dictionary else ': the words that both hold'}"
        )
        facts: dict[str, Any] = {"pairs": len(pairs)}
        if self.refine:
            frequent = min(self.restrict or _REFINED, _REFINED)
            rotation, facts["refined_pairs"] = alignment.refine(
                first, second, rotation, self.refine, frequent
            )
            talk(f"refined {self.refine} times; {facts['refined_pairs']:,} pairs in the last")
        return rotation, facts

    def read(self, dictionary: str) -> list[tuple[str, str]]:
        """The pairs in a file; how many lines were left out is said."""
        from embedcli.spaces.alignment import read_dictionary

        skipped: list[str] = []
        pairs = read_dictionary(dictionary, skipped if self.skip_bad_lines else None)
        if skipped:
            warn(f"{len(skipped):,} bad line{'s' * (len(skipped) > 1)} left out; {skipped[0]}")
        return pairs

    def frequent(self, first: Embeddings, second: Embeddings) -> tuple[Embeddings, Embeddings]:
        """The words of each space that are translated, or answer."""
        return first.head(self.restrict or len(first)), second.head(self.restrict or len(second))


def alignment_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options; the function gets `how`, an Alignment."""

    @functools.wraps(function)
    def with_alignment(
        *args: Any,
        dictionary: str | None,
        refine: int,
        as_is: bool,
        restrict: int | None,
        skip_bad_lines: bool,
        **others: Any,
    ) -> Any:
        how = Alignment(dictionary, refine, as_is, restrict, skip_bad_lines)
        return function(*args, how=how, **others)

    decorated: Callable[..., Any] = with_alignment
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated


_OPTIONS: tuple[Callable[[Callable[..., Any]], Callable[..., Any]], ...] = (
    click.option(
        "--dictionary",
        metavar="FILE",
        help="Word pairs to align by, one pair a line.  [default: the words of both]",
    ),
    click.option(
        "--refine",
        type=click.IntRange(min=0),
        default=0,
        show_default=True,
        metavar="N",
        help="Refine the alignment N times, by words that are mutual nearest translations.",
    ),
    click.option(
        "--as-is", is_flag=True, help="Do not rotate: the two spaces are aligned already."
    ),
    restrict_option("Translate among the N most frequent words of both", 30_000),
    click.option(
        "--skip-bad-lines",
        is_flag=True,
        help="Skip and count dictionary lines that are not two words.",
    ),
)


@click.command()
@click.argument("source")
@click.argument("target")
@click.option("-o", "--output", metavar="FILE", help="Write the aligned vectors of SOURCE.")
@alignment_options
@click.option("--test", metavar="FILE", help="Word pairs to measure translation on.")
@threshold_option("--fail-under", "Exit with code 1 if precision@1 by CSLS is below X.")
@reading_options
@json_option
@verbosity_options
def command(
    source: str,
    target: str,
    output: str | None,
    test: str | None,
    how: Alignment,
    fail_under: float | None,
    reading: ReadingOptions,
    as_json: bool,
) -> None:
    r"""Rotate the vectors of SOURCE into the space of TARGET (orthogonal Procrustes).

    \b
        embed align ko.safetensors en.safetensors --dictionary ko-en.txt --test ko-en.test.txt
        embed align 1990.safetensors 2020.safetensors -o 1990-turned.safetensors

    The rotation changes no cosine within SOURCE. --test measures translation: the percentage of
    words whose translation ranks first, among the first 5 and among the first 10, by CSLS and by
    cosine. Columns: method, p@1, p@5, p@10, asked, total.
    """
    from embedcli import formats
    from embedcli.spaces import alignment

    if how.as_is and (output or not test):
        raise UsageError("--as-is turns nothing: give --test, and no -o")
    if output:
        keep_apart([output], [source, target])
        formats.check_target(output)
    first, second = (formats.load(model, reading=reading) for model in (source, target))
    if output:
        formats.check_contents(formats.format_for_path(output), first.vocabulary)
    rotation, facts = how.rotation(first, second)
    if test:
        spaces = how.frequent(first, second)
        asked = how.read(test)
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
