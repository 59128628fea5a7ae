"""Runs: cells with rising keys, one run after the other on disk, and merging them all."""

from __future__ import annotations

import mmap
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from embedcli.cooccurrence.cells import CellFiles
from embedcli.files.scratch import ScratchFile
from embedcli.kernels.cooccurrence import Layout, merge
from embedcli.progress import OnProgress, Progress
from embedcli.text.ordered_pool import OrderedPool

__all__ = ["RUN_BYTES", "Runs", "compile_merging"]

RUN_BYTES = 16  # of a cell in a run: key and sum
_NUMBER = 8
CELLS_AT_ONCE = 1 << 20
_SAMPLES_OF_PART = 64


class Runs:
    """Runs on disk. Use it in a ``with``.

    Args:
        directory: of the scratch files; None for the system's temporary directory.
    """

    def __init__(self, directory: Path | None) -> None:
        self._keys, self._sums = ScratchFile(directory), ScratchFile(directory)
        self._bounds: list[tuple[int, int]] = []
        self._n_cells = 0
        self._lock = threading.Lock()

    def append(
        self, keys: NDArray[np.uint64], sums: NDArray[np.uint64], *, goes_on: bool = False
    ) -> None:
        """Write a run: rising keys and their sums, both uint64 (n,). Any thread may.

        Where it `goes_on`, it is the rest of the run that was written last.
        """
        with self._lock:
            begin = self._n_cells
            self._n_cells += len(keys)
            first = self._bounds.pop()[0] if goes_on else begin
            self._bounds.append((first, self._n_cells))
        self._keys.write(keys, begin * _NUMBER)
        self._sums.write(sums, begin * _NUMBER)

    def merge(
        self, layout: Layout, files: CellFiles, threads: int, on_progress: OnProgress
    ) -> None:
        """Merge all runs into one and write it as cells, with as many threads."""
        if self._n_cells:
            with _Merger(self, layout, files) as merger:
                merger.run(threads, on_progress)

    def map(self) -> tuple[NDArray[np.uint64], NDArray[np.uint64], list[mmap.mmap]]:
        """All keys, all sums, and their mappings."""
        keys, of_keys = self._keys.map(np.uint64, self._n_cells)
        sums, of_sums = self._sums.map(np.uint64, self._n_cells)
        return keys, sums, [mapping for mapping in (of_keys, of_sums) if mapping is not None]

    @property
    def bounds(self) -> NDArray[np.int64]:
        """int64 (R, 2), where each run begins and ends."""
        return np.array(self._bounds, np.int64).reshape(-1, 2)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for file in (self._keys, self._sums):
            file.__exit__(*error)


class _Merger:
    """Threads that merge a range of keys each, of about a million cells."""

    def __init__(self, runs: Runs, layout: Layout, files: CellFiles) -> None:
        self._keys, self._sums, self._mappings = runs.map()
        self._layout = layout
        self._files = files
        self._places = _cut(self._keys, runs.bounds)
        self._n_done = 0

    def run(self, threads: int, on_progress: OnProgress) -> None:
        total = len(self._keys)

        def report() -> None:
            for mapping in self._mappings:
                mapping.madvise(mmap.MADV_DONTNEED)
            on_progress(Progress("merging", self._n_done, total))

        pool = OrderedPool(self._deliver)
        parts = iter(range(len(self._places) - 1))
        pool.run([partial(self._merge_parts, pool, parts)] * threads, report)

    def _merge_parts(self, pool: OrderedPool, parts: Iterator[int]) -> None:
        """What each thread does."""
        for part in parts:
            if pool.stopped:
                return
            cursors, ends = self._places[part].copy(), self._places[part + 1]
            n_given = int((ends - cursors).sum())
            cells = np.empty((3, n_given), np.int32)
            n = merge(
                self._keys, self._sums, cursors, ends, np.empty_like(ends), self._layout,
                cells[0], cells[1], cells[2].view(np.float32),
            )  # fmt: skip
            pool.put_result(part, cells[:, :n], n_given)

    def _deliver(self, cells: NDArray[np.int32], n_given: int) -> None:
        self._files.append(cells)
        self._n_done += n_given

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._keys = self._sums = np.empty(0, np.uint64)
        self._mappings.clear()


def _cut(keys: NDArray[np.uint64], bounds: NDArray[np.int64]) -> NDArray[np.int64]:
    """Cut the keys into ranges that hold about a million cells of all runs together.

    Returns:
        int64 (parts + 1, R), where each range begins in each run; lastly the ends of the runs.
    """
    every = max(1, CELLS_AT_ONCE // _SAMPLES_OF_PART)
    sample = np.sort(np.concatenate([keys[begin:end:every] for begin, end in bounds]))
    limits = sample[_SAMPLES_OF_PART::_SAMPLES_OF_PART]
    inner = [begin + np.searchsorted(keys[begin:end], limits) for begin, end in bounds]
    return np.concatenate([bounds[:, :1], np.stack(inner), bounds[:, 1:]], axis=1).T.copy()


def compile_merging(layout: Layout) -> None:
    """Compile the kernel of merging, or load it from the cache."""
    numbers, places, cells = np.zeros(1, np.uint64), np.zeros(1, np.int64), np.zeros((3, 1), "i4")
    merge(
        numbers, numbers, places, places.copy(), places.copy(), layout, cells[0], cells[1],
        cells[2].view(np.float32),
    )  # fmt: skip
