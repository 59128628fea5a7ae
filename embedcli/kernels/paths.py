"""Hierarchical softmax: the outputs of a word are the inner nodes on its path in Huffman's tree.

With s = 1 where the path takes the first turn at a node and -1 where it takes the second, the
probability of the word is the product of all sigma(s x.o) (`huffman.py` has the tree); the loss of
a node is -log sigma(s x.o) and its gradient step

    g = lr (label - sigma(x.o)),  label = 1 if s = 1 else 0

which is that of negative sampling with other labels. A path has any length: it is cut into blocks
of six nodes, and a rest of 2 or 4 into a smaller one. An odd rest is filled up with a row that is
no node's, whose sign and hence gradient is 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir

from embedcli.kernels.intrinsics.blocks import BLOCK_OUTPUTS, DOTS_STRIDE
from embedcli.kernels.jit import inlined
from embedcli.kernels.weights import Scratch, make_scratch

__all__ = ["PATH_STEP", "lay_path", "make_path_scratch"]

_Generated = tuple[Any, Callable[..., ir.Value]]

PATH_STEP = 2  # paths are filled up to a multiple of it


def make_path_scratch(longest: int, window: int, stride: int) -> Scratch:
    """Fresh scratch for one thread and paths of up to `longest` nodes."""
    return make_scratch(-(-longest // BLOCK_OUTPUTS) * BLOCK_OUTPUTS, window, stride)


@inlined
def lay_path(word, tree, no_node, stride, scratch, first):
    """Lay the path to `word` out in the rows from `first` on, and in the signs.

    Args:
        tree: `Tree`. no_node: the row that fills up.
        scratch: of `make_path_scratch`.

    Returns:
        How many nodes it has.
    """
    begin = tree.offsets[word]
    n = tree.offsets[word + 1] - begin
    n_filled = n + n % PATH_STEP
    first_sign = first // BLOCK_OUTPUTS * DOTS_STRIDE
    for k in range(n_filled):
        row, sign = no_node * stride, np.float32(0)
        if k < n:
            row = np.int64(tree.nodes[begin + k]) * stride
            sign = np.float32(tree.signs[begin + k])
        block = k // BLOCK_OUTPUTS
        size = min(BLOCK_OUTPUTS, n_filled - block * BLOCK_OUTPUTS)
        place = first_sign + block * DOTS_STRIDE + k - block * BLOCK_OUTPUTS
        scratch.rows[first + k] = row
        scratch.signs[place] = sign
        scratch.signs[place + size] = sign
    return n
