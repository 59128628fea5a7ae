"""Inputs and outputs are never the same file: the check for commands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import click

from embedcli.training import distinct_files
from embedcli.training.distinct_files import GONE_ON_WITH, WRITTEN, files_of

__all__ = ["files_of", "keep_apart", "named_files"]


def keep_apart(
    writes: Iterable[str],
    reads: Iterable[str] = (),
    *,
    texts: Sequence[str] = (),
    recursive: bool = False,
) -> None:
    """Refuse an output that is read, or would be the next time; or that is another output.

    Arguments and errors are those of `distinct_files.keep_apart`; files that other parameters of
    the command name need not be told.
    """
    distinct_files.keep_apart(writes, reads, named=named_files(), texts=texts, recursive=recursive)


def named_files() -> Iterator[str]:
    """What parameters of this command name, other than what it writes."""
    context = click.get_current_context(silent=True)
    for name, value in (context.params if context else {}).items():
        values = value if isinstance(value, (tuple, list)) else [value]
        for path in values if name not in (*WRITTEN, GONE_ON_WITH) else ():
            if isinstance(path, str):
                yield path
