"""Options that are whole numbers, and those that every command that reads a text has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

__all__ = ["number_option", "recursive_option", "threads_option"]

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


recursive_option = click.option(
    "--recursive", is_flag=True, help="Read directories and everything below them."
)
threads_option = click.option(
    "--threads", type=click.IntRange(1, 1024), metavar="N", help="Threads.  [default: all cores]"
)
