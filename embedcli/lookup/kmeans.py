"""Word classes: k-means over unit vectors, as word2vec's ``-classes``.

Spherical k-means (Dhillon & Modha 2001): a word belongs to the centre with the highest cosine, and
a centre is the unit mean of its words. The first centres are words far from each other (k-means++
by cosine distance). A centre that loses all its words takes the word that fits its own centre
worst. The same vectors and seed give the same classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from embedcli.embeddings import Embeddings
from embedcli.errors import UsageError
from embedcli.lookup.exact import unit_rows

__all__ = ["classes", "parted"]

Floats = NDArray[np.float32]
_SIMILARITIES = 1 << 22  # held at once


def classes(
    embeddings: Embeddings, k: int, *, seed: int = 1, rounds: int = 30
) -> tuple[NDArray[np.int64], Floats]:
    """Part the words into `k` classes.

    Args:
        embeddings: the model.
        k: how many classes, 1 to V.
        seed: of the choice of the first centres.
        rounds: at most so many times are words and centres moved.

    Returns:
        The class of each word, int64 (V,), the largest class being 0; and its cosine to its centre,
        float32 (V,).

    Raises:
        UsageError: there are fewer words than classes.
    """
    if k > len(embeddings):
        raise UsageError(f"{k} classes of {len(embeddings)} words: ask for fewer")
    units = unit_rows(embeddings.vectors).astype(np.float32)
    belongs, cosines = parted(units, k, seed=seed, rounds=rounds)
    order = np.argsort(-np.bincount(belongs, minlength=k), kind="stable")
    rank = np.empty(k, np.int64)
    rank[order] = np.arange(k)
    return rank[belongs], cosines


def parted(
    units: Floats, k: int, *, seed: int = 1, rounds: int = 30
) -> tuple[NDArray[np.int64], Floats]:
    """Part rows of length 1, float32 (n, D), into `k` classes, at most n.

    Returns:
        The class of each row, int64 (n,); and its cosine to its centre, float32 (n,).
    """
    centers = _first_centers(units, k, np.random.default_rng(seed))
    belongs = np.full(len(units), -1, np.int64)
    for _ in range(rounds):
        nearest, cosines = _nearest(units, centers)
        if np.array_equal(nearest, belongs):
            break
        belongs = nearest
        centers = _centers(units, belongs, cosines, k)
    return belongs, cosines


def _first_centers(units: Floats, k: int, generator: np.random.Generator) -> Floats:
    chosen = [int(generator.integers(len(units)))]
    distance = 1 - units @ units[chosen[0]]
    for _ in range(k - 1):
        weight = np.maximum(distance, 0).astype(np.float64)
        total = weight.sum()
        chance = weight / total if total > 0 else np.full(len(units), 1 / len(units))
        chosen.append(int(generator.choice(len(units), p=chance)))
        np.minimum(distance, 1 - units @ units[chosen[-1]], out=distance)
    return units[chosen]


def _nearest(units: Floats, centers: Floats) -> tuple[NDArray[np.int64], Floats]:
    nearest = np.empty(len(units), np.int64)
    cosines = np.empty(len(units), np.float32)
    step = max(1, _SIMILARITIES // len(centers))
    for start in range(0, len(units), step):
        block = units[start : start + step] @ centers.T
        best = block.argmax(axis=1)
        nearest[start : start + step] = best
        cosines[start : start + step] = block[np.arange(len(best)), best]
    return nearest, cosines


def _centers(units: Floats, belongs: NDArray[np.int64], cosines: Floats, k: int) -> Floats:
    order = np.argsort(belongs, kind="stable")
    sizes = np.bincount(belongs, minlength=k)
    sums = np.zeros((k, units.shape[1]))
    starts = (np.cumsum(sizes) - sizes)[sizes > 0]
    sums[sizes > 0] = np.add.reduceat(units[order], starts, axis=0, dtype=np.float64)
    empty = np.flatnonzero(sizes == 0)
    sums[empty] = units[np.argsort(cosines, kind="stable")[: len(empty)]]
    return unit_rows(sums).astype(np.float32)
