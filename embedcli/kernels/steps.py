"""A step on the context words of a window and the outputs of its centre: skip-gram and CBOW.

**Skip-gram.** As in word2vec.c, the input is the row of a *context* word and the outputs are the
centre word and K negatives. Here the context words of a window share the negatives of its centre:
one block of (n inputs) x (1 + K outputs) instead of n small steps (`blocks.py`).

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
from numba import types
from numba.extending import intrinsic

from embedcli.kernels.blocks import (
    BLOCK_OUTPUTS,
    DOTS_STRIDE,
    SINGLE,
    block_dots,
    block_gradients,
    block_update,
)
from embedcli.kernels.jit import inlined
from embedcli.kernels.paths import PATH_STEP, path_gradients
from embedcli.kernels.simd import F32, I64, Lanes, data_pointer, loop

__all__ = ["gather_mean", "gradients_of_outputs", "window_step"]

_Generated = tuple[Any, Callable[..., ir.Value]]


@intrinsic(prefer_literal=True)
def gather_mean(typing_context, lanes, syn0, inputs, n_inputs, n_vectors, hidden) -> _Generated:
    """``hidden[:D] = mean_j x_j`` over the rows of `syn0` at offsets ``inputs[:n_inputs]``."""
    n = lanes.literal_value

    def generate(context, builder: ir.IRBuilder, signature, args) -> ir.Value:
        x_rows, inputs_, hidden_ = (
            data_pointer(context, builder, signature.args[i], args[i]) for i in (1, 2, 5)
        )
        v = Lanes(builder, n)
        share = v.broadcast(builder.fdiv(F32(1.0), builder.sitofp(args[3], F32)))
        with loop(builder, args[4]) as vector:
            at = builder.mul(vector, I64(n))
            total = v.variable(v.splat(0.0))
            with loop(builder, args[3]) as j:
                offset = builder.load(builder.gep(inputs_, [j]))
                x = v.load(x_rows, builder.add(offset, at))
                builder.store(builder.fadd(builder.load(total), x), total)
            v.store(builder.fmul(builder.load(total), share), hidden_, at)
        return context.get_dummy_value()

    return types.void(lanes, syn0, inputs, types.int64, types.int64, hidden), generate


@intrinsic(prefer_literal=True)
def update_outputs(
    typing_context,
    lanes,
    n_outputs,
    syn1,
    outputs,
    first_output,
    n_vectors,
    gradients,
    first_gradient,
    hidden,
    error,
    is_first,
) -> _Generated:
    """``e += sum_k g_k o_k`` (from zero if `is_first`), then ``o_k += g_k h``, for M outputs.

    `hidden` holds h from 0 and e from `error` (int64, in floats) on.
    """
    n, m = lanes.literal_value, n_outputs.literal_value

    def generate(context, builder: ir.IRBuilder, signature, args) -> ir.Value:
        o_rows, outputs_, gradients_, hidden_ = (
            data_pointer(context, builder, signature.args[i], args[i]) for i in (2, 3, 6, 8)
        )
        first, vectors, first_g, error_ = args[4], args[5], args[7], args[9]
        v = Lanes(builder, n)
        o_offsets = [
            builder.load(builder.gep(outputs_, [builder.add(first, I64(k))])) for k in range(m)
        ]
        g = [
            v.broadcast(builder.load(builder.gep(gradients_, [builder.add(first_g, I64(k))])))
            for k in range(m)
        ]
        with loop(builder, vectors) as vector:
            at = builder.mul(vector, I64(n))
            h = v.load(hidden_, at)
            e_at = builder.add(error_, at)
            e: ir.Value = builder.select(args[10], v.splat(0.0), v.load(hidden_, e_at))
            for k in range(m):
                o = v.load(o_rows, builder.add(o_offsets[k], at))
                e = v.fma(g[k], o, e)
                v.store(v.fma(g[k], h, o), o_rows, builder.add(o_offsets[k], at))
            v.store(e, hidden_, e_at)
        return context.get_dummy_value()

    argument_types = (
        lanes, n_outputs, syn1, outputs, types.int64, types.int64, gradients, types.int64, hidden,
        types.int64, types.boolean,
    )  # fmt: skip
    return types.void(*argument_types), generate


@intrinsic(prefer_literal=True)
def scatter_add(
    typing_context, lanes, syn0, inputs, n_inputs, n_vectors, hidden, error, share
) -> _Generated:
    """``x_j += share * e`` for every input row; e lies in `hidden` from `error` on."""
    n = lanes.literal_value

    def generate(context, builder: ir.IRBuilder, signature, args) -> ir.Value:
        x_rows, inputs_, hidden_ = (
            data_pointer(context, builder, signature.args[i], args[i]) for i in (1, 2, 5)
        )
        v = Lanes(builder, n)
        share_ = v.broadcast(args[7])
        with loop(builder, args[4]) as vector:
            at = builder.mul(vector, I64(n))
            e = v.load(hidden_, builder.add(args[6], at))
            with loop(builder, args[3]) as j:
                place = builder.add(builder.load(builder.gep(inputs_, [j])), at)
                v.store(v.fma(share_, e, v.load(x_rows, place)), x_rows, place)
        return context.get_dummy_value()

    argument_types = (
        lanes, syn0, inputs, types.int64, types.int64, hidden, types.int64, types.float32,
    )  # fmt: skip
    return types.void(*argument_types), generate


@cache
def gradients_of_outputs(
    lanes: int, n_vectors: int, n_outputs: int, together: int
) -> Callable[..., None]:
    """What turns the outputs of a window into gradients: ``scratch.dots``, block after block.

    Args:
        lanes, n_vectors, together: as in `block_dots`.
        n_outputs: 1 + K; 0 for the nodes of paths.
    """
    n_full, n_rest = divmod(n_outputs, BLOCK_OUTPUTS)
    is_path = n_outputs == 0

    @inlined
    def of_block(m, b, per_block, matrix, inputs, n, syn1, now, lr, scratch):
        o, d = now + BLOCK_OUTPUTS * b, per_block * b
        dots, losses = scratch.dots, scratch.losses
        block_dots(lanes, m, together, matrix, syn1, inputs, n, scratch.rows, o, n_vectors, dots, d)
        if is_path:
            sign = now // BLOCK_OUTPUTS * DOTS_STRIDE + DOTS_STRIDE * b
            path_gradients(lanes, m, together, n, dots, d, scratch.signs, sign, lr, losses)
        else:
            block_gradients(lanes, m, together, n, dots, d, np.int64(b == 0), lr, losses)

    @inlined
    def gradients(n_nodes, per_block, matrix, inputs, n, syn1, now, lr, scratch):
        """Args: `matrix`, `inputs` and `n` as in `block_dots`.

        n_nodes: of a path. per_block: floats kept for the gradients of a block.
        now: where the outputs' offsets begin in ``scratch.rows``.
        """
        if is_path:
            n_filled = n_nodes + n_nodes % PATH_STEP
            n_blocks = n_filled // BLOCK_OUTPUTS
            rest = n_filled - n_blocks * BLOCK_OUTPUTS
        else:
            n_blocks = n_full
        for b in range(n_blocks):
            of_block(BLOCK_OUTPUTS, b, per_block, matrix, inputs, n, syn1, now, lr, scratch)
        if is_path:
            if rest == 4:
                of_block(4, n_blocks, per_block, matrix, inputs, n, syn1, now, lr, scratch)
            elif rest == 2:
                of_block(2, n_blocks, per_block, matrix, inputs, n, syn1, now, lr, scratch)
        elif n_rest:
            of_block(n_rest, n_blocks, per_block, matrix, inputs, n, syn1, now, lr, scratch)

    return gradients


@cache
def window_step(lanes: int, n_vectors: int, n_outputs: int, is_cbow: bool) -> Callable[..., None]:
    """The step on one window, of skip-gram or CBOW; args as in `gradients_of_outputs`."""
    n_full, n_rest = divmod(n_outputs, BLOCK_OUTPUTS)
    is_path = n_outputs == 0
    gradients = gradients_of_outputs(lanes, n_vectors, n_outputs, 1 if is_cbow else 2)

    @inlined
    def update(m, b, per_block, weights, inputs, n, now, scratch):
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
    def step(i, key, weights, inputs, n, now, n_nodes, window, lr, divide, scratch, more):
        """Train `n` input rows against the outputs whose offsets begin at `now`."""
        if is_cbow:
            per_block = DOTS_STRIDE
            gather_mean(lanes, weights.syn0, inputs, n, n_vectors, scratch.hidden)
            gradients(
                n_nodes, per_block, scratch.hidden, SINGLE, 1, weights.syn1neg, now, lr, scratch
            )
        else:
            per_block = window * DOTS_STRIDE
            gradients(
                n_nodes, per_block, weights.syn0, inputs, n, weights.syn1neg, now, lr, scratch
            )
        if is_path:
            n_filled = n_nodes + n_nodes % PATH_STEP
            n_blocks = n_filled // BLOCK_OUTPUTS
            rest = n_filled - n_blocks * BLOCK_OUTPUTS
        else:
            n_blocks = n_full
        for b in range(n_blocks):
            update(BLOCK_OUTPUTS, b, per_block, weights, inputs, n, now, scratch)
        if is_path:
            if rest == 4:
                update(4, n_blocks, per_block, weights, inputs, n, now, scratch)
            elif rest == 2:
                update(2, n_blocks, per_block, weights, inputs, n, now, scratch)
        elif n_rest:
            update(n_rest, n_blocks, per_block, weights, inputs, n, now, scratch)
        if is_cbow:
            share = np.float32(1.0) / np.float32(n) if divide else np.float32(1.0)
            scatter_add(
                lanes, weights.syn0, inputs, n, n_vectors, scratch.hidden, weights.stride, share
            )

    return step
