# ruff: noqa: PTH123 (a path is a name here: it is shown as it was given)
"""Opens a file, a URL or standard input, with clear errors."""

from __future__ import annotations

import io
import select
import sys
from typing import Any, Final

from embedcli.errors import EmbedError, ResourceError, UsageError
from embedcli.files.compression import DamagedError, WindowError
from embedcli.files.urls import is_url, open_url

__all__ = ["STDIN", "UNPACKING", "open_source", "reason", "unpacking_failure"]

STDIN: Final = "-"
UNPACKING: Final = (EOFError, DamagedError, WindowError)  # what reading packed data may raise


def reason(error: BaseException) -> str:
    """Why the system, or a library behind a URL, cannot read a file."""
    if isinstance(error, FileNotFoundError) and not error.errno:  # fsspec's says the path again
        return "no such file"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def unpacking_failure(name: str, error: Exception, kind: type[EmbedError]) -> EmbedError:
    """The error, of the class `kind`, for one of `UNPACKING`; WindowError is a ResourceError."""
    if isinstance(error, EOFError):
        # A decompressor may take what follows the data for the beginning of more of it.
        return kind(
            f"{name} is truncated: its compressed data ends too early, or something else follows it"
        )
    if isinstance(error, WindowError):
        return ResourceError(f"{name} cannot be unpacked: {error}")
    return kind(f"{name} is damaged: {error}; is the download complete?")


def open_source(name: str) -> Any:
    """Open a file, a URL or standard input as a binary stream.

    Raises:
        OSError: it cannot be opened.
        UsageError: standard input is a terminal; or nothing can open such a URL.
    """
    if name == STDIN:
        return _open_stdin()
    return open_url(name) if is_url(name) else open(name, "rb", buffering=0)


def _open_stdin() -> Any:
    if sys.stdin.isatty():
        raise UsageError("reading from terminal? give a file, or pipe text in: ... | embed train -")
    try:
        descriptor = sys.stdin.fileno()
    except io.UnsupportedOperation:  # not a file: a stream that was put in its place
        return sys.stdin.buffer
    return _Patient(descriptor)


class _Patient(io.FileIO):
    """Standard input, which whoever started us may have made non-blocking for himself."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "rb", closefd=False)

    def readinto(self, buffer: Any, /) -> int:
        """Fill `buffer` from its start, waiting for the first byte; 0 at the end."""
        while (n := super().readinto(buffer)) is None:
            select.select([self], [], [])
        return n

    def read(self, size: int | None = -1, /) -> bytes:
        """The next bytes, waiting for the first one; b"" at the end."""
        if size is None or size < 0:
            return self.readall()
        data = bytearray(size)
        return bytes(data[: self.readinto(data)])

    def readall(self) -> bytes:
        """All that is left."""
        pieces = []
        while piece := self.read(io.DEFAULT_BUFFER_SIZE):
            pieces.append(piece)
        return b"".join(pieces)
