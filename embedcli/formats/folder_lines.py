r"""Lines of text beside arrays of numbers: one word a line, and nothing else in it.

Lines end at \n and nowhere else when read here, but other readers also end them at a carriage
return, and split them at tabs: what a format's readers would trip over is refused when writing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from embedcli.errors import FormatError
from embedcli.files.plain import read_plain
from embedcli.files.publish import publish
from embedcli.quoting import quoted

__all__ = ["read_lines", "refuse_characters", "write_lines"]


def write_lines(path: Path, words: Sequence[str]) -> None:
    """Write one word a line."""
    with publish(path) as sink:
        sink.write("".join(f"{word}\n" for word in words).encode())


def refuse_characters(words: Sequence[str], format_name: str, refused: str) -> None:
    """Refuse words that hold one of the characters `refused`.

    Raises:
        FormatError: names the first one.
    """
    text = "".join(words)
    if not any(character in text for character in refused):
        return
    for row, word in enumerate(words, 1):
        if any(character in word for character in refused):
            raise FormatError(
                f"cannot save {quoted(word)} (row {row}) as {format_name}: a word with a tab or a "
                f"line break could not be read back (safetensors keeps it)"
            )


def read_lines(path: Path) -> list[bytes]:
    r"""The lines of `path`, without \n."""
    data = read_plain(path)
    return data.removesuffix(b"\n").split(b"\n") if data else []
