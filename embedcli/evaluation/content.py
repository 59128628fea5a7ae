"""The bytes of an evaluation file, in UTF-8, whatever it is encoded in."""

from __future__ import annotations

import io

from embedcli.errors import FormatError
from embedcli.files.plain import read_finite
from embedcli.settings.text_rules import TextRules
from embedcli.text.encodings import Transcoded, convert_all, decoded

__all__ = ["encoding_error", "read_content"]

_LONGEST_MARK = 4  # bytes of a byte order mark


def read_content(path: str, encoding: str | None = None) -> bytes:
    """All of a file as UTF-8, without a byte order mark.

    Args:
        path: the file.
        encoding: what it is encoded in, where no byte order mark says it; UTF-8 if None.

    Returns:
        Bytes that may hold malformed UTF-8 where that is what the file is encoded in.

    Raises:
        ConfigError: there is no such encoding.
        FormatError: it cannot be read, or does not decode by its byte order mark or `encoding`.
    """
    try:
        data = read_finite(path)
    except OSError as error:
        raise FormatError(f"{path}: {error.strerror}") from error
    rules = TextRules(encoding=encoding)  # which knows the encodings of text
    file = decoded(io.BytesIO(data), data[:_LONGEST_MARK], rules.encoding)
    pieces = []
    buffer = memoryview(bytearray(max(1, len(data))))
    while n := file.readinto(buffer):
        pieces.append(bytes(buffer[:n]))
    if isinstance(file, Transcoded) and file.replaced:
        raise FormatError(
            f"{path}: {file.replaced:,} of its {file.characters:,} characters are not "
            f"{file.encoding}; --text-encoding says what it is in"
        )
    return b"".join(pieces)


def encoding_error(path: str, content: bytes, error: UnicodeDecodeError) -> FormatError:
    """What to raise where `content`, the bytes of `path`, is not UTF-8."""
    return FormatError(f"{path}: byte {error.start} is not UTF-8; {convert_all(content, path)}")
