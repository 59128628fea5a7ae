"""The slow NumPy twins of the kernels of hierarchical softmax, and of the building of its tree."""

from __future__ import annotations

import heapq

import numpy as np
from numpy.typing import NDArray

from embedcli.kernels.huffman import Tree
from embedcli.kernels.sampling import Staged
from embedcli.kernels.weights import Scratch, Weights
from tests.reference import cbow_window, contexts_of, skipgram_window

__all__ = ["cbow_hs_slice", "path_lengths", "path_of", "skipgram_hs_slice"]


def path_lengths(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The lengths of a Huffman code, int64 (V,), by the textbook: join the two rarest of a heap.

    Ties may be broken otherwise than word2vec.c does; the sum of counts times lengths is the same.
    """
    heap = [(int(count), word, [word]) for word, count in enumerate(counts)]
    heapq.heapify(heap)
    lengths = np.zeros(len(counts), np.int64)
    while len(heap) > 1:
        first, second = heapq.heappop(heap), heapq.heappop(heap)
        words = first[2] + second[2]
        lengths[words] += 1
        heapq.heappush(heap, (first[0] + second[0], min(words), words))
    return lengths


def path_of(word: int, tree: Tree) -> tuple[list[int], NDArray[np.float64]]:
    """The inner nodes on the way to a word, and the label of each: 1 for the first turn, else 0."""
    where = slice(tree.offsets[word], tree.offsets[word + 1])
    return tree.nodes[where].tolist(), (tree.signs[where] > 0).astype(np.float64)


def skipgram_hs_slice(
    staged: Staged,
    start: int,
    stop: int,
    weights: Weights,
    tree: Tree,
    window: int,
    shrink: bool,
    key: int,
    lr: float,
    scratch: Scratch,
) -> None:
    """Twin of `hierarchical.skipgram_hs`: see `reference.skipgram_slice`."""
    x = weights.syn0.reshape(-1, weights.stride)
    o = weights.syn1neg.reshape(-1, weights.stride)
    for i in range(start, stop):
        nodes, labels = path_of(staged.kept[i], tree)
        inputs = contexts_of(staged, i, window, shrink, key)
        skipgram_window(x, o, inputs, nodes, lr, scratch.tally, labels)


def cbow_hs_slice(
    staged: Staged,
    start: int,
    stop: int,
    weights: Weights,
    tree: Tree,
    window: int,
    shrink: bool,
    key: int,
    lr: float,
    divide: bool,
    scratch: Scratch,
) -> None:
    """Twin of `hierarchical.cbow_hs`."""
    x = weights.syn0.reshape(-1, weights.stride)
    o = weights.syn1neg.reshape(-1, weights.stride)
    for i in range(start, stop):
        nodes, labels = path_of(staged.kept[i], tree)
        inputs = contexts_of(staged, i, window, shrink, key)
        cbow_window(x, o, inputs, nodes, lr, divide, scratch.tally, labels)
