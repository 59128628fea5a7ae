"""The output of commands: data on stdout, messages on stderr.

What is shown to people, on stderr or where stdout is a terminal, holds nothing that a terminal
would obey (`quoting.py`): every line passes `DataStream.write` or `_say`.

Data is UTF-8 whatever the locale. A stdout that cannot be written is an error (a closed pipe is
not: `main.py` ends quietly); a stderr that cannot be written is nobody's concern, and must never
end a run that has trained for hours.
"""

from __future__ import annotations

import io
import json
import os
import re
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

import click

from embedcli.errors import OutputError
from embedcli.quoting import escaped, json_text

if TYPE_CHECKING:
    from embedcli.settings.text_rules import TextRules

__all__ = [
    "DataStream",
    "Verbosity",
    "discard",
    "echo",
    "echo_json",
    "echo_rows",
    "for_cell",
    "for_terminal",
    "report_error",
    "say_choice",
    "talk",
    "verbosity",
    "warn",
]

_RED, _YELLOW = "31", "33"
_WHITE = re.compile(r"[ \t\r\n]+")
_NO_WIDTH = re.compile("[\u200b-\u200f\u2060-\u2064\ufeff]")  # joiners, marks of direction


class DataStream(io.TextIOWrapper):
    """A stdout whose failures are OutputErrors, except that its reader has gone (BrokenPipeError).

    Whoever prints, click's help included, then needs no thought of it. Python forgets what it could
    not flush, so a failure has to be caught where it happens: a later flush would report success.
    """

    def write(self, text: str) -> int:
        """Write `text`, as any text stream; a terminal gets nothing that it would obey."""
        try:
            return super().write(escaped(text, keep="\n\t") if self.isatty() else text)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise _stdout_error(error) from error

    def flush(self) -> None:
        """Hand everything written so far to the system."""
        try:
            super().flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise _stdout_error(error) from error


@dataclass
class Verbosity:
    """How much a command says: `-q` sets `quiet`, each `-v` adds one to `verbose`."""

    quiet: bool = False
    verbose: int = 0


def verbosity() -> Verbosity:
    """The verbosity of the command that runs in this thread."""
    context = click.get_current_context(silent=True)
    found = context.find_object(Verbosity) if context else None
    return found or Verbosity()


def echo(text: str) -> None:
    """Print one line of data."""
    sys.stdout.write(text + "\n")


def echo_rows(rows: Iterable[Sequence[object]], header: Sequence[str] | None = None) -> None:
    """Print rows: an aligned table on a terminal, otherwise tab-separated, row by row as they come.

    Floats get four decimals and None is `n/a`; a cell wanted otherwise is passed as a string.
    """
    if not sys.stdout.isatty():
        if header:
            echo("\t".join(header))
        for row in rows:
            echo("\t".join(for_cell(_text(cell)) for cell in row))
        return
    table = [[for_terminal(_text(cell)) for cell in row] for row in rows]
    numeric = [all(_is_number(cell) for cell in column) for column in zip(*table, strict=False)]
    for line in _aligned([list(header), *table] if header else table, numeric):
        echo(line)


def echo_json(value: object) -> None:
    """Print `value` as JSON on one line; NumPy scalars and arrays become numbers and lists.

    Raises:
        ValueError: `value` holds NaN or infinity, which JSON does not have: pass None instead.
    """
    text = json_text(value, default=_plain)
    if for_terminal(text) != text:
        text = json.dumps(value, allow_nan=False, default=_plain)
    echo(text)


def talk(message: str, *, at: int = 0) -> None:
    """Say something on stderr, unless `-q`; with `at=1` only under `-v`, with `at=2` only `-vv`."""
    level = verbosity()
    if not level.quiet and level.verbose >= at:
        _say(message)


def say_choice(asked: TextRules, chosen: TextRules) -> None:
    """Say what the text decided of how it is cut into words, if it did."""
    from embedcli.text.prose import choice_line

    if line := choice_line(asked, chosen):
        talk(line)


def warn(message: str) -> None:
    """Say `embed: warning: ...` on stderr, unless `-q`."""
    if not verbosity().quiet:
        _say(message, f"{_painted('embed: warning:', _YELLOW)} ")


def report_error(message: str) -> None:
    """Say `embed: error: ...` on stderr, on one line, whatever the verbosity."""
    _say(_WHITE.sub(" ", message).strip(), f"{_painted('embed: error:', _RED)} ")


def for_terminal(text: str) -> str:
    """`text` as one line of a terminal, where stdout is one."""
    return escaped(text) if sys.stdout.isatty() else text


def for_cell(text: str) -> str:
    """`text` as a cell of a row: a tab or the end of a line in it would make two of it."""
    return for_terminal(text.replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r"))


def discard(stream: TextIO) -> None:
    """Send what `stream` still holds, and all that follows, to nowhere.

    Without this, Python tries to flush it again at exit, complains and changes the exit code.
    """
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)


def _say(line: str, title: str = "") -> None:
    """One line on stderr, behind a `title` of our own."""
    clear = "\r\x1b[K" if sys.stderr.isatty() else ""  # of a progress bar, which comes back below
    try:
        sys.stderr.write(f"{clear}{title}{escaped(line)}\n")
        sys.stderr.flush()
    except OSError:  # closed or full: there is nobody left to tell
        discard(sys.stderr)


def _stdout_error(error: OSError) -> OutputError:
    return OutputError(f"standard output cannot be written: {error.strerror}")


def _painted(text: str, color: str) -> str:
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return text if plain or not sys.stderr.isatty() else f"\x1b[1;{color}m{text}\x1b[0m"


def _text(cell: object) -> str:
    if cell is None:
        return "n/a"
    return f"{cell:.4f}" if isinstance(cell, float) else str(cell)


def _is_number(text: str) -> bool:
    return (
        text.replace(".", "", 1).replace("-", "", 1).replace("%", "", 1).isdigit() or text == "n/a"
    )


def _width(text: str) -> int:
    """Columns `text` takes on a terminal: East Asian ones two, combining marks and joiners none."""
    if text.isascii():
        return len(text)
    return sum(map(_columns, text))


def _columns(character: str) -> int:
    if unicodedata.combining(character) or _NO_WIDTH.match(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _aligned(table: list[list[str]], numeric: list[bool]) -> Iterable[str]:
    """The lines of a table: numbers to the right, text to the left, two spaces between columns."""
    widths = [max(map(_width, column)) for column in zip(*table, strict=False)]
    for row in table:
        cells = [
            " " * (width - _width(cell)) + cell if right else cell + " " * (width - _width(cell))
            for cell, width, right in zip(row, widths, numeric or [False] * len(row), strict=False)
        ]
        yield "  ".join(cells).rstrip()


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):  # NumPy's scalars and arrays, without importing NumPy
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no JSON form")
