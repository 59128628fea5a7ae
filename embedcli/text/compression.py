"""Compressed text: which kind it is, told by its first bytes and never by its name; and opening it.

Everything is decompressed as it is read, in bounded memory, whatever the ratio.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import zlib
from collections.abc import Callable
from importlib import import_module
from io import RawIOBase
from typing import IO, Any, cast

from embedcli.errors import MissingExtraError

__all__ = ["DamagedError", "decompressed"]

_Errors = tuple[type[Exception], ...]
_ZSTD_PIECE = 1024  # four bytes may stand for 128 KiB: so many at a time are 32 MiB at the worst


def _open_gzip(file: RawIOBase) -> tuple[Any, _Errors]:
    try:
        library = import_module("isal.igzip")
    except ImportError:
        return gzip.GzipFile(fileobj=file), (zlib.error,)
    return library.IGzipFile(fileobj=file), (zlib.error, import_module("isal.isal_zlib").error)


def _open_bz2(file: RawIOBase) -> tuple[Any, _Errors]:
    return bz2.BZ2File(file), ()


def _open_xz(file: RawIOBase) -> tuple[Any, _Errors]:
    return lzma.LZMAFile(cast(IO[bytes], file)), (lzma.LZMAError,)


def _open_zstd(file: RawIOBase) -> tuple[Any, _Errors]:
    for name in ("compression.zstd", "backports.zstd"):
        try:
            library = import_module(name)
        except ImportError:
            continue
        return library.ZstdFile(file), (library.ZstdError,)
    try:
        library = import_module("zstandard")
    except ImportError:
        raise MissingExtraError("text compressed by zstd", "backports.zstd", "io") from None
    return _Zstandard(file, library), (library.ZstdError,)


_OPENERS: tuple[tuple[re.Pattern[bytes], Callable[[RawIOBase], tuple[Any, _Errors]]], ...] = (
    (re.compile(rb"\x1f\x8b\x08"), _open_gzip),
    (re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)"), _open_bz2),
    (re.compile(rb"\xfd7zXZ\x00"), _open_xz),
    (re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"), _open_zstd),
)


def decompressed(file: RawIOBase, head: bytes) -> Any:
    """`file`, which begins with `head`, decompressed if it is compressed: has ``readinto``.

    Reading raises EOFError where compressed data ends too early, DamagedError where it is wrong.

    Raises:
        MissingExtraError: zstd, and no library for it.
    """
    for magic, opener in _OPENERS:
        if magic.match(head):
            return _Unpacked(*opener(file))
    return file


class DamagedError(Exception):
    """Compressed data that does not decompress."""


class _Unpacked:
    """A decompressor whose many kinds of complaint are one."""

    def __init__(self, file: Any, errors: _Errors) -> None:
        self._file = file
        self._errors = errors

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill `buffer` from its start; the number of bytes, 0 at the end."""
        try:
            return int(self._file.readinto(buffer))
        except self._errors as error:
            raise DamagedError(str(error)) from error
        except OSError as error:  # without a number it is not the disk that complains
            if error.errno is None:
                raise DamagedError(str(error)) from error
            raise


class _Zstandard:
    """The library zstandard, which by itself takes a truncated file for a whole one."""

    def __init__(self, file: RawIOBase, library: Any) -> None:
        self._file = file
        self._new = library.ZstdDecompressor().decompressobj
        self._frame: Any = None
        self._packed = b""  # read, not decompressed
        self._ready = b""  # decompressed, not handed out

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill `buffer` from its start; the number of bytes, 0 at the end."""
        while not self._ready:
            self._packed = self._packed or self._file.read(_ZSTD_PIECE)
            if not self._packed:
                if self._frame is not None:
                    raise EOFError
                return 0
            self._frame = self._frame or self._new()
            self._ready = self._frame.decompress(self._packed)
            self._packed = self._frame.unused_data if self._frame.eof else b""
            if self._frame.eof:
                self._frame = None
        n = min(len(buffer), len(self._ready))
        buffer[:n] = self._ready[:n]
        self._ready = self._ready[n:]
        return n
