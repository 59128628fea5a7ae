"""Labels of lines by their hidden vectors: outputs, probabilities, and the k best.

``softmax`` gives all labels exp(h . o_c) / sum; ``sigmoid`` (one against all, and negative
sampling) each its sigma(h . o_c), from a table of 512 steps; ``tree`` (hierarchical softmax) the
product of sigma on the way down, best branches only. A probability is shown as fastText shows it:
p + 1e-5, as its logarithm takes that to stay finite; with a tree, at each turn.

The k best are kept in a heap that works as C++'s does, and so are those of equal scores the ones
that fastText keeps.

Dots are summed component by component without fused operations, as fastText does, many labels at
once: a matrix of outputs lies here column by column.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from embedcli.kernels.jit import inlined_step, kernel, step

__all__ = ["SIGMOIDS", "Nodes", "best_labels", "best_leaves"]

_STEPS, _LIMIT = 512, 8.0
_FLOOR = 1e-5


def _sigmoids() -> NDArray[np.float32]:
    x = (np.arange(_STEPS + 1, dtype=np.float32) * 2 * _LIMIT) / _STEPS - np.float32(_LIMIT)
    return (1.0 / (1.0 + np.exp(-x.astype(np.float32)).astype(np.float64))).astype(np.float32)


SIGMOIDS = _sigmoids()  # float32 (513,): sigma from -8 to 8


class Nodes(NamedTuple):
    """The inner nodes of a tree, from its leaves on: node C + i has the children i of these.

    Attributes:
        left, right: int32 (C - 1,), a label (below C) or an inner node.
    """

    left: NDArray[np.int32]
    right: NDArray[np.int32]


@inlined_step
def _log(x):
    """The logarithm that fastText takes: of a float, in double."""
    return np.float32(math.log(np.float64(x) + _FLOOR))


@inlined_step
def _rise(scores, labels, hole, score, label) -> None:
    """Put a pair into a hole of the heap, or above it: the least score is at the root."""
    while hole > 0 and scores[(hole - 1) // 2] > score:
        scores[hole], labels[hole] = scores[(hole - 1) // 2], labels[(hole - 1) // 2]
        hole = (hole - 1) // 2
    scores[hole], labels[hole] = score, label


@step
def _pop(scores, labels, n) -> None:
    """Move the least of a heap of n to its end: the hole sinks to the bottom, then rises."""
    last = n - 1
    score, label = scores[last], labels[last]
    scores[last], labels[last] = scores[0], labels[0]
    hole = 0
    while 2 * hole + 1 < last:
        child = 2 * hole + 1
        if child + 1 < last and not scores[child + 1] > scores[child]:
            child += 1
        scores[hole], labels[hole] = scores[child], labels[child]
        hole = child
    _rise(scores, labels, hole, score, label)


@step
def _keep(scores, labels, n, score, label):
    """Keep a pair if it is among the best, for which there is room and one; how many are kept."""
    if n == len(scores) - 1 and score < scores[0]:
        return n
    _rise(scores, labels, n, score, label)
    if n + 1 == len(scores):
        _pop(scores, labels, n + 1)
        return n
    return n + 1


@step
def _order(scores, labels, n) -> None:
    """From a heap to falling order, and from logarithms to probabilities."""
    for size in range(n, 1, -1):
        _pop(scores, labels, size)
    for i in range(n):
        scores[i] = math.exp(scores[i])


@inlined_step
def _dots_dense(matrix, hidden, n_labels, dots):
    dots[:] = 0
    for d in range(matrix.dim):
        begin, h = np.uint64(d * n_labels), hidden[d]
        for c in range(np.uint64(n_labels)):
            dots[c] += h * matrix.rows[begin + c]


@inlined_step
def _dots_quantized(matrix, hidden, n_labels, dots):
    for c in range(n_labels):
        dots[c] = _dot_of_code(matrix, hidden, c)


@step
def _dot_of_code(matrix, hidden, row):
    total = np.float32(0.0)
    at = 0
    for part in range(matrix.parts):
        n = min(matrix.width, matrix.dim - at)
        code = np.int64(matrix.codes[row * matrix.parts + part])
        centre = part * 256 * matrix.width + code * n
        for i in range(n):
            total += hidden[at + i] * matrix.centres[centre + i]
        at += n
    if len(matrix.norms):
        return total * matrix.norm_centres[matrix.norms[row]]
    return total


@inlined_step
def _softmax(dots, n_labels, sigmoids):
    largest = dots[0]
    for c in range(n_labels):
        largest = max(largest, dots[c])
    total = np.float32(0.0)
    for c in range(n_labels):
        dots[c] = np.float32(math.exp(dots[c] - largest))
        total += dots[c]
    for c in range(n_labels):
        dots[c] /= total


@inlined_step
def _sigmoid(dots, n_labels, sigmoids):
    for c in range(n_labels):
        x = dots[c]
        if x < -_LIMIT:
            dots[c] = 0.0
        elif x > _LIMIT:
            dots[c] = 1.0
        else:
            place = np.float32(np.float32(x + np.float32(_LIMIT)) * np.float32(_STEPS))
            dots[c] = sigmoids[np.int64(place / np.float32(_LIMIT) / np.float32(2.0))]


@cache
def best_labels(is_dense: bool, is_softmax: bool) -> Callable[..., None]:
    """The kernel for outputs that are `Dense` (column by column) or `Quantized`."""
    dot: Any = _dots_dense if is_dense else _dots_quantized
    probabilities: Any = _softmax if is_softmax else _sigmoid

    @kernel
    def label_scores(
        hidden, counts, matrix, threshold, sigmoids, dots, labels, scores, found
    ) -> None:
        """The best labels of each line.

        Args:
            hidden: float32 (n, D). counts: int64 (n,), 0 where a line has no features.
            matrix: the outputs. threshold: float32, the least probability.
            sigmoids: `SIGMOIDS`. dots: float32 (C,), scratch.
            labels: int32 (n, k + 1), scores: float32 (n, k + 1), get labels and probabilities, best
                first; one more than is wanted.
            found: int64 (n,), gets how many.
        """
        n_labels = len(dots)
        for line in range(len(hidden)):
            n = 0
            if counts[line]:
                dot(matrix, hidden[line], n_labels, dots)
                probabilities(dots, n_labels, sigmoids)
                surely_less = threshold
                for c in range(n_labels):
                    if dots[c] >= surely_less:
                        n = _keep(scores[line], labels[line], n, _log(dots[c]), c)
                        if n == scores.shape[1] - 1:
                            least = math.exp(scores[line, 0]) - _FLOOR
                            surely_less = max(threshold, np.float32(least * 0.9999 - 1e-8))
                _order(scores[line], labels[line], n)
            found[line] = n

    return label_scores


@inlined_step
def _dot_of_row(matrix, hidden, row):
    total = np.float32(0.0)
    begin = row * matrix.dim
    for d in range(matrix.dim):
        total += matrix.rows[begin + d] * hidden[d]
    return total


@cache
def best_leaves(is_dense: bool) -> Callable[..., None]:
    """The kernel of a tree for outputs that are `Dense` (row by row) or `Quantized`."""
    dot: Any = _dot_of_row if is_dense else _dot_of_code

    @kernel
    def leaf_scores(
        hidden, counts, matrix, nodes, threshold, stack, chances, labels, scores, found
    ) -> None:
        """The best leaves of each line; as `label_scores`.

        Args:
            nodes: `Nodes`. stack: int32 (C + 1,), scratch. chances: float32 (C + 1,), scratch.
        """
        n_labels = len(nodes.left) + 1
        least = _log(threshold)
        for line in range(len(hidden)):
            n, depth = 0, 0
            if counts[line]:
                stack[0], chances[0], depth = 2 * n_labels - 2, 0.0, 1
            while depth:
                depth -= 1
                node, chance = np.int64(stack[depth]), chances[depth]
                is_full = n == scores.shape[1] - 1
                if chance < least or (is_full and chance < scores[line, 0]):
                    continue
                if node < n_labels:
                    n = _keep(scores[line], labels[line], n, chance, node)
                    continue
                f = dot(matrix, hidden[line], node - n_labels)
                f = np.float32(1.0 / (1.0 + np.float64(np.float32(math.exp(-f)))))
                stack[depth] = nodes.right[node - n_labels]
                chances[depth] = np.float32(chance + _log(f))
                stack[depth + 1] = nodes.left[node - n_labels]
                chances[depth + 1] = np.float32(chance + _log(np.float32(1.0 - np.float64(f))))
                depth += 2
            _order(scores[line], labels[line], n)
            found[line] = n

    return leaf_scores
