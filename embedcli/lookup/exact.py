"""Nearest neighbours: the exact top k by cosine among V vectors, in blocks.

Candidates are found in float32 with matrix products over blocks of rows, keeping every row whose
score lies within the rounding error of the k-th best; the few that remain are scored again in
float64. So the answer is the exact one, ties and all, and is the same whether a query is asked
alone or among a thousand others.

Words are not known here (`query.py`), and nothing is approximate; an index, where one is wanted,
gives candidates (`index.py`), which `best_of` scores in the same way.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from embedcli.errors import InputError

__all__ = ["best_of", "cosines", "nearest", "unit_rows"]

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Ids = NDArray[np.int64]

SCORES_AT_ONCE = 1 << 22  # 16 MiB; with fewer, threads wait longer for each other
QUERIES_AT_ONCE = 1024  # queries multiplied at once
MIN_BLOCK, MAX_BLOCK = 1 << 10, 1 << 14  # rows multiplied at once
POOL, POOL_PER_ANSWER = 1 << 15, 4  # candidates held before the pool is thinned
PAIRS_AT_ONCE = 1 << 13  # (query, row) pairs scored in float64 at once
_TINY = np.finfo(np.float32).tiny  # a norm below this has no float32 inverse, and counts as zero
_LARGE = np.float32(1e-30)  # the inverse norm of rows whose products may leave float32
_SQUARES = 1e-150  # a norm whose square a float64 still holds
_NO_FLOOR = -2.0  # below every cosine, above the -inf that marks an excluded row


def nearest(
    vectors: Floats,
    norms: Floats,
    queries: NDArray[np.floating],
    k: int,
    *,
    excluded: Sequence[Iterable[int]] | None = None,
    restrict: int | None = None,
) -> tuple[Ids, Doubles]:
    """Find the `k` rows of `vectors` with the highest cosine to each query.

    Args:
        vectors: float32 (V, D), perhaps a memory map, perhaps with padded rows.
        norms: float32 (V,), their Euclidean norms.
        queries: (Q, D), of any length; they need not be unit vectors.
        k: how many neighbours a query gets, at most.
        excluded: for each query the ids that must not be answered.
        restrict: search the first `restrict` rows only.

    Returns:
        ids, int64 (Q, k), best first, equal cosines by lower id; and cosines, float64 (Q, k), in
        [-1, 1]. A zero vector has cosine 0 to everything. Where fewer than `k` rows can be
        answered, the rest of a line is id -1 with cosine 0.

    Raises:
        InputError: a vector is not finite.
    """
    n_rows = len(vectors) if restrict is None else min(restrict, len(vectors))
    search = _Search(vectors[:n_rows], norms[:n_rows], np.asarray(queries, np.float64), k)
    banned = _Banned(excluded or ())
    n_scores = max(1, min(QUERIES_AT_ONCE, len(queries)))  # of each row
    n_block = int(np.clip(SCORES_AT_ONCE // n_scores, MIN_BLOCK, MAX_BLOCK))
    for start in range(0, n_rows if k > 0 else 0, n_block):
        stop = min(start + n_block, n_rows)
        for first in range(0, len(queries), QUERIES_AT_ONCE):
            scores = search.scores(first, start, stop)
            banned.strike(scores, first, start)
            search.offer(scores, first, start)
    return search.result()


def best_of(
    vectors: Floats,
    norms: Floats,
    queries: NDArray[np.floating],
    candidates: Ids,
    k: int,
    *,
    excluded: Sequence[Iterable[int]],
) -> tuple[Ids, Doubles]:
    """The `k` best of each query among its candidates, scored as `nearest` does.

    Args:
        vectors: float32 (V, D).
        norms: float32 (V,), their Euclidean norms.
        queries: (Q, D).
        candidates: int64 (Q, C), ids in any order; -1 is none.
        k: how many neighbours a query gets, at most.
        excluded: for each query the ids that must not be answered.

    Returns:
        ids, int64 (Q, k), and cosines, float64 (Q, k), as `nearest`.
    """
    all_ids = np.full((len(queries), k), -1, np.int64)
    all_cosines = np.zeros((len(queries), k))
    for row, unit in enumerate(unit_rows(queries)):
        ids = np.setdiff1d(candidates[row], [-1, *excluded[row]])
        exact = (unit_rows(vectors[ids]) * unit).sum(axis=1)
        exact[norms[ids] < _TINY] = 0.0
        order = np.argsort(-exact, kind="stable")[:k]
        all_ids[row, : len(order)] = ids[order]
        all_cosines[row, : len(order)] = np.clip(exact[order], -1.0, 1.0)
    return all_ids, all_cosines


def cosines(vectors: Floats, norms: Floats, queries: NDArray[np.floating]) -> Floats:
    """Cosines of every query with every row: float32 (Q, V), for the sums that need all of them.

    Args:
        vectors: float32 (V, D).
        norms: float32 (V,), their Euclidean norms.
        queries: (Q, D); a zero query or row has cosine 0.

    Raises:
        InputError: a vector is not finite.
    """
    inverse = _inverse(norms)
    rows, factors = _fitting(vectors, inverse)
    scores = unit_rows(queries).astype(np.float32) @ rows.T
    scores *= factors
    return scores


def unit_rows(rows: NDArray[np.floating]) -> Doubles:
    """Scale the rows of (n, D) to length 1 in float64; zero rows stay zero."""
    rows = np.asarray(rows, np.float64)
    with np.errstate(over="ignore", under="ignore"):
        norms = np.sqrt((rows * rows).sum(axis=1, keepdims=True))
    extreme = ~((norms[:, 0] > _SQUARES) & (norms[:, 0] < 1 / _SQUARES))
    if extreme.any():  # squares that leave the range of float64, or zero rows
        rows = rows.copy()
        largest = np.abs(rows[extreme]).max(axis=1, keepdims=True, initial=0)
        rows[extreme] = np.divide(rows[extreme], largest, out=rows[extreme] * 0, where=largest > 0)
        norms[extreme] = np.sqrt((rows[extreme] ** 2).sum(axis=1, keepdims=True))
    units: Doubles = np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0)
    return units


class _Search:
    """The state of one search: queries, and the pool of candidates still in the running."""

    def __init__(self, vectors: Floats, norms: Floats, queries: Doubles, k: int) -> None:
        self.vectors = vectors
        self.inverse = _inverse(norms)
        if not np.isfinite(queries).all():
            raise InputError("a query vector is not finite: cosines with it are undefined")
        self.units = unit_rows(queries)
        self.units32 = self.units.astype(np.float32)
        self.k = k
        # A float32 sum of D products of unit vectors is off by at most D * 2^-24; twice that, as
        # both the candidate and the k-th best may be off, and a little for scaling to unit length.
        self.margin = np.float32(2 * (vectors.shape[1] + 8) * 2.0**-24)
        self.floors = np.full(len(queries), _NO_FLOOR, np.float32)
        self.pool_limit = max(POOL, POOL_PER_ANSWER * k * len(queries))
        self.pool: list[tuple[Ids, Ids, Floats]] = []
        self.pooled = 0
        self.buffer = np.empty(0, np.float32)

    def scores(self, first: int, start: int, stop: int) -> Floats:
        """Cosines of up to `QUERIES_AT_ONCE` queries from `first` with rows `start` to `stop`."""
        units = self.units32[first : first + QUERIES_AT_ONCE]
        size = len(units) * (stop - start)
        if len(self.buffer) < size:
            self.buffer = np.empty(size, np.float32)
        scores = self.buffer[:size].reshape(len(units), stop - start)
        rows, factors = _fitting(self.vectors[start:stop], self.inverse[start:stop])
        np.matmul(units, rows.T, out=scores)
        scores *= factors
        return scores

    def offer(self, scores: Floats, first: int, start: int) -> None:
        """Pool the scores that may be among the k best of their query."""
        floors = self.floors[first : first + len(scores)]
        n_columns = scores.shape[1]
        if floors[0] == _NO_FLOOR and self.k <= n_columns:
            kth = np.partition(scores, n_columns - self.k, axis=1)[:, n_columns - self.k]
            np.maximum(floors, kth - self.margin, out=floors)
        rows = np.flatnonzero(scores.max(axis=1) >= floors)
        if not len(rows):
            return
        found = np.flatnonzero(scores[rows] >= floors[rows, None])
        rows, columns = rows[found // n_columns], found % n_columns
        self.pool.append((rows + first, columns + start, scores[rows, columns]))
        self.pooled += len(rows)
        if self.pooled > self.pool_limit:
            self._shrink()

    def result(self) -> tuple[Ids, Doubles]:
        """Score what is left in float64 and lay it out as (Q, k)."""
        self._shrink()
        queries, ids, exact = self._best()
        rank = _rank_within(queries)
        all_ids = np.full((len(self.units), self.k), -1, np.int64)
        all_cosines = np.zeros((len(self.units), self.k))
        all_ids[queries, rank] = ids
        all_cosines[queries, rank] = exact
        return all_ids, all_cosines

    def _merged(self) -> tuple[Ids, Ids, Floats]:
        if not self.pool:
            return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32)
        queries, ids, scores = (np.concatenate(parts) for parts in zip(*self.pool, strict=True))
        return queries, ids, scores

    def _shrink(self) -> None:
        """Raise the floors to what the pool has shown, and drop what lies below them."""
        queries, ids, scores = self._merged()
        order = np.lexsort((-scores, queries))
        queries, ids, scores = queries[order], ids[order], scores[order]
        kth = _rank_within(queries) == self.k - 1
        np.maximum.at(self.floors, queries[kth], scores[kth] - self.margin)
        keep = scores >= self.floors[queries]
        self.pool = [(queries[keep], ids[keep], scores[keep])]
        self.pooled = int(keep.sum())
        if self.pooled > self.pool_limit // 2:  # a crowd of ties: only exact scores part it
            queries, ids, exact = self._best()
            self.pool = [(queries, ids, exact.astype(np.float32))]
            self.pooled = len(ids)

    def _best(self) -> tuple[Ids, Ids, Doubles]:
        """The pool's k best of each query by exact cosine, then id; sorted so."""
        queries, ids, _ = self._merged()
        exact = self._exact(queries, ids)
        order = np.lexsort((ids, -exact, queries))
        order = order[_rank_within(queries[order]) < self.k]
        return queries[order], ids[order], exact[order]

    def _exact(self, queries: Ids, ids: Ids) -> Doubles:
        exact = np.empty(len(ids))
        for start in range(0, len(ids), PAIRS_AT_ONCE):
            part = slice(start, start + PAIRS_AT_ONCE)
            rows = unit_rows(self.vectors[ids[part]])
            exact[part] = (rows * self.units[queries[part]]).sum(axis=1)
        exact[self.inverse[ids] == 0] = 0.0
        return np.clip(exact, -1.0, 1.0, out=exact)


class _Banned:
    """The excluded (query, id) pairs, sorted by id so that each block finds its own."""

    def __init__(self, excluded: Sequence[Iterable[int]]) -> None:
        pairs = [(i, query) for query, ids in enumerate(excluded) for i in ids]
        table = np.array(sorted(pairs), np.int64).reshape(-1, 2)
        self.ids, self.queries = table[:, 0], table[:, 1]

    def strike(self, scores: Floats, first: int, start: int) -> None:
        """Put -inf where the block of scores, from query `first` and row `start`, is excluded."""
        low, high = np.searchsorted(self.ids, (start, start + scores.shape[1]))
        queries = self.queries[low:high] - first
        mine = (queries >= 0) & (queries < len(scores))
        scores[queries[mine], self.ids[low:high][mine] - start] = -np.inf


def _inverse(norms: Floats) -> Floats:
    """1 / norm, and 0 for zero vectors."""
    finite = np.isfinite(norms)
    if not finite.all():
        row = int(np.argmin(finite))
        raise InputError(f"vector {row} (from 0) has norm {norms[row]}: its numbers are not finite")
    return np.divide(1, norms, out=np.zeros_like(norms), where=norms >= _TINY)


def _fitting(vectors: Floats, inverse: Floats) -> tuple[Floats, Floats]:
    """Rows, and what their products with unit vectors are to be scaled by, inside float32."""
    large = (inverse > 0) & (inverse < _LARGE)
    if not large.any():
        return vectors, inverse
    rows, factors = np.array(vectors), inverse.copy()
    rows[large] = unit_rows(rows[large])
    factors[large] = 1
    return rows, factors


def _rank_within(groups: Ids) -> Ids:
    """0, 1, 2, ... within each run of equal numbers in sorted `groups`."""
    starts = np.flatnonzero(np.diff(groups, prepend=-1))
    lengths = np.diff(starts, append=len(groups))
    return np.arange(len(groups)) - np.repeat(starts, lengths)
