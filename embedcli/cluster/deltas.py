"""What a round changed in a matrix, and how the changes of several shards become one.

Every shard begins a round with the same matrix and trains it for itself. To add all changes up
would move a frequent word, which every shard has seen often enough to bring where it belongs, as
many times too far; to average them would leave a rare word, which one shard has seen, nearly where
it was. What is right for a row depends on how far the round took it.

A step of the learning rate lr moves a row by a small share of the way that is left to where its
contexts pull it, so that n steps take it a share ``1 - exp(-k n lr)`` of that way. The shards
together have made sum(n) steps and should take the row ``1 - exp(-k lr sum(n))`` of the way; added
up, their changes take it ``sum(1 - exp(-k lr n))`` of it. The sum is multiplied by the quotient:

    row += sum(change) * (1 - exp(-k lr sum(n))) / sum(1 - exp(-k lr n))

Short rounds and rare words: nearly 1, a sum. Long rounds and frequent words: 1 divided by how many
shards saw the word, an average. A word that one shard alone has seen: exactly 1. Numerator and
denominator are sums over the shards, so that changes can be added in any order, two at a time;
the quotient is taken when the last two have met. k is measured: docs/cluster.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Delta", "add", "apply", "difference"]

CONTRACTION = 0.01  # k, for n in pairs of one input and one output row

_BLOCK_ROWS = 1 << 14  # rows worked on at a time: a few MB beside the matrices
_FEW = 0.5  # a matrix of which less is touched is sent as rows
_FEWEST_STEPS = 1e-6  # of a row that changed, whatever was expected: no 0 / 0


@dataclass(frozen=True)
class Delta:
    """How one or several shards changed one matrix (V, D).

    Attributes:
        n_rows: V.
        rows: int32 (n,), the rows that changed, rising; None if `values` has all V.
        values: float32 or float16 (n, D), the sum of their changes.
        steps: float32 (n,), lr times the steps the rows have taken; 0 for one that did not change.
        shares: float32 (n,), the sum over the shards of 1 - exp(-k steps).
    """

    n_rows: int
    rows: NDArray[np.int32] | None
    values: NDArray[np.float32] | NDArray[np.float16]
    steps: NDArray[np.float32]
    shares: NDArray[np.float32]

    @property
    def nbytes(self) -> int:
        """Bytes that are sent."""
        arrays = [self.values, self.steps, self.shares]
        return sum(array.nbytes for array in [*arrays, *([] if self.rows is None else [self.rows])])


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
        steps: float32 (V,), lr times the steps that each row has probably taken.
        dtype: of the values that are sent.
    """
    n_rows = len(before)
    touched = np.empty(n_rows, np.bool_)
    for block in _blocks(n_rows):
        touched[block] = (before[block] != after[block]).any(axis=1)
    steps = np.where(touched, np.maximum(steps, _FEWEST_STEPS), 0).astype(np.float32)
    shares = -np.expm1(-CONTRACTION * steps)
    rows = np.flatnonzero(touched).astype(np.int32) if touched.mean() < _FEW else None
    n_values = n_rows if rows is None else len(rows)
    values = np.empty((n_values, before.shape[1]), dtype)
    for block in _blocks(n_values):
        which = block if rows is None else rows[block]
        values[block] = after[which] - before[which]
    if rows is not None:
        steps, shares = steps[rows], shares[rows]
    return Delta(n_rows, rows, values, steps, shares)


def add(one: Delta, other: Delta) -> Delta:
    """The changes of the shards of both; values of the type of the first."""
    rows = _union(one, other)
    n_values = one.n_rows if rows is None else len(rows)
    values = np.zeros((n_values, one.values.shape[1]), one.values.dtype)
    steps, shares = np.zeros(n_values, np.float32), np.zeros(n_values, np.float32)
    for part in (one, other):
        for block in _blocks(len(part.values)):
            where = _places(part, rows, block)
            summed = values[where].astype(np.float32) + part.values[block]
            values[where] = summed
            steps[where] += part.steps[block]
            shares[where] += part.shares[block]
    return Delta(one.n_rows, rows, values, steps, shares)


def apply(matrix: NDArray[np.float32], delta: Delta) -> NDArray[np.float32]:
    """The matrix after a round: float32 (V, D), new."""
    changed = np.array(matrix)
    for block in _blocks(len(delta.values)):
        where = block if delta.rows is None else delta.rows[block]
        steps = delta.steps[block]
        factor = np.ones(len(steps), np.float32)
        np.divide(-np.expm1(-CONTRACTION * steps), delta.shares[block], out=factor, where=steps > 0)
        changed[where] += delta.values[block] * factor[:, None]
    return changed


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


def _blocks(n_rows: int) -> list[slice]:
    return [slice(start, start + _BLOCK_ROWS) for start in range(0, n_rows, _BLOCK_ROWS)]
