# ruff: noqa: PTH110, PTH116, PTH118
"""One writer for each output: a lock file beside it, for as long as a run lasts.

The lock is the system's (`flock`), not the file's existence: it goes when the process does, however
that ends, and a file that a killed run left is simply taken over. The file is removed by the run
that holds it, before it lets go.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress

from embedcli.errors import BusyError, OutputError
from embedcli.storage.publish import STDOUT, temporary_stem

__all__ = ["locked"]

_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)


@contextmanager
def locked(paths: Sequence[str]) -> Iterator[None]:
    """Hold the locks of all `paths`; pipes, devices and standard output have none.

    Raises:
        BusyError: another process holds one of them.
        OutputError: a lock file cannot be made.
    """
    with ExitStack() as held:
        for real in sorted({os.path.realpath(path) for path in paths if _is_plain(path)}):
            held.enter_context(_lock(real))
        yield


def _is_plain(path: str) -> bool:
    if path == STDOUT or not os.path.exists(path):
        return path != STDOUT
    mode = os.stat(path).st_mode
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)


@contextmanager
def _lock(real: str) -> Iterator[None]:
    directory, name = os.path.split(real)
    path = os.path.join(directory, f"{temporary_stem(name)}.lock")
    descriptor = _acquire(path, real)
    try:
        yield
    finally:
        # Somebody may have tidied up, or the disk may be read-only by now; a file that stays locks
        # nobody out.
        with suppress(OSError):
            os.unlink(path)  # noqa: PTH108
        os.close(descriptor)


def _acquire(path: str, real: str) -> int:
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise OutputError(f"cannot lock {real}: {error.strerror}: {path}") from error
        try:
            _flock(descriptor, path, real)
            if _is_still(descriptor, path):
                with suppress(OSError):  # who holds it is a courtesy, and the disk may be full
                    os.ftruncate(descriptor, 0)
                    os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # the one who held it removed it meanwhile: lock the new one


def _flock(descriptor: int, path: str, real: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
        raise BusyError(
            f"another embed (process {holder}) is writing {real}: wait for it, or name another "
            "output with -o"
        ) from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise OutputError(f"cannot lock {real}: {error.strerror}: {path}") from error
        warnings.warn(
            f"{real} is not locked, its file system has no locks: see to it that no other run "
            "writes it",
            stacklevel=2,
        )


def _is_still(descriptor: int, path: str) -> bool:
    """Whether `path` is the file that was locked."""
    try:
        named = os.stat(path)
    except FileNotFoundError:
        return False
    return os.path.samestat(named, os.fstat(descriptor))
