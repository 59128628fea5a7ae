"""Parquet: pyarrow, where it is installed, and the sizes that the end of a file states.

    ... FileMetaData (Thrift's compact protocol), u32 its length, "PAR1"

pyarrow ends the process when it is asked for the sizes of a column whose statistics are damaged;
reading the column itself it survives. So the few numbers are read here without it: of each column
in each group of rows its path, how many values it has, and its bytes before and after packing.
"""

from __future__ import annotations

from typing import IO, Any, Final, NamedTuple

from embedcli.errors import MissingExtraError

__all__ = ["Chunk", "chunks_of", "pyarrow"]

_DEEPEST: Final = 32
_LARGEST: Final = 1 << 28  # bytes of a footer
_GROUPS, _COLUMNS, _META = 4, 1, 3  # fields of FileMetaData, RowGroup, ColumnChunk
_PATH, _VALUES, _UNPACKED, _PACKED = 3, 5, 6, 7  # of ColumnMetaData


def pyarrow() -> tuple[Any, Any]:
    """Pyarrow and its Parquet module.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingExtraError("Parquet", "pyarrow", "interchange") from error
    return pa, pq


class Chunk(NamedTuple):
    """A column in a group of rows: its path, its number of values, its bytes."""

    path: str
    n_values: int
    unpacked: int
    packed: int


def chunks_of(file: IO[bytes]) -> list[list[Chunk]]:
    """The columns of each group of rows of a Parquet file, in the order of its schema.

    Raises:
        ValueError: the end of the file is damaged.
        OSError: it cannot be read.
    """
    size = file.seek(0, 2)
    file.seek(max(0, size - 8))
    end = file.read(8)
    length = int.from_bytes(end[:4], "little")
    if end[4:] != b"PAR1" or length > min(_LARGEST, size - 8):
        raise ValueError("it does not end as a Parquet file")
    file.seek(size - 8 - length)
    try:
        groups = _Compact(file.read(length)).structure(0).get(_GROUPS, [])
        return [[_chunk(column[_META]) for column in group[_COLUMNS]] for group in groups]
    except (IndexError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"the description of its columns is damaged ({error!r})") from error


def _chunk(meta: dict[int, Any]) -> Chunk:
    path = b".".join(meta[_PATH]).decode(errors="replace")
    numbers = [meta[field] for field in (_VALUES, _UNPACKED, _PACKED)]
    if not all(isinstance(number, int) and number >= 0 for number in numbers):
        raise TypeError(f"{path} has {numbers}")
    return Chunk(path, *numbers)


class _Compact:
    """Thrift's compact protocol: structures as dictionaries of their fields by number."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def structure(self, depth: int) -> dict[int, Any]:
        """The fields of a structure."""
        if depth > _DEEPEST:
            raise ValueError("structures in structures without an end")
        fields: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._signed()
            kind = head & 15
            fields[number] = kind == 1 if kind in (1, 2) else self._value(kind, depth)
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        if kind in (1, 2, 3):
            return self._byte()
        if kind in (4, 5, 6):
            return self._signed()
        if kind in (7, 8):
            return self._bytes(8 if kind == 7 else self._unsigned())
        if kind in (9, 10):
            head = self._byte()
            n = head >> 4 if head >> 4 < 15 else self._unsigned()
            return [self._value(head & 15, depth + 1) for _ in range(self._possible(n))]
        if kind == 11:
            n = self._unsigned()
            kinds = self._byte() if n else 0
            for _ in range(self._possible(n)):
                self._value(kinds >> 4, depth + 1)
                self._value(kinds & 15, depth + 1)
            return None
        if kind == 12:
            return self.structure(depth + 1)
        raise ValueError(f"a field of kind {kind}")

    def _possible(self, n: int) -> int:
        """A number of members, each of which takes a byte at least."""
        if n > len(self._data) - self._at:
            raise ValueError(f"a list of {n} members")
        return n

    def _byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1]

    def _bytes(self, n: int) -> bytes:
        self._at += self._possible(n)
        return self._data[self._at - n : self._at]

    def _unsigned(self) -> int:
        number = shift = 0
        while True:
            byte = self._byte()
            number |= (byte & 127) << shift
            if byte < 128:
                return number
            shift += 7
            if shift > 63:
                raise ValueError("a number of more than 64 bits")

    def _signed(self) -> int:
        number = self._unsigned()
        return (number >> 1) ^ -(number & 1)
