# ruff: noqa: PTH110, PTH112, PTH113, PTH114, PTH116, PTH118, PTH207, PTH208
# (a path is a name here: it is shown as it was given, and a glob may be absolute)
"""Resolves paths to files: globs, directories, URLs, standard input."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence

from embedcli.errors import CorpusError, UsageError
from embedcli.files.opening import STDIN, reason
from embedcli.files.spans import Span
from embedcli.files.urls import is_url, matching_urls

__all__ = ["can_read_again", "find_sources", "listed", "shown", "unreadable"]

_SHOWN = 3  # names of files in a message


def find_sources(
    paths: Sequence[str | Span],
    *,
    recursive: bool = False,
    seen: set[tuple[int, int]] | None = None,
    skipped: list[tuple[str, str]] | None = None,
) -> list[str | Span]:
    """The files that `paths` mean, in the order they are read.

    A path that does not exist is tried as a glob; a directory gives, with `recursive`, all files
    below it by name, each once however many links lead to it, but none that is hidden. ``-`` is
    standard input, ``scheme://...`` whatever fsspec opens, globs and directories too. A `Span`
    stands for itself. `seen` receives devices and inodes of the directories that were gone through,
    and of their files; `skipped` the names of what was found in them that is no file, and why.

    Raises:
        UsageError: standard input is a terminal, or named twice.
        CorpusError: nothing there, or a directory without `recursive`.
    """
    if paths.count(STDIN) > 1:
        raise UsageError("standard input (-) can be read once only, but is named twice")
    seen = set() if seen is None else seen
    skipped = [] if skipped is None else skipped
    sources: list[str | Span] = []
    for path in paths:
        if isinstance(path, Span) or path == STDIN:
            sources.append(path)
        elif is_url(path):
            sources += _behind(path, recursive=recursive)
        elif os.path.isdir(path):
            if not recursive:
                raise CorpusError(f"{path} is a directory; to read all files below it: --recursive")
            sources += _below(path, seen, skipped)
        elif os.path.lexists(path):
            sources.append(path)
        else:
            sources += _matching(path, seen, skipped, recursive=recursive)
    if not sources:
        raise CorpusError(f"no files below {', '.join(map(str, paths))}")
    return sources


def _behind(url: str, *, recursive: bool) -> list[str]:
    try:
        return matching_urls(url, recursive=recursive)
    except OSError as error:
        raise unreadable(url, error) from error


def _matching(
    pattern: str, seen: set[tuple[int, int]], skipped: list[tuple[str, str]], *, recursive: bool
) -> Iterator[str]:
    found = sorted(glob.glob(pattern, recursive=True)) if glob.has_magic(pattern) else []
    if not found:
        raise CorpusError(f"{pattern}: no such file")
    for path in found:
        if not os.path.isdir(path):
            yield path
        elif recursive:
            yield from _below(path, seen, skipped)


def _below(
    directory: str, seen: set[tuple[int, int]], skipped: list[tuple[str, str]]
) -> Iterator[str]:
    """All files below a directory that were not `seen`, by name."""
    if _is_new(directory, seen):
        try:
            names = sorted(os.listdir(directory))
        except OSError as error:
            raise unreadable(directory, error) from error
        for name in names:
            path = os.path.join(directory, name)
            if name.startswith("."):
                continue
            if os.path.isdir(path):
                yield from _below(path, seen, skipped)
            elif not os.path.isfile(path):
                is_link = os.path.islink(path) and not os.path.exists(path)
                skipped.append((path, "a link to nothing" if is_link else "no plain file"))
            elif _is_new(path, seen):
                yield path


def _is_new(path: str, seen: set[tuple[int, int]]) -> bool:
    status = os.stat(path)
    identity = status.st_dev, status.st_ino
    is_new = identity not in seen
    seen.add(identity)
    return is_new


def unreadable(name: str, error: BaseException) -> CorpusError:
    """The error that says that a file cannot be read."""
    return CorpusError(f"{name} cannot be read: {reason(error)}")


def can_read_again(source: str | Span) -> bool:
    """Whether a source is a plain file."""
    name = source.source if isinstance(source, Span) else source
    return name != STDIN and not is_url(name) and os.path.isfile(name)


def listed(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - _SHOWN} more" * (len(names) > _SHOWN)
    return ", ".join(names[:_SHOWN]) + more


def shown(source: str | Span) -> str:
    """A source as messages name it."""
    return "standard input" if source == STDIN else str(source)
