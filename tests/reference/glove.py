"""The slow NumPy twin of the GloVe kernel: its specification."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from embedcli.kernels.glove import Cells, GloveWeights
from embedcli.kernels.sampling import GOLDEN
from tests.reference import mix

__all__ = ["glove_loss", "glove_slice", "order_cells"]


def glove_loss(
    w: NDArray[np.float64], c: NDArray[np.float64], target: float, weight: float
) -> float:
    """1/2 f (w.c - log X)^2; w and c are rows (`glove.py`), biases and ones included."""
    return float(0.5 * weight * (w @ c - target) ** 2)


def glove_slice(
    cells: Cells,
    start: int,
    stop: int,
    weights: GloveWeights,
    lr: float,
    tally: NDArray[np.float64],
) -> None:
    """Twin of `glove.train_slice`."""
    words, contexts, words_squares, contexts_squares = (
        matrix.reshape(-1, weights.stride) for matrix in weights[:4]
    )
    for i in range(start, stop):
        row, column = cells.rows[i], cells.columns[i]
        w, c = words[row].astype(np.float64), contexts[column].astype(np.float64)
        target, weight = float(cells.targets[i]), float(cells.weights[i])
        tally[:2] += glove_loss(w, c, target, weight), 1
        step = lr * weight * (w @ c - target)
        by_w, by_c = step * c, step * w
        words[row] = w - by_w / np.sqrt(words_squares[row])
        contexts[column] = c - by_c / np.sqrt(contexts_squares[column])
        words_squares[row] += by_w**2
        contexts_squares[column] += by_c**2


def order_cells(cells: Cells, mirrored: int, key: int, ordered: Cells) -> int:
    """Twin of `glove.order_cells`."""
    shuffled: list[tuple[int, int, int]] = []  # row, column, where target and weight are
    for i, (row, column) in enumerate(zip(cells.rows, cells.columns, strict=True)):
        for both in [(row, column), (column, row)][: 2 if mirrored and row != column else 1]:
            n = len(shuffled)
            bits = mix((key + (n + 1) * int(GOLDEN)) & ((1 << 64) - 1)) >> 32
            place = bits * (n + 1) >> 32
            shuffled.append((*both, i))
            shuffled[n], shuffled[place] = shuffled[place], shuffled[n]
    for place, (row, column, i) in enumerate(shuffled):
        ordered.rows[place], ordered.columns[place] = row, column
        ordered.targets[place], ordered.weights[place] = cells.targets[i], cells.weights[i]
    return len(shuffled)
