"""Words the vocabulary does not hold: how they may be answered, and saying how they were."""

from __future__ import annotations

import functools
import itertools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from embedcli.cli.output import report_error, talk
from embedcli.errors import UnknownWordError, UsageError
from embedcli.quoting import quoted

if TYPE_CHECKING:
    from embedcli.embeddings import Embeddings

__all__ = [
    "MAX_HINTS",
    "asked_words",
    "check_stdin",
    "fallback_options",
    "report_unknown",
    "say_answered",
    "stdin_lines",
]

_BOM = "\ufeff"

MAX_HINTS = 10  # unknown words that get suggestions: the wrong model makes all words unknown
_SHOWN = 5


def fallback_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--subwords`, `--case-variants` and `--unk`; the function gets `fallbacks`."""

    @functools.wraps(function)
    def with_fallbacks(
        *args: Any, subwords: bool, case_variants: bool, unk: bool, **options: Any
    ) -> Any:
        from embedcli.lookup.out_of_vocabulary import Fallbacks

        return function(*args, fallbacks=Fallbacks(subwords, case_variants, unk), **options)

    decorated: Callable[..., Any] = with_fallbacks
    for name, text in (
        ("unk", "Else use the vector of <unk>, if the model has one."),
        ("case-variants", "Else use another spelling of its case."),
        ("subwords", "Look up an unknown word by its subwords, if the model has any."),
    ):
        decorated = click.option(
            f"--{name}/--no-{name}", name.replace("-", "_"), default=True, help=f"{text}  [yes]"
        )(decorated)
    return decorated


def asked_words(words: Sequence[str]) -> list[str]:
    """The words asked for; ``-`` stands for those on stdin, a line each, but empty ones."""
    return [w for word in words for w in (stdin_lines() if word == "-" else [word]) if w]


def stdin_lines() -> Iterator[str]:
    """The lines of stdin, without their ends: a word of some models holds spaces.

    Raises:
        UsageError: it is a terminal.
    """
    check_stdin()
    lines = (line.rstrip("\r\n") for line in sys.stdin)
    return itertools.chain((line.removeprefix(_BOM) for line in itertools.islice(lines, 1)), lines)


def check_stdin() -> None:
    """Refuse to wait for words from a terminal.

    Raises:
        UsageError: stdin is one.
    """
    if sys.stdin.isatty():
        raise UsageError("stdin is a terminal: pipe the words or sentences in")


def report_unknown(embeddings: Embeddings, missing: Sequence[str]) -> None:
    """Report words of which nothing is known, with what may have been meant."""
    from embedcli.lookup.suggest import Suggester

    suggester = Suggester(embeddings.vocabulary)
    for i, word in enumerate(missing):
        hints = suggester.suggest(word) if i < MAX_HINTS else ()
        report_error(str(UnknownWordError(word, hints)))


def say_answered(answered: Mapping[str, str]) -> None:
    """Say on stderr which words were not in the vocabulary and how each was answered."""
    by_source: dict[str, list[str]] = {}
    for word, source in answered.items():
        by_source.setdefault(source, []).append(word)
    for source, words in by_source.items():
        shown = ", ".join(map(quoted, words[:_SHOWN]))
        more = f" and {len(words) - _SHOWN:,} more" if len(words) > _SHOWN else ""
        talk(f"not in the vocabulary, answered by {_named(source)}: {shown}{more}")


def _named(source: str) -> str:
    return {"subwords": "subwords", "case variant": "another case"}.get(source, f"the {source}")
