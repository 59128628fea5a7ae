"""A vector file being read: its first bytes, then all of them, unpacked if it was packed.

Compression is told by content, not by name (gzip, bzip2, xz, zstd). Pipes work: nothing is sought.
"""

from __future__ import annotations

import io
import os
import re
import stat
import zlib
from collections.abc import Callable
from types import TracebackType
from typing import IO, Final, Self, cast

from embedcli.errors import FormatError, InputError, MissingExtraError

__all__ = ["HEAD_BYTES", "Source"]

HEAD_BYTES: Final = 1 << 20  # two rows of text at D = 4096 have a fifth of this

# A vector file may begin with any word, so a magic number must be more than letters.
_MAGIC: Final = {
    "gzip": re.compile(rb"\x1f\x8b"),
    "bzip2": re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)"),
    "xz": re.compile(rb"\xfd7zXZ\x00"),
    "zstd": re.compile(rb"\x28\xb5\x2f\xfd"),
}


class Source:
    """An open file; a context manager.

    Attributes:
        path: its name, for messages and for memory maps.
        compression: ``"gzip"``, ... or None.
        stored_bytes: size of the file as it lies on the disk, or None for a pipe.
        size: bytes it holds, or None where nobody can know (packed, or a pipe).
        head: the first bytes, at most `HEAD_BYTES`; `read` returns them again.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self._file = _open(self.path)
        try:
            raw = self._file.peek(16)
            self.compression = next((n for n, magic in _MAGIC.items() if magic.match(raw)), None)
            self._stream = self._unpacked()
            status = os.fstat(self._file.fileno())
            self.stored_bytes = status.st_size if stat.S_ISREG(status.st_mode) else None
            self.size = None if self.compression else self.stored_bytes
            self.head = b""
            self.head = self._read_full(HEAD_BYTES)
        except BaseException:
            self._file.close()
            raise
        self._unread: memoryview | None = memoryview(self.head)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stream.close()
        self._file.close()

    @property
    def is_whole(self) -> bool:
        """Whether `head` is all there is."""
        return len(self.head) < HEAD_BYTES

    def read(self, n_bytes: int) -> bytes:
        """Return the next bytes, fewer than `n_bytes` only at the end.

        Raises:
            FormatError: the packed data is damaged or ends early.
            InputError: the system cannot read the file.
        """
        head = b""
        if self._unread is not None:
            head, rest = bytes(self._unread[:n_bytes]), self._unread[n_bytes:]
            self._unread = rest if len(rest) else None
        return head + self._read_full(n_bytes - len(head)) if len(head) < n_bytes else head

    def _read_full(self, n_bytes: int) -> bytes:
        parts = []
        try:
            while n_bytes and (part := self._stream.read(n_bytes)):
                parts.append(part)
                n_bytes -= len(part)
        except _unpacking_errors(self.compression) as error:
            raise FormatError(
                f"{self.path}: the {self.compression} data is damaged or cut short: {error}"
            ) from error
        except OSError as error:
            if self.compression is not None and error.errno is None:  # gzip's and bzip2's own
                raise FormatError(
                    f"{self.path}: the {self.compression} data is damaged: {error}"
                ) from error
            raise _unreadable(self.path, error) from error
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _unpacked(self) -> IO[bytes]:
        openers: dict[str | None, Callable[[], IO[bytes]]] = {
            None: lambda: self._file,
            "gzip": self._gzip,
            "bzip2": self._bzip2,
            "xz": self._xz,
            "zstd": self._zstd,
        }
        return openers[self.compression]()

    def _gzip(self) -> IO[bytes]:
        import gzip

        return cast(IO[bytes], gzip.GzipFile(fileobj=self._file))

    def _bzip2(self) -> IO[bytes]:
        import bz2

        return bz2.BZ2File(self._file)

    def _xz(self) -> IO[bytes]:
        import lzma

        return lzma.LZMAFile(self._file)

    def _zstd(self) -> IO[bytes]:
        try:
            from compression import zstd  # Python 3.14
        except ImportError:
            try:
                from backports import zstd
            except ImportError:
                raise MissingExtraError(f"reading {self.path}", "backports.zstd", "io") from None
        return cast(IO[bytes], zstd.ZstdFile(self._file))


def _open(path: str) -> io.BufferedReader:
    try:
        return io.BufferedReader(io.FileIO(path), 1 << 16)
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: str, error: OSError) -> InputError:
    return InputError(f"cannot read {path}: {error.strerror or error}")


def _unpacking_errors(compression: str | None) -> tuple[type[Exception], ...]:
    """Return what the unpacking library raises; it is loaded only when it is needed."""
    errors: tuple[type[Exception], ...] = (EOFError, zlib.error, ValueError)
    if compression == "xz":
        import lzma

        errors += (lzma.LZMAError,)
    if compression == "zstd":
        import sys

        name = "compression.zstd" if "compression.zstd" in sys.modules else "backports.zstd"
        errors += (sys.modules[name].ZstdError,)
    return errors
