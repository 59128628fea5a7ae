"""Options for reading a MODEL: as what, how much of it, and what becomes of its blemishes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from embedcli.cli.options import DEFAULT_MODEL
from embedcli.cli.output import talk
from embedcli.errors import InputError
from embedcli.reading import CHOICES, STRICT, ReadingOptions

__all__ = ["given_options", "reading_options"]


def reading_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options; the function gets `reading`, a ReadingOptions that says what was mended."""
    return _decorated(function, _options("MODEL"))


def given_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same for what a run begins with; but `--encoding` is that of its text."""
    options = _options("the file of --init or --continue")
    del options["encoding"]
    return _decorated(function, options)


def _options(what: str) -> dict[str, Callable[[Callable[..., Any]], Callable[..., Any]]]:
    """The options by the names of what they set in a ReadingOptions."""
    return {
        "format": click.option(
            "--from", "format", metavar="F", help=f"Read {what} as this format, whatever it seems."
        ),
        "limit": click.option(
            "--limit",
            type=click.IntRange(min=1),
            metavar="N",
            help=f"Read the first N rows of {what} only.",
        ),
        "word_column": click.option(
            "--word-column",
            metavar="NAME",
            help="The column its words are in: of Parquet and CSV.",
        ),
        "encoding": click.option(
            "--encoding",
            default=STRICT.encoding,
            show_default=True,
            metavar="NAME",
            help="Of its words: latin-1, cp1252, gbk, ...",
        ),
        "decode_errors": _choice(
            "decode_errors", "What to do with words that are not in their encoding."
        ),
        "duplicates": _choice(
            "duplicates", "What to do with a word that comes again: keep the first."
        ),
        "bad_rows": _choice(
            "bad_rows",
            "What to do with blank lines, and rows without a word, with other numbers than they "
            "should have or with one that is not finite.",
        ),
        "header": _choice(
            "header", "What to do where a header promises another number of rows than there are."
        ),
        "numbers_in_words": click.option(
            "--numbers-in-words",
            is_flag=True,
            help="Under a header that says D, all before the last D numbers of a row is its word.",
        ),
    }


def _choice(name: str, text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return click.option(
        f"--{name.replace('_', '-')}",
        name,
        type=click.Choice(CHOICES[name]),
        default=getattr(STRICT, name),
        show_default=True,
        help=text,
    )


def _raise_if_no_model(error: InputError) -> None:
    """Say more where the model that is missing is the one that is taken when none is named.

    Raises:
        InputError: how to make a model, or name one.
    """
    missing = error.__cause__.filename if isinstance(error.__cause__, FileNotFoundError) else None
    parameters = click.get_current_context().command.params
    model = next((each for each in parameters if each.name in ("model", "models")), None)
    if missing != DEFAULT_MODEL or model is None or model.required:
        return
    named = "-m MODEL" if isinstance(model, click.Option) else "MODEL"
    raise InputError(
        f"there is no {DEFAULT_MODEL} in this directory: train a model (embed train CORPUS), or "
        f"name one ({named}, or the variable EMBED_MODEL)"
    ) from error


def _decorated(
    function: Callable[..., Any],
    options: dict[str, Callable[[Callable[..., Any]], Callable[..., Any]]],
) -> Callable[..., Any]:
    @functools.wraps(function)
    def with_reading(*args: Any, **values: Any) -> Any:
        given = {name: values.pop(name) for name in options}
        try:
            return function(*args, reading=ReadingOptions(**given, on_mended=talk), **values)
        except InputError as error:
            _raise_if_no_model(error)
            raise

    decorated: Callable[..., Any] = with_reading
    for option in reversed(options.values()):
        decorated = option(decorated)
    return decorated
