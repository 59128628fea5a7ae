# ruff: noqa: PTH100, PTH115, PTH116, PTH118, PTH120
# (beside publish.py, which says why the primitives of os are called by their own names)
"""Names that something is to be written under: what is there, and what speaks against it.

A plain file is replaced by a rename (`publish.py`). What is not one (a FIFO, a terminal,
``/dev/null``), and what this process was given open (``/dev/stdout``), is written through.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from embedcli.errors import OutputError, ResourceError
from embedcli.quoting import quoted

__all__ = [
    "STDOUT",
    "as_output_error",
    "check_may_replace",
    "check_space",
    "free_space",
    "is_plain",
    "is_special",
    "old_mode",
    "output_error",
    "own_descriptor",
    "readable_size",
    "real_path",
]

STDOUT = "-"

_STREAMS = ("stdin", "stdout", "stderr")
_DESCRIPTOR = re.compile(
    rf"(?:/dev|/proc/self|/proc/thread-self)/fd/([0-9]+)|/dev/({'|'.join(_STREAMS)})"
)
_MOST_LINKS = 40


def is_plain(path: str) -> bool:
    """Whether `path` is, or will be, a file or directory: not a pipe, a device or given open."""
    if path == STDOUT or own_descriptor(path) is not None:
        return False
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return True
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)


def is_special(target: str, size: int | None) -> bool:
    """Whether `target` exists and is to be written through; raises for what never can be."""
    with as_output_error(target, size):
        if not target or target.endswith("/"):
            raise OutputError(f"cannot write {quoted(target)}: that is no file name")
        if own_descriptor(target) is not None:
            return True
        try:
            mode = os.stat(target).st_mode
        except FileNotFoundError:
            return False
    if stat.S_ISDIR(mode):
        raise OutputError(f"cannot write {target}: it is a directory; name a file in it")
    if stat.S_ISBLK(mode):
        raise OutputError(f"cannot write {target}: it is a block device")
    return not stat.S_ISREG(mode)


def own_descriptor(target: str) -> int | None:
    """The number of the open file that `target` is a name of: ``/dev/stdout`` is 1."""
    path = os.path.abspath(target)
    for _ in range(_MOST_LINKS):
        match = _DESCRIPTOR.fullmatch(path)
        if match is not None:
            return int(match[1]) if match[1] else _STREAMS.index(match[2])
        try:
            link = os.readlink(path)
        except OSError:
            return None
        path = os.path.abspath(os.path.join(os.path.dirname(path), link))
    return None


def old_mode(target: str) -> int | None:
    """The permissions to keep, None for a new file; refuse a file made read-only."""
    try:
        mode = stat.S_IMODE(os.stat(target).st_mode)
    except FileNotFoundError:
        return None
    if not os.access(target, os.W_OK):
        raise OutputError(f"cannot write {target}: the file is read-only (chmod u+w to allow it)")
    check_may_replace(os.path.realpath(target))
    return mode


def check_may_replace(real: str) -> None:
    """Refuse what the system would: in a sticky directory others' files stay, whoever may write.

    Raises:
        OSError: it belongs to another user, and so does its directory, which is sticky.
    """
    try:
        found, parent = os.lstat(real), os.stat(os.path.dirname(real) or ".")
    except FileNotFoundError:
        return
    if parent.st_mode & stat.S_ISVTX and os.geteuid() not in (0, found.st_uid, parent.st_uid):
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))


def real_path(path: str | os.PathLike[str]) -> Path:
    """The path with its links followed; links that go in a circle stay, for `open` to refuse.

    `Path.resolve` raises RuntimeError at a circle, before Python 3.13.
    """
    return Path(os.path.realpath(path))


def free_space(directory: str) -> int:
    """Bytes free for this user on the disk of `directory`."""
    room = os.statvfs(directory)
    return room.f_bavail * room.f_frsize


def check_space(path: str | os.PathLike[str], needed: int) -> None:
    """Refuse before the work if the disk that `path` will be on has fewer than `needed` bytes.

    Raises:
        ResourceError: with both numbers.
    """
    target = os.fspath(path)
    with as_output_error(target, needed):
        if not is_plain(target):
            return
        directory = os.path.dirname(os.path.realpath(target))
        free = free_space(directory)
    if free < needed:
        raise ResourceError(
            f"{target} needs {readable_size(needed)} but only {readable_size(free)} are free in "
            f"{directory}: make room or choose another place"
        )


def readable_size(n_bytes: int) -> str:
    """``1234567`` as ``1.2 MB``."""
    value = float(n_bytes)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


@contextmanager
def as_output_error(target: str, size: int | None, what: str | None = None) -> Iterator[None]:
    """Raise what the system says of `target` as an OutputError."""
    try:
        yield
    except OSError as error:
        raise output_error(target, error, size, what) from error


def output_error(
    target: str, error: OSError, size: int | None, what: str | None = None
) -> OutputError:
    """What the system said of `target`, and what helps.

    Args:
        target: the file.
        error: what was raised.
        size: how many bytes were to be written, where that is known.
        what: what became of the file, if it is not that it cannot be written.
    """
    directory = os.path.dirname(target) or "."
    reason = error.strerror or str(error)
    if what is not None:
        return OutputError(f"{target} {what}: {reason}")
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        full = "the disk is full" if error.errno == errno.ENOSPC else "the disk quota is used up"
        needed = "" if size is None else f"; {readable_size(size)} are needed"
        with contextlib.suppress(OSError):  # the free space is a courtesy
            needed += f", {readable_size(free_space(directory))} free" if needed else ""
        return OutputError(f"cannot write {target}: {full}{needed}; make room and try again")
    if isinstance(error, FileNotFoundError):
        return OutputError(
            f"cannot write {target}: no directory {directory} (mkdir -p {directory})"
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return OutputError(f"cannot write {target}: {reason}: may you write in {directory}?")
    return OutputError(f"cannot write {target}: {reason}")
