"""The lines of a file of records, whatever ends them."""

from __future__ import annotations

import io
from collections.abc import Iterator

from embedcli.text.encodings import Readable
from embedcli.text.fields import LONGEST_RECORD

__all__ = ["Lines"]

_BLOCK = 1 << 20


class Lines(Iterator[bytes | None]):
    """The lines of a file, without their ends; None in place of one that is too long to hold.

    A line ends at 0x0A. Where the first megabyte has none, but 0x0D, that ends lines too.
    """

    def __init__(self, file: Readable) -> None:
        self._file = file
        self._buffer = memoryview(bytearray(_BLOCK))
        self._lines: Iterator[bytes] = iter(())
        self._rest: bytes | None = b""
        self._is_first = True  # no line end has been seen
        self._cr_ends = False

    def __next__(self) -> bytes | None:
        line = next(self._lines, None)
        if line is not None:
            return line
        if self._rest is None:
            raise StopIteration
        return self._fill(self._rest)

    def _fill(self, rest: bytes) -> bytes | None:
        """Read on; the first line of what was read."""
        pieces = io.BytesIO()
        pieces.write(rest)
        is_too_long = False
        while n := self._file.readinto(self._buffer):
            piece = bytes(self._buffer[:n])
            pieces.write(piece.replace(b"\r", b"\n") if self._cr_ends else piece)
            if b"\n" in piece or self._has_cr_ends(pieces, at_end=False):
                return self._cut(pieces, is_too_long=is_too_long)
            if pieces.tell() > LONGEST_RECORD:
                is_too_long = True
                pieces = io.BytesIO()
        if self._has_cr_ends(pieces, at_end=True):
            return self._cut(pieces, is_too_long=is_too_long)
        self._rest = None
        last = pieces.getvalue()
        if not last and not is_too_long:
            raise StopIteration
        return None if is_too_long else last

    def _cut(self, pieces: io.BytesIO, *, is_too_long: bool) -> bytes | None:
        """Take over the lines that were read; the first of them."""
        self._is_first = False
        *lines, self._rest = pieces.getvalue().split(b"\n")
        self._lines = iter(lines)
        first = next(self._lines)
        return None if is_too_long or len(first) > LONGEST_RECORD else first

    def _has_cr_ends(self, pieces: io.BytesIO, *, at_end: bool) -> bool:
        """Whether what was read of the first line ends lines with CR; if so, they are replaced."""
        if self._cr_ends:
            return b"\n" in pieces.getbuffer()[-_BLOCK:].tobytes()
        if not self._is_first or (pieces.tell() < _BLOCK and not at_end):
            return False
        self._is_first = False
        text = pieces.getvalue()
        if b"\r" not in text.rstrip(b"\r"):
            return False
        self._cr_ends = True
        pieces.seek(0)
        pieces.write(text.replace(b"\r", b"\n"))
        return True
