"""What no command may do, whatever it was given: hang, crash, or send control characters."""

from __future__ import annotations

import re
from collections.abc import Iterator

from torture.children import Ended

__all__ = ["CODES", "harm", "manners"]

CODES = frozenset({0, 2, 3, 4, 5, 6, 7, 129, 130, 143})  # documented, and no fault of embed itself

_RAW = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f]"
)  # a terminal obeys these; tab and newline are text


def manners(ended: Ended) -> Iterator[str]:
    """What is wrong with how a command ended and with what it said."""
    if ended.code is None:
        yield f"it hangs: {ended.said.strip()[-2000:]}"
    elif ended.code not in CODES:
        yield f"exit code {ended.code}: {ended.said.strip()[-300:]}"
    if "Traceback" in ended.said:
        yield f"a traceback: {ended.said.strip()[-300:]}"
    if (raw := _RAW.search(ended.said)) is not None:
        yield f"a control character for the terminal: {ended.said[: raw.end()][-100:]!r}"
    if ended.code not in (0, None) and ended.said.count("embed: error:") != 1:
        yield f"exit code {ended.code} without its one line: {ended.said.strip()[-300:]!r}"


def harm(ended: Ended) -> str:
    """The same in one line; empty where all was well."""
    return "; ".join(manners(ended))
