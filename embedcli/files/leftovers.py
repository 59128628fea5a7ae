# ruff: noqa: PTH102, PTH108, PTH118
# (beside publish.py, which says why the primitives of os are called by their own names)
"""Temporary names, and the removal of files that killed processes left.

A file or directory is made beside its target, under a name that says whose it is:

    .NAME.PROCESS.8 random hexadecimal digits.tmp

Who writes NAME next removes those of its processes that are dead. What belongs to another user is
left alone, and so is what cannot be removed: in a directory that everybody may write (``/tmp``) it
would end every run, and it is in nobody's way.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from embedcli.errors import OutputError

__all__ = [
    "remove_stale",
    "remove_tree",
    "temporary_directory",
    "temporary_path",
    "temporary_stem",
]

_NAME_IN_TEMPORARY: Final = 180  # bytes of the target's name kept: temporary names fit in 255
_STALE_AFTER: Final = 3600.0  # seconds: a process of this number may live on another machine


def temporary_stem(name: str) -> str:
    """How files beside one called `name` begin that are ours and not for others."""
    return "." + os.fsdecode(os.fsencode(name)[:_NAME_IN_TEMPORARY])


def temporary_path(real: str) -> str:
    """A new name beside `real`, for something that will be renamed or removed."""
    directory, name = os.path.split(real)
    beginning = f"{temporary_stem(name)}.{os.getpid()}"
    return os.path.join(directory, f"{beginning}.{secrets.token_hex(4)}.tmp")


def remove_stale(real: str) -> None:
    """Remove what killed processes left of this target: ours, its process dead, an hour old."""
    directory, name = os.path.split(real)
    ours = re.compile(re.escape(temporary_stem(name)) + r"\.([0-9]+)\.[0-9a-f]{8}\.tmp")
    try:
        names = os.listdir(directory or ".")  # noqa: PTH208
    except OSError:  # it may be written, but not looked into; or what follows says what is wrong
        return
    for match in filter(None, map(ours.fullmatch, names)):
        if not Path(f"/proc/{match[1]}").exists():
            with contextlib.suppress(OSError):  # gone already, or it stays: see above
                _remove_if_stale(os.path.join(directory, match[0]))


@contextlib.contextmanager
def temporary_directory(name: str) -> Iterator[str]:
    """A directory for this user alone, where temporary files go (TMPDIR), while the block lasts.

    Args:
        name: how it is called, so that what killed runs left of such is removed.

    Raises:
        OutputError: it cannot be made.
    """
    beside = os.path.join(tempfile.gettempdir(), name)
    remove_stale(beside)
    path = temporary_path(beside)
    try:
        os.mkdir(path, 0o700)
    except OSError as error:
        raise OutputError(f"cannot make {path}: {error.strerror}") from error
    try:
        yield path
    finally:
        with contextlib.suppress(OSError):  # what cannot be removed now, remove_stale will
            remove_tree(path)


def remove_tree(path: str) -> None:
    """Remove a file, or a directory with all that is in it; follow no link.

    Raises:
        OSError: something of it is not ours to remove.
    """
    if stat.S_ISDIR(os.lstat(path).st_mode):
        shutil.rmtree(path)
    else:
        os.unlink(path)


def _remove_if_stale(path: str) -> None:
    found = os.lstat(path)
    is_ours = found.st_uid == os.geteuid()
    if is_ours and time.time() - _last_change(path, found) > _STALE_AFTER:
        remove_tree(path)


def _last_change(path: str, found: os.stat_result) -> float:
    """When it was last written; of a directory, when anything in it was."""
    if not stat.S_ISDIR(found.st_mode):
        return found.st_mtime
    with os.scandir(path) as entries:
        times = [entry.stat(follow_symlinks=False).st_mtime for entry in entries]
    return max([found.st_mtime, *times])
