"""``random_vectors.py V D FILE``: a model of V words and normal random vectors, for look-ups."""

from __future__ import annotations

import sys

import numpy as np

import embedcli


def write(n_words: int, dim: int, target: str) -> None:
    """Save float32 (n_words, dim) vectors of word0, word1, ... in embed's own format."""
    vectors = np.random.default_rng(1).standard_normal((n_words, dim), np.float32)
    vocabulary = embedcli.Vocabulary.from_words(f"word{i}" for i in range(n_words))
    embedcli.save(embedcli.Embeddings(vocabulary, vectors), target)


if __name__ == "__main__":
    write(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
