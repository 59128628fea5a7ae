"""Options for reading a MODEL: as what, how much of it, and what becomes of its blemishes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from embedcli.cli.output import talk
from embedcli.reading import CHOICES, STRICT, ReadingOptions

__all__ = ["reading_options"]


def _choice(name: str, text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return click.option(
        f"--{name.replace('_', '-')}",
        name,
        type=click.Choice(CHOICES[name]),
        default=getattr(STRICT, name),
        show_default=True,
        help=text,
    )


_OPTIONS = (
    click.option(
        "--from", "origin", metavar="F", help="Read MODEL as this format, whatever it seems."
    ),
    click.option(
        "--limit", type=click.IntRange(min=1), metavar="N", help="Read its first N rows only."
    ),
    click.option(
        "--word-column",
        metavar="NAME",
        help="The column its words are in: of Parquet and CSV.",
    ),
    click.option(
        "--encoding",
        default=STRICT.encoding,
        show_default=True,
        metavar="NAME",
        help="Of its words: latin-1, cp1252, gbk, ...",
    ),
    _choice("decode_errors", "What to do with words that are not in that encoding."),
    _choice("duplicates", "What to do with a word that comes again: keep the first."),
    _choice(
        "bad_rows",
        "What to do with blank lines, and rows without a word, with other numbers than they should "
        "have or with one that is not finite.",
    ),
    _choice("header", "What to do where a header promises another number of rows than there are."),
    click.option(
        "--numbers-in-words",
        is_flag=True,
        help="Under a header that says D, all before the last D numbers of a row is its word.",
    ),
)


def reading_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options; the function gets `reading`, a ReadingOptions that says what was mended."""

    @functools.wraps(function)
    def with_reading(
        *args: Any,
        origin: str | None,
        limit: int | None,
        word_column: str | None,
        encoding: str,
        decode_errors: str,
        duplicates: str,
        bad_rows: str,
        header: str,
        numbers_in_words: bool,
        **others: Any,
    ) -> Any:
        reading = ReadingOptions(
            format=origin,
            limit=limit,
            word_column=word_column,
            encoding=encoding,
            decode_errors=decode_errors,
            duplicates=duplicates,
            bad_rows=bad_rows,
            header=header,
            numbers_in_words=numbers_in_words,
            on_mended=talk,
        )
        return function(*args, reading=reading, **others)

    decorated: Callable[..., Any] = with_reading
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated
