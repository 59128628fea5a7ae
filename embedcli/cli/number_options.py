"""Options that are numbers, and those that every command that reads a text has."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import click

__all__ = [
    "number_option",
    "recursive_option",
    "restrict_option",
    "threads_option",
    "threshold_option",
]

_Function = TypeVar("_Function", bound=Callable[..., Any])


def number_option(
    *names: str, default: int, text: str, least: int = 1, most: int | None = None
) -> Callable[[_Function], _Function]:
    """An option that is a whole number from `least` to `most`, with a default that help shows."""
    return click.option(
        *names,
        default=default,
        show_default=True,
        type=click.IntRange(least, most),
        metavar="N",
        help=text,
    )


def restrict_option(text: str, default: int | None = None) -> Callable[[_Function], _Function]:
    """Add `--restrict N`, of which 0 is all words: the function gets None then."""
    return click.option(
        "--restrict",
        type=click.IntRange(min=0),
        default=default,
        show_default=default is not None,
        metavar="N",
        callback=lambda context, parameter, value: value or None,
        help=f"{text}; 0 for all.",
    )


def threshold_option(name: str, text: str) -> Callable[[_Function], _Function]:
    """Add an option that is a score to reach: NaN, which nothing is below, is refused."""
    return click.option(name, type=float, metavar="X", callback=_threshold, help=text)


def _threshold(
    context: click.Context, parameter: click.Parameter, value: float | None
) -> float | None:
    if value is not None and math.isnan(value):
        raise click.BadParameter("nan is no threshold: nothing is below it", context, parameter)
    return value


recursive_option = click.option(
    "--recursive", is_flag=True, help="Read directories and everything below them."
)
threads_option = click.option(
    "--threads", type=click.IntRange(1, 1024), metavar="N", help="Threads.  [default: all cores]"
)
