"""Training a classifier in rounds: the same bytes for any number of threads.

A round are at most `ROUND_LINES` lines, in groups of at most eight. Each line is trained with the
matrices as the round found them, and what all of them change is added up in the order of the lines:

1. Threads share the lines. A line's features are listed, its hidden vector h is the mean of their
   rows; its labels have scores h . o_c, and from these the steps g_c = lr (y_c - p_c) and the
   error e = sum_c g_c o_c / n, for n features.
2. Threads share the rows. Each row of a label gets sum g_c h, each row of a feature gets e, as
   often as a line has it; a row belongs to one thread, which goes through the lines in their order.

A barrier stands behind each step. ``softmax`` and ``ova`` have steps for all labels, by
`label_groups.py`; ``hs`` and ``ns`` for the nodes on the way to one label, or for it and a few
drawn ones (`Targets`). All but ``ova`` train one label of a line, drawn anew each time, as fastText
does.

Lines of a round do not see each other's steps, so all of them go from the same place: at a high
learning rate too far together. There rounds are shorter (`training/classifier.py`), down to a line.
Sums are made in the order of the lines, by groups of any size; nothing that is read depends on
time, and nothing but who does it on the number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from embedcli.kernels.barrier import wait_for_all
from embedcli.kernels.intrinsics.hidden import gather_hidden, scatter_hidden
from embedcli.kernels.intrinsics.label_groups import (
    GROUP,
    add_products,
    dot_of_rows,
    group_dots,
    group_errors,
    group_sigmoids,
    group_softmax,
)
from embedcli.kernels.jit import inlined_step, kernel, step

__all__ = [
    "CLASSES",
    "ROUND_LINES",
    "SLOTS",
    "Labelled",
    "LineParts",
    "RoundScratch",
    "Targets",
    "count_features",
    "labelled_rounds",
    "mark_word_ngrams",
]

ROUND_LINES = 32
SLOTS = ROUND_LINES // GROUP + 8  # a group of a thread is at its first line // GROUP + thread
CLASSES = 8  # rows are divided among threads by their number mod this
_NGRAM_PRIME = np.uint64(116049371)
_MIX = np.uint64(0x9E3779B97F4A7C15)
_LEAST = 1e-7  # probability, in a loss


class Labelled(NamedTuple):
    """Lines of tokens and their labels.

    Attributes:
        tokens: int32, types. offsets: int64 (n + 1,), line i is ``tokens[offsets[i]:..]``.
        labels: int32. label_offsets: int64 (n + 1,), likewise.
    """

    tokens: NDArray[np.int32]
    offsets: NDArray[np.int64]
    labels: NDArray[np.int32]
    label_offsets: NDArray[np.int64]


class LineParts(NamedTuple):
    """The rows of tokens and of n-grams of words.

    Attributes:
        rows: int32, numbers of rows. offsets: int64 (types + 1,), those of type t are
            ``rows[offsets[t]:offsets[t + 1]]``.
        hashes: int32 (types,), of the words, signed.
        words: N of n-grams of words; 1: none.
        buckets: how many buckets these are hashed to.
        places: int32 (buckets,), the row of each bucket, or -1.
    """

    rows: NDArray[np.int32]
    offsets: NDArray[np.int64]
    hashes: NDArray[np.int32]
    words: int
    buckets: np.uint64
    places: NDArray[np.int32]


class Targets(NamedTuple):
    """What ``hs`` and ``ns`` train of a label.

    Attributes:
        offsets: int64 (C + 1,). nodes: int32. signs: int8: the way to each label (`huffman.Tree`).
        pool: int32, labels as often as they are drawn. negative: how many are.
    """

    offsets: NDArray[np.int64]
    nodes: NDArray[np.int32]
    signs: NDArray[np.int8]
    pool: NDArray[np.int32]
    negative: int


class RoundScratch(NamedTuple):
    """What threads write between the steps of a round.

    Attributes:
        rows: int64, offsets of the rows of the features of the lines of a round.
        begins: int64 (`ROUND_LINES` + 1,), where those of each line begin.
        hidden: float32 (`ROUND_LINES` * 2 * stride,), h and e of each line.
        columns: float32 (`SLOTS`, 2 * stride * GROUP), the same of a group by columns.
        scores: float32 (`SLOTS`, Cpad * GROUP), scores, then steps.
        outputs: int64 (`ROUND_LINES`, K), offsets of rows of labels or nodes, and
        steps: float32 (`ROUND_LINES`, K), their steps; n_outputs: int64 (`ROUND_LINES`,).
        tallies: float64 (`ROUND_LINES`, 4), sums by place: loss, pairs, lines, features.
    """

    rows: NDArray[np.int64]
    begins: NDArray[np.int64]
    hidden: NDArray[np.float32]
    columns: NDArray[np.float32]
    scores: NDArray[np.float32]
    outputs: NDArray[np.int64]
    steps: NDArray[np.float32]
    n_outputs: NDArray[np.int64]
    tallies: NDArray[np.float64]


@inlined_step
def _share(n_lines, thread, threads):
    """Where the lines of a thread begin."""
    return n_lines * thread // threads


@inlined_step
def _bucket(lines, parts, line, i, j, wide):
    """The hash of a run of words that ends with j, of that which ends before."""
    word = parts.hashes[lines.tokens[lines.offsets[line] + j]]
    if j == i:
        return np.uint64(np.int64(word))
    return wide * _NGRAM_PRIME + np.uint64(np.int64(word))


@kernel
def mark_word_ngrams(lines, parts, marks) -> None:
    """Set `marks`, uint8 (buckets,), to 1 where an n-gram of words of a line is hashed to."""
    for line in range(len(lines.offsets) - 1):
        n = lines.offsets[line + 1] - lines.offsets[line]
        for i in range(n):
            wide = np.uint64(0)
            for j in range(i, min(n, i + parts.words)):
                wide = _bucket(lines, parts, line, i, j, wide)
                if j > i:
                    marks[wide % parts.buckets] = 1


@kernel
def count_features(lines, parts, counts) -> None:
    """How many features each line has: int64 (n,)."""
    for line in range(len(counts)):
        n = lines.offsets[line + 1] - lines.offsets[line]
        total = np.int64(0)
        for i in range(n):
            token = lines.tokens[lines.offsets[line] + i]
            total += parts.offsets[token + 1] - parts.offsets[token]
            wide = np.uint64(0)
            for j in range(i, min(n, i + parts.words)):
                wide = _bucket(lines, parts, line, i, j, wide)
                total += j > i and parts.places[wide % parts.buckets] >= 0
        counts[line] = total


@step
def _list_features(lines, parts, line, stride, rows, begin) -> None:
    n = lines.offsets[line + 1] - lines.offsets[line]
    at = begin
    for i in range(n):
        token = lines.tokens[lines.offsets[line] + i]
        for part in range(parts.offsets[token], parts.offsets[token + 1]):
            rows[at] = np.int64(parts.rows[part]) * stride
            at += 1
    if parts.words > 1:
        for i in range(n):
            wide = np.uint64(0)
            for j in range(i, min(n, i + parts.words)):
                wide = _bucket(lines, parts, line, i, j, wide)
                if j > i:
                    row = parts.places[wide % parts.buckets]
                    if row >= 0:
                        rows[at] = np.int64(row) * stride
                        at += 1


@inlined_step
def _draw(key, line, k):
    """A random number, uint64, for a line of an epoch."""
    x = key + np.uint64(line) * _MIX + np.uint64(k) * np.uint64(0xD1B54A32D192ED03)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@inlined_step
def _label_of(lines, line, key):
    """One of the labels of a line."""
    begin = lines.label_offsets[line]
    n = np.uint64(lines.label_offsets[line + 1] - begin)
    return np.int64(lines.labels[begin + np.int64(_draw(key, line, 0) % n)])


@inlined_step
def _softmax(scores, n_labels) -> None:
    group_softmax(scores, n_labels)  # as what a kernel closes over has to have a name in the cache


@inlined_step
def _sigmoids(scores, n_labels) -> None:
    group_sigmoids(scores, n_labels)


@step
def _softmax_steps(lines, order, n, n_labels, key, lr, scores, tallies) -> None:
    """From probabilities to steps, and the loss."""
    for at in range(n_labels * GROUP):
        scores[at] *= -lr
    for k in range(n):
        label = _label_of(lines, order[k], key)
        p = max(-np.float64(scores[label * GROUP + k]) / lr, _LEAST)
        tallies[k, 0] -= math.log(p)
        tallies[k, 1] += 1
        scores[label * GROUP + k] += lr


@step
def _sigmoid_steps(lines, order, n, n_labels, key, lr, scores, tallies) -> None:
    for k in range(n):
        tally = tallies[k]
        product = 1.0
        for c in range(n_labels):
            product *= max(1.0 - np.float64(scores[c * GROUP + k]), _LEAST)
            if c % 4 == 3:
                tally[0] -= math.log(product)
                product = 1.0
            scores[c * GROUP + k] *= -lr
        tally[0] -= math.log(product)
        tally[1] += n_labels
        line = order[k]
        for at in range(lines.label_offsets[line], lines.label_offsets[line + 1]):
            place = lines.labels[at] * GROUP + k
            p = -np.float64(scores[place]) / lr
            tally[0] += math.log(max(1.0 - p, _LEAST)) - math.log(max(p, _LEAST))
            scores[place] += lr


@inlined_step
def _step_of(dot, is_positive, lr, tally):
    """The step of one output, and its loss."""
    p = 1.0 / (1.0 + math.exp(-np.float64(dot)))
    tally[0] -= math.log(max(p if is_positive else 1.0 - p, _LEAST))
    tally[1] += 1
    return np.float32(lr * ((1.0 if is_positive else 0.0) - p))


@cache
def labelled_rounds(lanes: int, n_vectors: int, loss: str) -> Callable[..., bool]:
    """The kernel for rows of `n_vectors` vectors of `lanes`, and a loss."""
    is_dense, is_tree = loss in ("softmax", "ova"), loss == "hs"
    probabilities: Any = _softmax if loss == "softmax" else _sigmoids
    steps_of: Any = _softmax_steps if loss == "softmax" else _sigmoid_steps

    @step
    def train_group(
        lines, order, start, first, slot, n, syn1, stride, n_rows, n_labels, key, lr, scratch
    ):
        """Steps and errors of a group whose hidden vectors are there."""
        columns, scores = scratch.columns[slot], scratch.scores[slot]
        apart, errors = 2 * stride, stride * GROUP
        base = first * apart
        for d in range(stride):
            for k in range(GROUP):
                columns[d * GROUP + k] = scratch.hidden[base + k * apart + d] if k < n else 0.0
        group_dots(syn1, n_rows, stride, columns, scores)
        probabilities(scores, n_labels)
        for c in range(n_labels):
            for k in range(n, GROUP):
                scores[c * GROUP + k] = 0.0
        tallies = scratch.tallies[first:]
        steps_of(lines, order[start + first :], n, n_labels, key, lr, scores, tallies)
        for at in range(n_labels * GROUP, n_rows * GROUP):
            scores[at] = 0.0
        group_errors(syn1, n_rows, stride, scores, columns[errors:])
        for d in range(stride):
            for k in range(n):
                e = columns[errors + d * GROUP + k]
                scratch.hidden[base + k * apart + stride + d] = e

    @step
    def train_line(line, label, b, syn1, stride, targets, key, lr, scratch, tally):
        """The same of one line and few outputs."""
        hidden = scratch.hidden[b * 2 * stride :]
        outputs, steps = scratch.outputs[b], scratch.steps[b]
        n = 0
        if is_tree:
            for at in range(targets.offsets[label], targets.offsets[label + 1]):
                outputs[n] = np.int64(targets.nodes[at]) * stride
                dot = dot_of_rows(lanes, n_vectors, syn1, outputs[n], hidden)
                steps[n] = _step_of(dot, targets.signs[at] < 0, lr, tally)
                n += 1
        else:
            size = np.uint64(len(targets.pool))
            for k in range(targets.negative + 1):
                output = label
                if k:
                    output = np.int64(targets.pool[_draw(key, line, k) % size])
                if k and output == label:
                    continue
                outputs[n] = output * stride
                dot = dot_of_rows(lanes, n_vectors, syn1, outputs[n], hidden)
                steps[n] = _step_of(dot, k == 0, lr, tally)
                n += 1
        for k in range(n):
            add_products(lanes, n_vectors, hidden, stride, syn1[outputs[k] :], 0, steps[k:], 1)
        scratch.n_outputs[b] = n

    @step
    def change_outputs(thread, threads, n_lines, syn1, stride, n_labels, scratch):
        if is_dense:
            begin, end = thread * n_labels // threads, (thread + 1) * n_labels // threads
            for c in range(begin, end):
                for other in range(threads):
                    last = _share(n_lines, other + 1, threads)
                    for first in range(_share(n_lines, other, threads), last, GROUP):
                        n = min(GROUP, last - first)
                        hidden = scratch.hidden[first * 2 * stride :]
                        scores = scratch.scores[first // GROUP + other][c * GROUP :]
                        add_products(
                            lanes, n_vectors, syn1, c * stride, hidden, 2 * stride, scores, n
                        )
            return
        for b in range(n_lines):
            hidden = scratch.hidden[b * 2 * stride :]
            for k in range(scratch.n_outputs[b]):
                row = scratch.outputs[b, k]
                if row // stride % CLASSES % threads == thread:
                    add_products(lanes, n_vectors, syn1, row, hidden, 0, scratch.steps[b][k:], 1)

    @step
    def change_inputs(thread, threads, n_lines, syn0, stride, scratch):
        for b in range(n_lines):
            begin, end = scratch.begins[b], scratch.begins[b + 1]
            if begin == end:
                continue
            hidden = scratch.hidden[b * 2 * stride :]
            share = np.float32(1.0) / np.float32(end - begin)
            if threads == 1:
                scatter_hidden(
                    lanes, n_vectors, syn0, scratch.rows, begin, end - begin, hidden, stride, share
                )
                continue
            for at in range(begin, end):
                if scratch.rows[at] // stride % CLASSES % threads == thread:
                    scatter_hidden(
                        lanes, n_vectors, syn0, scratch.rows, at, 1, hidden, stride, share
                    )

    @kernel
    def train_rounds(
        thread,
        threads,
        lines,
        parts,
        order,
        sizes,
        weights,
        n_rows,
        n_labels,
        targets,
        key,
        lr,
        length,
        trains,
        scratch,
        phases,
    ) -> bool:
        """Train the lines of `order`, by thread `thread` of `threads`.

        Args:
            lines, parts, targets: `Labelled`, `LineParts`, `Targets`.
            order: int64 (n,), lines. sizes: int64, features of each line (`count_features`).
            weights: `Weights`. n_rows: of labels, padded. n_labels: C.
            key: uint64, of the draws. lr: float32. length: lines of a round, at most `ROUND_LINES`.
            trains: whether to train, or only measure.
            scratch: `RoundScratch`. phases: `make_phases`, of zeros.

        Returns:
            Whether all went well: False if another thread called it off.
        """
        syn0, syn1, stride = weights
        reached = 0
        for start in range(0, len(order), length):
            n_lines = min(length, len(order) - start)
            at = np.int64(0)
            for b in range(n_lines):  # each thread for itself: all write the same
                scratch.begins[b] = at
                at += sizes[order[start + b]]
            scratch.begins[n_lines] = at
            begin, end = _share(n_lines, thread, threads), _share(n_lines, thread + 1, threads)
            for first in range(begin, end, GROUP):
                n = min(GROUP, end - first)
                for b in range(first, first + n):
                    line = order[start + b]
                    at = scratch.begins[b]
                    _list_features(lines, parts, line, stride, scratch.rows, at)
                    hidden = scratch.hidden[b * 2 * stride :]
                    if sizes[line]:
                        gather_hidden(
                            lanes, n_vectors, syn0, scratch.rows, at, sizes[line], hidden, stride
                        )
                    else:
                        hidden[: 2 * stride] = 0
                    scratch.tallies[b, 2] += 1
                    scratch.tallies[b, 3] += sizes[line]
                    if not is_dense:
                        label = _label_of(lines, line, key)
                        train_line(line, label, b, syn1, stride, targets, key, lr, scratch,
                                   scratch.tallies[b])  # fmt: skip
                if is_dense:
                    slot = first // GROUP + thread
                    train_group(lines, order, start, first, slot, n, syn1, stride, n_rows,
                                n_labels, key, lr, scratch)  # fmt: skip
            reached += 1
            if not wait_for_all(phases, thread, threads, reached):
                return False
            if trains:
                change_outputs(thread, threads, n_lines, syn1, stride, n_labels, scratch)
                change_inputs(thread, threads, n_lines, syn0, stride, scratch)
            reached += 1
            if not wait_for_all(phases, thread, threads, reached):
                return False
        return True

    return train_rounds
