"""The safetensors layout: named arrays in one file that opens without reading it.

    u64, little-endian     n, the length of the header in bytes
    n bytes                JSON: {"name": {"dtype": "F32", "shape": [V, D], "data_offsets": [a, b]},
                           ..., "__metadata__": {"key": "text", ...}}, padded with spaces
    the rest               the arrays, row-major, little-endian, without gaps; a, b count from here

https://github.com/huggingface/safetensors#format. We pad so that the data begins at a multiple of
64 bytes: a memory-mapped matrix is then aligned for every vector instruction. The reader is as
strict as the format's own library: nothing overlaps, nothing is left over, no name occurs twice,
and nothing is allocated before the file's size has justified it. What the arrays mean is
`formats/native.py`'s business.

`write` adds one array of its own, the last: ``sha256``, U8 [32], the digest of every byte before
it. `check_digest` is told of any bit that has changed since.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from embedcli.errors import FormatError
from embedcli.files.plain import require_plain
from embedcli.files.publish import Sink
from embedcli.quoting import quoted
from embedcli.settings.values import shorten

__all__ = [
    "DIGEST",
    "Header",
    "TensorEntry",
    "check_digest",
    "map_tensors",
    "read_header",
    "size",
    "write",
]

DTYPES: Final[Mapping[str, np.dtype[Any]]] = {
    "BOOL": np.dtype("?"),
    "U8": np.dtype("u1"),
    "I8": np.dtype("i1"),
    "U16": np.dtype("<u2"),
    "I16": np.dtype("<i2"),
    "F16": np.dtype("<f2"),
    "U32": np.dtype("<u4"),
    "I32": np.dtype("<i4"),
    "F32": np.dtype("<f4"),
    "U64": np.dtype("<u8"),
    "I64": np.dtype("<i8"),
    "F64": np.dtype("<f8"),
}
_NAMES = {dtype: name for name, dtype in DTYPES.items()}

DIGEST = "sha256"
_DIGEST_BYTES = 32

_ALIGNMENT = 64
_MOST_DIMENSIONS = 32
_LARGEST = 1 << 60  # numbers in an array, those in empty ones too
_LARGEST_HEADER = 10_000_000  # 100,000 tensors; ours have a few hundred bytes
_BLOCK_BYTES = 1 << 20  # rows are copied, where they must be, this many bytes at a time


@dataclass(frozen=True)
class TensorEntry:
    """What the header says of one array: its type, its shape and where it lies in the file."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    start: int
    stop: int


@dataclass(frozen=True)
class Header:
    """A checked header. `TensorEntry.start` and `stop` count from the beginning of the file."""

    tensors: Mapping[str, TensorEntry]
    metadata: Mapping[str, str]
    file_size: int


def size(tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> int:
    """How many bytes `write` will write."""
    header, n_bytes = _encode_header(_with_digest(tensors), metadata)
    return len(header) + n_bytes


def write(sink: Sink, tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> None:
    """Write `tensors` in their order; rows may be padded or mapped; nothing is copied whole.

    A block is digested by another thread while it is written: a third of the time of a large file.
    """
    header, _ = _encode_header(_with_digest(tensors), metadata)
    digest = hashlib.sha256(header)
    sink.write(header)
    with ThreadPoolExecutor(1) as beside:
        for array in tensors.values():
            for block in _blocks(array):
                data = block.reshape(-1).view(np.uint8).data
                digested = beside.submit(digest.update, data)
                sink.write(data)
                digested.result()
    sink.write(digest.digest())


def check_digest(path: str | os.PathLike[str], header: Header) -> bool:
    """Read the whole file and compare it with its digest; False where it has none to compare with.

    Raises:
        FormatError: the file is not what was written.
    """
    entry = header.tensors.get(DIGEST)
    if entry is None or entry.shape != (_DIGEST_BYTES,) or entry.stop != header.file_size:
        return False
    digest = hashlib.sha256()
    left = entry.start
    with Path(path).open("rb") as file:
        while left and (block := file.read(min(left, _BLOCK_BYTES))):
            digest.update(block)
            left -= len(block)
        if left or file.read(_DIGEST_BYTES + 1) != digest.digest():
            raise FormatError(
                f"{os.fspath(path)} is damaged: it has changed since it was written, for its bytes "
                "do not have the digest at its end"
            )
    return True


def _with_digest(tensors: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {**tensors, DIGEST: np.zeros(_DIGEST_BYTES, np.uint8)}


def _encode_header(
    tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]
) -> tuple[bytes, int]:
    """Return the bytes before the data, and how many bytes of data follow them."""
    entries: dict[str, Any] = {"__metadata__": dict(metadata)}
    position = 0
    for name, array in tensors.items():
        stop = position + array.size * array.itemsize
        entries[name] = {
            "dtype": _NAMES[array.dtype.newbyteorder("<")],
            "shape": list(array.shape),
            "data_offsets": [position, stop],
        }
        position = stop
    text = json.dumps(entries, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % _ALIGNMENT)
    return len(text).to_bytes(8, "little") + text, position


def read_header(path: str | os.PathLike[str]) -> Header:
    """Read and check everything but the data.

    Raises:
        FormatError: not a safetensors file, or a damaged one; says which rule it breaks.
    """
    where = os.fspath(path)
    require_plain(path)
    with Path(path).open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        prefix = file.read(8)
        length = int.from_bytes(prefix, "little")
        if len(prefix) < 8 or length > size - 8:
            raise _damaged(where, f"a header of {length} bytes in a file of {size} bytes")
        if length > _LARGEST_HEADER:
            raise _damaged(where, f"a header of {length} bytes; at most {_LARGEST_HEADER} are read")
        entries = _parse(where, file.read(length))
    metadata = _metadata(where, entries.pop("__metadata__", {}))
    data_start = 8 + length
    tensors = {name: _entry(where, name, entry, data_start) for name, entry in entries.items()}
    _check_cover(where, tensors, data_start, size)
    return Header(tensors, metadata, size)


def map_tensors(
    path: str | os.PathLike[str], header: Header, mode: Literal["r", "c"] = "r"
) -> dict[str, NDArray[Any]]:
    """Map the arrays, read-only or copied on write: none of them is read before it is used."""
    data = np.asarray(np.memmap(path, np.uint8, mode=mode))
    if len(data) != header.file_size:
        raise FormatError(f"{os.fspath(path)} changed while it was opened")
    return {
        name: data[entry.start : entry.stop].view(entry.dtype).reshape(entry.shape)
        for name, entry in header.tensors.items()
    }


def _blocks(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Contiguous little-endian blocks of rows; a block that is so already is not copied."""
    array = np.atleast_1d(array)
    row_bytes = array.itemsize * math.prod(array.shape[1:])
    rows = max(1, _BLOCK_BYTES // max(1, row_bytes))
    for start in range(0, len(array), rows):
        block = array[start : start + rows]
        yield np.ascontiguousarray(block, dtype=array.dtype.newbyteorder("<"))


def _parse(where: str, text: bytes) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = dict(pairs)
        if len(names) < len(pairs):
            raise ValueError("a name that occurs twice")
        return names

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant}, which is not JSON")

    try:
        entries = json.loads(text.decode(), object_pairs_hook=unique, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise _damaged(where, f"a header that cannot be read: {error}") from error
    if not isinstance(entries, dict):
        raise _damaged(where, "a header that is not a JSON object")
    return entries


def _metadata(where: str, metadata: Any) -> dict[str, str]:
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise _damaged(where, "metadata that is not text")
    return metadata


def _entry(where: str, name: str, entry: Any, data_start: int) -> TensorEntry:
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise _damaged(where, f"tensor {quoted(name)} without dtype, shape and data_offsets")
    shape, offsets = _naturals(entry["shape"]), _naturals(entry["data_offsets"])
    if shape is None or offsets is None or len(offsets) != 2:
        raise _damaged(
            where, f"tensor {quoted(name)} with a shape or offsets that are not whole numbers"
        )
    if not isinstance(entry["dtype"], str) or entry["dtype"] not in DTYPES:
        raise _damaged(
            where,
            f"tensor {quoted(name)} of type {shorten(entry['dtype'])}, which is not supported",
        )
    dtype = DTYPES[entry["dtype"]]
    needed, held = math.prod(shape) * dtype.itemsize, offsets[1] - offsets[0]
    if needed != held:
        raise _damaged(
            where, f"tensor {quoted(name)} needs {shorten(needed)} bytes but holds {held}"
        )
    if len(shape) > _MOST_DIMENSIONS or math.prod(max(1, n) for n in shape) >= _LARGEST:
        raise _damaged(where, f"tensor {quoted(name)} of shape {shorten(shape)}")
    return TensorEntry(dtype, shape, data_start + offsets[0], data_start + offsets[1])


def _naturals(value: Any) -> tuple[int, ...] | None:
    if isinstance(value, list) and all(type(n) is int and 0 <= n < 1 << 64 for n in value):
        return tuple(value)
    return None


def _check_cover(where: str, tensors: Mapping[str, TensorEntry], start: int, size: int) -> None:
    """Demand that the arrays cover the data: no hole, no overlap, nothing behind the last."""
    position = start
    for name, entry in sorted(tensors.items(), key=lambda item: (item[1].start, item[1].stop)):
        if entry.start != position:
            kind = "an overlap" if entry.start < position else "a hole"
            raise _damaged(where, f"{kind} before tensor {quoted(name)} at byte {entry.start}")
        position = entry.stop
    if position != size:
        raise _damaged(where, f"tensors that end at byte {position} in a file of {size} bytes")


def _damaged(where: str, what: str) -> FormatError:
    return FormatError(f"{where} is not a sound safetensors file: it has {what}")
