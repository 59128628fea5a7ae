"""The slow NumPy twins of the kernels that work on a hidden vector: their specification.

As `reference.py`, whose pieces they use: same arguments as the compiled twin, same numbers left
behind.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from embedcli.kernels.parts import Parts
from embedcli.kernels.reference import (
    Matrix,
    draw_outputs,
    draw_radius,
    draw_shared,
    sigmoid,
)
from embedcli.kernels.sampling import Noise, Staged
from embedcli.kernels.weights import Scratch, Weights

__all__ = ["step", "subword_cbow_slice", "subword_skipgram_slice"]


def step(
    x: Matrix,
    o: Matrix,
    inputs: list[int],
    outputs: list[int],
    labels: NDArray[np.float64],
    weights: NDArray[np.float64],
    lr: float,
    share: float,
) -> float:
    """One step of the mean of the rows `inputs` of x against the rows `outputs` of o; its loss.

    labels (M,) are 0 and 1, weights (M,) what each output counts; each input row gets `share` of
    the gradient.
    """
    h = x[inputs].mean(axis=0, dtype=np.float64)
    dots = o[outputs].astype(np.float64) @ h
    loss = float((weights * np.logaddexp(0, np.where(labels == 1, -dots, dots))).sum())
    gradients = lr * weights * (labels - sigmoid(dots))
    error = np.zeros(len(h))
    for output, gradient in zip(outputs, gradients, strict=True):  # they may repeat
        error += gradient * o[output]
        o[output] += (gradient * h).astype(np.float32)
    for row in inputs:
        x[row] += (share * error).astype(np.float32)
    return loss


def subword_skipgram_slice(
    staged: Staged,
    start: int,
    stop: int,
    weights: Weights,
    noise: Noise,
    n_shared: int,
    window: int,
    shrink: bool,
    key: int,
    lr: float,
    scratch: Scratch,
    parts: Parts,
    negative: int,
) -> None:
    """Twin of `subword_skipgram.train_slice`."""
    x = weights.syn0.reshape(-1, weights.stride)
    o = weights.syn1neg.reshape(-1, weights.stride)
    for i in range(start, stop):
        negatives = draw_shared(i, noise, n_shared)
        contexts = _contexts(staged, i, window, shrink, key)
        if not contexts:
            scratch.tally[3] += 1
            continue
        n = len(contexts)
        labels = np.repeat([1.0, 0.0], [n, n_shared])
        weighs = np.repeat([1.0, n * negative / n_shared], [n, n_shared])
        rows = _rows(parts, [int(staged.kept[i])])
        loss = step(x, o, rows, contexts + negatives, labels, weighs, lr, 1.0)
        scratch.tally[:3] += loss, n * (1 + negative), 1


def subword_cbow_slice(
    staged: Staged,
    start: int,
    stop: int,
    weights: Weights,
    noise: Noise,
    n_outputs: int,
    window: int,
    shrink: bool,
    key: int,
    lr: float,
    divide: bool,
    scratch: Scratch,
    parts: Parts,
) -> None:
    """Twin of `subword_cbow.train_slice`."""
    x = weights.syn0.reshape(-1, weights.stride)
    o = weights.syn1neg.reshape(-1, weights.stride)
    for i in range(start, stop):
        outputs = draw_outputs(int(staged.kept[i]), i, noise, n_outputs, len(o))
        contexts = _contexts(staged, i, window, shrink, key)
        if not contexts:
            scratch.tally[3] += 1
            continue
        rows = _rows(parts, contexts)
        share = 1 / len(rows) if divide else 1.0
        labels = np.eye(1, n_outputs)[0]
        loss = step(x, o, rows, outputs, labels, np.ones(n_outputs), lr, share)
        scratch.tally[:3] += loss, n_outputs, 1


def _contexts(staged: Staged, i: int, window: int, shrink: bool, key: int) -> list[int]:
    radius = draw_radius(key, i, window) if shrink else window
    near = range(max(staged.first[i], i - radius), min(staged.last[i], i + radius + 1))
    return [int(staged.kept[j]) for j in near if j != i]


def _rows(parts: Parts, words: list[int]) -> list[int]:
    return [
        row
        for word in words
        for row in parts.rows[parts.offsets[word] : parts.offsets[word + 1]].tolist()
    ]
