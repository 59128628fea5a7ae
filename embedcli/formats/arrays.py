"""Reads NumPy's array files (``.npy``) and archives (``.npz``), without trusting their headers.

Nothing is mapped or taken memory for before the header has been held against the bytes that are
there, and nothing in a file is unpickled.
"""

from __future__ import annotations

import lzma
import math
import warnings
import zipfile
import zlib
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from embedcli.errors import FormatError, InputError
from embedcli.quoting import quoted
from embedcli.settings.values import shorten

__all__ = ["DAMAGE", "load_array", "load_packed_array", "read_header", "told"]

_BLOCK_BYTES: Final = 1 << 23
_MOST_DIMENSIONS: Final = 32
_LARGEST: Final = 1 << 62  # bytes
_HEADERS: Final = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
    (3, 0): np.lib.format.read_array_header_2_0,  # with names of fields in UTF-8
}
DAMAGE: Final = (
    *(ValueError, TypeError, EOFError, OverflowError, SyntaxError, TokenError, KeyError),
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, NotImplementedError, RuntimeError),
    MemoryError,
)


def load_array(path: Path) -> NDArray[Any]:
    """Map the array in the file `path`.

    Raises:
        FormatError: it is no sound array of plain numbers, or there are not as many as it says.
        InputError: it cannot be read.
    """
    try:
        if not path.is_file():
            raise InputError(f"cannot read {path}: it is no plain file")
        with path.open("rb") as file:
            shape, is_fortran, kind = read_header(file)
            start, size = file.tell(), path.stat().st_size
            wanted = math.prod(shape) * kind.itemsize
            if start + wanted > size:
                raise ValueError(f"{wanted} bytes of numbers, but {size - start} follow")
            if not wanted:
                return np.empty(shape, kind)
            mapped = np.memmap(file, kind, "r", start, shape, "F" if is_fortran else "C")
            return np.asarray(mapped)
    except DAMAGE as error:
        raise FormatError(f"{path} is not a sound NumPy array: {told(error)}") from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error


def load_packed_array(path: Path, name: str) -> NDArray[Any]:
    """Read the array `name` of the ``.npz`` file `path`; memory is taken for what is there.

    Raises:
        FormatError: it is not there, or no sound array of plain numbers.
        InputError: the file cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as file:
            shape, is_fortran, kind = read_header(file)
            wanted = math.prod(shape) * kind.itemsize
            data = bytearray()
            while len(data) < wanted and (
                block := file.read(min(_BLOCK_BYTES, wanted - len(data)))
            ):
                data += block
            if len(data) < wanted:
                raise ValueError(f"{wanted} bytes of numbers, but {len(data)} follow")
            flat: NDArray[Any] = np.frombuffer(data, kind)
            return flat.reshape(shape, order="F" if is_fortran else "C")
    except DAMAGE as error:
        raise FormatError(f"{path} has no sound array {quoted(name)}: {told(error)}") from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error


def read_header(
    file: IO[bytes], *, objects: bool = False
) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """The shape, whether the order is Fortran's, and the type, of the array that follows.

    Raises:
        ValueError: it is none that can be, or one of objects, unless `objects`.
    """
    version = np.lib.format.read_magic(file)
    if version not in _HEADERS:
        raise ValueError(f"a header of version {version}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a header that Python 2 may have written
        shape, is_fortran, kind = _HEADERS[version](file)
    if (kind.hasobject and not (objects and kind.str == "|O")) or kind.shape or not kind.itemsize:
        raise ValueError(f"{shorten(str(kind))}, which are no plain numbers")
    sizes = [n for n in shape if type(n) is int and 0 <= n < _LARGEST]
    room = math.prod(max(1, n) for n in sizes) * kind.itemsize
    if len(sizes) != len(shape) or len(shape) > _MOST_DIMENSIONS or room >= _LARGEST:
        raise ValueError(f"a shape of {shorten(shape)}")
    return shape, is_fortran, kind


def told(error: Exception) -> str:
    """What NumPy says, on one line; its advice to trust a long header is none here."""
    return shorten(str(error), 120).strip("'\"")
