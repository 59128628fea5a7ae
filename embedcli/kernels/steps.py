"""A step on the context words of a window and the outputs of its centre: skip-gram and CBOW.

**Skip-gram.** As in word2vec.c, the input is the row of a *context* word and the outputs are the
centre word and K negatives. Here the context words of a window share the negatives of its centre:
one block of (n inputs) x (1 + K outputs) instead of n small steps (`intrinsics/blocks.py`).

**CBOW.** The input is the mean h of the n context words' rows; the outputs are the same. The
gradient step on h::

    g_k = lr (label_k - sigma(h . o_k))        e = sum_k g_k o_k        o_k += g_k h

goes back to the context words in one of two ways. Since dh/dx_j = 1/n, each should get e / n; that
is ``divided`` (Irsoy, Benton & Stratos 2021, *Corrected CBOW Performs as well as Skip-gram*).
word2vec.c and gensim give each the ``whole`` e, which is a learning rate n times larger for the
inputs than for the outputs.

The outputs are taken in blocks of `BLOCK_OUTPUTS` and a smaller one: of a size that is known when
the kernel is compiled for negatives, and of 4 or 2 for the nodes of a path.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir

from embedcli.kernels.intrinsics.blocks import (
    BLOCK_OUTPUTS,
    DOTS_STRIDE,
    SINGLE,
    block_dots,
    block_update,
)
from embedcli.kernels.intrinsics.gradients import block_gradients, path_gradients
from embedcli.kernels.intrinsics.means import gather_mean, scatter_add, update_outputs
from embedcli.kernels.jit import inlined
from embedcli.kernels.paths import PATH_STEP

__all__ = ["OF_PATH", "gradients_of_outputs", "window_step"]

OF_PATH = -1  # outputs are the nodes of a path, of any number

_Generated = tuple[Any, Callable[..., ir.Value]]


@cache
def gradients_of_outputs(lanes: int, n_rest: int, together: int) -> Callable[..., None]:
    """What turns the outputs of a window into gradients: ``scratch.dots``, block after block.

    Args:
        lanes, together: as in `block_dots`.
        n_rest: outputs of the last block, 0 where all are full; `OF_PATH` for the nodes of paths.
    """
    is_path = n_rest == OF_PATH

    @inlined
    def of_block(n_vectors, m, b, per_block, matrix, inputs, n, syn1, now, lr, scratch):
        o, d = now + BLOCK_OUTPUTS * b, per_block * b
        dots, losses = scratch.dots, scratch.losses
        block_dots(lanes, m, together, matrix, syn1, inputs, n, scratch.rows, o, n_vectors, dots, d)
        if is_path:
            sign = now // BLOCK_OUTPUTS * DOTS_STRIDE + DOTS_STRIDE * b
            path_gradients(lanes, m, together, n, dots, d, scratch.signs, sign, lr, losses)
        else:
            block_gradients(lanes, m, together, n, dots, d, np.int64(b == 0), lr, losses)

    @inlined
    def gradients(n_vectors, n_outputs, per_block, matrix, inputs, n, syn1, now, lr, scratch):
        """Args: `n_vectors`, `matrix`, `inputs` and `n` as in `block_dots`.

        n_outputs: 1 + K, or the nodes of a path.
        per_block: floats kept for the gradients of a block.
        now: where the outputs' offsets begin in ``scratch.rows``.
        """
        if is_path:
            n_filled = n_outputs + n_outputs % PATH_STEP
            n_blocks = n_filled // BLOCK_OUTPUTS
            rest = n_filled - n_blocks * BLOCK_OUTPUTS
        else:
            n_blocks = n_outputs // BLOCK_OUTPUTS
        for b in range(n_blocks):
            of_block(
                n_vectors, BLOCK_OUTPUTS, b, per_block, matrix, inputs, n, syn1, now, lr, scratch
            )
        if is_path:
            if rest == 4:
                of_block(
                    n_vectors, 4, n_blocks, per_block, matrix, inputs, n, syn1, now, lr, scratch
                )
            elif rest == 2:
                of_block(
                    n_vectors, 2, n_blocks, per_block, matrix, inputs, n, syn1, now, lr, scratch
                )
        elif n_rest:
            of_block(
                n_vectors, n_rest, n_blocks, per_block, matrix, inputs, n, syn1, now, lr, scratch
            )

    return gradients


@cache
def window_step(lanes: int, n_rest: int, is_cbow: bool) -> Callable[..., None]:
    """The step on one window, of skip-gram or CBOW; args as in `gradients_of_outputs`."""
    is_path = n_rest == OF_PATH
    gradients = gradients_of_outputs(lanes, n_rest, 1 if is_cbow else 2)

    @inlined
    def update(n_vectors, m, b, per_block, weights, inputs, n, now, scratch):
        """Apply the gradients of block `b`: to inputs and outputs, or to outputs and e."""
        o, d = now + BLOCK_OUTPUTS * b, per_block * b
        rows, dots, syn1 = scratch.rows, scratch.dots, weights.syn1neg
        if is_cbow:
            update_outputs(
                lanes, m, syn1, rows, o, n_vectors, dots, d, scratch.hidden, weights.stride, b == 0
            )
        else:
            block_update(lanes, m, weights.syn0, syn1, inputs, n, rows, o, n_vectors, dots, d)

    @inlined
    def step(
        n_vectors, number, key, weights, inputs, n, now, n_outputs, window, lr, divide, scratch,
        more,
    ):  # fmt: skip
        """Train `n` input rows against the outputs whose offsets begin at `now`."""
        if is_cbow:
            per_block = DOTS_STRIDE
            gather_mean(lanes, weights.syn0, inputs, n, n_vectors, scratch.hidden)
            gradients(
                n_vectors, n_outputs, per_block, scratch.hidden, SINGLE, 1, weights.syn1neg, now,
                lr, scratch,
            )  # fmt: skip
        else:
            per_block = window * DOTS_STRIDE
            gradients(
                n_vectors, n_outputs, per_block, weights.syn0, inputs, n, weights.syn1neg, now, lr,
                scratch,
            )  # fmt: skip
        if is_path:
            n_filled = n_outputs + n_outputs % PATH_STEP
            n_blocks = n_filled // BLOCK_OUTPUTS
            rest = n_filled - n_blocks * BLOCK_OUTPUTS
        else:
            n_blocks = n_outputs // BLOCK_OUTPUTS
        for b in range(n_blocks):
            update(n_vectors, BLOCK_OUTPUTS, b, per_block, weights, inputs, n, now, scratch)
        if is_path:
            if rest == 4:
                update(n_vectors, 4, n_blocks, per_block, weights, inputs, n, now, scratch)
            elif rest == 2:
                update(n_vectors, 2, n_blocks, per_block, weights, inputs, n, now, scratch)
        elif n_rest:
            update(n_vectors, n_rest, n_blocks, per_block, weights, inputs, n, now, scratch)
        if is_cbow:
            share = np.float32(1.0) / np.float32(n) if divide else np.float32(1.0)
            scatter_add(
                lanes, weights.syn0, inputs, n, n_vectors, scratch.hidden, weights.stride, share
            )

    return step
