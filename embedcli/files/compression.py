"""Compressed files: detected by their first bytes, never by name, and opened.

Text and vectors are unpacked here. Everything is decompressed as it is read, in bounded memory,
whatever the ratio, one stream after the other: gzip calls them members and zstd frames. A stream
that is damaged, and bytes that belong to none, are errors. Only what the formats allow is skipped:
zeros at the end of gzip (RFC 1952 does not know them, but gzip(1) and tapes do), zeros in fours
behind a stream of xz (its section 2.2), and skippable frames of zstd (RFC 8878, 3.1.2).
"""

from __future__ import annotations

import bz2
import io
import lzma
import re
import zlib
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any, Final, Protocol

from embedcli.errors import MissingExtraError
from embedcli.files.memory import available_memory

__all__ = ["MAGIC_BYTES", "DamagedError", "Unpacked", "WindowError", "compression_of"]

MAGIC_BYTES: Final = 16  # the first bytes of a file that tell how it is compressed

_PIECE = 1 << 16  # packed bytes read at once
_ZSTD_PIECE = 1024  # four bytes may stand for 128 KiB: so many at a time are 32 MiB at the worst
WINDOW_UNASKED = 1 << 27  # what zstd takes by default, and the most that xz's presets need
_WINDOW_MOST = 1 << 31  # what zstd takes at all
_TAPE_BLOCK = 512  # bytes; fewer zeros behind gzip are nothing new
_ZSTD = b"\x28\xb5\x2f\xfd"
_HEADER_BYTES = 18  # the longest beginning of a stream that is looked at, that of zstd
_SKIPPABLE = re.compile(rb"[\x50-\x5f]\x2a\x4d\x18")


class DamagedError(Exception):
    """Compressed data that does not decompress."""


class WindowError(Exception):
    """Compressed data that cannot be unpacked with the memory there is."""


class _Stream(Protocol):
    """One stream being decompressed, as `bz2.BZ2Decompressor` does it."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


_Errors = tuple[type[Exception], ...]
_Begin = Callable[[bytes], _Stream]  # from the first bytes of a stream


class _Gzip:
    """A member of gzip by the standard library."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail or data, max_length)


class _Zstandard:
    """A frame of zstd by the library zstandard, which hands out all that it has at once."""

    def __init__(self, library: Any) -> None:
        self._inner = library.ZstdDecompressor(max_window_size=_WINDOW_MOST).decompressobj()
        self._ready = b""

    @property
    def eof(self) -> bool:
        return self._inner.eof and not self._ready

    @property
    def needs_input(self) -> bool:
        return not self._ready

    @property
    def unused_data(self) -> bytes:
        return bytes(self._inner.unused_data)

    def decompress(self, data: bytes, max_length: int) -> bytes:
        ready = self._ready or (self._inner.decompress(data) if data else b"")
        self._ready = ready[max_length:]
        return bytes(ready[:max_length])


def _gzip() -> tuple[_Begin, _Errors, int]:
    try:
        library = import_module("isal.igzip_lib")
    except ImportError:
        return lambda head: _Gzip(), (zlib.error,), _PIECE
    flag = library.DECOMP_GZIP
    return lambda head: library.IgzipDecompressor(flag=flag), (library.IsalError,), _PIECE


def _bzip2() -> tuple[_Begin, _Errors, int]:
    return lambda head: bz2.BZ2Decompressor(), (OSError, ValueError), _PIECE


def _xz() -> tuple[_Begin, _Errors, int]:
    def begin(head: bytes) -> _Stream:
        most = max(WINDOW_UNASKED, available_memory())
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=most)

    return begin, (lzma.LZMAError,), _PIECE


def _zstd() -> tuple[_Begin, _Errors, int]:
    for name in ("compression.zstd", "backports.zstd"):
        try:
            library = import_module(name)
        except ImportError:
            continue
        options = {library.DecompressionParameter.window_log_max: _WINDOW_MOST.bit_length() - 1}
        begin = partial(_begin_frame, partial(library.ZstdDecompressor, options=options))
        return begin, (library.ZstdError,), _PIECE
    try:
        library = import_module("zstandard")
    except ImportError:
        raise MissingExtraError("unpacking zstd", "backports.zstd", "io") from None
    return partial(_begin_frame, partial(_Zstandard, library)), (library.ZstdError,), _ZSTD_PIECE


def _begin_frame(new: Callable[[], _Stream], head: bytes) -> _Stream:
    _check_window(head)
    return new()


_KINDS: dict[str, tuple[re.Pattern[bytes], Callable[[], tuple[_Begin, _Errors, int]]]] = {
    "gzip": (re.compile(rb"\x1f\x8b\x08"), _gzip),
    "bzip2": (re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)"), _bzip2),
    "xz": (re.compile(rb"\xfd7zXZ\x00"), _xz),
    "zstd": (re.compile(re.escape(_ZSTD) + b"|" + _SKIPPABLE.pattern), _zstd),
}


def compression_of(head: bytes) -> str | None:
    """How a file that begins with `head`, `MAGIC_BYTES` of it, is compressed, if it is."""
    return next((name for name, (magic, _) in _KINDS.items() if magic.match(head)), None)


class Unpacked(io.RawIOBase):
    """A compressed file, read as what is in it.

    Reading raises EOFError where compressed data ends too early, DamagedError where it is wrong or
    something else follows it, WindowError where it needs memory that is not there.

    Args:
        file: open, has ``read``.
        kind: of what `compression_of` tells.
        head: what was read of `file` before.

    Attributes:
        padding: bytes of zeros that were skipped behind streams, if a stream may be lost in them.

    Raises:
        MissingExtraError: zstd, and no library for it.
    """

    def __init__(self, file: Any, kind: str, head: bytes = b"") -> None:
        self.padding = 0
        self._file = file
        self._kind = kind
        self._magic, opener = _KINDS[kind]
        self._begin, self._errors, self._piece = opener()
        self._stream: _Stream | None = None
        self._n_streams = 0  # begun
        self._packed = head  # read, not decompressed
        self._at = len(head)  # where in the file that ends

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Fill `buffer` from its start; the number of bytes, 0 at the end."""
        view = memoryview(buffer).cast("B")
        while view and (stream := self._stream or self._next_stream()) is not None:
            data = self._decompressed(stream, len(view))
            if stream.eof:
                self._packed = stream.unused_data
                self._stream = None
            if data:
                view[: len(data)] = data
                return len(data)
        return 0

    def _decompressed(self, stream: _Stream, most: int) -> bytes:
        """Some more of this stream, `most` bytes at most; nothing does not mean that it ends."""
        ends = stream.needs_input and not self._packed and not self._more()
        given = b""
        if stream.needs_input:
            given, self._packed = self._packed, b""
        try:
            data = stream.decompress(given, most)
        except self._errors as error:
            if isinstance(error, lzma.LZMAError) and "Memory usage limit" in str(error):
                raise WindowError(
                    "its dictionary does not fit in the memory that is left"
                ) from error
            raise DamagedError(str(error)) from error
        if ends and not data and not stream.eof:
            raise EOFError
        return data

    def _next_stream(self) -> _Stream | None:
        """Begin the stream that follows; None at the end of the file."""
        self._skip()
        if not self._packed:
            return None
        if not self._magic.match(self._packed):
            raise DamagedError(
                f"what follows its {self._kind} data at byte {self._at - len(self._packed)} is not "
                "more of it"
            )
        self._n_streams += 1
        self._stream = self._begin(self._packed)
        return self._stream

    def _skip(self) -> None:
        """Skip what may stand between streams; then the beginning of one is there, or nothing."""
        if self._kind == "gzip" and self._n_streams:
            self._check_gzip_padding(self._skip_zeros())
        elif self._kind == "xz":
            zeros = self._skip_zeros()
            if zeros % 4:
                raise DamagedError(f"{zeros} zero bytes follow a stream: not a multiple of four")
        self._fill(_HEADER_BYTES)
        while self._kind == "zstd" and _SKIPPABLE.match(self._packed):
            self._skip_bytes(8 + int.from_bytes(self._packed[4:8].ljust(4, b"\xff"), "little"))
            self._fill(_HEADER_BYTES)

    def _check_gzip_padding(self, zeros: int) -> None:
        """Refuse zeros that look like a member that was lost, and not like the rest of a block."""
        if zeros and self._packed:
            raise DamagedError(f"{zeros} zero bytes stand where its next member should")
        is_rest = self._n_streams == 1 and zeros < _TAPE_BLOCK
        if zeros and not is_rest and self._at % _TAPE_BLOCK:
            raise DamagedError(
                f"{zeros} zero bytes follow its {self._n_streams} members, up to no multiple of "
                f"{_TAPE_BLOCK} bytes as padding ends: a member may be lost in them"
            )

    def _skip_zeros(self) -> int:
        zeros = 0
        while self._packed or self._more():
            rest = self._packed.lstrip(b"\0")
            zeros += len(self._packed) - len(rest)
            self._packed = rest
            if rest:
                break
        if self._kind != "gzip" or zeros >= _TAPE_BLOCK:
            self.padding += zeros
        return zeros

    def _skip_bytes(self, n_bytes: int) -> None:
        while len(self._packed) < n_bytes:
            n_bytes -= len(self._packed)
            self._packed = b""
            if not self._more():
                raise EOFError
        self._packed = self._packed[n_bytes:]

    def _fill(self, n_bytes: int) -> None:
        """Have `n_bytes` of the file ready, if it has them."""
        while len(self._packed) < n_bytes and self._more():
            pass

    def _more(self) -> bool:
        """Read on; whether there was anything."""
        piece = self._file.read(self._piece)
        self._packed += piece
        self._at += len(piece)
        return bool(piece)


def _check_window(head: bytes) -> None:
    """Refuse a zstd frame that looks back further than there is memory (RFC 8878, 3.1.1.1).

    Raises:
        WindowError: it needs more.
    """
    if len(head) < 6:
        return  # cut short, as will be found
    flags, at = head[4], 5
    if flags & 0x20:  # a single segment: the window is the content
        at += (0, 1, 2, 4)[flags & 3]
        size = 1 << (flags >> 6)
        window = int.from_bytes(head[at : at + size], "little") + (256 if size == 2 else 0)
    else:
        base = 1 << (10 + (head[at] >> 3))
        window = base + base // 8 * (head[at] & 7)
    if window <= WINDOW_UNASKED:
        return
    mib = window >> 20
    if window > _WINDOW_MOST:
        raise WindowError(f"its window of {mib:,} MiB is more than the 2,048 MiB that zstd allows")
    left = available_memory()
    if window > left:
        raise WindowError(
            f"its window (zstd --long) needs {mib:,} MiB of memory, and {left >> 20:,} MiB are left"
        )
