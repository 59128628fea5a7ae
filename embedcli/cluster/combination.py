r"""How the changes that several shards made to the same matrices become one.

Every shard begins a round with the same matrices and trains them for itself. To add all changes up
would move a frequent word, which every shard has seen often enough to bring where it belongs, as
many times too far; to average them would leave a rare word, which one shard has seen, nearly where
it was. And no number for a word would do: what is right differs between directions.

A step with the learning rate lr moves an input vector x by -lr times the gradient of
-log sigma(+-x.y), whose second derivative is s y y^T with s = sigma(1 - sigma). In a direction u, a
step takes x a share lr s (u.y)^2 of the way that is left to where its contexts pull it, and n steps
take it a share

    1 - exp(-k n lr),   k = s * mean of (u.y)^2 over the output vectors y that it meets.

The directions in which rows pull independently are the eigenvectors of the second moment of those
y, and the k are s times its eigenvalues. They differ by a factor of a hundred: output vectors have
a large part in common, along which a row is settled after a few steps, while in most directions it
moves all through training.

If m shards made n steps each, they should take the row 1 - exp(-k m n lr) of the way together, as
one machine would have done; added up, their changes take it m (1 - exp(-k n lr)) of it. So in each
direction the sum of the changes is multiplied by

    f = (1 - exp(-k N)) / (m (1 - exp(-k N / m))),   N = lr times all steps of all shards.

Where k N is small f is 1: a sum. Where it is large, f is 1 / m: an average. A row that one shard
alone has moved is left as that shard has it. Where the shards' steps differ, m is (sum n)^2 / sum
n^2, how many shards with equal steps would be as uneven. So sums over the shards are all that is
needed, and changes can be added up in any order. The same holds for output vectors and the
second moment of the input vectors they meet. Measured beside other rules: docs/cluster.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedcli.cluster.deltas import Delta, blocks

__all__ = ["Basis", "Moment", "after", "bases", "moments"]

CURVATURE = 0.2  # s: 1/4 where the model knows nothing, less where it is sure; measured
_ALONE = 1.001  # shards, below which one has done it all
_NO_WAY = 1e-6  # k N, below which f is 1


@dataclass(frozen=True)
class Moment:
    """What a part of the rows of a matrix adds to its second moment.

    Attributes:
        sum: float64 (D, D), the sum of y y^T, each row y as often as it was in a step.
        steps: the sum of these.
    """

    sum: NDArray[np.float64]
    steps: float


@dataclass(frozen=True)
class Basis:
    """The directions in which the rows of the other matrix pull, and how hard.

    Attributes:
        k: float32 (D,), see above.
        directions: float32 (D, D), as columns.
    """

    k: NDArray[np.float32]
    directions: NDArray[np.float32]


def moments(matrices: Sequence[NDArray[np.float32]], totals: Sequence[Delta]) -> list[Moment]:
    """What a part of the rows of each matrix adds to its second moment.

    Args:
        matrices: of each matrix, the part as it was: float32 (n, D).
        totals: the sum of the changes of all shards in it.
    """
    return [_moment(*pair) for pair in zip(matrices, totals, strict=True)]


def bases(parts: Sequence[Sequence[Moment]]) -> list[Basis]:
    """For each matrix, the directions of the other one, from the moments of all parts."""
    return [_basis(of_all) for of_all in zip(*parts, strict=True)][::-1]


def after(
    matrices: Sequence[NDArray[np.float32]], totals: Sequence[Delta], found: Sequence[Basis]
) -> list[NDArray[np.float32]]:
    """A part of the rows of each matrix after the round: float32 (n, D), new.

    Args:
        matrices: of each matrix, the part as it was: float32 (n, D).
        totals: the sum of the changes of all shards in it.
        found: the result of `bases`.
    """
    return [_apply(*of_one) for of_one in zip(matrices, totals, found, strict=True)]


def _moment(matrix: NDArray[np.float32], delta: Delta) -> Moment:
    """The moment of the rows after the mean change of the shards.

    Before it, at the beginning of training, the rows would show no directions.
    """
    moment = np.zeros((matrix.shape[1], matrix.shape[1]))
    for block in blocks(len(delta.values)):
        where = block if delta.rows is None else delta.rows[block]
        mean = delta.values[block] / _shards(delta, block)[:, None]
        rows = (matrix[where] + mean).astype(np.float64)
        moment += (rows * delta.steps[block, None]).T @ rows
    return Moment(moment, float(delta.steps.sum(dtype=np.float64)))


def _basis(moments: Sequence[Moment]) -> Basis:
    steps = max(sum(one.steps for one in moments), float(np.finfo(np.float64).tiny))
    values, directions = np.linalg.eigh(sum(one.sum for one in moments) / steps)
    return Basis(
        (CURVATURE * np.maximum(values, 0)).astype(np.float32), directions.astype(np.float32)
    )


def _apply(
    matrix: NDArray[np.float32],
    delta: Delta,
    basis: Basis,
) -> NDArray[np.float32]:
    directions = basis.directions
    changed = np.array(matrix)
    for block in blocks(len(delta.values)):
        where = np.arange(len(matrix))[block] if delta.rows is None else delta.rows[block]
        values = delta.values[block].astype(np.float32)
        shards = _shards(delta, block)
        shared = np.flatnonzero(shards > _ALONE)
        factors = _factors(delta.steps[block][shared], shards[shared], basis.k)
        values[shared] = (values[shared] @ directions * factors) @ directions.T
        changed[where] += values
    return changed


def _shards(delta: Delta, block: slice) -> NDArray[np.float32]:
    """M of each row: how many shards have moved it, float32 (n,)."""
    squares = delta.squares[block]
    m = np.ones(len(squares), np.float32)
    np.divide(delta.steps[block] ** 2, squares, out=m, where=squares > 0)
    return np.maximum(m, 1)


def _factors(
    steps: NDArray[np.float32], shards: NDArray[np.float32], k: NDArray[np.float32]
) -> NDArray[np.float32]:
    """F of each row and direction, float32 (n, D)."""
    way, m = steps[:, None] * k, shards[:, None]
    factors = np.ones_like(way)
    np.divide(np.expm1(-way), m * np.expm1(-way / m), out=factors, where=way > _NO_WAY)
    return factors
