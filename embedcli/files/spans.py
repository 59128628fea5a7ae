"""A stretch of a file as a text of its own: what several machines read of one file.

Where to cut is decided elsewhere (`cluster/shards.py`); here a stretch is opened and read.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

__all__ = ["Span", "open_span"]


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes `begin` up to `end` of a file or URL; or all of it, packed or not, if `end` is None.

    Attributes:
        source: a path, or a URL that fsspec opens.
        begin: the first byte.
        end: behind the last byte; None only if `begin` is 0.
    """

    source: str
    begin: int = 0
    end: int | None = None

    def __str__(self) -> str:
        return self.source if self.is_whole else f"{self.source} (bytes {self.begin} to {self.end})"

    @property
    def is_whole(self) -> bool:
        """Whether it is the whole file, which then may be packed or UTF-16."""
        return self.end is None

    @property
    def n_bytes(self) -> int | None:
        """How many bytes; None for a whole file."""
        return None if self.end is None else self.end - self.begin


def open_span(file: Any, span: Span) -> Any:
    """The bytes of `span` of the opened `file`, which is closed with it."""
    return file if span.is_whole else _Part(file, span)


class _Part(io.RawIOBase):
    """A part of a file that can seek."""

    def __init__(self, file: Any, span: Span) -> None:
        self._file = file
        self._left = span.n_bytes or 0
        file.seek(span.begin)

    def close(self) -> None:
        """Close the file too."""
        self._file.close()
        super().close()

    def fileno(self) -> int:
        """The file's; OSError where it has none."""
        return int(self._file.fileno())

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Fill `buffer` from its start; the number of bytes, 0 at the end of the part.

        Raises:
            OSError: the file ends before the part does.
        """
        view = memoryview(buffer)[: self._left]
        n = int(self._file.readinto(view)) if view else 0
        if view and not n:
            raise OSError(f"it ends {self._left} bytes too early: was it cut short?")
        self._left -= n
        return n
