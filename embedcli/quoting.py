"""Text from strangers as a message, a table or a terminal may show it.

A word of a model or the name of a file is data, and a terminal obeys some characters: ESC moves
the cursor or changes the title, and an override of direction turns round what follows it on the
line. Those are shown as Python escapes. All else stays: joiners, which Persian, Indic scripts and
emoji are spelt with, marks of direction that end with their word, spaces of any width.
This module imports nothing of ours.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["escaped", "quoted"]

_OBEYED: Final = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # C0, DEL, C1: cursor, colours, titles, and the ends of lines and cells
    "\u2028\u2029"  # separators of lines and paragraphs
    "\u202a-\u202e\u2066-\u206f"  # embeddings, overrides, isolates, deprecated states of shaping
    "\ud800-\udfff"  # what stands for a byte that is not UTF-8, and cannot be written
    "]"
)


def escaped(text: str, keep: str = "") -> str:
    """`text` with what a terminal would obey as escapes, except the characters in `keep`."""
    return _OBEYED.sub(lambda found: found[0] if found[0] in keep else repr(found[0])[1:-1], text)


def quoted(text: str) -> str:
    """`text` in quotes, as ``repr`` gives it, but with nothing escaped that can be shown."""
    quote = '"' if "'" in text and '"' not in text else "'"
    return quote + escaped(text.replace("\\", "\\\\").replace(quote, f"\\{quote}")) + quote
