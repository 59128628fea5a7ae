"""Unnamed temporary files: gone when closed, or with the process, however it ends."""

from __future__ import annotations

import errno
import mmap
import os
import tempfile
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from embedcli.errors import ResourceError

__all__ = ["ScratchFile", "Shelf"]

_Scalar = TypeVar("_Scalar", bound=np.generic)


class ScratchFile:
    """A temporary file without a name that arrays are written to and mapped from.

    Use it in a ``with``; what is mapped of it lives on behind that.

    Args:
        directory: where; None for the system's temporary directory.
    """

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory or Path(tempfile.gettempdir())
        try:
            self._file = tempfile.TemporaryFile(dir=self._directory, buffering=0)  # noqa: SIM115
        except OSError as error:
            raise self._failure(error) from error

    def write(self, array: NDArray[Any], at: int) -> None:
        """Write all of `array` at byte `at`.

        Raises:
            ResourceError: the disk is full.
        """
        view = array.data.cast("B")
        try:
            while view:
                n = os.pwrite(self._file.fileno(), view, at)
                view, at = view[n:], at + n
        except OSError as error:
            raise self._failure(error) from error

    def read(self, into: NDArray[Any], at: int) -> None:
        """Fill the array `into` from byte `at` on."""
        view = into.data.cast("B")
        while view:
            n = os.preadv(self._file.fileno(), [view], at)
            if n == 0:
                raise ResourceError(f"a temporary file in {self._directory} was cut short at {at}")
            view, at = view[n:], at + n

    def cut(self, n_bytes: int) -> None:
        """Give back what lies behind `n_bytes`."""
        self._file.truncate(n_bytes)

    def map(self, dtype: type[_Scalar], n: int) -> tuple[NDArray[_Scalar], mmap.mmap | None]:
        """The first `n` numbers as an array on a shared mapping, and the mapping."""
        if n == 0:
            return np.empty(0, dtype), None
        mapping = mmap.mmap(self._file.fileno(), n * np.dtype(dtype).itemsize)
        return np.frombuffer(mapping, dtype), mapping

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def _failure(self, error: OSError) -> ResourceError:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        hint = "; free some space or name another directory in TMPDIR" if full else ""
        return ResourceError(
            f"cannot write temporary files in {self._directory}: {error.strerror}{hint}"
        )


class Shelf:
    """Arrays moved from memory to disk, each mapped from a file of its own.

    Args:
        directory: where; None for the system's temporary directory.
    """

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory
        self._mappings: list[mmap.mmap] = []

    def store(self, array: NDArray[_Scalar]) -> NDArray[_Scalar]:
        """An array equal to `array` that lies on disk."""
        with ScratchFile(self._directory) as file:
            file.write(array, 0)
            mapped, mapping = file.map(array.dtype.type, len(array))
        if mapping is not None:
            self._mappings.append(mapping)
        return mapped

    def release(self) -> None:
        """Let the pages that were touched go from this process's memory; they stay on disk."""
        for mapping in self._mappings:
            mapping.madvise(mmap.MADV_DONTNEED)
