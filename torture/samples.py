"""Small embeddings to write and damage."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from embedcli.embeddings import Embeddings

__all__ = ["embeddings"]

_WORDS = (
    "the",
    "</s>",
    "na\u00efve",
    "\u6771\u4eac",
    "e\u0301",
    "-1",
    "0.5",
    "NaN",
    "\u200b",
    "x" * 99,
)


def embeddings(seed: int, n_words: int = 30, dim: int = 6) -> Embeddings:
    """Words that make trouble somewhere, with counts and random vectors, float32 (V, D)."""
    import numpy as np

    from embedcli.embeddings import Embeddings
    from embedcli.vocabulary import Vocabulary

    words = [*_WORDS, *(f"word{i}" for i in range(n_words))][:n_words]
    vectors = np.random.default_rng(seed).normal(size=(n_words, dim)).astype(np.float32)
    counts = list(range(1000 + n_words, 1000, -1))
    return Embeddings(Vocabulary.from_words(words, counts), vectors, metadata={"seed": seed})
