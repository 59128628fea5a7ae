"""Cut a text into blocks that end between tokens, so that threads can take one each.

Where that is can be told from the bytes alone, wherever one begins to look (`separators.py`). A
line ends at 0x0A; the end of a file ends a line.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedcli.kernels.tokenize import MAX_BYTES, PAD
from embedcli.text.encodings import Readable
from embedcli.text.separators import WHITE, Separator

__all__ = ["Block", "BlockReader"]

_HOPELESS = 4 * MAX_BYTES  # bytes without a separator: too long a token, however it decodes


@dataclass(frozen=True, slots=True)
class Block:
    """The part of the text a thread takes next; the bytes are in the buffer it brought.

    Attributes:
        index: blocks in the order of the text, from 0.
        start: where to begin: behind the rest of a token that began in an earlier block.
        end: where the bytes end and `PAD` separators begin.
        ends_file: whether the file ends here, and with it the line.
        open_line: whether the file ends without a line end.
    """

    index: int
    start: int
    end: int
    ends_file: bool
    open_line: bool


class BlockReader:
    """Hands out the blocks of several files in order, to any number of threads.

    A block ends behind a separator or at the end of a file. Only a token that is too long to be
    kept is ever cut: the block that begins inside of it says so by its `start`.

    Args:
        files: the opened files, one after the other.
        block_bytes: bytes read at once.
        separator: what stands between tokens.
        anywhere: whether to cut between any two characters where there is no separator, as the
            tokenizer finds tokens between them all the same.
    """

    def __init__(
        self,
        files: Iterator[Readable],
        block_bytes: int,
        separator: Separator = WHITE,
        *,
        anywhere: bool = False,
    ) -> None:
        self._anywhere = anywhere
        self._files = files
        self._separator = separator
        self._file: Readable | None = None
        self._block_bytes = block_bytes
        self._rest = b""  # read, but behind the end of the last block
        self._inside = False  # the last block ended inside a token
        self._last = ord("\n")  # byte of the last block of this file
        self._index = 0
        self._lock = threading.Lock()

    def buffer(self) -> NDArray[np.uint8]:
        """A buffer for `next`; each thread needs its own."""
        return np.empty(2 * self._block_bytes + _HOPELESS + PAD, np.uint8)

    def next(self, buffer: NDArray[np.uint8]) -> Block | None:
        """Read the next block into `buffer`; None behind the last one."""
        with self._lock:
            self._file = self._file or next(self._files, None)
            if self._file is None:
                return None
            end, n, ends_file = self._fill(self._file, buffer)
            self._rest = buffer[end:n].tobytes()
            self._last = int(buffer[end - 1]) if end else self._last
            buffer[end : end + PAD] = self._separator.padding
            start = self._separator.first(buffer[:end]) if self._inside else 0
            is_cut = not ends_file and self._separator.behind_last(buffer[start:end]) == 0
            self._inside = is_cut and not self._anywhere
            open_line = ends_file and self._last != ord("\n")
            if ends_file:
                self._file = None
                self._last = ord("\n")
            self._index += 1
            return Block(self._index - 1, start, end, ends_file, open_line)

    def _fill(self, file: Readable, buffer: NDArray[np.uint8]) -> tuple[int, int, bool]:
        """Read until there is a place to cut: that place, the bytes read, whether the file ends."""
        view = buffer.data
        n = len(self._rest)
        view[:n] = self._rest
        while True:
            goal = n + self._block_bytes
            while n < goal:
                got = file.readinto(view[n:goal])
                if not got:
                    return n, n, True
                n += got
            end = self._separator.behind_last(buffer[:n])
            if end == 0 and n > _HOPELESS:
                end = _last_character(view[:n])
            if end:
                return end, n, False


def _last_character(text: memoryview) -> int:
    """A place near the end that no UTF-8 sequence, well or malformed, spans."""
    for at in range(len(text) - 1, len(text) - 4, -1):
        if text[at] & 0xC0 != 0x80:  # not a continuation byte: one may cut before it
            return at
    return len(text)  # the fourth continuation byte in a row belongs to no sequence
