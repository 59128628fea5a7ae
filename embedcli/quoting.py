"""Text from strangers as a message, a table or a terminal may show it.

A word of a model or the name of a file is data, and a terminal obeys some characters: ESC moves
the cursor or changes the title, and an override of direction turns round what follows it on the
line. Those are shown as Python escapes. All else stays: joiners, which Persian, Indic scripts and
emoji are spelt with, marks of direction that end with their word, spaces of any width.
Where a name is a path that is not UTF-8, Python has a lone surrogate for each byte that is none; in
JSON and on a command line such a byte has an escape of its own (`json_text`, `shell_word`).
This module imports nothing of ours.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from typing import Any, Final

__all__ = ["escaped", "json_text", "quoted", "quoted_bytes", "shell_line", "shell_word"]

_OBEYED: Final = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # C0, DEL, C1: cursor, colours, titles, and the ends of lines and cells
    "\u2028\u2029"  # separators of lines and paragraphs
    "\u202a-\u202e\u2066-\u206f"  # embeddings, overrides, isolates, deprecated states of shaping
    "\ud800-\udfff"  # what stands for a byte that is not UTF-8, and cannot be written
    "]"
)

_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_MOST_BYTES: Final = 60


def escaped(text: str, keep: str = "") -> str:
    """`text` with what a terminal would obey as escapes, except the characters in `keep`."""
    return _OBEYED.sub(lambda found: found[0] if found[0] in keep else repr(found[0])[1:-1], text)


def quoted(text: str) -> str:
    """`text` in quotes, as ``repr`` gives it, but with nothing escaped that can be shown."""
    quote = '"' if "'" in text and '"' not in text else "'"
    return quote + escaped(text.replace("\\", "\\\\").replace(quote, f"\\{quote}")) + quote


def quoted_bytes(text: bytes) -> str:
    """The beginning of `text` in quotes: as text if it is UTF-8, otherwise as bytes."""
    cut = text[:_MOST_BYTES]
    more = "" if text == cut else "..."
    try:
        return quoted(cut.decode()) + more
    except UnicodeDecodeError:
        return (quoted(cut.decode(errors="ignore")) if more else repr(cut)) + more


def json_text(value: object, **options: Any) -> str:
    """`value` as JSON that can be written as UTF-8; `options` are those of ``json.dumps``.

    Characters stand as they are, unless one of them is a lone surrogate: then all that are not
    ASCII are escaped.

    Raises:
        ValueError: `value` holds NaN or infinity, which JSON does not have.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, **options)
    return json.dumps(value, allow_nan=False, **options) if _SURROGATE.search(text) else text


def shell_word(text: str) -> str:
    """`text` as one word for a shell; what is not UTF-8 as bash and zsh write it."""
    if not _SURROGATE.search(text):
        return shlex.quote(text)
    plain = "".join(chr(byte) if 32 <= byte < 127 and byte not in b"\\'" else f"\\x{byte:02x}"
                    for byte in os.fsencode(text))  # fmt: skip
    return f"$'{plain}'"


def shell_line(words: list[str]) -> str:
    """`words` as one line for a shell."""
    return " ".join(map(shell_word, words))
