"""The slow NumPy twins of the training kernels: what each of them computes, and its specification.

Every function here takes the same arguments as its compiled twin and leaves the same numbers behind
(`tests/kernels/test_kernels.py` compares them on several shapes and lane widths, and the gradients
with finite differences of `loss`). Nothing else uses them.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
from numpy.typing import NDArray

from embedcli.kernels.intrinsics.blocks import BLOCK_OUTPUTS
from embedcli.kernels.intrinsics.updates import EPSILON
from embedcli.kernels.optimizer import DROPOUT, Features, Optimizer
from embedcli.kernels.sampling import (
    GOLDEN,
    RADIUS,
    ROUND_STRETCH,
    SHARED_READINGS,
    SHARED_WINDOWS,
    STRETCH_READINGS,
    STRETCH_WINDOWS,
    Noise,
    Staged,
    stretch_windows,
)
from embedcli.kernels.weights import Scratch, Weights
from embedcli.kernels.windows import MOST_TOGETHER, PART

__all__ = [
    "cbow_slice",
    "cbow_slice_by_optimizer",
    "cbow_window",
    "contexts_of",
    "draw_mask",
    "draw_outputs",
    "draw_radius",
    "draw_shared",
    "input_groups",
    "loss",
    "mix",
    "shuffle",
    "sigmoid",
    "skipgram_slice",
    "skipgram_slice_by_optimizer",
    "skipgram_window",
    "stage",
    "update_row",
]

Matrix = NDArray[np.float32]
_MASK = (1 << 64) - 1


def sigmoid(f: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 / (1 + exp(-f)), without overflow."""
    return np.where(f >= 0, 1 / (1 + np.exp(-np.abs(f))), 1 - 1 / (1 + np.exp(-np.abs(f))))


def loss(x: Matrix, o: Matrix, labels: NDArray[np.float64]) -> float:
    """Sum of -log sigma(s x_j . o_k) over all pairs, s = 1 where the label is 1, else -1.

    x (n, D), o (M, D), labels (M,).
    """
    signed = np.where(labels == 1, 1.0, -1.0) * (x.astype(np.float64) @ o.T.astype(np.float64))
    return float(np.logaddexp(0, -signed).sum())


def mix(z: int) -> int:
    """SplitMix64's finaliser on integers below 2**64."""
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


def shuffle(
    tokens: NDArray[np.int32], offsets: NDArray[np.int64], key: int, shuffled: NDArray[np.int32]
) -> None:
    """Shuffle each line: word t of the chunk goes to a random place of the line so far."""
    for begin, end in itertools.pairwise(offsets.tolist()):
        line: list[int] = []
        for t in range(begin, end):
            bits = mix((key + (t + 1) * int(GOLDEN)) & _MASK) >> 32
            place = (bits * (len(line) + 1)) >> 32
            line.append(line[place] if place < len(line) else 0)
            line[place] = int(tokens[t])
        shuffled[begin:end] = line


def stage(
    tokens: NDArray[np.int32],
    offsets: NDArray[np.int64],
    keep: NDArray[np.uint32],
    key: int,
    staged: Staged,
) -> int:
    """Subsample a chunk: token t stays if the high half of its random number is at most keep."""
    n = 0
    for begin, end in itertools.pairwise(offsets):
        first = n
        for t in range(begin, end):
            if mix((key + (t + 1) * int(GOLDEN)) & _MASK) >> 32 <= keep[tokens[t]]:
                staged.kept[n] = tokens[t]
                n += 1
        staged.first[first:n] = first
        staged.last[first:n] = n
    return n


def draw_radius(key: int, position: int, window: int) -> int:
    """A radius in 1..window from the random number of this position."""
    bits = mix((key + position * int(RADIUS)) & _MASK) >> 32
    return window - ((bits * window) >> 32)


def draw_shared(position: int, noise: Noise, apart: int, n: int) -> list[int]:
    """The ids of the `n` negatives that the words around the one at `position` share."""
    return _drawn(position, noise, apart, n, SHARED_WINDOWS, SHARED_READINGS)


def _drawn(
    position: int, noise: Noise, apart: int, n: int, n_windows: int, n_readings: int
) -> list[int]:
    """The `n` ids that the pool holds for the word at `position`."""
    size = len(noise.pool)
    length = min(n_windows * apart + 1, size)
    stretch, within = divmod(position, n_windows * n_readings)
    begin = (int(noise.begin) + stretch * length) % (size - length + 1)
    items = range(within * apart, within * apart + n)
    return [int(noise.pool[begin + item % length]) for item in items]


def draw_outputs(
    centre: int, position: int, noise: Noise, n_outputs: int, n_words: int, window: int
) -> list[int]:
    """The ids of the centre word and of K distinct negatives, read from the pool."""
    outputs = [centre]
    size = len(noise.pool)
    k_all = n_outputs - 1
    n_windows = stretch_windows(window)
    n_readings = max(1, STRETCH_WINDOWS * STRETCH_READINGS // n_windows)
    ids = _drawn(position, noise, k_all, k_all, n_windows, n_readings)
    for k, drawn in enumerate(ids, 1):
        word = drawn
        in_vain = 0
        while word in outputs:
            in_vain += 1
            if in_vain <= 64:
                place = position * n_outputs + k + (in_vain << 32)
                word = int(noise.pool[mix((int(noise.key) + place * int(GOLDEN)) & _MASK) % size])
            else:
                word = (word + 1) % n_words
        outputs.append(word)
    return outputs


def draw_in_stretch(
    centre: int, position: int, noise: Noise, n_outputs: int, window: int
) -> list[int]:
    """The ids of the centre word and of K distinct negatives, all of one stretch of the pool."""
    stretch = stretch_words(position // ROUND_STRETCH, noise, n_outputs - 1, window)
    begin = position % ROUND_STRETCH * (n_outputs - 1) % len(stretch)
    outputs = [centre]
    items = itertools.cycle([*stretch[begin:], *stretch[:begin]])
    for _ in range(n_outputs - 1):
        tried = itertools.chain(itertools.islice(items, len(stretch)), itertools.count())
        outputs.append(next(word for word in tried if word not in outputs))
    return outputs


def stretch_words(number: int, noise: Noise, n_negatives: int, window: int) -> list[int]:
    """The words of a stretch of the pool."""
    length = min(stretch_windows(window) * n_negatives + 1, len(noise.pool))
    begin = (int(noise.begin) + number * length) % (len(noise.pool) - length + 1)
    return [int(word) for word in noise.pool[begin : begin + length]]


def contexts_of(staged: Staged, i: int, window: int, shrink: bool, key: int) -> list[int]:
    """The words in the window of position `i`."""
    radius = draw_radius(key, i, window) if shrink else window
    near = range(max(staged.first[i], i - radius), min(staged.last[i], i + radius + 1))
    return [int(staged.kept[j]) for j in near if j != i]


def _windows(
    staged: Staged,
    start: int,
    stop: int,
    weights: Weights,
    noise: Noise,
    n_outputs: int,
    window: int,
    shrink: bool,
    key: int,
) -> list[tuple[list[int], list[int]]]:
    """The context words and the output words of each position."""
    n_words = len(weights.syn1neg) // weights.stride
    found = []
    for i in range(start, stop):
        outputs = draw_outputs(int(staged.kept[i]), i, noise, n_outputs, n_words, window)
        found.append((contexts_of(staged, i, window, shrink, key), outputs))
    return found


def skipgram_window(
    x: Matrix,
    o: Matrix,
    inputs: list[int],
    outputs: list[int],
    lr: float,
    tally: NDArray[np.float64],
    labels: NDArray[np.float64] | None = None,
) -> None:
    """For each group of inputs all dots first, then its updates by blocks.

    Without `labels` the first output is the centre word, and the others are negatives.

    Within a block the outputs are as they were before it; an input is as the inputs before it and
    the blocks before left it.
    """
    if not inputs:
        tally[3] += 1
        return
    if labels is None:
        labels = np.eye(1, len(outputs))[0]
    tally[2] += 1
    for group in input_groups(inputs):
        tally[:2] += loss(x[group], o[outputs], labels), len(group) * len(outputs)
        g = lr * (labels - sigmoid(x[group].astype(np.float64) @ o[outputs].T))
        for block in range(0, len(outputs), BLOCK_OUTPUTS):
            rows = outputs[block : block + BLOCK_OUTPUTS]
            old = o[rows].copy()
            for word, step in zip(group, g[:, block : block + BLOCK_OUTPUTS], strict=True):
                o[rows] += np.outer(step, x[word]).astype(np.float32)
                x[word] += (step @ old).astype(np.float32)


def input_groups(inputs: list[int]) -> list[list[int]]:
    """The context words that meet the outputs at once: none of them twice, and not too many."""
    most = len(inputs)
    if most > MOST_TOGETHER:
        most = math.ceil(most / math.ceil(most / PART))
    groups: list[list[int]] = [[]]
    for word in inputs:
        if len(groups[-1]) == most or word in groups[-1]:
            groups.append([])
        groups[-1].append(word)
    return groups


def cbow_window(
    x: Matrix,
    o: Matrix,
    inputs: list[int],
    outputs: list[int],
    lr: float,
    divide: bool,
    tally: NDArray[np.float64],
    labels: NDArray[np.float64] | None = None,
) -> None:
    """The mean of the inputs against all outputs; then the outputs, then the inputs."""
    if not inputs:
        tally[3] += 1
        return
    if labels is None:
        labels = np.eye(1, len(outputs))[0]
    h = x[inputs].mean(axis=0, dtype=np.float64)
    tally[:3] += loss(h[np.newaxis], o[outputs], labels), len(outputs), 1
    g = lr * (labels - sigmoid(o[outputs].astype(np.float64) @ h))
    error = g @ o[outputs]
    o[outputs] += np.outer(g, h).astype(np.float32)
    for word in inputs:
        x[word] += (error / len(inputs) if divide else error).astype(np.float32)


def skipgram_slice(
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
    scratch: Scratch,
) -> None:
    """Skip-gram with negatives."""
    x = weights.syn0.reshape(-1, weights.stride)
    o = weights.syn1neg.reshape(-1, weights.stride)
    for inputs, outputs in _windows(
        staged, start, stop, weights, noise, n_outputs, window, shrink, key
    ):
        skipgram_window(x, o, inputs, outputs, lr, scratch.tally)


def cbow_slice(
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
) -> None:
    """CBOW with negatives."""
    x = weights.syn0.reshape(-1, weights.stride)
    o = weights.syn1neg.reshape(-1, weights.stride)
    for inputs, outputs in _windows(
        staged, start, stop, weights, noise, n_outputs, window, shrink, key
    ):
        cbow_window(x, o, inputs, outputs, lr, divide, scratch.tally)


def draw_mask(key: int, number: int, dim: int, dropout: np.float32) -> Matrix:
    """The mask of one input row: 0 where 16 random bits are below the probability."""
    limit = int(dropout * np.float32(65536))
    counter = mix((key + int(DROPOUT)) & _MASK) + number * ((dim + 3) // 4) * int(GOLDEN)
    mask = np.empty(dim, np.float32)
    for c in range(dim):
        bits = mix((counter + (c // 4 + 1) * int(GOLDEN)) & _MASK) >> 16 * (c % 4)
        mask[c] = 0 if bits & 0xFFFF < limit else 1 / (1 - dropout)
    return mask


def update_row(
    row: Matrix,
    gradient: NDArray[np.float64],
    lr: float,
    features: Features,
    optimizer: Optimizer,
    squares: Matrix,
    word: int,
) -> None:
    """One step on one row (a view, float32 (D,)), as `optimizers.py` says."""
    direction = gradient - float(optimizer.l2) * row
    rate = lr
    if features.adagrad:
        squares[word] += (direction**2).mean()
        rate = lr / (np.sqrt(squares[word]) + EPSILON)
    row += (rate * direction).astype(np.float32)
    norm = float(np.linalg.norm(row.astype(np.float64)))
    if features.max_norm and norm > optimizer.max_norm:
        row *= optimizer.max_norm / np.float32(norm)


def skipgram_slice_by_optimizer(
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
    scratch: Scratch,
    dim: int,
    features: Features,
    optimizer: Optimizer,
) -> None:
    """Skip-gram by an optimizer: all gradients of a group of inputs first, then its rows."""
    x = weights.syn0.reshape(-1, weights.stride)[:, :dim]
    o = weights.syn1neg.reshape(-1, weights.stride)[:, :dim]
    labels = np.eye(1, n_outputs)[0]
    windows = _windows(staged, start, stop, weights, noise, n_outputs, window, shrink, key)
    for i, (inputs, outputs) in enumerate(windows, start):
        if not inputs:
            scratch.tally[3] += 1
            continue
        scratch.tally[2] += 1
        number = 2 * i * window
        for group in input_groups(inputs):
            masks = np.ones((len(group), dim), np.float32)
            if features.dropout:
                numbers = range(number, number + len(group))
                masks = np.array([draw_mask(key, n, dim, optimizer.dropout) for n in numbers])
            number += len(group)
            h = x[group] * masks
            scratch.tally[:2] += loss(h, o[outputs], labels), len(group) * n_outputs
            g = labels - sigmoid(h.astype(np.float64) @ o[outputs].T)
            errors, deltas = masks * (g @ o[outputs]), g.T @ h
            for word, error in zip(group, errors, strict=True):
                if not (features.frozen and optimizer.frozen[word]):
                    update_row(x[word], error, lr, features, optimizer, optimizer.squares0, word)
            for word, delta in zip(outputs, deltas, strict=True):
                update_row(o[word], delta, lr, features, optimizer, optimizer.squares1, word)


def cbow_slice_by_optimizer(
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
    dim: int,
    features: Features,
    optimizer: Optimizer,
) -> None:
    """CBOW by an optimizer."""
    x = weights.syn0.reshape(-1, weights.stride)[:, :dim]
    o = weights.syn1neg.reshape(-1, weights.stride)[:, :dim]
    labels = np.eye(1, n_outputs)[0]
    windows = _windows(staged, start, stop, weights, noise, n_outputs, window, shrink, key)
    for i, (inputs, outputs) in enumerate(windows, start):
        if not inputs:
            scratch.tally[3] += 1
            continue
        mask = draw_mask(key, i, dim, optimizer.dropout) if features.dropout else np.ones(dim)
        h = mask * x[inputs].mean(axis=0, dtype=np.float64)
        scratch.tally[:3] += loss(h[np.newaxis], o[outputs], labels), n_outputs, 1
        g = labels - sigmoid(o[outputs].astype(np.float64) @ h)
        error, deltas = mask * (g @ o[outputs]), np.outer(g, h)
        for word in inputs:
            if not (features.frozen and optimizer.frozen[word]):
                share = error / len(inputs) if divide else error
                update_row(x[word], share, lr, features, optimizer, optimizer.squares0, word)
        for word, delta in zip(outputs, deltas, strict=True):
            update_row(o[word], delta, lr, features, optimizer, optimizer.squares1, word)
