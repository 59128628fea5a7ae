# ruff: noqa: PTH100, PTH105, PTH108, PTH115, PTH116, PTH118, PTH119, PTH120
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
called by their module names on purpose: `tests/test_publish.py` makes each of them fail in turn.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from embedcli.errors import OutputError, ResourceError
from embedcli.files.leftovers import remove_stale, temporary_path

__all__ = [
    "STDOUT",
    "Sink",
    "check_may_replace",
    "check_space",
    "check_writable",
    "free_space",
    "is_plain",
    "make_directory",
    "publish",
    "readable_size",
]

STDOUT = "-"

_STREAMS = ("stdin", "stdout", "stderr")
_DESCRIPTOR = re.compile(
    rf"(?:/dev|/proc/self|/proc/thread-self)/fd/([0-9]+)|/dev/({'|'.join(_STREAMS)})"
)
_MOST_LINKS = 40

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
    elif _is_special(target, size):
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
    with _as_output_error(target, None):
        if _is_special(target, None):
            return
        real = os.path.realpath(target)
        descriptor, temporary = _create_temporary(real, _old_mode(target))
        os.close(descriptor)
        os.unlink(temporary)


def is_plain(path: str) -> bool:
    """Whether `path` is, or will be, a file or directory: not a pipe, a device or given open."""
    if path == STDOUT or _own_descriptor(path) is not None:
        return False
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return True
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)


def check_space(path: str | os.PathLike[str], needed: int) -> None:
    """Refuse before the work if the disk that `path` will be on has fewer than `needed` bytes.

    Raises:
        ResourceError: with both numbers.
    """
    target = os.fspath(path)
    with _as_output_error(target, needed):
        if not is_plain(target):
            return
        directory = os.path.dirname(os.path.realpath(target))
        free = free_space(directory)
    if free < needed:
        raise ResourceError(
            f"{target} needs {readable_size(needed)} but only {readable_size(free)} are free in "
            f"{directory}: make room or choose another place"
        )


def make_directory(path: str | os.PathLike[str], *, beside: str | os.PathLike[str]) -> None:
    """Make a directory that is there after a power cut too; its parent must exist.

    Args:
        path: the directory; it may be there already.
        beside: what it holds a part of: if that is there and closed to others, so is the directory.

    Raises:
        OutputError: it cannot be made.
    """
    target = os.fspath(path)
    with _as_output_error(target, None):
        mode = 0o777
        with contextlib.suppress(FileNotFoundError):
            mode = 0o777 if os.stat(beside).st_mode & 0o077 else 0o700
        with contextlib.suppress(FileExistsError):
            os.mkdir(target, mode)  # noqa: PTH102
        _sync_directory(os.path.dirname(os.path.realpath(target)))


def readable_size(n_bytes: int) -> str:
    """``1234567`` as ``1.2 MB``."""
    value = float(n_bytes)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


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
        raise _output_error("standard output", error, None) from error


def _through(target: str) -> Iterator[Sink]:
    """Write to a FIFO, terminal or character device: nothing to keep, rename or sync."""
    with _as_output_error(target, None):
        given = _own_descriptor(target)
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
    with _as_output_error(target, size):
        real = os.path.realpath(target)
        remove_stale(real)
        descriptor, temporary = _create_temporary(real, _old_mode(target))
    try:
        try:
            sink = _sink_on(descriptor, target, size, temporary)
            yield sink
            sink.flush()
            with _as_output_error(target, size):
                os.fsync(descriptor)
                _read_back(descriptor, target, sink)
        finally:
            os.close(descriptor)
        with _as_output_error(target, size):
            os.replace(temporary, real)
    except BaseException:
        # The error under way is the one to report; what cannot be removed now, remove_stale will.
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    with _as_output_error(target, size, "is complete, but could not be made safe from a power cut"):
        _sync_directory(os.path.dirname(real))


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
        with _as_output_error(target, size):
            return os.write(descriptor, view)

    return Sink(write, path)


def _is_special(target: str, size: int | None) -> bool:
    """Whether `target` exists and is to be written through; raises for what never can be."""
    with _as_output_error(target, size):
        if not target or target.endswith("/"):
            raise OutputError(f"cannot write {target!r}: that is no file name")
        if _own_descriptor(target) is not None:
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


def _own_descriptor(target: str) -> int | None:
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


def _old_mode(target: str) -> int | None:
    """Return the permissions to keep, None for a new file; refuse a file made read-only."""
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


def _sync_directory(directory: str) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that cannot sync directories (CIFS, FUSE)
            raise
    finally:
        os.close(descriptor)


@contextmanager
def _as_output_error(target: str, size: int | None, what: str | None = None) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _output_error(target, error, size, what) from error


def _output_error(
    target: str, error: OSError, size: int | None, what: str | None = None
) -> OutputError:
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


def free_space(directory: str) -> int:
    """Bytes free for this user on the disk of `directory`."""
    room = os.statvfs(directory)
    return room.f_bavail * room.f_frsize
