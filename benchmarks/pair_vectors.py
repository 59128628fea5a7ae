"""``pair_vectors.py MODEL V D FILE``: a model of V words and pairs, made of trained vectors.

A pair ``a_b`` gets the sum of the vectors of its two words, each turned into D dimensions by a
random matrix of its own, and a word gets that of itself with itself. So neighbourhoods are like
those of trained vectors, which those of random vectors are not, and words keep their scores.
"""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray

import embedcli

_ROWS = 1 << 16


def write(source: str, n_words: int, dim: int, target: str) -> None:
    """Save float32 (n_words, dim) vectors of words and pairs in embed's own format."""
    model = embedcli.load(source)
    rng = np.random.default_rng(1)
    firsts, seconds = _pairs(rng, len(model), n_words)
    turns = rng.standard_normal((2, model.dim, dim), np.float32) / np.float32(np.sqrt(dim))
    vectors = np.empty((n_words, dim), np.float32)
    for start in range(0, n_words, _ROWS):
        rows = slice(start, start + _ROWS)
        vectors[rows] = model.vectors[firsts[rows]] @ turns[0]
        vectors[rows] += model.vectors[seconds[rows]] @ turns[1]
    words = model.vocabulary.words
    names = [
        words[a] if a == b else f"{words[a]}_{words[b]}"
        for a, b in zip(firsts.tolist(), seconds.tolist(), strict=True)
    ]
    counts = range(n_words, 0, -1)  # any that fall: formats and SIF want some
    vocabulary = embedcli.Vocabulary.from_words(names, counts)
    embedcli.save(embedcli.Embeddings(vocabulary, vectors), target)


def _pairs(
    rng: np.random.Generator, n_known: int, n_words: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The ids of both words of each row: first every word with itself, then pairs, each once."""
    own = np.arange(min(n_known, n_words)) * (n_known + 1)
    # frequent words, which have low ids, are in more pairs than rare ones
    drawn = (n_known * rng.random((2, 2 * n_words)) ** 2).astype(np.int64)
    codes = drawn[0][drawn[0] != drawn[1]] * n_known + drawn[1][drawn[0] != drawn[1]]
    _, place = np.unique(codes, return_index=True)
    codes = np.concatenate([own, codes[np.sort(place)]])[:n_words]
    if len(codes) < n_words:
        raise ValueError(f"{n_known} words have fewer than {n_words} pairs")
    return codes // n_known, codes % n_known


if __name__ == "__main__":
    write(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
