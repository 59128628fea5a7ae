"""Records in JSON: an object a line, or objects over several lines, in an array or not.

A lone surrogate (half of an emoji that was cut) is what JSON may say and UTF-8 may not: it becomes
U+FFFD.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable, Iterator

from embedcli.quoting import quoted_bytes
from embedcli.text.encodings import Readable
from embedcli.text.fields import (
    ALL_SURROGATES,
    ESCAPED_ONLY,
    LONGEST_RECORD,
    OVER_LONG,
    Field,
    Place,
)

__all__ = ["json_line_text", "json_line_texts", "json_texts"]

_READ = 1 << 16
_ESCAPED = re.compile(r"\\u[dD][89a-fA-F]")
_BETWEEN = re.compile(r"[\s,\[\]\ufeff]*")  # array or not, what is between objects
_OBJECT_ON_LINE = re.compile(r"\n[ \t]*\{")


def json_line_texts(lines: Iterable[bytes | None], field: Field, title: str) -> Iterator[str]:
    """The texts of JSON lines."""
    for number, line in enumerate(lines, 1):

        def place(number: int = number) -> str:
            return f"{title}, line {number}"

        if line is None:
            yield field.reject(OVER_LONG.format(place()))
        elif line.strip():
            yield json_line_text(line, field, place)


def json_line_text(line: bytes, field: Field, place: Place) -> str:
    """The text of a JSON line that is not empty."""
    text = line.decode(errors="surrogateescape").removeprefix("\ufeff")  # files were joined
    return _text(text, field, place)


def _text(line: str, field: Field, place: Place) -> str:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        record = None
    return _of_record(record, line, field, place)


def _of_record(record: object, line: str, field: Field, place: Place) -> str:
    """The text of a record that was written as `line`."""
    if not isinstance(record, dict):
        found = quoted_bytes(line.encode(errors="surrogateescape"))
        return field.reject(f"{place()}: expected a JSON object, found {found}")
    surrogates = None
    if "\\u" in line and _ESCAPED.search(line):
        surrogates = ESCAPED_ONLY if ALL_SURROGATES.search(line) else ALL_SURROGATES
    return field.text(field.within(record), place, surrogates)


def json_texts(file: Readable, field: Field, title: str) -> Iterator[str]:
    """The texts of JSON objects that follow each other, over lines as they like, or in an array.

    Where one is malformed, reading goes on at the next line that begins with an object.
    """
    decoder = json.JSONDecoder()
    text = _Text(file)
    while text.skip(_BETWEEN):
        record: object = None
        try:
            record, end = decoder.raw_decode(text.seen, text.at)
        except RecursionError:
            end = text.at
        except ValueError:
            if text.read_on():
                continue
            end = text.at
        if end == text.at:
            following = _OBJECT_ON_LINE.search(text.seen, text.at)
            end = len(text.seen) if following is None else following.start()
        elif end == len(text.seen) and text.read_on():
            continue  # a number may go on
        number = text.line

        def place(number: int = number) -> str:
            return f"{title}, line {number}"

        yield _of_record(record, text.seen[text.at : end], field, place)
        text.advance(end)


class _Text:
    """A text read bit by bit.

    Attributes:
        seen: what is held of it.
        at: where in it the next value begins.
        line: the number of the line that begins there.
    """

    def __init__(self, file: Readable) -> None:
        self.seen = ""
        self.at = 0
        self.line = 1
        self._file = file
        self._decode = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode
        self._ended = False

    def skip(self, pattern: re.Pattern[str]) -> bool:
        """Go behind what `pattern` matches; whether anything is left then."""
        while True:
            found = pattern.match(self.seen, self.at)
            self.advance(self.at if found is None else found.end())
            if self.at < len(self.seen):
                return True
            if not self.read_on():
                return False

    def advance(self, at: int) -> None:
        """Go on to `at`."""
        self.line += self.seen.count("\n", self.at, at)
        self.at = at
        if self.at > max(_READ, len(self.seen) // 2):
            self.seen, self.at = self.seen[self.at :], 0

    def read_on(self) -> bool:
        """Hold about twice as much; False at the end, or where a record would be too long."""
        if self._ended or len(self.seen) - self.at > LONGEST_RECORD:
            return False
        wanted = max(_READ, len(self.seen) - self.at)
        pieces, buffer = [self.seen], memoryview(bytearray(wanted))
        n_read = 0
        while n_read < wanted and not self._ended:
            n = self._file.readinto(buffer[: wanted - n_read])
            self._ended = n == 0
            pieces.append(self._decode(bytes(buffer[:n]), self._ended))
            n_read += n
        self.seen = "".join(pieces)
        return True
