"""The slow NumPy twins of the kernels that work on a hidden vector: their specification.

As in the package, whose pieces they use: same arguments as the compiled twin, same numbers left
behind.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from embedcli.kernels.sampling import Noise, Staged
from embedcli.kernels.subwords import GROUP, SubwordRows, n_groups, usual_noise, words_in_group
from embedcli.kernels.weights import Scratch, Weights
from tests.reference import (
    Matrix,
    contexts_of,
    draw_outputs,
    draw_shared,
    sigmoid,
)

__all__ = ["Group", "groups_of", "step", "subword_cbow_slice", "subword_skipgram_slice"]

# Output rows, their labels (0 or 1), and what each counts.
Group = tuple[list[int], NDArray[np.float64], NDArray[np.float64]]


def step(
    x: Matrix, o: Matrix, inputs: list[int], groups: list[Group], lr: float, share: float
) -> float:
    """Steps of the mean of the rows `inputs` of x against groups of rows of o; their loss.

    Each input row gets `share` of the gradient.
    """
    h = x[inputs].mean(axis=0, dtype=np.float64)
    moved, loss = np.zeros(len(h)), 0.0
    for outputs, labels, weights in groups:
        dots = o[outputs].astype(np.float64) @ h
        loss += float((weights * np.logaddexp(0, np.where(labels == 1, -dots, dots))).sum())
        gradients = lr * weights * (labels - sigmoid(dots))
        error = np.zeros(len(h))
        for output, gradient in zip(outputs, gradients, strict=True):  # they may repeat
            error += gradient * o[output]
            o[output] += (gradient * h).astype(np.float32)
        h += error
        moved += error
    for row in inputs:
        x[row] += (share * moved).astype(np.float32)
    return loss


def groups_of(contexts: list[int], noises: list[int], negative: int) -> list[Group]:
    """The context words dealt to groups as evenly as may be, each filled up with noise words."""
    n, most = len(contexts), words_in_group.py_func(1 + negative)
    n_all = n_groups.py_func(n, most)
    groups = []
    for g in range(n_all):
        words = contexts[n * g // n_all : n * (g + 1) // n_all]
        n_noises = GROUP - len(words)
        taken, noises = noises[:n_noises], noises[n_noises:]
        labels = np.repeat([1.0, 0.0], [len(words), n_noises])
        weights = np.where(labels == 1, 1.0, len(words) * negative / n_noises)
        groups.append((words + taken, labels, weights))
    return groups


def subword_skipgram_slice(
    staged: Staged,
    start: int,
    stop: int,
    weights: Weights,
    noise: Noise,
    negative: int,
    window: int,
    shrink: bool,
    key: int,
    lr: float,
    scratch: Scratch,
    parts: SubwordRows,
) -> None:
    """Skip-gram with subwords."""
    x = weights.syn0.reshape(-1, weights.stride)
    o = weights.syn1neg.reshape(-1, weights.stride)
    apart = usual_noise.py_func(window, shrink, words_in_group.py_func(1 + negative))
    for i in range(start, stop):
        contexts = contexts_of(staged, i, window, shrink, key)
        if not contexts:
            scratch.tally[3] += 1
            continue
        n_noise = GROUP * n_groups.py_func(
            len(contexts), words_in_group.py_func(1 + negative)
        ) - len(contexts)
        groups = groups_of(contexts, draw_shared(i, noise, apart, n_noise), negative)
        rows = _rows(parts, [int(staged.kept[i])])
        loss = step(x, o, rows, groups, lr, 1.0)
        scratch.tally[:3] += loss, len(contexts) * (1 + negative), 1


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
    parts: SubwordRows,
) -> None:
    """CBOW with subwords."""
    x = weights.syn0.reshape(-1, weights.stride)
    o = weights.syn1neg.reshape(-1, weights.stride)
    for i in range(start, stop):
        outputs = draw_outputs(int(staged.kept[i]), i, noise, n_outputs, len(o), window)
        contexts = contexts_of(staged, i, window, shrink, key)
        if not contexts:
            scratch.tally[3] += 1
            continue
        rows = _rows(parts, contexts)
        share = 1 / len(rows) if divide else 1.0
        labels = np.eye(1, n_outputs)[0]
        loss = step(x, o, rows, [(outputs, labels, np.ones(n_outputs))], lr, share)
        scratch.tally[:3] += loss, n_outputs, 1


def _rows(parts: SubwordRows, words: list[int]) -> list[int]:
    return [
        row
        for word in words
        for row in parts.rows[parts.offsets[word] : parts.offsets[word + 1]].tolist()
    ]
