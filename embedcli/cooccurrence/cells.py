"""The co-occurrence matrix X of a text: its cells, memory-mapped from unnamed scratch files."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from embedcli.files.scratch import ScratchFile

__all__ = ["CELL_BYTES", "CellFiles", "Cooccurrences"]

CELL_BYTES = 12


class CellFiles:
    """Where cells are written, one after the other.

    Args:
        directory: of the scratch files; None for the system's temporary directory.
    """

    def __init__(self, directory: Path | None) -> None:
        self.n_cells = 0
        self._files = [ScratchFile(directory) for _ in range(3)]

    def append(self, cells: NDArray[np.int32]) -> None:
        """Write cells, int32 (3, n): rows, columns, and the bits of the counts as float32."""
        for file, part in zip(self._files, cells, strict=True):
            file.write(part, part.itemsize * self.n_cells)
        self.n_cells += cells.shape[1]

    def map(self) -> list[tuple[NDArray[Any], mmap.mmap | None]]:
        """Rows, columns and counts as arrays, and their mappings."""
        kinds: tuple[type[np.generic], ...] = (np.int32, np.int32, np.float32)
        return [file.map(kind, self.n_cells) for file, kind in zip(self._files, kinds, strict=True)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for file in self._files:
            file.__exit__(*error)


class Cooccurrences:
    """The cells of X that are not 0, in the order of their rarer word.

    Close it, or use it in a ``with``, to give the disk space back.

    Attributes:
        rows, columns: int32 (C,), the two words of each cell; mapped from disk.
        counts: float32 (C,), X[row, column]; mapped.
        is_symmetric: whether each cell stands for X[row, column] and X[column, row].
        n_pairs: pairs of tokens that were counted.
        n_alone: tokens that have no other token in their sentence.
    """

    def __init__(self, files: CellFiles, *, is_symmetric: bool, n_pairs: int, n_alone: int) -> None:
        self.is_symmetric = is_symmetric
        self.n_pairs = n_pairs
        self.n_alone = n_alone
        mapped = files.map()
        self.rows, self.columns, self.counts = (array for array, _ in mapped)
        self._mappings = [mapping for _, mapping in mapped if mapping is not None]

    def __len__(self) -> int:
        return len(self.counts)

    def release(self) -> None:
        """Let the pages that were touched go from this process's memory; they stay on disk."""
        for mapping in self._mappings:
            mapping.madvise(mmap.MADV_DONTNEED)

    def close(self) -> None:
        """Give memory and disk space back, once nobody holds the arrays any more."""
        self._mappings.clear()
        self.rows = self.columns = np.empty(0, np.int32)
        self.counts = np.empty(0, np.float32)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
