"""A model between two rounds, and what a round changes in it: sent, added up, checked.

`combination.py` decides what to do with the sum.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from embedcli.errors import TrainingError
from embedcli.settings.config import TrainConfig
from embedcli.training.initial_weights import find_fault

__all__ = [
    "Change",
    "Delta",
    "Deltas",
    "Matrices",
    "Round",
    "add",
    "add_changes",
    "blocks",
    "check",
    "difference",
    "part",
    "row_parts",
    "total",
]

_BLOCK_ROWS = 1 << 11  # rows that are processed at a time: they stay in the cache
_FEW = 0.5  # a matrix is sent as rows if a smaller share of its rows changed
_FEWEST_STEPS = 1e-6  # of a row that changed
# The driver holds a model and, while it collects one, a part of another. And every shard sends each
# part by itself, which takes the scheduler a millisecond.
_FEWEST_PARTS, _MOST_PARTS = 8, 32


@dataclass(frozen=True)
class Delta:
    """How one or several shards changed one matrix (V, D).

    Attributes:
        n_rows: V.
        rows: int32 (n,), the rows that changed, ascending; None if `values` has all V.
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


class Matrices(NamedTuple):
    """A model between two rounds: syn0 and syn1neg, float32 (V, D)."""

    syn0: NDArray[np.float32]
    syn1neg: NDArray[np.float32]


@dataclass(frozen=True)
class Round:
    """A stretch of every shard, trained from the same model.

    Attributes:
        epoch: from 0.
        number: of the round in its epoch, from 0.
        n_rounds: rounds in an epoch.
    """

    epoch: int
    number: int
    n_rounds: int

    def __str__(self) -> str:
        """The epoch and the number, as in names of results."""
        return f"{self.epoch}-{self.number}"

    def chunks(self, n_chunks: int) -> range:
        """The chunks of this round, of `n_chunks` in an epoch."""
        first, last = (n_chunks * k // self.n_rounds for k in (self.number, self.number + 1))
        return range(first, last)


class Change(NamedTuple):
    """What a round changed, in one shard or in several.

    Attributes:
        deltas: of syn0 and syn1neg, for each part of the rows; empty if only the sums are needed.
        sums: float64 (4,), the sums of `Epoch`: loss, pairs, trained, alone.
        subsampled: the number of words that were subsampled.
        tokens: the number of words that were read.
    """

    deltas: tuple[Deltas, ...]
    sums: NDArray[np.float64]
    subsampled: int
    tokens: int

    @property
    def nbytes(self) -> int:
        """Bytes that are sent."""
        return sum(delta.nbytes for deltas in self.deltas for delta in deltas)


def difference(
    before: NDArray[np.float32],
    after: NDArray[np.float32],
    steps: NDArray[np.float32],
    dtype: Literal["float32", "float16"] = "float32",
) -> Delta:
    """The change from one matrix to another.

    Args:
        before: float32 (V, D).
        after: the same.
        steps: float32 (V,), the learning rate times the steps that each row has probably taken.
        dtype: of the values.
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
    """The sum of two changes; its values have the type of the first."""
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
    """A change restricted to consecutive rows, which are counted from 0; views."""
    places, moved = rows, None
    if delta.rows is not None:
        places = slice(*np.searchsorted(delta.rows, [rows.start, rows.stop]).tolist())
        moved = delta.rows[places] - np.int32(rows.start)
    arrays = delta.values[places], delta.steps[places], delta.squares[places]
    return Delta(rows.stop - rows.start, moved, *arrays)


def total(deltas: Sequence[Delta]) -> Delta:
    """The sum of the changes of different shards, in float32.

    It depends on their order, but not on whether they were sent as rows or whole.
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


def add_changes(one: Change, other: Change) -> Change:
    """The sum of two changes, which have the same parts."""
    deltas = tuple(
        (add(mine[0], theirs[0]), add(mine[1], theirs[1]))
        for mine, theirs in zip(one.deltas, other.deltas, strict=True)
    )
    return Change(
        deltas,
        one.sums + other.sums,
        one.subsampled + other.subsampled,
        one.tokens + other.tokens,
    )


def check(
    model: Matrices, config: TrainConfig, at: Round, where: str = "", first_row: int = 0
) -> None:
    """Refuse numbers that grow without bound.

    Args:
        model: all of it, or a part.
        config: resolved settings.
        at: the round that made the numbers.
        where: more for the message.
        first_row: of the part.

    Raises:
        TrainingError: they do.
    """
    faults = (find_fault(*named, first_row) for named in zip(Matrices._fields, model, strict=True))
    fault = next(filter(None, faults), None)
    if fault is None:
        return
    lr = config.starting_lr
    raise TrainingError(
        f"training diverged in epoch {at.epoch + 1}, round {at.number + 1}: {fault}{where} at lr "
        f"{lr:g}; nothing was written; try --lr {config.lower_lr:g}"
    )


def row_parts(n_rows: int, n_shards: int) -> list[slice]:
    """Consecutive parts of `n_rows`, about equal: as many as there are shards, but 8 to 32."""
    n_parts = min(max(n_shards, _FEWEST_PARTS), _MOST_PARTS, n_rows)
    bounds = [n_rows * number // n_parts for number in range(n_parts + 1)]
    return [slice(*pair) for pair in itertools.pairwise(bounds)]


def _add_whole(one: Delta, other: Delta) -> Delta:
    """`add` if both have all rows; sums of float16 are rounded once."""
    values = np.empty_like(one.values)
    for block in blocks(one.n_rows):
        np.add(one.values[block], other.values[block], out=values[block], casting="same_kind")
    steps, squares = one.steps + other.steps, one.squares + other.squares
    return Delta(one.n_rows, None, values, steps, squares)


def blocks(n_rows: int) -> list[slice]:
    """Slices of rows that fit in the cache."""
    return [slice(start, start + _BLOCK_ROWS) for start in range(0, n_rows, _BLOCK_ROWS)]


def _union(one: Delta, other: Delta) -> NDArray[np.int32] | None:
    """The rows of either; None for all."""
    if one.rows is None or other.rows is None:
        return None
    rows = np.union1d(one.rows, other.rows)
    return rows if len(rows) < _FEW * one.n_rows else None


def _places(
    part: Delta, rows: NDArray[np.int32] | None, block: slice
) -> slice | NDArray[np.int32] | NDArray[np.int64]:
    """The positions of a block of values of `part` among `rows`."""
    if part.rows is None:
        return block
    return part.rows[block] if rows is None else np.searchsorted(rows, part.rows[block])
