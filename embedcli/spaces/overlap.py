"""The share of nearest neighbours that two spaces have in common.

The measure of what a smaller copy of a model has lost, and of how far two runs agree. Words are
drawn at random, from the more frequent ones that both spaces hold; the neighbours are the exact
ones of each space among the words of both.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from embedcli.embeddings import Embeddings
from embedcli.lookup.exact import nearest

__all__ = ["SAMPLE", "neighbor_ids", "overlap", "sample_ids"]

SAMPLE = 1000  # words asked
_FREQUENT = 30_000  # drawn from this many: what is rarer has neighbours by chance


def overlap(first: Embeddings, second: Embeddings, k: int = 10, *, seed: int = 1) -> float | None:
    """The mean share, 0 to 1, of `k` neighbours that both spaces give a word.

    Args:
        first: one space.
        second: another over the same words, or over the first n of them.
        k: neighbours a word.
        seed: of the choice of the words.

    Returns:
        The share over `SAMPLE` words, or all where there are fewer; None with fewer than two words.
    """
    n = min(len(first), len(second))
    if n < 2:
        return None
    k = min(k, n - 1)
    asked = sample_ids(n, seed)
    found = [neighbor_ids(each.head(n), asked, k) for each in (first, second)]
    shared = [len(set(a) & set(b)) for a, b in zip(*(f.tolist() for f in found), strict=True)]
    return sum(shared) / (k * len(asked))


def sample_ids(n: int, seed: int) -> NDArray[np.int64]:
    """At most `SAMPLE` ids among the first `n`, in rising order."""
    pool = min(n, _FREQUENT)
    drawn = np.random.default_rng(seed).choice(pool, min(SAMPLE, pool), replace=False)
    return np.sort(drawn).astype(np.int64)


def neighbor_ids(embeddings: Embeddings, asked: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """The ids of the `k` nearest words of each word asked, int64 (n, k), itself left out."""
    ids, _ = nearest(
        embeddings.vectors,
        embeddings.norms,
        embeddings.vectors[asked],
        k,
        excluded=asked[:, None].tolist(),
    )
    return ids
