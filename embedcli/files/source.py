"""A vector file being read: its first bytes, then all of them, unpacked if it was packed.

Compression is told by content, not by name (gzip, bzip2, xz, zstd, and zip with one file in it).
URLs go through fsspec. Pipes and URLs work, but for zip: nothing is sought.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from typing import Final, Self

from embedcli.errors import FormatError, InputError
from embedcli.files.archives import only_member
from embedcli.files.compression import MAGIC_BYTES, Unpacked, compression_of
from embedcli.files.opening import UNPACKING, reason, unpacking_failure
from embedcli.files.targets import readable_size
from embedcli.files.urls import is_url, open_url

__all__ = ["HEAD_BYTES", "Made", "Source", "check_memory"]

_ANY_FILE: Final = 1 << 26  # bytes that any file may ask for
_LARGEST_RATIO: Final = 100  # product quantisation of 100 float32 to 10 bytes is 40
_ZIP: Final = b"PK\x03\x04"
HEAD_BYTES: Final = 1 << 20  # two rows of text at D = 4096 have a fifth of this


def check_memory(where: str, needed: int, held: int) -> None:
    """Refuse `needed` bytes of vectors made of a file of `held` bytes, if those are far too many.

    Raises:
        FormatError: with both numbers.
    """
    if needed > max(_ANY_FILE, _LARGEST_RATIO * held):
        raise FormatError(
            f"{where} has {readable_size(held)}, but its vectors would take "
            f"{readable_size(needed)}: no sound file is shortened over {_LARGEST_RATIO} times"
        )


class Source:
    """An open file; a context manager.

    Attributes:
        path: its name, for messages and for memory maps.
        compression: ``"gzip"``, ... or None.
        stored_bytes: size of the file as it lies on the disk, or None for a pipe or URL.
        size: bytes it holds, or None where nobody can know (packed, a pipe, a URL).
        head: the first bytes, at most `HEAD_BYTES`; `read` returns them again.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self._file = _open(self.path)
        self.compression: str | None = None
        self._unpacked: Unpacked | None = None
        try:
            self._stream = self._file
            raw = self._read_full(MAGIC_BYTES)
            self.compression = compression_of(raw)
            if raw.startswith(_ZIP):
                self._unzip()
            elif self.compression:
                self._unpacked = Unpacked(self._file, self.compression, raw)
                self._stream = io.BufferedReader(self._unpacked)
            self.stored_bytes = self._size_on_disk()
            self.size = None if self.compression else self.stored_bytes
            self.head = b"" if self.compression else raw
            self.head += self._read_full(HEAD_BYTES - len(self.head))
        except BaseException:
            self._file.close()
            raise
        self._unread: memoryview | None = memoryview(self.head)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._stream.close()
        self._file.close()

    @property
    def padding(self) -> int:
        """Zero bytes of packed data that were taken for padding, so far; members may be lost so."""
        return 0 if self._unpacked is None else self._unpacked.padding

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

    def plain_size(self, what: str) -> int:
        """Its bytes; refuses what is not a plain file, which can be mapped and sought in.

        Args:
            what: which kind of file must be one, for the message.

        Raises:
            FormatError: it is packed, a pipe, or behind a URL.
        """
        if self.size is not None:
            return self.size
        kind = "behind a URL" if is_url(self.path) else "a pipe"
        kind = f"packed with {self.compression}" if self.compression else kind
        raise FormatError(f"{self.path} is {kind}: {what} must be a plain file")

    def _size_on_disk(self) -> int | None:
        if is_url(self.path):
            return None
        status = os.fstat(self._file.fileno())
        return status.st_size if stat.S_ISREG(status.st_mode) else None

    def _unzip(self) -> None:
        """Go on with the one file in an archive; NumPy's archives are read as they are."""
        if is_url(self.path):
            raise FormatError(
                f"{self.path} is a zip archive behind a URL: name a file in it, as "
                f"zip://NAME::{self.path}"
            )
        if self._size_on_disk() is None:
            raise FormatError(f"{self.path} is a zip archive, which cannot come through a pipe")
        member = only_member(self.path)
        if member is not None:
            self.compression, self._stream = "zip", io.BufferedReader(member)

    def _read_full(self, n_bytes: int) -> bytes:
        parts = []
        try:
            while n_bytes and (part := self._stream.read(n_bytes)):
                parts.append(part)
                n_bytes -= len(part)
        except UNPACKING as error:
            raise unpacking_failure(self.path, error, FormatError) from error
        except OSError as error:
            raise _unreadable(self.path, error) from error
        return parts[0] if len(parts) == 1 else b"".join(parts)


class Made(Source):
    """Bytes that are made while they are read, in the place of those of a file.

    Args:
        path: the file that they are made of, for messages.
        size: how many there are, or None where nobody can know.
        blocks: the bytes.
    """

    def __init__(self, path: str, size: int | None, blocks: Iterator[bytes]) -> None:
        self.path, self.size, self.stored_bytes = path, size, size
        self.compression, self.head = None, b""
        self._unpacked = None
        self._blocks, self._rest = blocks, b""

    def __exit__(self, *raised: object) -> None:
        """Nothing is open."""

    def read(self, n_bytes: int) -> bytes:
        """Return the next bytes, fewer than `n_bytes` only at the end."""
        parts, missing = [self._rest], n_bytes - len(self._rest)
        while missing > 0 and (block := next(self._blocks, None)) is not None:
            parts.append(block)
            missing -= len(block)
        data = b"".join(parts)
        self._rest = data[n_bytes:]
        return data[:n_bytes]


def _open(path: str) -> io.BufferedReader:
    try:
        if is_url(path):
            return io.BufferedReader(open_url(path), 1 << 16)
        return io.BufferedReader(io.FileIO(path), 1 << 16)
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: str, error: OSError) -> InputError:
    return InputError(f"cannot read {path}: {reason(error)}")
