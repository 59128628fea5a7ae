# ruff: noqa: PTH100, PTH113, PTH116, PTH118, PTH120, PTH206
# (a path is a name here: it is shown as it was given)
"""Inputs and outputs are never the same file: one check, before anything is read or written.

Files are the same if the system says so, whatever links lead to them. What is read is the files
that options and arguments name, everything below a directory that is read, and what a glob means:
today and the next time, when the outputs of this run will be there.
"""

from __future__ import annotations

import glob
import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

from embedcli.errors import CorpusError, UsageError
from embedcli.files.targets import STDOUT, is_plain
from embedcli.settings.config import TrainConfig

__all__ = ["GONE_ON_WITH", "WRITTEN", "files_of", "keep_apart"]

WRITTEN: Final = ("output", "outputs", "out", "save", "journal", "metrics")  # settings, parameters
GONE_ON_WITH: Final = "continue_from"  # a model may take its own place when it is trained
_LOCAL_URL: Final = re.compile(r"(file|local)://(?=/)")

_Identity = tuple[int, int]


@dataclass(frozen=True)
class _Place:
    """A file or directory that may not be there yet.

    Attributes:
        path: as it was given.
        real: the same without links.
        identity: its device and inode; None where it is not there, or is a pipe or a device.
        above: those of the directories it lies in.
    """

    path: str
    real: str
    identity: _Identity | None
    above: frozenset[_Identity]


def keep_apart(
    writes: Iterable[str],
    reads: Iterable[str] = (),
    *,
    named: Iterable[str] = (),
    texts: Sequence[str] = (),
    recursive: bool = False,
) -> None:
    """Refuse an output that is read, or would be the next time; or that is another output.

    Args:
        writes: files and directories that the command will write, ``-`` for standard output.
        reads: files and directories that it reads.
        named: files that it may read, where they are there.
        texts: what it reads as text (`text.sources.find_sources`).
        recursive: whether directories among `texts` are read.

    Raises:
        UsageError: names the output and what it meets.
    """
    outputs = [_place(path, sys.stdout) for path in writes if path == STDOUT or is_plain(path)]
    for number, output in enumerate(outputs):
        for other in outputs[:number]:
            if _is_same(output, other) or _holds(output, other) or _holds(other, output):
                raise UsageError(f"{output.path} and {other.path} are both written: name another")
    inputs = [_place(path, sys.stdin) for path in reads]
    others = _identities(named)
    for output in outputs:
        for given in inputs:
            if _is_same(output, given) or _holds(given, output) or _holds(output, given):
                raise _both(output)
        if output.identity in others:
            raise _both(output)
    if texts and outputs:
        _keep_apart_from_texts(outputs, texts, recursive)


def files_of(config: TrainConfig) -> list[str]:
    """The files and directories that settings name to be read, wherever they were chosen."""
    values = {name: value for name, value in config.as_dict().items() if isinstance(value, str)}
    read = [value for name, value in values.items() if name not in (*WRITTEN, GONE_ON_WITH)]
    models = [path for path in (config.init,) if path is not None]
    return [*models, *filter(os.path.isfile, read)]


def _keep_apart_from_texts(
    outputs: Sequence[_Place], texts: Sequence[str], recursive: bool
) -> None:
    from embedcli.text.places import find_sources

    paths = [path for text in texts for path in _local(text)]
    walked: set[_Identity] = set()
    sources = []
    for path in paths:
        with suppress(CorpusError):  # whoever reads it will say what is wrong
            found = find_sources([path], recursive=recursive, seen=walked)
            sources += [_place(str(source), sys.stdin) for source in found]
    for output in outputs:
        if any(_is_same(output, source) or _holds(output, source) for source in sources):
            raise _both(output)
        if output.above & walked:
            raise UsageError(
                f"{output.path} lies in a directory of which all files are read, and would be read "
                "the next time: name a place outside"
            )
        for path in paths:
            if not os.path.lexists(path) and _matches(output.real, path):
                raise UsageError(
                    f"{output.path} would be read the next time, as one of {path}: name another "
                    "file with -o"
                )


def _local(text: str) -> Iterator[str]:
    """The paths on this machine in a path or URL: ``zip://a.txt::file:///b.zip`` has ``/b.zip``."""
    for part in text.split("::") if "://" in text else [text]:
        path = _LOCAL_URL.sub("", part)
        if "://" not in path:
            yield path


def _both(output: _Place) -> UsageError:
    return UsageError(
        f"{output.path} is both input and output: it would take the place of the input itself; "
        "name another file"
    )


def _place(path: str, stream: Any) -> _Place:
    """The place of `path`, where ``-`` is `stream`."""
    if path == STDOUT:
        return _Place("standard output", "", _stream(stream), frozenset())
    real = os.path.realpath(path)
    return _Place(path, real, _identity(path), frozenset(_above(real)))


def _is_same(one: _Place, other: _Place) -> bool:
    return one.identity == other.identity if one.identity else one.real == other.real != ""


def _holds(directory: _Place, other: _Place) -> bool:
    beginning = f"{directory.real}{os.sep}"
    is_below = directory.real != "" and other.real.startswith(beginning)
    return is_below or directory.identity in other.above


def _above(real: str) -> Iterator[_Identity]:
    while (parent := os.path.dirname(real)) != real:
        identity = _identity(parent)
        if identity is not None:
            yield identity
        real = parent


def _identities(named: Iterable[str]) -> set[_Identity]:
    """Those of the files among them."""
    found = {_identity(path) for path in named if os.path.isfile(path)}
    return {identity for identity in found if identity is not None}


def _identity(path: str) -> _Identity | None:
    try:
        return _known(os.stat(path))
    except (OSError, ValueError):
        return None


def _stream(stream: Any) -> _Identity | None:
    """What is behind standard input or output, if that is a file."""
    try:
        return _known(os.fstat(stream.fileno()))
    except (OSError, ValueError, AttributeError):  # closed, or no file but what took its place
        return None


def _known(status: os.stat_result) -> _Identity | None:
    is_kept = stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)
    return (status.st_dev, status.st_ino) if is_kept else None


def _matches(real: str, pattern: str) -> bool:
    """Whether a file would be found by a glob: by the rules of `glob.glob`, recursive."""
    if not glob.has_magic(pattern):
        return False
    parts = os.path.abspath(pattern).split(os.sep)
    plain = next(number for number, part in enumerate(parts) if glob.has_magic(part))
    beginning = os.path.realpath(os.sep.join(parts[:plain]) or os.sep).rstrip(os.sep)
    if not real.startswith(f"{beginning}{os.sep}"):
        return False
    return _match_parts(real[len(beginning) + 1 :].split(os.sep), parts[plain:])


def _match_parts(names: Sequence[str], parts: Sequence[str]) -> bool:
    if not parts or not names:
        return not names and not any(part != "**" for part in parts)
    is_hidden = names[0].startswith(".")
    if parts[0] == "**":
        return _match_parts(names, parts[1:]) or (not is_hidden and _match_parts(names[1:], parts))
    if is_hidden and not parts[0].startswith("."):
        return False
    return fnmatchcase(names[0], parts[0]) and _match_parts(names[1:], parts[1:])
