"""The tree of hierarchical softmax for a vocabulary.

It is Huffman's, made of counts. Where a model goes on with another text, whose counts would make
another tree, its own tree stays as it is, and so do the vectors of its nodes: the words that come
with the other text have a tree of their own beside it, below a root that joins both. *Tree counts*
say so: a word's count when it came, and in the bits from `STAGE` on with which of the texts.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from embedcli.kernels.huffman import Tree, join, measure, write_paths

__all__ = ["grown", "huffman_tree", "longest_path"]

_STAGE = 48
_LARGEST_COUNT = (1 << _STAGE) - 1


def huffman_tree(counts: NDArray[np.int64]) -> Tree:
    """The tree of words that have tree counts, int64 (V,), in any order; V >= 2."""
    n_words = len(counts)
    order = np.lexsort((-(counts & _LARGEST_COUNT), counts >> _STAGE))
    parents = np.empty(2 * n_words - 1, np.int64)
    is_second = np.empty(2 * n_words - 1, np.int8)
    bounds = np.flatnonzero(np.diff(counts[order] >> _STAGE, prepend=-1, append=-1))
    first_node = root = n_words
    for number, (begin, end) in enumerate(
        zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)
    ):
        top = _join(
            counts[order[begin:end]] & _LARGEST_COUNT, begin, first_node, parents, is_second
        )
        first_node += end - begin - 1
        if number:
            parents[[root, top]] = first_node
            is_second[[root, top]] = 0, 1
            top = first_node
            first_node += 1
        root = top
    parents[root] = root
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


def grown(
    old: NDArray[np.int64],
    rows: NDArray[np.int64],
    words: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> NDArray[np.int64]:
    """The tree counts of a tree that grows: of its V' words, all of which stay, and of new ones.

    The first V' - 1 nodes of the larger tree are those of the old one.

    Args:
        old: int64 (V',), tree counts.
        rows: int64 (V',), words of the old tree.
        words: int64 (V',), the same words in the larger one.
        counts: int64 (V,), how often the words of the larger one occur.
    """
    stage = (int(old.max()) >> _STAGE) + 1
    found = np.minimum(counts, _LARGEST_COUNT) | (stage << _STAGE)
    found[words] = old[rows]
    return found


def _join(
    counts: NDArray[np.int64],
    begin: int,
    first_node: int,
    parents: NDArray[np.int64],
    is_second: NDArray[np.int8],
) -> int:
    """Make the tree of words by falling count; the number of its root.

    Args:
        counts: int64 (n,).
        begin: the number of the first of them; the others follow.
        first_node: that of the first of their n - 1 nodes.
        parents: of all words and nodes; see `kernels.huffman.join`.
        is_second: likewise.
    """
    n = len(counts)
    sums, above, second = (
        np.empty(2 * n - 1),
        np.empty(2 * n - 1, np.int64),
        np.zeros(2 * n - 1, "i1"),
    )
    sums[:n] = counts
    join(sums, above, second)
    numbers = np.concatenate(
        [np.arange(begin, begin + n), np.arange(first_node, first_node + n - 1)]
    )
    parents[numbers], is_second[numbers] = numbers[above], second
    return int(numbers[-1])
