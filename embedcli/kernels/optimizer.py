"""What a variant of a kernel does with a gradient before it reaches a row.

A plain kernel adds ``lr g`` to a row as it goes. A variant takes one step on a whole window: the
dots of copies of the input rows (with dropout, of masked copies), then the gradients of all its
rows from the rows as they were, and then each row by a optimizer::

    e_j = m_j * sum_k g_jk o_k      d_k = sum_j g_jk (m_j * x_j)      g = label - sigma(dot)

    r = e - l2 x                            of an input row x; of an output row, r = d - l2 o
    rate = lr                               SGD
    G += mean(r^2), rate = lr / (sqrt(G) + 1e-8)       row-wise AdaGrad: one number G for each row
    x += rate r
    x *= min(1, max_norm / |x|)             where the norm is limited
    x stays as it is                        where it is a frozen input row

AdaGrad (Duchi, Hazan & Singer 2011) keeps a sum of squares for each component; one for each row is
what embedding tables of recommenders use (FBGEMM's ``rowwise_adagrad``), and takes 4 bytes a row
instead of 4 D. The mask m is that of inverted dropout (Srivastava et al. 2014): each component is 0
with probability p, else 1 / (1 - p).

Which of this a kernel does is compiled in (`Features`); the numbers are given at run time
(`Optimizer`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from embedcli.kernels.blocks import BLOCK_OUTPUTS, DOTS_STRIDE
from embedcli.kernels.jit import inlined
from embedcli.kernels.rows import copy_row
from embedcli.kernels.sampling import GOLDEN, mix
from embedcli.kernels.simd import F32, I64, Lanes, data_pointer, loop
from embedcli.kernels.steps import gather_mean, gradients_of_outputs
from embedcli.kernels.weights import aligned

__all__ = [
    "DROPOUT",
    "EPSILON",
    "Features",
    "Optimizer",
    "OptimizerScratch",
    "draw_mask",
    "make_optimizer",
    "make_optimizer_scratch",
    "optimizer_step",
]

DROPOUT = np.uint64(0x8CB92BA72F3D8DD7)  # separates the stream of masks from that of windows
EPSILON = 1e-8

_Generated = tuple[Any, Callable[..., ir.Value]]


class Features(NamedTuple):
    """What a kernel does, as constants to the compiler; l2 costs nothing and is always there.

    Attributes:
        adagrad: rates by row-wise AdaGrad, not the same one for every row.
        dropout: input vectors lose components at random.
        max_norm: rows are not longer than ``Optimizer.max_norm``.
        frozen: the rows of syn0 that ``Optimizer.frozen`` marks stay bit for bit.
    """

    adagrad: int = 0
    dropout: int = 0
    max_norm: int = 0
    frozen: int = 0


class Optimizer(NamedTuple):
    """The numbers of a optimizer, and what it keeps for each row.

    Attributes:
        squares0, squares1: float32 (V,), AdaGrad's G of the rows of syn0 and syn1neg; (1,) without.
        frozen: uint8 (V,), 1 where a row of syn0 stays; (1,) where none does.
        l2: float32.
        dropout: float32, the probability p of a component to be 0.
        max_norm: float32.
    """

    squares0: NDArray[np.float32]
    squares1: NDArray[np.float32]
    frozen: NDArray[np.uint8]
    l2: np.float32
    dropout: np.float32
    max_norm: np.float32


class OptimizerScratch(NamedTuple):
    """What one thread writes on the way; rows of `stride` floats.

    Attributes:
        places: int64 (2 * window + 1,), offsets of the rows in the next three.
        hidden: float32, the copies of the input rows.
        masks: float32, what they are multiplied by.
        errors: float32, the gradients of the input rows.
        deltas: float32, the gradients of the 1 + K output rows.
    """

    places: NDArray[np.int64]
    hidden: NDArray[np.float32]
    masks: NDArray[np.float32]
    errors: NDArray[np.float32]
    deltas: NDArray[np.float32]


def make_optimizer(
    n_words: int,
    features: Features,
    *,
    l2: float = 0.0,
    dropout: float = 0.0,
    max_norm: float = 0.0,
    frozen: NDArray[np.bool_] | None = None,
) -> Optimizer:
    """The optimizer of a run on `n_words` words, at its beginning; `frozen`: bool (V,), or None."""
    n_squares = n_words if features.adagrad else 1
    marks = np.zeros(n_words if features.frozen else 1, np.uint8)
    if features.frozen and frozen is not None:
        marks[:] = frozen
    return Optimizer(
        np.zeros(n_squares, np.float32),
        np.zeros(n_squares, np.float32),
        marks,
        np.float32(l2),
        np.float32(dropout),
        np.float32(max_norm),
    )


def make_optimizer_scratch(n_outputs: int, window: int, stride: int) -> OptimizerScratch:
    """Fresh scratch for one thread; `n_outputs` is 1 + K."""
    n_inputs = 2 * window + 1
    return OptimizerScratch(
        np.arange(n_inputs, dtype=np.int64) * stride,
        aligned(n_inputs * stride),
        aligned(n_inputs * stride),
        aligned(n_inputs * stride),
        aligned(n_outputs * stride),
    )


@inlined
def draw_mask(key, number, dim, dropout, masks, at) -> None:
    """Write the mask of one input row to ``masks[at:at + dim]``: 0, or 1 / (1 - dropout).

    Args:
        key: uint64, of the chunk. number: int64, another for each row that the chunk masks.
        dim: int64. dropout: float32, taken to the next 1/65536. masks: float32. at: int64.
    """
    limit = np.uint64(dropout * np.float32(65536.0))
    kept = np.float32(1.0) / (np.float32(1.0) - dropout)
    counter = mix(key + DROPOUT) + np.uint64(number) * np.uint64((dim + 3) // 4) * GOLDEN
    bits = np.uint64(0)
    for c in range(dim):
        if c % 4 == 0:
            counter += GOLDEN
            bits = mix(counter)
        masks[at + c] = np.float32(0.0) if (bits & np.uint64(0xFFFF)) < limit else kept
        bits >>= np.uint64(16)


@intrinsic(prefer_literal=True)
def multiply_row(typing_context, lanes, target, masks, at, n_vectors) -> _Generated:
    """``target[at:] *= masks[at:]`` for one row."""
    n = lanes.literal_value

    def generate(context, builder: ir.IRBuilder, signature, args) -> ir.Value:
        target_, masks_ = (
            data_pointer(context, builder, signature.args[i], args[i]) for i in (1, 2)
        )
        v = Lanes(builder, n)
        with loop(builder, args[4]) as vector:
            place = builder.add(args[3], builder.mul(vector, I64(n)))
            v.store(builder.fmul(v.load(target_, place), v.load(masks_, place)), target_, place)
        return context.get_dummy_value()

    return types.void(lanes, target, masks, types.int64, types.int64), generate


@intrinsic(prefer_literal=True)
def block_errors(
    typing_context,
    lanes,
    n_outputs,
    together,
    syn1,
    outputs,
    first_output,
    n_vectors,
    places,
    n_inputs,
    stride,
    hidden,
    gradients,
    first_gradient,
    errors,
    deltas,
    first_delta,
    is_first,
) -> _Generated:
    """``e_j += sum_k g_jk o_k`` (from zero if `is_first`) and ``d_k = sum_j g_jk h_j``: M outputs.

    Args (all but the first three at run time):
        lanes, n_outputs, together: as in `blocks.block_dots`.
        syn1, outputs, first_output, n_vectors: the output rows, as there.
        places: int64, where the rows of `hidden` and `errors` begin. n_inputs: how many.
        stride: int64, floats from one row of `deltas` to the next.
        hidden: float32, the input rows h. errors: float32, their gradients e.
        gradients, first_gradient: g, as `blocks.block_gradients` left them.
        deltas: float32, the outputs' gradients d, one after the other from `first_delta` on.
        is_first: bool.
    """
    n, m, t = lanes.literal_value, n_outputs.literal_value, together.literal_value

    def generate(context, builder: ir.IRBuilder, signature, args) -> ir.Value:
        o_rows, outputs_, places_, hidden_, gradients_, errors_, deltas_ = (
            data_pointer(context, builder, signature.args[i], args[i])
            for i in (3, 4, 7, 10, 11, 13, 14)
        )
        first, vectors, count, stride_, first_g, first_d = (args[i] for i in (5, 6, 8, 9, 12, 15))
        v = Lanes(builder, n)
        o_offsets = [
            builder.load(builder.gep(outputs_, [builder.add(first, I64(k))])) for k in range(m)
        ]
        d_offsets = [builder.add(first_d, builder.mul(stride_, I64(k))) for k in range(m)]
        with loop(builder, vectors) as vector:
            at = builder.mul(vector, I64(n))
            old = [v.load(o_rows, builder.add(offset, at)) for offset in o_offsets]
            sums = [v.variable(v.splat(0.0)) for _ in range(m)]
            with loop(builder, count) as j:
                place = builder.add(builder.load(builder.gep(places_, [j])), at)
                h = v.load(hidden_, place)
                e: ir.Value = builder.select(args[16], v.splat(0.0), v.load(errors_, place))
                group = builder.mul(builder.udiv(j, I64(t)), I64(DOTS_STRIDE))
                side = builder.mul(builder.urem(j, I64(t)), I64(m))
                row = builder.add(first_g, builder.add(group, side))
                for k in range(m):
                    item = builder.gep(gradients_, [builder.add(row, I64(k))])
                    g = v.broadcast(builder.load(item))
                    e = v.fma(g, old[k], e)
                    builder.store(v.fma(g, h, builder.load(sums[k])), sums[k])
                v.store(e, errors_, place)
            for k in range(m):
                v.store(builder.load(sums[k]), deltas_, builder.add(d_offsets[k], at))
        return context.get_dummy_value()

    argument_types = (
        lanes, n_outputs, together, syn1, outputs, types.int64, types.int64, places, types.int64,
        types.int64, hidden, gradients, types.int64, errors, deltas, types.int64, types.boolean,
    )  # fmt: skip
    return types.void(*argument_types), generate


@intrinsic(prefer_literal=True)
def update_row(
    typing_context,
    lanes,
    adagrad,
    limited,
    matrix,
    offset,
    n_vectors,
    dim,
    gradients,
    at,
    share,
    lr,
    l2,
    squares,
    row,
    max_norm,
) -> _Generated:
    """Take the step on one row that the optimizer asks for.

    Args (all but the first three at run time):
        lanes: int literal.
        adagrad, limited: int literals, 0 or 1: `Features.adagrad` and `Features.max_norm`.
        matrix, offset, n_vectors, dim: the row.
        gradients, at, share: its gradient is ``share * gradients[at:]``; float32, int64, float32.
        lr, l2: float32.
        squares, row: AdaGrad's sums, float32 (V,), and which of them.
        max_norm: float32.
    """
    n = lanes.literal_value

    def generate(context, builder: ir.IRBuilder, signature, args) -> ir.Value:
        rows, gradients_, squares_ = (
            data_pointer(context, builder, signature.args[i], args[i]) for i in (3, 7, 12)
        )
        offset_, vectors, dim_, at_ = (args[i] for i in (4, 5, 6, 8))
        share_, lr_, l2_, row_, limit = (args[i] for i in (9, 10, 11, 13, 14))
        v = Lanes(builder, n)
        shares, decay = v.broadcast(share_), v.broadcast(builder.fsub(F32(-0.0), l2_))

        def direction(x: ir.Value, column: ir.Value) -> ir.Value:
            e = v.load(gradients_, builder.add(at_, column))
            return v.fma(decay, x, builder.fmul(shares, e))

        rate = lr_
        if adagrad.literal_value:
            total = v.variable(v.splat(0.0))
            with loop(builder, vectors) as vector:
                column = builder.mul(vector, I64(n))
                r = direction(v.load(rows, builder.add(offset_, column)), column)
                builder.store(v.fma(r, r, builder.load(total)), total)
            mean = builder.fdiv(v.sum(builder.load(total)), builder.sitofp(dim_, F32))
            sums = builder.gep(squares_, [row_])
            larger = builder.fadd(builder.load(sums), mean)
            builder.store(larger, sums)
            rate = builder.fdiv(lr_, builder.fadd(_root(builder, larger), F32(EPSILON)))
        rates = v.broadcast(rate)
        norm = v.variable(v.splat(0.0))
        with loop(builder, vectors) as vector:
            column = builder.mul(vector, I64(n))
            place = builder.add(offset_, column)
            x = v.load(rows, place)
            x = v.fma(rates, direction(x, column), x)
            v.store(x, rows, place)
            if limited.literal_value:
                builder.store(v.fma(x, x, builder.load(norm)), norm)
        if limited.literal_value:
            square = v.sum(builder.load(norm))
            is_long = builder.fcmp_ordered(">", square, builder.fmul(limit, limit))
            with builder.if_then(is_long):
                factor = v.broadcast(builder.fdiv(limit, _root(builder, square)))
                with loop(builder, vectors) as vector:
                    place = builder.add(offset_, builder.mul(vector, I64(n)))
                    v.store(builder.fmul(factor, v.load(rows, place)), rows, place)
        return context.get_dummy_value()

    argument_types = (
        lanes, adagrad, limited, matrix, types.int64, types.int64, types.int64, gradients,
        types.int64, types.float32, types.float32, types.float32, squares, types.int64,
        types.float32,
    )  # fmt: skip
    return types.void(*argument_types), generate


def _root(builder: ir.IRBuilder, x: ir.Value) -> ir.Value:
    """The square root of a float."""
    kind = ir.FunctionType(F32, [F32])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.sqrt.f32")
    return builder.call(function, [x])


@cache
def optimizer_step(
    lanes: int, n_vectors: int, n_outputs: int, is_cbow: bool, features: Features
) -> Callable[..., None]:
    """The step on one window that an optimizer takes; args as in `window_step`."""
    adagrad, dropout, max_norm, frozen = features
    n_full, n_rest = divmod(n_outputs, BLOCK_OUTPUTS)
    together = 1 if is_cbow else 2
    gradients = gradients_of_outputs(lanes, n_vectors, n_outputs, together)

    @inlined
    def step(i, key, weights, inputs, n, now, n_nodes, window, lr, divide, scratch, more):
        """Train `n` input rows against the outputs whose offsets begin at `now`.

        Args:
            i: position of the centre word. key: of the chunk.
            more: components of a row, `Optimizer` (its squares are updated), `OptimizerScratch`.
        """
        dim, optimizer, rows_of = more
        syn0, syn1, stride = weights.syn0, weights.syn1neg, weights.stride
        rows, dots, places, hidden = scratch.rows, scratch.dots, rows_of.places, rows_of.hidden
        masks, errors, deltas = rows_of.masks, rows_of.errors, rows_of.deltas
        one = np.float32(1.0)
        if is_cbow:
            n_hidden, per_block = 1, DOTS_STRIDE
            gather_mean(lanes, syn0, inputs, n, n_vectors, hidden)
            if dropout:
                draw_mask(key, np.int64(i), dim, optimizer.dropout, masks, 0)
                multiply_row(lanes, hidden, masks, 0, n_vectors)
            gradients(0, per_block, hidden, places, 1, syn1, now, one, scratch)
        else:
            n_hidden, per_block = n, window * DOTS_STRIDE
            for j in range(n):
                copy_row(lanes, n_vectors, syn0, inputs[j], hidden, j * stride)
                if dropout:
                    number = np.int64(i) * 2 * window + j
                    draw_mask(key, number, dim, optimizer.dropout, masks, j * stride)
                    multiply_row(lanes, hidden, masks, j * stride, n_vectors)
            places[n] = places[n - 1]  # an odd number is filled up to pairs
            gradients(0, per_block, hidden, places, n, syn1, now, one, scratch)
            places[n] = n * stride
        for b in range(n_full):
            block_errors(
                lanes, BLOCK_OUTPUTS, together, syn1, rows, now + BLOCK_OUTPUTS * b, n_vectors,
                places, n_hidden, stride, hidden, dots, b * per_block, errors, deltas,
                BLOCK_OUTPUTS * b * stride, b == 0,
            )  # fmt: skip
        if n_rest:
            block_errors(
                lanes, n_rest, together, syn1, rows, now + BLOCK_OUTPUTS * n_full, n_vectors,
                places, n_hidden, stride, hidden, dots, n_full * per_block, errors, deltas,
                BLOCK_OUTPUTS * n_full * stride, n_full == 0,
            )  # fmt: skip
        if is_cbow and dropout:
            multiply_row(lanes, errors, masks, 0, n_vectors)
        share = one / np.float32(n) if is_cbow and divide else one
        for j in range(n):
            word, place = inputs[j] // stride, 0 if is_cbow else j * stride
            if frozen and optimizer.frozen[word]:
                continue
            if dropout and not is_cbow:
                multiply_row(lanes, errors, masks, place, n_vectors)
            update_row(
                lanes, adagrad, max_norm, syn0, inputs[j], n_vectors, dim, errors, place, share, lr,
                optimizer.l2, optimizer.squares0, word, optimizer.max_norm,
            )  # fmt: skip
        for k in range(n_outputs):
            offset = rows[now + k]
            update_row(
                lanes, adagrad, max_norm, syn1, offset, n_vectors, dim, deltas, k * stride, one, lr,
                optimizer.l2, optimizer.squares1, offset // stride, optimizer.max_norm,
            )  # fmt: skip

    return step
