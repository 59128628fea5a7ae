"""The binary tree of hierarchical softmax: Huffman's, built as word2vec.c builds it.

Each inner node holds a vector, and a word is told from all others by the turns on the way to it
from the root; the code of a frequent word is short (Morin & Bengio 2005, *Hierarchical
Probabilistic Neural Network Language Model*; Mikolov et al. 2013).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from embedcli.kernels.jit import kernel

__all__ = ["Tree", "join", "measure", "write_paths"]


class Tree(NamedTuple):
    """The paths from the root to each word.

    Attributes:
        offsets: int64 (V + 1,), word w's path is ``[offsets[w]:offsets[w + 1]]`` of the others.
        nodes: int32 (n,), inner nodes from the root on, numbered from 0 to V - 2.
        signs: int8 (n,), the turn that is taken there: 1 if the code is 0, -1 if it is 1.
    """

    offsets: NDArray[np.int64]
    nodes: NDArray[np.int32]
    signs: NDArray[np.int8]


@kernel
def join(counts, parents, is_second) -> None:
    """Join the two rarest subtrees until one is left.

    Words come by falling count, and inner nodes are made by rising count; so the two rarest are
    always among the last word and the first node that have no parent yet.

    Args:
        counts: float64 (2 V - 1,); of the words in the first V, by falling count; receives those of
            the inner nodes, whose numbers in this array are V to 2 V - 2, the root's.
        parents: int64 (2 V - 1,), receives the number of each one's parent; the root gets its own.
        is_second: int8 (2 V - 1,), receives 1 for the second child, whose code is 1; else 0.
    """
    n_words = (counts.shape[0] + 1) // 2
    word, node = n_words - 1, n_words
    for new in range(n_words, counts.shape[0]):
        counts[new] = 0.0
        for turn in range(2):
            # A node that is not made yet is no choice; of equals word2vec.c takes the node.
            if word >= 0 and (node >= new or counts[word] < counts[node]):
                child = word
                word -= 1
            else:
                child = node
                node += 1
            counts[new] += counts[child]
            parents[child] = new
            is_second[child] = turn
    parents[counts.shape[0] - 1] = counts.shape[0] - 1


@kernel
def measure(parents, depths) -> None:
    """Write how far each word and inner node is from the root, int64 (2 V - 1,)."""
    root = parents.shape[0] - 1
    depths[root] = 0
    for child in range(root - 1, -1, -1):  # parents have higher numbers
        depths[child] = depths[parents[child]] + 1


@kernel
def write_paths(parents, is_second, places, tree) -> None:
    """Write the path of each word into a `Tree` whose offsets are set.

    Args:
        parents, is_second: as `join` left them.
        places: int64 (V,), where each word stands in them.
    """
    n_words = places.shape[0]
    for word in range(n_words):
        child = places[word]
        for at in range(tree.offsets[word + 1] - 1, tree.offsets[word] - 1, -1):
            tree.nodes[at] = parents[child] - n_words
            tree.signs[at] = 1 - 2 * is_second[child]
            child = parents[child]
