"""What a file is that is not the text it was taken for, from its first bytes."""

from __future__ import annotations

import codecs
import re

from embedcli.errors import CorpusError
from embedcli.text.encodings import convert_with, seven_bit_encoding, wide_encoding

__all__ = ["check_is_not_seven_bit", "check_is_text", "is_parquet", "suspicion"]

_ARCHIVE = "unpack it and give the files inside, or pipe them in: unzip -p FILE | embed train -"
_CONVERT = "--encoding {0} reads it, or convert it: iconv -f {0} -t UTF-8 FILE | embed train -"
_EXTRACT = "extract its text to a plain file first"
_UNTAR = "unpack it, or pipe its files in: tar -xOf FILE | embed train -"
_GIVE_TEXT = "give text; embed info FILE tells what it holds"
_UTF32 = "UTF-32 text"
_MOST_SEVEN_BIT = 0.01  # of the bytes: so much may be quoted in other text
_TAR_HEADER = 512  # bytes
_INSIST = "; if it is text all the same: --as-text"

# Whole signatures: text may begin with any letters, and may hold them where an archive does.
_CONTROL = rb"[\x00-\x08\x0e-\x1f]"

# (first bytes, what it is, what to do)
_FORMATS: tuple[tuple[bytes, str, str], ...] = (
    (rb"PK(?:\x03\x04|\x05\x06)", "a zip archive (or a document made of one)", _ARCHIVE),
    (rb".{257}ustar(?:\0|  \0)", "a tar archive", _UNTAR),
    (rb"7z\xbc\xaf\x27\x1c", "a 7z archive", _ARCHIVE.replace("unzip -p", "7z x -so")),
    (rb"Rar!\x1a\x07", "a rar archive", _ARCHIVE.replace("unzip -p", "unrar p -inul")),
    (
        rb"\x04\x22\x4d\x18|\x02\x21\x4c\x18",
        "compressed by lz4",
        "pipe it in: lz4 -dc FILE | embed train -",
    ),
    (
        rb"\x1f\x9d[\x09-\x10\x89-\x90]",
        "compressed by compress",
        "pipe it in: zcat FILE | embed train -",
    ),
    (rb"LZIP[\x00\x01]", "compressed by lzip", "pipe it in: lzip -dc FILE | embed train -"),
    (
        rb"PAR1(?=.{0,16}" + _CONTROL + rb")",
        "a Parquet file",
        "name the column that holds the text: --field NAME",
    ),
    (rb"ARROW1\0\0", "an Arrow file", "write its text column to a plain file first"),
    (rb"SQLite format 3\0", "an SQLite database", "write its text to a plain file first"),
    (rb"\x89HDF\r\n\x1a\n", "an HDF5 file", _EXTRACT),
    (
        rb"%PDF-[12]\.[0-9](?=\s+%[\x80-\xff]{4}|\s.*\d \d+ obj\b)",
        "a PDF document",
        "extract its text first: pdftotext FILE - | embed train -",
    ),
    (rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Office document", _EXTRACT),
    (rb"\x7fELF[\x01\x02][\x01\x02]\x01", "a program (ELF)", "give text"),
    (
        rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff[\xc0-\xfe]|GIF8[79]a(?=.{0,6}" + _CONTROL + rb")",
        "an image",
        "give text",
    ),
    (rb"\x93NUMPY[\x01-\x03]", "a NumPy array", "give text"),
    # The length of its header, at most 100 MB, and the header.
    (rb".{3}[\x00-\x05]\0{4}\{\"", "a safetensors file", _GIVE_TEXT),
    (rb"\xff\xfe\0\0|\0\0\xfe\xff", _UTF32, _CONVERT.format("UTF-32")),
)
_PATTERNS = [(re.compile(magic, re.DOTALL), what, advice) for magic, what, advice in _FORMATS]

_PARQUET = next(pattern for pattern, what, _ in _PATTERNS if what == "a Parquet file")

_NOT_TEXT = (
    (rb"version https://git-lfs\.", "a git-LFS pointer, not the file itself (git lfs pull)"),
    (rb"\s*<(?:!doctype html|html)[\s>]", "an HTML page, not plain text"),
)
_SUSPICIONS = [(re.compile(start, re.IGNORECASE), what) for start, what in _NOT_TEXT]


def check_is_text(name: str, head: bytes, encoding: str | None = None) -> None:
    """Refuse what cannot be text.

    Args:
        name: the file's, for the message.
        head: its first few thousand bytes, decompressed.
        encoding: what somebody said it is in.

    Raises:
        CorpusError: it is something else; says what, and what to do.
    """
    for pattern, what, advice in _PATTERNS:
        if pattern.match(head) and not (encoding and what == _UTF32):
            raise _refusal(name, what, advice)
    if _is_old_tar(head):
        raise _refusal(name, "a tar archive", _UNTAR)
    wide = wide_encoding(head) if encoding is None else None
    if wide and not head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        advice = _CONVERT.format(wide).replace("FILE", name)
        raise CorpusError(f"{name} looks like {wide} without a byte order mark; {advice}")


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


def is_parquet(head: bytes) -> bool:
    """Whether a file that begins with `head` is a table of columns."""
    return _PARQUET.match(head) is not None


def suspicion(head: bytes) -> str | None:
    """What a text that begins with `head` probably is instead of the text that was meant."""
    return next((what for start, what in _SUSPICIONS if start.match(head)), None)


def _refusal(name: str, what: str, advice: str) -> CorpusError:
    return CorpusError(f"{name} is {what}, not text; {advice.replace('FILE', name)}{_INSIST}")


def _is_old_tar(head: bytes) -> bool:
    """Whether a header of tar begins `head`, of before "ustar" stood in it: its checksum fits."""
    header, kept = head[:_TAR_HEADER], head[148:156].strip(b" \0")
    if len(header) < _TAR_HEADER or not re.fullmatch(rb"[0-7]{1,7}", kept):
        return False
    return b"\0" in header[:148] and int(kept, 8) == sum(header) - sum(header[148:156]) + 8 * 32
