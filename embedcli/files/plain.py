"""Files that must be plain ones: a pipe would be waited for, and a device may have no end."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from embedcli.errors import FormatError

__all__ = ["is_directory", "is_file", "read_finite", "read_plain", "require_plain"]

_KINDS: Final = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_DESCRIPTORS: Final = ("/dev/fd/", "/dev/stdin", "/proc/self/fd/")  # what shells call open pipes


def is_directory(path: str | os.PathLike[str]) -> bool:
    """Whether there is a directory; False for a name that the system refuses, as one too long.

    `Path.is_dir` raises there. Whoever opens the path then says what is wrong with it.
    """
    return os.path.isdir(path)  # noqa: PTH112


def is_file(path: str | os.PathLike[str]) -> bool:
    """The same for a plain file."""
    return os.path.isfile(path)  # noqa: PTH113


def require_plain(path: str | os.PathLike[str]) -> int:
    """The bytes of a plain file; links are followed.

    Raises:
        FormatError: it is another kind of file.
        OSError: there is none, or nobody may look at it.
    """
    status = Path(path).stat()
    for is_kind, kind in _KINDS:
        if is_kind(status.st_mode):
            raise FormatError(f"{os.fspath(path)} is {kind}, not a plain file")
    return status.st_size


def read_finite(path: str | os.PathLike[str]) -> bytes:
    """All of a plain file, or of a pipe that this process was started with (``/dev/fd/63``).

    A device may have no end, and a named pipe may never be written to.

    Raises:
        FormatError: it is a device, a socket or a named pipe.
        OSError: it cannot be read.
    """
    mode = Path(path).stat().st_mode
    for is_kind, kind in _KINDS:
        is_ours = stat.S_ISFIFO(mode) and os.fspath(path).startswith(_DESCRIPTORS)
        if is_kind(mode) and not stat.S_ISDIR(mode) and not is_ours:
            raise FormatError(f"{os.fspath(path)} is {kind}, not a file")
    return Path(path).read_bytes()


def read_plain(path: str | os.PathLike[str], most: int | None = None) -> bytes:
    """All of a plain file.

    Raises:
        FormatError: it is another kind of file, has more than `most` bytes, or cannot be read.
    """
    try:
        size = require_plain(path)
        if most is not None and size > most:
            raise FormatError(
                f"{os.fspath(path)} has {size} bytes; files of its kind have at most {most}"
            )
        return Path(path).read_bytes()
    except OSError as error:
        raise FormatError(f"{os.fspath(path)} cannot be read: {error.strerror}") from error
