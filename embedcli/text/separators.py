"""The separators between tokens: white space, or `--separator`.

White space is every character for which `str.isspace` holds, and NUL. Items are apart by one byte;
a separator of several is replaced by one while the text is read, by U+001F, which ASCII has for
this. NUL, the end of a line and a carriage return separate items in any case.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from embedcli.kernels.intrinsics.text_bytes import WHITE_SPACE

if TYPE_CHECKING:
    from embedcli.text.encodings import Readable

__all__ = ["SPACE", "WHITE", "Separator"]

# Each character that str.isspace() accepts, in UTF-8, and NUL.
SPACE = re.compile(
    rb"[\x00\x09-\x0d\x1c-\x20]|\xc2[\x85\xa0]|\xe1\x9a\x80"
    rb"|\xe2(?:\x80[\x80-\x8a\xa8\xa9\xaf]|\x81\x9f)|\xe3\x80\x80"
)
_BEGINS_SPACE = (0, *range(0x09, 0x0E), *range(0x1C, 0x21), 0xC2, 0xE1, 0xE2, 0xE3)
_ENDS_ITEM = b"\x00\n\r"
_UNIT_SEPARATOR = b"\x1f"
_NEAR = 4096  # where the last separator is looked for first


class Separator:
    """White space, or the bytes `text` and the ends of lines.

    Attributes:
        byte: what the kernel is compiled for: one byte, or `WHITE_SPACE`.
        padding: a byte that ends tokens, but no line.
    """

    def __init__(self, text: bytes | None = None) -> None:
        self._text = text
        self._begins = np.zeros(256, bool)
        if text is None:
            self.byte, self.padding = WHITE_SPACE, ord(" ")
            self._pattern = SPACE
            self._begins[list(_BEGINS_SPACE)] = True
        else:
            one = text if len(text) == 1 else _UNIT_SEPARATOR
            self.byte = self.padding = one[0]
            self._pattern = re.compile(b"[" + re.escape(one + _ENDS_ITEM) + b"]")
            self._begins[list(one + _ENDS_ITEM)] = True

    def behind_last(self, text: NDArray[np.uint8]) -> int:
        """Behind the last separator in `text`, or 0 if there is none."""
        for begin in (max(0, len(text) - _NEAR), 0):
            near = text[begin:]
            for at in reversed(np.flatnonzero(self._begins[near]).tolist()):
                found = self._pattern.match(near.data, at)
                if found:
                    return begin + found.end()
        return 0

    def first(self, text: NDArray[np.uint8]) -> int:
        """Where the first separator begins, or the length if there is none."""
        for at in np.flatnonzero(self._begins[text]).tolist():
            if self._pattern.match(text.data, at):
                return int(at)
        return len(text)

    def of(self, file: Readable) -> Readable:
        """The same text with one byte in place of a separator of several."""
        if self._text is None or len(self._text) == 1:
            return file
        return _Replaced(file, self._text)


WHITE = Separator()


class _Replaced:
    """A text in which U+001F stands for every occurrence of `old`."""

    def __init__(self, file: Readable, old: bytes) -> None:
        self._file = file
        self._old = old
        self._rest = b""  # what may be the beginning of an occurrence
        self._ready = b""
        self._ended = False

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill `buffer` from its start; the number of bytes, 0 at the end."""
        while not self._ready and not self._ended:
            raw = memoryview(bytearray(len(buffer)))
            n = self._file.readinto(raw)
            self._ended = n == 0
            text = (self._rest + raw[:n]).replace(self._old, _UNIT_SEPARATOR)
            kept = 0 if self._ended else _overlap(text, self._old)
            self._ready, self._rest = text[: len(text) - kept], text[len(text) - kept :]
        n = min(len(buffer), len(self._ready))
        buffer[:n] = self._ready[:n]
        self._ready = self._ready[n:]
        return n


def _overlap(text: bytes, wanted: bytes) -> int:
    """How many of the last bytes of `text` are the first ones of `wanted`."""
    most = min(len(text), len(wanted) - 1)
    return next((n for n in range(most, 0, -1) if text.endswith(wanted[:n])), 0)
