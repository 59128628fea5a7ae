"""What a round changed in a matrix: as rows or whole, to be sent and added up.

What to make of the sum is decided in `combination.py`.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Delta", "Deltas", "add", "blocks", "difference", "part", "row_parts", "total"]

_BLOCK_ROWS = 1 << 11  # rows worked on at a time: they stay in the cache
_FEW = 0.5  # a matrix of which less is touched is sent as rows
_FEWEST_STEPS = 1e-6  # of a row that changed, whatever was expected
# The driver holds a model and, while it collects one, a part of another. And every shard sends each
# part by itself, which takes the scheduler a millisecond.
_FEWEST_PARTS, _MOST_PARTS = 8, 32


@dataclass(frozen=True)
class Delta:
    """How one or several shards changed one matrix (V, D).

    Attributes:
        n_rows: V.
        rows: int32 (n,), the rows that changed, rising; None if `values` has all V.
        values: float32 or float16 (n, D), the sum of their changes.
        steps: float32 (n,), the learning rate times the steps of the row, summed over the shards; 0
            for a row that did not change.
        squares: float32 (n,), the sum over the shards of the squares of that.
    """

    n_rows: int
    rows: NDArray[np.int32] | None
    values: NDArray[np.float32] | NDArray[np.float16]
    steps: NDArray[np.float32]
    squares: NDArray[np.float32]

    @property
    def nbytes(self) -> int:
        """Bytes that are sent."""
        rows = 0 if self.rows is None else self.rows.nbytes
        return rows + self.values.nbytes + self.steps.nbytes + self.squares.nbytes


Deltas = tuple[Delta, Delta]  # of syn0 and of syn1neg


def difference(
    before: NDArray[np.float32],
    after: NDArray[np.float32],
    steps: NDArray[np.float32],
    dtype: Literal["float32", "float16"] = "float32",
) -> Delta:
    """What training changed.

    Args:
        before: float32 (V, D).
        after: the same.
        steps: float32 (V,), the learning rate times the steps that each row has probably taken.
        dtype: of the values that are sent.
    """
    n_rows = len(before)
    touched = np.empty(n_rows, np.bool_)
    for block in blocks(n_rows):
        touched[block] = (before[block] != after[block]).any(axis=1)
    steps = np.where(touched, np.maximum(steps, _FEWEST_STEPS), 0).astype(np.float32)
    rows = np.flatnonzero(touched).astype(np.int32) if touched.mean() < _FEW else None
    n_values = n_rows if rows is None else len(rows)
    values = np.empty((n_values, before.shape[1]), dtype)
    for block in blocks(n_values):
        which = block if rows is None else rows[block]
        values[block] = after[which] - before[which]
    steps = steps if rows is None else steps[rows]
    return Delta(n_rows, rows, values, steps, steps * steps)


def add(one: Delta, other: Delta) -> Delta:
    """The changes of the shards of both; values of the type of the first."""
    if one.rows is None and other.rows is None:
        return _add_whole(one, other)
    rows = _union(one, other)
    n_values = one.n_rows if rows is None else len(rows)
    values = np.zeros((n_values, one.values.shape[1]), one.values.dtype)
    steps, squares = np.zeros(n_values, np.float32), np.zeros(n_values, np.float32)
    for part in (one, other):
        for block in blocks(len(part.values)):
            where = _places(part, rows, block)
            values[where] = values[where].astype(np.float32) + part.values[block]
            steps[where] += part.steps[block]
            squares[where] += part.squares[block]
    return Delta(one.n_rows, rows, values, steps, squares)


def part(delta: Delta, rows: slice) -> Delta:
    """What `delta` says of consecutive rows, as of a matrix of its own; views."""
    places, moved = rows, None
    if delta.rows is not None:
        places = slice(*np.searchsorted(delta.rows, [rows.start, rows.stop]).tolist())
        moved = delta.rows[places] - np.int32(rows.start)
    arrays = delta.values[places], delta.steps[places], delta.squares[places]
    return Delta(rows.stop - rows.start, moved, *arrays)


def total(deltas: Sequence[Delta]) -> Delta:
    """The sum of the changes of different shards, in float32 whatever was sent.

    It depends on the order, but not on the form in which each comes.
    """
    n_rows, dim = deltas[0].n_rows, deltas[0].values.shape[1]
    values = np.zeros((n_rows, dim), np.float32)
    steps, squares = np.zeros(n_rows, np.float32), np.zeros(n_rows, np.float32)
    for delta in deltas:
        for block in blocks(len(delta.values)):
            where = block if delta.rows is None else delta.rows[block]
            values[where] += delta.values[block]
            steps[where] += delta.steps[block]
            squares[where] += delta.squares[block]
    rows = np.flatnonzero(steps).astype(np.int32)
    if len(rows) >= _FEW * n_rows:
        return Delta(n_rows, None, values, steps, squares)
    return Delta(n_rows, rows, values[rows], steps[rows], squares[rows])


def row_parts(n_rows: int, n_shards: int) -> list[slice]:
    """Consecutive parts of `n_rows`, about equal: as many as there are shards, but 8 to 32."""
    n_parts = min(max(n_shards, _FEWEST_PARTS), _MOST_PARTS, n_rows)
    bounds = [n_rows * number // n_parts for number in range(n_parts + 1)]
    return [slice(*pair) for pair in itertools.pairwise(bounds)]


def _add_whole(one: Delta, other: Delta) -> Delta:
    """`add` where both have all rows; sums of narrow numbers are rounded once."""
    values = np.empty_like(one.values)
    for block in blocks(one.n_rows):
        np.add(one.values[block], other.values[block], out=values[block], casting="same_kind")
    steps, squares = one.steps + other.steps, one.squares + other.squares
    return Delta(one.n_rows, None, values, steps, squares)


def blocks(n_rows: int) -> list[slice]:
    """Rows to work on at a time."""
    return [slice(start, start + _BLOCK_ROWS) for start in range(0, n_rows, _BLOCK_ROWS)]


def _union(one: Delta, other: Delta) -> NDArray[np.int32] | None:
    """The rows that either has; None for all."""
    if one.rows is None or other.rows is None:
        return None
    rows = np.union1d(one.rows, other.rows)
    return rows if len(rows) < _FEW * one.n_rows else None


def _places(
    part: Delta, rows: NDArray[np.int32] | None, block: slice
) -> slice | NDArray[np.int32] | NDArray[np.int64]:
    """Where the values of a block of `part` are among `rows`."""
    if part.rows is None:
        return block
    return part.rows[block] if rows is None else np.searchsorted(rows, part.rows[block])
