# ruff: noqa: PTH202 (a path is a name here: it is shown as it was given)
"""The files of a text, opened one after the other, unpacked and decoded."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from embedcli.errors import CorpusError, EmbedError
from embedcli.files.compression import Unpacked, compression_of
from embedcli.files.kinds import is_parquet, suspicion
from embedcli.files.opening import UNPACKING, open_source, unpacking_failure
from embedcli.files.spans import Span, open_span
from embedcli.files.watch import state_of
from embedcli.settings.text_rules import TextRules
from embedcli.text.columns import parquet_texts
from embedcli.text.encodings import Readable, Transcoded, decoded
from embedcli.text.fields import Field, Texts
from embedcli.text.places import can_read_again, find_sources, listed, shown, unreadable
from embedcli.text.recognition import check_is_not_seven_bit, check_is_text
from embedcli.text.records import noted, texts_of, texts_of_part
from embedcli.text.syntax import syntax

__all__ = ["Library", "find_sources", "opened"]

_HEAD = 4096  # bytes that tell what a file is
_FIRST = 1 << 20  # bytes of a file that are looked at
_SAMPLE, _MOST_SAMPLES = 1 << 16, 1 << 8  # bytes, files
_MOST_MALFORMED = 0.01  # of the characters: more, and the encoding is another
_FAILURES = (OSError, *UNPACKING)


def opened(
    paths: Sequence[str | Span],
    rules: TextRules | None = None,
    *,
    recursive: bool = False,
    has_columns: bool = False,
) -> Library:
    """The library of the files that `paths` mean (`find_sources`), to be read by `rules`.

    `has_columns`: whether lines may have tabs, as labels may stand before one.
    """
    rules = rules or TextRules()
    skipped: list[tuple[str, str]] = []
    sources = find_sources(paths, recursive=recursive, skipped=skipped)
    library = Library(sources, Field.named_by(rules), rules)
    library.has_columns = has_columns
    for name, what in skipped:
        library.suspect(name, f"skipped, as it is {what}")
    return library


class Library(Iterator[Readable]):
    """The files of a corpus, opened one after the other as they are asked for.

    Attributes:
        digest: of the decompressed bytes so far.
        n_bytes: how many these are.
        n_consumed: bytes read from disk so far.
        n_total: bytes on disk in all; None where nobody can know.
        title: what to call it in messages.
        field: what is read of each record, where files hold records.
        rules: how text becomes tokens; here: what files are in, whatever they look like.
        asked: the same as they were given, before the text settled what they leave open.
        samples: by name, the first part beyond ASCII of files that cannot be read again.
        sources: the files.
        has_syntax: whether a file so far seems to be records or markup.
        has_columns: whether lines may have tabs.
    """

    def __init__(
        self,
        sources: Sequence[str | Span],
        field: Field | None = None,
        rules: TextRules | None = None,
    ) -> None:
        self.field = field
        self.rules = self.asked = rules or TextRules()
        self.samples: dict[str, bytes] = {}
        self.sources = tuple(sources)
        self.has_columns = False
        self.digest = hashlib.sha256()
        self.n_bytes = 0
        self.n_consumed = 0
        self.n_total: int | None = 0
        self.has_syntax = False
        names = [shown(source) for source in sources]
        self.title = listed(names)
        self._suspicions: dict[str, list[str]] = {}
        self._current: _TextFile | None = None
        self._is_ahead = False  # it was opened to be looked at, and nobody has it yet
        self._waiting = list(reversed(sources))
        for source in sources:
            self._survey(source)

    @property
    def suspicions(self) -> list[str]:
        """Remarks on files that seem not to be what they were taken for."""
        return [f"{listed(names)}: {remark}" for remark, names in self._suspicions.items()]

    def suspect(self, name: str, remark: str) -> None:
        """Note a remark on a file; the same on others is made once."""
        self._suspicions.setdefault(remark, []).append(name)

    def consume(self, data: memoryview) -> None:
        """Note bytes that were read from disk."""
        self.n_consumed += len(data)

    def digest_text(self, data: memoryview) -> None:
        """Note bytes of text, decompressed but not yet decoded."""
        self.digest.update(data)
        self.n_bytes += len(data)

    def __next__(self) -> Readable:
        """Open the next file.

        Raises:
            CorpusError: it cannot be read, or is no text.
        """
        if self._is_ahead and self._current is not None:
            self._is_ahead = False
            return self._current
        if not self._waiting:
            raise StopIteration
        self._current = _TextFile(self._waiting.pop(), self)
        return self._current

    def peek(self, size: int) -> bytes:
        """The first `size` bytes of the text of the next file, fewer if it ends; none are read.

        Raises:
            CorpusError: it cannot be read, or is no text.
        """
        file = self._current if self._is_ahead else _TextFile(self._waiting.pop(), self)
        self._current, self._is_ahead = file, True
        return file.peek(size) if file is not None else b""

    def close(self) -> None:
        """Close the file that is being read, if any."""
        if self._current is not None:
            self._current.close()

    def _survey(self, source: str | Span) -> None:
        """Find out before the work begins what would end it."""
        name = source.source if isinstance(source, Span) else source
        is_file = can_read_again(source)
        if is_file and not os.access(name, os.R_OK):
            raise CorpusError(f"{name} cannot be read: Permission denied")
        if isinstance(source, Span) and source.n_bytes is not None and self.n_total is not None:
            self.n_total += source.n_bytes
        elif is_file and self.n_total is not None:
            self.n_total += os.path.getsize(name)
        else:
            self.n_total = None


class _TextFile:
    """One file: opened, decompressed, digested, decoded; every failure names it.

    A stretch of a file is UTF-8 that was looked at when it was cut: nothing is told from its first
    bytes, which are some line's.
    """

    def __init__(self, source: str | Span, library: Library) -> None:
        self.name = shown(source)
        self._library = library
        self._unpacked: Unpacked | None = None
        self._plain: Readable | None = None
        self._ahead = b""  # what was looked at
        self._first: list[bytes] | None = []  # what was read, while it is to be looked at
        is_part = isinstance(source, Span) and not source.is_whole
        rules = library.rules
        try:
            self._file = _open(source)
        except OSError as error:
            raise self._failure(error) from error
        try:
            self._before = _identity(self._file)
            self._is_once = not can_read_again(source)
            packed = _Tapped(self._file, library.consume)
            head = packed.peek()
            if library.field is not None and not rules.as_text and is_parquet(head):
                rows = parquet_texts(self._file, library.field, self.name)
                texts = Texts(noted(rows, library.field, self.name))
                self._text: Readable = _Tapped(texts, library.digest_text)
            else:
                kind = None if is_part else compression_of(head)
                self._unpacked = Unpacked(packed, kind) if kind else None
                text = _Tapped(self._unpacked or packed, library.digest_text)
                is_inside = isinstance(source, Span) and source.begin > 0
                head = b"" if is_inside else text.peek()
                if not rules.as_text:
                    check_is_text(self.name, head, rules.encoding)
                self._text = self._plain = decoded(text, head, rules.encoding)
                if isinstance(self._plain, Transcoded) and not is_inside:
                    self._text = again = _Tapped(self._plain, lambda data: None)
                    head = again.peek()
                if library.field is not None and is_inside:
                    self._text = texts_of_part(self._text, library.field, self.name)
                elif library.field is not None:
                    self._text = texts_of(self._text, head, library.field, self.name)
        except _FAILURES as error:
            self.close()
            raise self._failure(error) from error
        except BaseException:
            self.close()
            raise
        what = suspicion(head)
        if what and not rules.as_text:
            library.suspect(self.name, f"the first line looks like {what}")
        elif library.field is None and not rules.as_text:
            remark = syntax(head, rules, has_columns=library.has_columns)
            if remark:
                library.suspect(self.name, remark)
                library.has_syntax = True

    @property
    def encoding(self) -> str:
        """What it is read as."""
        return self._plain.encoding if isinstance(self._plain, Transcoded) else "utf-8"

    def close(self) -> None:
        """Close the file, at its end or before."""
        self._file.close()

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill `buffer` from its start; the number of bytes, 0 at the end.

        Raises:
            CorpusError: the file cannot be read on, is damaged, or was changed meanwhile.
        """
        try:
            n = self._next(buffer)
            if n == 0:
                self._check_unchanged()
                self._check_padding()
                self._check_encoding()
                self.close()
            if self._first is not None:
                self._first.append(bytes(buffer[:n]))
                if n == 0 or sum(map(len, self._first)) >= _FIRST:
                    self._look_at(b"".join(self._first))
                    self._first = None
        except _FAILURES as error:
            raise self._failure(error) from error
        return n

    def peek(self, size: int) -> bytes:
        """The first `size` bytes of the text, fewer if it ends, which stay unread."""
        buffer = memoryview(bytearray(size))
        n = 0
        try:
            while n < size and (got := self._next(buffer[n:])):
                n += got
        except _FAILURES as error:
            raise self._failure(error) from error
        self._ahead = bytes(buffer[:n]) + self._ahead
        return bytes(buffer[:n])

    def _next(self, buffer: memoryview) -> int:
        """Take what was looked at, then what comes from the file."""
        if not self._ahead:
            return self._text.readinto(buffer)
        n = min(len(buffer), len(self._ahead))
        buffer[:n] = self._ahead[:n]
        self._ahead = self._ahead[n:]
        return n

    def _check_unchanged(self) -> None:
        if _identity(self._file) != self._before:
            raise CorpusError(
                f"{self.name} was changed while it was read; start again when it is complete"
            )

    def _look_at(self, text: bytes) -> None:
        """See from its first part what a file is in; keep it where it cannot be read again."""
        library = self._library
        if library.rules.encoding is None and not library.rules.as_text:
            remark = check_is_not_seven_bit(self.name, text)
            if remark:
                library.suspect(self.name, remark)
        if self._is_once and len(library.samples) < _MOST_SAMPLES:
            lines = (line for line in text.split(b"\n") if not line.isascii())
            library.samples[self.name] = b"\n".join(lines)[:_SAMPLE]

    def _check_encoding(self) -> None:
        plain = self._plain
        if not isinstance(plain, Transcoded) or not plain.replaced:
            return
        what = f"{plain.replaced} of its {plain.characters} characters"
        if plain.replaced > _MOST_MALFORMED * plain.characters:
            raise CorpusError(
                f"{self.name} does not look like {plain.encoding} text: {what} cannot be read"
            )
        self._library.suspect(
            self.name, f"{what} are no {plain.encoding} and were replaced by U+FFFD"
        )

    def _check_padding(self) -> None:
        if self._unpacked is not None and self._unpacked.padding:
            self._library.suspect(
                self.name,
                f"{self._unpacked.padding} zero bytes were taken for padding of packed data",
            )

    def _failure(self, error: Exception) -> EmbedError:
        if isinstance(error, UNPACKING):
            return unpacking_failure(self.name, error, CorpusError)
        return unreadable(self.name, error)


class _Tapped(io.RawIOBase):
    """A stream that tells of all bytes that pass, and whose first ones can be looked at."""

    def __init__(self, stream: Any, tap: Callable[[memoryview], None]) -> None:
        self._stream = stream
        self._tap = tap
        self._head = b""

    def peek(self) -> bytes:
        """The first few thousand bytes, which stay unread."""
        head = bytearray(_HEAD)
        n = 0
        while n < len(head) and (got := self._stream.readinto(memoryview(head)[n:])):
            n += got
        self._head = bytes(head[:n])
        return self._head

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Fill `buffer` from its start; the number of bytes, 0 at the end."""
        view = memoryview(buffer).cast("B")
        if self._head:
            n = min(len(view), len(self._head))
            view[:n] = self._head[:n]
            self._head = self._head[n:]
        else:
            n = int(self._stream.readinto(view))
        self._tap(view[:n])
        return n


def _open(source: str | Span) -> Any:
    """A binary stream with ``readinto`` and ``close``; unbuffered where it can be."""
    if isinstance(source, Span):
        return open_span(open_source(source.source), source)
    return open_source(source)


def _identity(file: Any) -> tuple[int, int] | None:
    """As `state_of`; None, too, of what is no file of the system, such as a download."""
    try:
        return state_of(file.fileno())
    except (OSError, AttributeError):
        return None
