# ruff: noqa: PTH105, PTH108, PTH119, PTH120
# (the primitives of os are the subject of this module, and its tests replace them one by one)
"""The one place where bytes reach a file that somebody else may read.

    temporary file in the same directory (O_EXCL) → write → fsync → read back and compare
    → rename → fsync of the directory

so that every name holds either the previous file, untouched, or the complete new one: through
Ctrl-C, ``kill -9``, a full disk, an I/O error or a power cut. A failed fsync is final: the kernel
may have dropped the pages it could not write, and a second fsync would say that all is well.

Symbolic links are followed and stay. What is not a regular file (a FIFO, ``/dev/null``, a terminal)
has no "previous content" to protect and would be destroyed by a rename: it is written through. So
is what this process was given open (``/dev/stdout``, ``/dev/fd/3``): ``>>`` means to append.

What the bytes mean is not decided here (`formats/`). The primitives below (`os.open` and so on) are
called by their module names on purpose: `tests/files/test_publish.py` makes each fail in turn.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from embedcli.errors import OutputError
from embedcli.files.leftovers import remove_stale, temporary_path
from embedcli.files.targets import (
    STDOUT,
    as_output_error,
    is_special,
    old_mode,
    output_error,
    own_descriptor,
)

__all__ = ["Sink", "check_writable", "publish", "sync_directory"]

_BUFFER = 1 << 20  # small writes are gathered up to this many bytes
_READ_BACK = 1 << 20
_LARGEST_WRITE = 1 << 26  # one write(2) of this size ends soon enough for Ctrl-C to be felt


class Sink:
    """A binary output that takes everything it is given or raises.

    Only `publish` makes one. There is no ``close``: leaving the ``with`` block publishes.

    Attributes:
        path: where the bytes lie until they are published, after `flush`; None for a pipe or
            device, which cannot be read back.
    """

    def __init__(self, write: Callable[[memoryview], int | None], path: str | None = None) -> None:
        self._write = write
        self.path = path
        self._buffer = bytearray()
        self._position = 0
        self.checksum = 0  # CRC-32 of the bytes handed to the operating system

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Take all of `data` (any contiguous buffer of bytes); returns how many bytes that is.

        Raises:
            OutputError: the bytes could not be written.
        """
        view = memoryview(data).cast("B")
        self._position += len(view)
        if len(self._buffer) + len(view) <= _BUFFER:
            self._buffer += view
        else:
            self.flush()
            self._write_all(view)
        return len(view)

    def tell(self) -> int:
        """How many bytes were taken so far."""
        return self._position

    def flush(self) -> None:
        """Hand what was gathered to the operating system."""
        if self._buffer:
            gathered, self._buffer = self._buffer, bytearray()
            self._write_all(memoryview(gathered))

    def _write_all(self, view: memoryview) -> None:
        self.checksum = zlib.crc32(view, self.checksum)
        while len(view):
            written = self._write(view[:_LARGEST_WRITE])
            if not written:  # POSIX allows 0 for no reason: a loop without end must not follow
                raise OutputError(f"cannot write: the system took none of {len(view)} bytes")
            view = view[written:]


@contextmanager
def publish(
    path: str | os.PathLike[str], *, size: int | None = None, stdout: bool = False
) -> Iterator[Sink]:
    """Write a file that appears under its name complete or not at all.

    Args:
        path: the target; its directory must exist.
        size: how many bytes will be written, where known (only for the message of a full disk).
        stdout: take ``-`` as standard output; a closed pipe then raises BrokenPipeError.

    Raises:
        OutputError: it could not be written; the old file, if any, is untouched and no temporary
            file is left. What the ``with`` block itself raises passes through after the clean-up.
    """
    target = os.fspath(path)
    if stdout and target == STDOUT:
        yield from _through_stdout()
    elif is_special(target, size):
        yield from _through(target)
    else:
        yield from _by_rename(target, size)


def check_writable(path: str | os.PathLike[str], *, stdout: bool = False) -> None:
    """Find out before the work whether `publish` could write `path`.

    Raises:
        OutputError: the directory is missing or read-only, the name is too long or a directory, …
    """
    target = os.fspath(path)
    if stdout and target == STDOUT:
        return
    with as_output_error(target, None):
        if is_special(target, None):
            return
        real = os.path.realpath(target)
        descriptor, temporary = _create_temporary(real, old_mode(target))
        os.close(descriptor)
        os.unlink(temporary)


def _through_stdout() -> Iterator[Sink]:
    if sys.stdout is None:
        raise OutputError("cannot write to standard output: it is closed")
    binary = sys.stdout.buffer
    try:
        sink = Sink(binary.write)
        yield sink
        sink.flush()
        binary.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise output_error("standard output", error, None) from error


def _through(target: str) -> Iterator[Sink]:
    """Write to a FIFO, terminal or character device: nothing to keep, rename or sync."""
    with as_output_error(target, None):
        given = own_descriptor(target)
        if given is None:
            descriptor = os.open(target, os.O_WRONLY | os.O_NOCTTY)
        else:
            descriptor = os.dup(given)
            if sys.stdout is not None:
                sys.stdout.flush()  # what was printed before comes before
    try:
        sink = _sink_on(descriptor, target, None)
        yield sink
        sink.flush()
    finally:
        os.close(descriptor)


def _by_rename(target: str, size: int | None) -> Iterator[Sink]:
    with as_output_error(target, size):
        real = os.path.realpath(target)
        remove_stale(real)
        descriptor, temporary = _create_temporary(real, old_mode(target))
    try:
        try:
            sink = _sink_on(descriptor, target, size, temporary)
            yield sink
            sink.flush()
            with as_output_error(target, size):
                os.fsync(descriptor)
                _read_back(descriptor, target, sink)
        finally:
            os.close(descriptor)
        with as_output_error(target, size):
            os.replace(temporary, real)
    except BaseException:
        # The error under way is the one to report; what cannot be removed now, remove_stale will.
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    with as_output_error(target, size, "is complete, but could not be made safe from a power cut"):
        sync_directory(os.path.dirname(real))


def _read_back(descriptor: int, target: str, sink: Sink) -> None:
    """Compare what the file holds with what was written; from the disk where the system obeys."""
    with contextlib.suppress(OSError):  # only a wish: not every file system knows it
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    position = checksum = 0
    while part := os.pread(descriptor, _READ_BACK, position):
        checksum = zlib.crc32(part, checksum)
        position += len(part)
    if (position, checksum) != (sink.tell(), sink.checksum):
        raise OutputError(
            f"cannot write {target}: {sink.tell()} bytes were written with checksum "
            f"{sink.checksum:08x}, but {position} read back with {checksum:08x}; is the disk sound?"
        )


def _sink_on(descriptor: int, target: str, size: int | None, path: str | None = None) -> Sink:
    def write(view: memoryview) -> int:
        with as_output_error(target, size):
            return os.write(descriptor, view)

    return Sink(write, path)


def _create_temporary(real: str, mode: int | None) -> tuple[int, str]:
    name = os.path.basename(real)
    if len(os.fsencode(name)) > 255:  # the temporary name is cut, the final one must be tried too
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
    temporary = temporary_path(real)
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, 0o666 if mode is None else mode)
    if mode is not None:
        try:
            os.fchmod(descriptor, mode)  # the umask has cut what open was given
        except BaseException:
            os.close(descriptor)
            os.unlink(temporary)
            raise
    return descriptor, temporary


def sync_directory(directory: str | os.PathLike[str]) -> None:
    """Make the names in a directory safe from a power cut, where its file system can."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that cannot sync directories (CIFS, FUSE)
            raise
    finally:
        os.close(descriptor)
