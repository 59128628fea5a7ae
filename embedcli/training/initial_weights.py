"""Initialises the matrices of a run, and checks pretrained ones."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from embedcli.kernels.alignment import aligned, row_stride
from embedcli.kernels.weights import Weights
from embedcli.settings.config import TrainConfig

__all__ = ["WIDTHS", "find_fault", "initial_weights", "kind_of_inputs", "random_rows"]

# The first input vectors are uniform on [-w, w) / sqrt(D), so their length does not depend on D: it
# is w / sqrt(3) on average. At D = 100, word2vec.c has w = 0.05 (docs/training.md has scores).
WIDTHS = {
    "skipgram": 0.1,
    "skipgram hs": 0.05,
    "skipgram subword": 1.6,  # a word is the mean of 15 rows, which is about a quarter as long
    "cbow": 0.4,
    "cbow hs": 0.05,
    "cbow subword": 1.6,
}
_INIT_NUMBERS = 1 << 20
_LARGEST_WEIGHT = 1e4  # components that learn stay below a hundred; beyond, only overflow follows
_CHECKED_BYTES = 1 << 22


def initial_weights(
    n_words: int, config: TrainConfig, *, n_parts: int = 0, n_copies: int = 0
) -> Weights:
    """syn0 uniform, by `WIDTHS`, and syn1neg zero; padding zero in both.

    `n_parts` more rows of syn0 are for parts of words, and `n_copies` rows of zeros at the end of
    both for copies.
    """
    dim, stride, n_rows = config.dim, row_stride(config.dim), n_words + n_parts
    syn0, syn1neg = aligned((n_rows + n_copies) * stride), aligned((n_words + n_copies) * stride)
    weights = Weights(syn0, syn1neg, stride)
    rows = syn0[: n_rows * stride].reshape(n_rows, stride)
    generator = np.random.Generator(np.random.Philox(config.seed))
    scale = np.float32(2 * WIDTHS[kind_of_inputs(config)] * math.sqrt(dim))
    for place, block in random_rows(generator, n_rows, dim, dim):
        np.multiply(block, scale, out=rows[place, :dim])
    return weights


def kind_of_inputs(config: TrainConfig) -> str:
    """The name in `WIDTHS` of what a run trains."""
    what = "hs" if config.loss == "hs" else "subword" if config.subword is not None else ""
    return f"{config.arch} {what}".rstrip()


def random_rows(
    generator: np.random.Generator, n_rows: int, n_columns: int, dim: int
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Numbers uniform on [-1/2D, 1/2D), float32 (n, `n_columns`), for rows by a few thousand."""
    n_at_once = max(1, _INIT_NUMBERS // n_columns)
    for start in range(0, n_rows, n_at_once):
        shape = min(n_at_once, n_rows - start), n_columns
        block = generator.random(shape, dtype=np.float32)
        block -= np.float32(0.5)
        block /= np.float32(dim)
        yield slice(start, start + len(block)), block


def find_fault(name: str, matrix: NDArray[np.float32], first_row: int = 0) -> str | None:
    """The first row, in words, of a matrix (V, D) that nobody should go on with or keep.

    `first_row` is what its first row is called.
    """
    rows = max(1, _CHECKED_BYTES // (4 * matrix.shape[1]))
    for start in range(0, len(matrix), rows):
        block = matrix[start : start + rows]
        low, high = float(block.min()), float(block.max())  # NaN goes through both
        if not (low >= -_LARGEST_WEIGHT and high <= _LARGEST_WEIGHT):
            size = np.abs(block).max(axis=1)
            row = int(np.argmax(~(size <= _LARGEST_WEIGHT)))
            return f"row {first_row + start + row} of {name} holds {size[row]:g}"
    return None
