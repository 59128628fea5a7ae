"""CBOW with negative sampling, as one compiled loop over the words of a slice.

The input is the mean h of the n context words' rows; the outputs are the centre word and K
negatives, as in skip-gram. The gradient step on h::

    g_k = lr (label_k - sigma(h . o_k))        e = sum_k g_k o_k        o_k += g_k h

goes back to the context words in one of two ways. Since dh/dx_j = 1/n, each should get e / n; that
is ``divided`` (Irsoy, Benton & Stratos 2021, *Corrected CBOW Performs as well as Skip-gram*).
word2vec.c and gensim give each the ``whole`` e, which is a learning rate n times larger for the
inputs than for the outputs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numba
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
    take_losses,
)
from embedcli.kernels.jit import kernel
from embedcli.kernels.sampling import draw_outputs, draw_radius
from embedcli.kernels.simd import F32, I64, Lanes, data_pointer, loop, prefetch
from embedcli.kernels.windows import context_rows

__all__ = ["cbow", "cbow_step", "gather_mean", "scatter_add", "update_outputs"]

_Generated = tuple[Any, Callable[..., ir.Value]]


@intrinsic(prefer_literal=True)
def gather_mean(
    typing_context: Any,
    lanes: Any,
    syn0: Any,
    inputs: Any,
    n_inputs: Any,
    n_vectors: Any,
    hidden: Any,
) -> _Generated:
    """``hidden[:D] = mean_j x_j`` over the rows of `syn0` at offsets ``inputs[:n_inputs]``."""
    n = lanes.literal_value

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> ir.Value:
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
    typing_context: Any,
    lanes: Any,
    n_outputs: Any,
    syn1: Any,
    outputs: Any,
    first_output: Any,
    n_vectors: Any,
    gradients: Any,
    first_gradient: Any,
    hidden: Any,
    error: Any,
    is_first: Any,
) -> _Generated:
    """``e += sum_k g_k o_k`` (from zero if `is_first`), then ``o_k += g_k h``, for M outputs.

    `hidden` holds h from 0 and e from `error` (int64, in floats) on.
    """
    n, m = lanes.literal_value, n_outputs.literal_value

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> ir.Value:
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
    typing_context: Any,
    lanes: Any,
    syn0: Any,
    inputs: Any,
    n_inputs: Any,
    n_vectors: Any,
    hidden: Any,
    error: Any,
    share: Any,
) -> _Generated:
    """``x_j += share * e`` for every input row; e lies in `hidden` from `error` on."""
    n = lanes.literal_value

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> ir.Value:
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


@numba.njit(inline="always")
def cbow_step(
    lanes: Any,
    n_full: Any,
    rest: Any,
    n_rest: Any,
    n_vectors: Any,
    syn0: Any,
    syn1neg: Any,
    stride: Any,
    inputs: Any,
    n: Any,
    rows: Any,
    now: Any,
    lr: Any,
    divide: Any,
    scratch: Any,
) -> Any:
    """One window: the mean of `n` input rows against the 1 + K output rows ``rows[now:]``.

    Args as in `skipgram_step`. The one "input row" of the blocks is `scratch.hidden`. Returns the
    pairs.
    """
    dots, hidden, losses = scratch.dots, scratch.hidden, scratch.losses
    gather_mean(lanes, syn0, inputs, n, n_vectors, hidden)
    for b in range(n_full):
        o, d = now + BLOCK_OUTPUTS * b, DOTS_STRIDE * b
        block_dots(lanes, BLOCK_OUTPUTS, 1, hidden, syn1neg, SINGLE, 1, rows, o, n_vectors, dots, d)
        block_gradients(lanes, BLOCK_OUTPUTS, 1, 1, dots, d, np.int64(b == 0), lr, losses)
    if n_rest:
        o, d = now + BLOCK_OUTPUTS * n_full, DOTS_STRIDE * n_full
        block_dots(lanes, rest, 1, hidden, syn1neg, SINGLE, 1, rows, o, n_vectors, dots, d)
        block_gradients(lanes, rest, 1, 1, dots, d, np.int64(n_full == 0), lr, losses)
    for b in range(n_full):
        o, d, is_first = now + BLOCK_OUTPUTS * b, DOTS_STRIDE * b, b == 0
        update_outputs(
            lanes, BLOCK_OUTPUTS, syn1neg, rows, o, n_vectors, dots, d, hidden, stride, is_first
        )
    if n_rest:
        o, d, is_first = now + BLOCK_OUTPUTS * n_full, DOTS_STRIDE * n_full, n_full == 0
        update_outputs(lanes, rest, syn1neg, rows, o, n_vectors, dots, d, hidden, stride, is_first)
    share = np.float32(1.0) / np.float32(n) if divide else np.float32(1.0)
    scatter_add(lanes, syn0, inputs, n, n_vectors, hidden, stride, share)
    return BLOCK_OUTPUTS * n_full + n_rest


@cache
def cbow(lanes: int, n_outputs: int, n_vectors: int) -> Callable[..., None]:
    """The kernel for `lanes` lanes, 1 + K = `n_outputs`, and rows of `n_vectors` vectors.

    All three are constants to the compiler, which unrolls by them: about a tenth of the time.
    """
    n_full, n_rest = divmod(n_outputs, BLOCK_OUTPUTS)
    rest = n_rest or BLOCK_OUTPUTS  # never zero: the step compiles it even if it is never taken
    width = n_vectors * lanes

    @kernel
    def train_slice(
        staged: Any,
        start: Any,
        stop: Any,
        weights: Any,
        noise: Any,
        window: Any,
        shrink: Any,
        key: Any,
        lr: Any,
        divide: Any,
        scratch: Any,
    ) -> None:
        """Train on the centre words ``staged.kept[start:stop]``.

        Args as in `skipgram.train_slice`, and `divide`: give each context word e / n instead of e.
        """
        kept, syn0, syn1neg, stride = staged.kept, weights.syn0, weights.syn1neg, weights.stride
        rows, inputs = scratch.rows, scratch.inputs
        n_words = syn1neg.shape[0] // stride
        n_pairs, n_trained, n_alone = 0, 0, 0
        now, ahead = 0, n_outputs
        draw_outputs(np.int64(kept[start]), start, noise, n_outputs, stride, n_words, rows, now)
        for i in range(start, stop):
            if i + 1 < stop:
                centre = np.int64(kept[i + 1])
                draw_outputs(centre, i + 1, noise, n_outputs, stride, n_words, rows, ahead)
                for k in range(n_outputs):
                    prefetch(syn1neg, rows[ahead + k], width)
                if i + 1 + window < staged.last[i]:
                    prefetch(syn0, np.int64(kept[i + 1 + window]) * stride, width)
            radius = draw_radius(key, i, window) if shrink else window
            n = context_rows(staged, i, radius, stride, inputs, 0)
            if n == 0:
                n_alone += 1
            else:
                n_pairs += cbow_step(
                    lanes, n_full, rest, n_rest, n_vectors, syn0, syn1neg, stride, inputs, n, rows,
                    now, lr, divide, scratch,
                )  # fmt: skip
                n_trained += 1
            now, ahead = ahead, now
        scratch.tally[0] += take_losses(scratch.losses)
        scratch.tally[1] += n_pairs
        scratch.tally[2] += n_trained
        scratch.tally[3] += n_alone

    return train_slice
