"""The options for reading a MODEL: its format, how many rows, and malformed rows."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from embedcli.cli.options import DEFAULT_MODEL
from embedcli.cli.output import talk
from embedcli.errors import InputError
from embedcli.settings.reading import CHOICES, STRICT, ReadingOptions

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
            "--from",
            "format",
            metavar="F",
            help=f"Read {what} as this format instead of detecting it.",
        ),
        "limit": click.option(
            "--limit",
            type=click.IntRange(min=1),
            metavar="N",
            help=f"Read only the first N rows of {what}.",
        ),
        "word_column": click.option(
            "--word-column",
            metavar="NAME",
            help="Parquet and CSV: the column that holds the words.",
        ),
        "encoding": click.option(
            "--encoding",
            default=STRICT.encoding,
            show_default=True,
            metavar="NAME",
            help="Encoding of the words: latin-1, cp1252, gbk, ...",
        ),
        "decode_errors": _choice(
            "decode_errors",
            "Words that are invalid in their encoding: refuse the file, replace the bytes by "
            "U+FFFD, or keep them.",
        ),
        "duplicates": _choice(
            "duplicates", "Words that occur twice: refuse the file, or keep the first."
        ),
        "bad_rows": _choice(
            "bad_rows",
            "Blank lines, rows without a word, with too few or too many numbers, or with one that "
            "is not finite: refuse the file, or skip them.",
        ),
        "header": _choice(
            "header",
            "A header that promises another number of rows: refuse the file, or ignore it.",
        ),
        "numbers_in_words": click.option(
            "--numbers-in-words",
            is_flag=True,
            help="The header says D: everything before the last D numbers of a row is its word.",
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
