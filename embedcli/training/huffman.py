"""The tree of hierarchical softmax for a vocabulary."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from embedcli.kernels.huffman import Tree, join, measure, write_paths

__all__ = ["huffman_tree", "longest_path"]


def huffman_tree(counts: NDArray[np.int64]) -> Tree:
    """Huffman's tree of words that occur `counts` times, int64 (V,), in any order; V >= 2."""
    n_words = len(counts)
    order = np.argsort(-counts, kind="stable")
    sums = np.empty(2 * n_words - 1)
    sums[:n_words] = counts[order]
    parents = np.empty(2 * n_words - 1, np.int64)
    is_second = np.empty(2 * n_words - 1, np.int8)
    join(sums, parents, is_second)
    places = np.empty(n_words, np.int64)
    places[order] = np.arange(n_words)
    depths = np.empty(2 * n_words - 1, np.int64)
    measure(parents, depths)
    offsets = np.concatenate([[0], np.cumsum(depths[places])])
    tree = Tree(offsets, np.empty(offsets[-1], np.int32), np.empty(offsets[-1], np.int8))
    write_paths(parents, is_second, places, tree)
    return tree


def longest_path(tree: Tree) -> int:
    """Inner nodes on the way to the word that is furthest from the root."""
    return int(np.diff(tree.offsets).max())
