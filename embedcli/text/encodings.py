"""Encodings of text: which one a file is in, and reading it as UTF-8.

A byte order mark decides; without one it is what `--encoding` says, else UTF-8. Encodings that
look like ASCII (ISO-2022-JP and its kin, UTF-7) or like ASCII with NUL between (UTF-16, UTF-32)
are recognised by their own signs, all others by charset-normalizer, from bytes that are not UTF-8.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from importlib.util import find_spec
from typing import Protocol

__all__ = [
    "Readable",
    "Transcoded",
    "can_be_cut",
    "convert_all",
    "convert_with",
    "decoded",
    "is_utf8",
    "library_advice",
    "likely_encoding",
    "seven_bit_encoding",
    "wide_encoding",
]

_BOMS = (  # the mark of UTF-32LE begins with that of UTF-16LE
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_BOM = "\ufeff"
_LITTLE = {"utf-16": "utf-16-le", "utf-32": "utf-32-le"}  # where no mark says which

# What files of text are in that are not UTF-8. Where several fit, the first: so many read the same
# bytes nearly the same way that the commonest is the likeliest.
_CANDIDATES = (
    *("cp1252", "cp1250", "cp1251", "koi8_r", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257"),
    *("cp1258", "iso8859_2", "iso8859_5", "iso8859_7", "iso8859_8", "cp866", "cp850", "cp437"),
    *("mac_roman", "cp932", "euc_jp", "gb18030", "big5", "cp949", "cp874", "hz"),
    *("utf_16_le", "utf_16_be"),
)
_AS_CALM, _AS_COHERENT = 8.0, 4.0  # per cent, of charset-normalizer's measures of a text
_AS_LITTLE_ODD = 0.1
_LOOKED_AT = 3000  # characters
_SAMPLE = 1 << 16  # bytes
_ALIASES = {
    "cp1252": "Latin-1",
    "cp932": "Shift_JIS",
    "cp949": "EUC-KR",
    "gb18030": "GBK",
}
_ICONV = {
    "mac_roman": "MACINTOSH",
    "iso2022_jp": "ISO-2022-JP",
    "iso2022_kr": "ISO-2022-KR",
    "utf_16_le": "UTF-16LE",
    "utf_16_be": "UTF-16BE",
}

# ISO 2022 in seven bits: an escape into a set of two bytes a character, such characters, and out.
_TWO_BYTES = rb"(?:[\x21-\x7e]{2})+"
_ESCAPED = (  # the encoding, what is in its text, and the characters
    ("iso2022_jp", b"\x1b$", re.compile(rb"\x1b\$[@B]" + _TWO_BYTES + rb"\x1b\([BJ]")),
    ("iso2022_kr", b"\x1b$)C", re.compile(rb"\x0e" + _TWO_BYTES + rb"\x0f")),
    ("hz", b"~{", re.compile(rb"~\{(?:[\x21-\x77][\x21-\x7e])+~\}")),
)
_SHIFTED = re.compile(rb"\+([A-Za-z0-9+/]{3,})-?")  # UTF-7


class Readable(Protocol):
    """The text of one file: decompressed, UTF-8."""

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill `buffer` from its start; the number of bytes, 0 at the end."""


def decoded(file: Readable, head: bytes, encoding: str | None = None) -> Readable:
    """The text of `file`, which begins with `head`, in UTF-8 and without a byte order mark.

    Args:
        file: the bytes as they lie in the file.
        head: its first ones, or nothing if it is a stretch from the middle.
        encoding: what they are in, where no byte order mark says it; UTF-8 if None.
    """
    for mark, marked in _BOMS:
        if head.startswith(mark):
            _skip(file, len(mark))
            return file if marked == "utf-8" else Transcoded(file, marked)
    if encoding is None or is_utf8(encoding):
        return file
    name = codecs.lookup(encoding).name
    if name in _LITTLE:
        name = wide_encoding(head) or _LITTLE[name]
    return Transcoded(file, name)


def is_utf8(encoding: str) -> bool:
    """Whether an encoding is UTF-8, by any name."""
    return codecs.lookup(encoding).name in ("utf-8", "utf-8-sig")


def can_be_cut(head: bytes, encoding: str | None) -> bool:
    """Whether a file that begins with `head` can be entered behind any byte 0x0A."""
    if head.startswith(tuple(mark for mark, _ in _BOMS[1:])):
        return False
    if encoding is None or is_utf8(encoding):
        return True
    name = codecs.lookup(encoding).name
    return not name.startswith(("utf-16", "utf-32")) and "\n".encode(encoding) == b"\n"


def _skip(file: Readable, n_bytes: int) -> None:
    view = memoryview(bytearray(n_bytes))
    while view:
        view = view[file.readinto(view) :]


class Transcoded:
    """Text of another encoding read as UTF-8; what it does not allow becomes U+FFFD.

    Attributes:
        encoding: the encoding's name.
        characters: how many were read.
        replaced: how many of them are U+FFFD for what could not be read.
    """

    def __init__(self, file: Readable, encoding: str) -> None:
        self.encoding = encoding
        self.characters = 0
        self.replaced = 0
        self._file = file
        self._decoder = codecs.getincrementaldecoder(encoding)("strict")
        self._ready = b""
        self._ended = False

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill `buffer` from its start; the number of bytes, 0 at the end."""
        while not self._ready and not self._ended:
            raw = memoryview(bytearray(max(4, len(buffer) // 2)))
            n = self._file.readinto(raw)
            self._ended = n == 0
            text = self._decoded(bytes(raw[:n]))
            if not self.characters:
                text = text.removeprefix(_BOM)
            self.characters += len(text)
            self._ready = text.encode(errors="surrogatepass")
        n = min(len(buffer), len(self._ready))
        buffer[:n] = self._ready[:n]
        self._ready = self._ready[n:]
        return n

    def _decoded(self, raw: bytes) -> str:
        before = self._decoder.getstate()
        try:
            return self._decoder.decode(raw, final=self._ended)
        except UnicodeError:
            self._decoder.setstate(before)
        self._decoder.errors = "replace"
        text = self._decoder.decode(raw, final=self._ended)
        self._decoder.errors = "strict"
        self.replaced += text.count("\ufffd")
        return text


def wide_encoding(head: bytes) -> str | None:
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


def seven_bit_encoding(text: bytes) -> tuple[str, float] | None:
    """The encoding in which ASCII bytes stand for other letters in `text`, and in how much of it.

    Args:
        text: a file's first bytes, a few thousand or more.
    """
    for name, sign, pattern in _ESCAPED:
        found = pattern.findall(text) if sign in text else []
        if found and _is_readable(text, name):
            return name, sum(map(len, found)) / len(text)
    shifted = _SHIFTED.findall(text) if b"+" in text else []
    sound = [run for run in shifted if _is_shifted_text(run)]
    if len(sound) > 1 and 2 * len(sound) > len(shifted):
        return "utf-7", sum(map(len, sound)) / len(text)
    return None


def _is_readable(text: bytes, encoding: str) -> bool:
    """Whether all whole lines of `text` are sound in an encoding."""
    lines, newline, rest = text.rpartition(b"\n")
    try:
        (lines if newline else rest).decode(encoding)
    except UnicodeError:
        return False
    return True


def _is_shifted_text(run: bytes) -> bool:
    """Whether what stands between + and - in UTF-7 are letters beyond ASCII, or such signs."""
    try:
        text = b"".join((b"+", run, b"-")).decode("utf-7")
    except UnicodeError:
        return False
    return bool(text) and all(
        ord(c) >= 0x80 and unicodedata.category(c)[0] in "LMNPS" for c in text
    )


def likely_encoding(sample: bytes) -> str | None:
    """What text is in that is not UTF-8; None: nobody can tell.

    Args:
        sample: lines of it, those that are not ASCII.
    """
    try:
        from charset_normalizer import from_bytes
    except ImportError:
        return _western(sample)
    matches = list(from_bytes(sample, cp_isolation=list(_CANDIDATES)))
    if not matches:
        return None
    least = min(match.percent_chaos for match in matches)
    calm = [match for match in matches if match.percent_chaos <= least + _AS_CALM]
    oddities = [_oddity(str(match)[:_LOOKED_AT]) for match in calm]
    likely = [
        match
        for match, odd in zip(calm, oddities, strict=True)
        if odd <= min(oddities) + _AS_LITTLE_ODD
    ]
    most = max(match.percent_coherence for match in likely)
    names = {
        name
        for match in likely
        if match.percent_coherence >= most - _AS_COHERENT
        for name in match.could_be_from_charset
    }
    return min(names.intersection(_CANDIDATES), key=_CANDIDATES.index, default=None)


def _oddity(text: str) -> float:
    """The share of characters beyond ASCII that stand where hardly any word has such a one."""
    n = n_odd = 0
    for before, character, after in zip(f" {text}", text, f"{text[1:]} ", strict=False):
        if ord(character) < 0x80:
            continue
        n += 1
        kind = unicodedata.category(character)
        if before.isalpha() and after.isalpha():
            other = kind in ("Lm", "Lo") and before.isascii() and after.isascii()
            n_odd += kind[0] not in "LM" or other or (kind == "Lu" and before.islower())
        else:
            n_odd += kind in ("Cc", "Cn", "Co")
    return n_odd / max(n, 1)


def _western(sample: bytes) -> str | None:
    """cp1252 where bytes beyond ASCII are few, each between letters, and stand for letters."""
    high = sum(byte >= 0x80 for byte in sample)
    try:
        text = sample.decode("cp1252")
    except UnicodeError:
        return None
    letters = sum(c.isalpha() for c in text if ord(c) >= 0x80)
    return "cp1252" if 5 * high < len(sample) and 2 * letters > high else None


def convert_with(encoding: str, name: str, *, is_all: bool = True) -> str:
    """What to do with the file `name` in an `encoding`, which `is_all` there is or one of many."""
    shown = _ALIASES.get(encoding)
    title = f"{encoding} ({shown})" if shown else encoding
    option = f"--encoding {encoding}, or " if is_all else ""
    iconv = _ICONV.get(encoding, encoding.upper().replace("_", "-"))
    return f"it looks like {title}: {option}convert it: iconv -f {iconv} -t UTF-8 {name}"


def convert_all(data: bytes, name: str) -> str:
    """What to do with the file `name`, whose content `data` is not UTF-8 and should be."""
    lines = [line for line in data.split(b"\n") if not line.isascii()]
    encoding = likely_encoding(b"\n".join(lines)[:_SAMPLE])
    if encoding is None:
        return "convert it to UTF-8"
    return convert_with(encoding, name, is_all=False) + library_advice()


def library_advice() -> str:
    """What to install for encodings to be told better, if it is missing; begins with a space."""
    if find_spec("charset_normalizer"):
        return ""
    return " (a guess: pip install 'embedcli[encoding]' tells them better)"
