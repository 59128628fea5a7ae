"""Refuses what was taken for UTF-8 text and is something else, by its first bytes."""

from __future__ import annotations

import codecs
from typing import Final

from embedcli.errors import CorpusError
from embedcli.files.kinds import UTF32, foreign_to_text
from embedcli.text.encodings import convert_with, seven_bit_encoding, wide_encoding

__all__ = ["check_is_not_seven_bit", "check_is_text"]

_MOST_SEVEN_BIT: Final = 0.01  # of the bytes: so much may be quoted in other text
_INSIST: Final = "; if it is text all the same: --as-text"


def check_is_text(name: str, head: bytes, encoding: str | None = None) -> None:
    """Refuse what cannot be text.

    Args:
        name: the file's, for the message.
        head: its first few thousand bytes, decompressed.
        encoding: what somebody said it is in.

    Raises:
        CorpusError: it is something else; says what, and what to do.
    """
    found = foreign_to_text(head)
    if found is not None and not (encoding and found[0] == UTF32):
        what, advice = found
        raise CorpusError(f"{name} is {what}, not text; {advice.replace('FILE', name)}{_INSIST}")
    wide = wide_encoding(head) if encoding is None else None
    if wide and not head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise CorpusError(
            f"{name} looks like {wide} without a byte order mark; --encoding {wide} reads it, or "
            f"convert it: iconv -f {wide} -t UTF-8 {name} | embed train -"
        )


def check_is_not_seven_bit(name: str, text: bytes) -> str | None:
    """Refuse text in which ASCII stands for other letters; what to say where little of it is.

    Args:
        name: the file's, for the message.
        text: its first part.

    Raises:
        CorpusError: more than a hundredth of it is so; says in which encoding.
    """
    found = seven_bit_encoding(text)
    if found is None:
        return None
    encoding, share = found
    if share > _MOST_SEVEN_BIT:
        raise CorpusError(f"{name} is not UTF-8 text; {convert_with(encoding, name)}")
    return f"a part of it looks like {encoding}, and is read as ASCII"
