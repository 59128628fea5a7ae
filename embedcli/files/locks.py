# ruff: noqa: PTH118
"""One writer for each output: a lock file beside it, for as long as a run lasts.

The lock is the system's (`flock`), not the file's existence: it goes when the process does, however
that ends, and a file that a killed run left is simply taken over. The file is removed by the run
that holds it, before it lets go.

Somebody else may have put something of this name there. A link is not followed, and what is not a
file as it is written here is neither changed nor removed.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Final

from embedcli.errors import BusyError, OutputError, UsageError
from embedcli.files.leftovers import temporary_stem
from embedcli.files.targets import is_plain

__all__ = ["lock_path", "locked"]

_NO_LOCKS: Final = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)
_OPEN: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
# What opening says where the name is that of a link, a directory, a socket or a device.
_NOT_A_FILE: Final = (errno.ELOOP, errno.EMLINK, errno.EISDIR, errno.ENXIO, errno.ENODEV)
_CONTENT: Final = re.compile(rb"([0-9]{1,10}\n)?")


@contextmanager
def locked(paths: Sequence[str]) -> Iterator[None]:
    """Hold the locks of all `paths`; pipes, devices and standard output have none.

    Raises:
        BusyError: another process holds one of them.
        OutputError: a lock file cannot be made, or something else has its name.
        UsageError: one of `paths` is the lock file of another.
    """
    with ExitStack() as held:
        reals = {os.path.realpath(path) for path in paths if is_plain(path)}
        locks = {lock_path(real): real for real in reals}
        for path in sorted(locks):
            if path in reals:
                raise UsageError(f"{path} is the lock of {locks[path]}: name another output")
            held.enter_context(_lock(path, locks[path]))
        yield


def lock_path(real: str) -> str:
    """Where the lock of the output `real` is."""
    directory, name = os.path.split(real)
    return os.path.join(directory, f"{temporary_stem(name)}.lock")


@contextmanager
def _lock(path: str, real: str) -> Iterator[None]:
    descriptor = _acquire(path, real)
    try:
        yield
    finally:
        # Somebody may have tidied up, or the disk may be read-only by now; a file that stays locks
        # nobody out.
        with suppress(OSError):
            if _is_still(descriptor, path):
                os.unlink(path)  # noqa: PTH108
        os.close(descriptor)


def _acquire(path: str, real: str) -> int:
    while True:
        try:
            descriptor = _open(path)
        except OSError as error:
            if error.errno in _NOT_A_FILE:
                raise _not_ours(path, real) from error
            raise OutputError(f"cannot lock {real}: {error.strerror}: {path}") from error
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
                raise _not_ours(path, real)
            _flock(descriptor, path, real)
            if _is_still(descriptor, path):
                if not _CONTENT.fullmatch(os.pread(descriptor, 20, 0)):
                    raise _not_ours(path, real)
                with suppress(OSError):  # who holds it is a courtesy, and the disk may be full
                    os.ftruncate(descriptor, 0)
                    os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
                return descriptor
        except OSError as error:
            os.close(descriptor)
            raise OutputError(f"cannot lock {real}: {error.strerror}: {path}") from error
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # the one who held it removed it meanwhile: lock the new one


def _open(path: str) -> int:
    """Open the lock file, or make it; that of another user can be locked without being written."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | _OPEN, 0o666)
    except PermissionError:
        if not os.path.lexists(path):
            raise
        return os.open(path, os.O_RDONLY | _OPEN)


def _flock(descriptor: int, path: str, real: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        written = _CONTENT.fullmatch(os.pread(descriptor, 20, 0))
        holder = written[0].decode().strip() if written else ""
        raise BusyError(
            f"another embed (process {holder or 'unknown'}) is writing {real}: wait for it, or "
            "name another output with -o"
        ) from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise OutputError(f"cannot lock {real}: {error.strerror}: {path}") from error
        warnings.warn(
            f"{real} is not locked, its file system has no locks: see to it that no other run "
            "writes it",
            stacklevel=2,
        )


def _not_ours(path: str, real: str) -> OutputError:
    return OutputError(
        f"cannot lock {real}: {path} is a link or holds something else than embed's lock of it: "
        "move it away, or name another output"
    )


def _is_still(descriptor: int, path: str) -> bool:
    """Whether `path` is the file that was locked."""
    try:
        named = os.lstat(path)
    except FileNotFoundError:
        return False
    return os.path.samestat(named, os.fstat(descriptor))
