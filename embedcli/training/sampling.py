"""The probabilities behind the random choices, and the keys of their random numbers.

The choices themselves are made in `kernels/sampling.py`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from embedcli.errors import TrainingError

__all__ = [
    "keep_probabilities",
    "keep_thresholds",
    "kept_share",
    "noise_distribution",
    "pool_size",
    "random_key",
]

_MASK = (1 << 64) - 1
_SMALLEST_POOL = 1 << 16
_LARGEST_POOL = 1 << 22  # 16 MB, which has the proportions of 262,144 words
_SLOTS = 16  # of the pool for a word, on average: the rarest then have 3 or 4
_PURPOSES = {
    "subsample": 1,
    "window": 2,
    "negatives": 3,
    "pool": 4,
    "held out": 5,
    "stretches": 6,
    "cells": 7,
    "shuffle": 8,
}


def keep_thresholds(counts: NDArray[np.int64], sample: float) -> NDArray[np.uint32]:
    """How likely each word survives subsampling, as 32-bit thresholds (uint32, (V,)).

    A word that makes up the share f of the text is kept with probability
    ``min(1, sqrt(t / f) + t / f)``, t = `sample`, as in word2vec.c, gensim and fastText (Mikolov et
    al. 2013, *Distributed Representations of Words and Phrases*, has a simpler formula that none of
    them uses). `sample` 0 keeps everything.
    """
    return np.floor(keep_probabilities(counts, sample) * 0xFFFFFFFF).astype(np.uint32)


def kept_share(counts: NDArray[np.int64], sample: float) -> float:
    """The share of the tokens that survives subsampling, on average."""
    return float((keep_probabilities(counts, sample) * counts).sum() / counts.sum())


def keep_probabilities(counts: NDArray[np.int64], sample: float) -> NDArray[np.float64]:
    """How likely each word survives subsampling (float64, (V,))."""
    if sample == 0:
        return np.ones(len(counts))
    ratio = sample * counts.sum() / np.maximum(counts, 1)  # a word that goes on may not occur here
    probabilities: NDArray[np.float64] = np.minimum(1.0, np.sqrt(ratio) + ratio)
    return probabilities


def noise_distribution(counts: NDArray[np.int64], exponent: float) -> NDArray[np.float64]:
    """Cumulative probabilities of the negatives (float64, (V,), last value 1): count ** exponent.

    Raises:
        TrainingError: `exponent` makes the probabilities overflow.
    """
    with np.errstate(over="ignore", under="ignore"):
        weights = np.power(np.maximum(counts, 1) / counts.max(), exponent)
        cumulative = np.cumsum(weights)
    if not np.isfinite(cumulative[-1]) or cumulative[-1] <= 0:
        raise TrainingError(
            f"ns_exponent {exponent} overflows for counts from {counts.min()} to {counts.max()}: "
            "choose one nearer to 0"
        )
    cumulative /= cumulative[-1]
    return cumulative


def pool_size(n_tokens: int, negative: int, n_words: int) -> int:
    """Ids in the pool of negatives: about as many as an epoch draws, or enough for every word.

    A power of two.
    """
    most = max(_LARGEST_POOL, _SLOTS * n_words)
    return 1 << (min(max(n_tokens * negative, _SMALLEST_POOL), most) - 1).bit_length()


def random_key(seed: int, purpose: str, epoch: int = 0, chunk: int = 0) -> np.uint64:
    """The 64-bit key of a stream of random numbers: another for each of the four arguments."""
    key = seed & _MASK
    for part in (_PURPOSES[purpose], epoch, chunk):
        key = _mix((key + 0x9E3779B97F4A7C15 * (part + 1)) & _MASK)
    return np.uint64(key)


def _mix(z: int) -> int:
    """SplitMix64's finaliser on Python's integers (`kernels.sampling.mix`)."""
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)
