"""What a file is that is not the text it was taken for, from its first bytes."""

from __future__ import annotations

import codecs
import re

from embedcli.errors import CorpusError

__all__ = ["check_is_text", "suspicion"]

_ARCHIVE = "unpack it and give the files inside, or pipe them in: unzip -p FILE | embed train -"
_CONVERT = "convert it to UTF-8 first: iconv -f {} -t UTF-8 FILE | embed train -"
_EXTRACT = "extract its text to a plain file first"

# (first bytes, what it is, what to do)
_FORMATS: tuple[tuple[bytes, str, str], ...] = (
    (rb"PK\x03\x04|PK\x05\x06", "a zip archive (or a document made of one)", _ARCHIVE),
    (
        rb".{257}ustar",
        "a tar archive",
        "unpack it, or pipe its files in: tar -xOf FILE | embed train -",
    ),
    (rb"7z\xbc\xaf\x27\x1c", "a 7z archive", _ARCHIVE.replace("unzip -p", "7z x -so")),
    (rb"Rar!\x1a\x07", "a rar archive", _ARCHIVE.replace("unzip -p", "unrar p -inul")),
    (rb"\x04\x22\x4d\x18", "compressed by lz4", "pipe it in: lz4 -dc FILE | embed train -"),
    (rb"\x1f\x9d", "compressed by compress", "pipe it in: zcat FILE | embed train -"),
    (rb"LZIP", "compressed by lzip", "pipe it in: lzip -dc FILE | embed train -"),
    (rb"PAR1", "a Parquet file", "name the column that holds the text: --field NAME"),
    (rb"ARROW1", "an Arrow file", "write its text column to a plain file first"),
    (rb"SQLite format 3\x00", "an SQLite database", "write its text to a plain file first"),
    (rb"\x89HDF\r\n", "an HDF5 file", _EXTRACT),
    (rb"%PDF-", "a PDF document", "extract its text first: pdftotext FILE - | embed train -"),
    (rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Office document", _EXTRACT),
    (rb"\x7fELF", "a program (ELF)", "give text"),
    (rb"\x89PNG\r\n|\xff\xd8\xff|GIF8[79]a", "an image", "give text"),
    (rb"\x93NUMPY", "a NumPy array", "give text"),
    (rb".{8}\{\"", "a safetensors file", "give text; embed info FILE tells what it holds"),
    (rb"\xff\xfe\x00\x00|\x00\x00\xfe\xff", "UTF-32 text", _CONVERT.format("UTF-32")),
)
_PATTERNS = [(re.compile(magic, re.DOTALL), what, advice) for magic, what, advice in _FORMATS]

_NOT_TEXT = (
    (rb"version https://git-lfs\.", "a git-LFS pointer, not the file itself (git lfs pull)"),
    (rb"\s*<(?:!doctype html|html)[\s>]", "an HTML page, not plain text"),
)
_SUSPICIONS = [(re.compile(start, re.IGNORECASE), what) for start, what in _NOT_TEXT]


def check_is_text(name: str, head: bytes) -> None:
    """Refuse what cannot be text.

    Args:
        name: the file's, for the message.
        head: its first few thousand bytes, decompressed.

    Raises:
        CorpusError: it is something else; says what, and what to do.
    """
    for pattern, what, advice in _PATTERNS:
        if pattern.match(head):
            raise CorpusError(f"{name} is {what}, not text; {advice.replace('FILE', name)}")
    wide = _wide_encoding(head)
    if wide and not head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        advice = _CONVERT.format(wide).replace("FILE", name)
        raise CorpusError(f"{name} looks like {wide} without a byte order mark; {advice}")


def suspicion(head: bytes) -> str | None:
    """What a text that begins with `head` probably is instead of the text that was meant."""
    return next((what for start, what in _SUSPICIONS if start.match(head)), None)


def _wide_encoding(head: bytes) -> str | None:
    """The encoding with two or four bytes a letter in which `head` would be Western text."""
    n = len(head) // 4
    if n < 2:
        return None
    zeros = [head[place : 4 * n : 4].count(0) / n for place in range(4)]
    is_zero = [share > 0.5 for share in zeros]
    if any(0.1 < share < 0.5 for share in zeros):
        return None
    match is_zero:
        case [False, True, True, True]:
            return "UTF-32LE"
        case [True, True, True, False]:
            return "UTF-32BE"
        case [False, True, False, True]:
            return "UTF-16LE"
        case [True, False, True, False]:
            return "UTF-16BE"
    return None
