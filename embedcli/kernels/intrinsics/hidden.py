"""A step on a hidden vector: h, the mean of many input rows, against many outputs.

With subwords an input is not one row but the mean h of a word's row and those of its n-grams, about
fifteen rows, so reading and writing it back costs more than all the rest. It is therefore made
once, meets all outputs of a position, and is written back once::

    h = mean_j x_j
    for each group of outputs:
        g_k = lr w_k (label_k - sigma(h . o_k))
        e = sum_k g_k o_k          o_k += g_k h          h += e
    x_j += h - mean_j x_j

Each row gets the whole gradient, as in fastText, so the mean moves by it too, and h after a group
is what reading the rows again would give. The first outputs of a group are words to predict, with
label 1 and weight 1; the others are M noise words with label 0. They are shared by the p words to
predict, each of which would have had K of its own, so each weighs w = p K / M: the expected
gradient is that of p separate steps from the same h.

Outputs may repeat: they are updated one after the other, and e uses each as it then is. A row x_j
that occurs twice, as a word may have the same n-gram twice, is stepped twice.
`tests/reference/hidden.py` says all this in NumPy.

h and e stay in registers while the outputs pass by, a few vectors of their columns at a time
(`_columns`): with 16 lanes all of D = 100 at once.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from embedcli.kernels.intrinsics.lanes import F32, F64, I32, I64, Lanes, data_pointer, loop

__all__ = ["gather_hidden", "hidden_gradients", "scatter_hidden", "update_with_hidden"]

_Generated = tuple[Any, Callable[..., ir.Value]]

# log(1 + t) / t on [0, 1], by Chebyshev nodes: t^8 down to 1; relative error below 2e-7
_LOG1P = (
    *(5.2534578e-3, -2.9588507e-2, 7.8361668e-2, -1.3674770e-1, 1.9111431e-1),
    *(-2.4844370e-1, 3.3319271e-1, -4.9999502e-1, 9.9999997e-1),
)
_REGISTERS = {4: 6, 8: 6, 16: 12}  # vectors of h that leave room for as many of e, and two more


def _columns(lanes: int, n_vectors: int) -> list[range]:
    """The vectors of a row in runs that fit the registers, as equal as may be."""
    n_runs = -(-n_vectors // _REGISTERS[lanes])
    cuts = [n_vectors * run // n_runs for run in range(n_runs + 1)]
    return [range(a, b) for a, b in pairwise(cuts)]


@intrinsic(prefer_literal=True)
def gather_hidden(
    typing_context, lanes, n_vectors, matrix, rows, first, count, hidden, error
) -> _Generated:
    """``h = mean_j x_j`` over the rows of `matrix` at ``rows[first:first + count]``, and ``e = 0``.

    Args:
        lanes, n_vectors: int literals, L and the vectors of L lanes in a row.
        matrix: float32, flat, aligned to 64 bytes, as are the offsets in `rows` (int64).
        count: at least 1.
        hidden: float32, aligned likewise; h from 0 on, e from `error` (int64, in floats) on.
    """
    n, vectors = lanes.literal_value, n_vectors.literal_value

    def generate(context, builder: ir.IRBuilder, signature, args) -> ir.Value:
        x_rows, rows_, hidden_ = (
            data_pointer(context, builder, signature.args[i], args[i]) for i in (2, 3, 6)
        )
        begin, count_ = args[4], args[5]
        v = Lanes(builder, n)
        share = v.broadcast(builder.fdiv(F32(1.0), builder.sitofp(count_, F32)))
        for run in _columns(n, vectors):
            totals = [v.variable(v.splat(0.0)) for _ in run]
            with loop(builder, count_) as j:
                offset = builder.load(builder.gep(rows_, [builder.add(begin, j)]))
                for total, column in zip(totals, run, strict=True):
                    x = v.load(x_rows, builder.add(offset, I64(column * n)))
                    builder.store(builder.fadd(builder.load(total), x), total)
            for total, column in zip(totals, run, strict=True):
                v.store(builder.fmul(builder.load(total), share), hidden_, I64(column * n))
                v.store(v.splat(0.0), hidden_, builder.add(args[7], I64(column * n)))
        return context.get_dummy_value()

    argument_types = (
        lanes, n_vectors, matrix, rows, types.int64, types.int64, hidden, types.int64,
    )  # fmt: skip
    return types.void(*argument_types), generate


@intrinsic(prefer_literal=True)
def hidden_gradients(
    typing_context, lanes, n_positive, n_outputs, weight, lr, dots, losses
) -> _Generated:
    """Turn the dots of h with its outputs into their gradients, in place; adds up the loss.

    The loss of output k is w_k (max(-s f, 0) + log(1 + exp(-|f|))), s = +-1. There are only two
    or three vectors of dots, so each takes its logarithms, by a polynomial.

    Args:
        lanes: int literal.
        n_positive: how many outputs come first with label 1.
        n_outputs: with those that follow with label 0.
        weight: float32, of each of these.
        lr: float32.
        dots: float32, whole vectors; what is behind the outputs is computed and becomes 0.
        losses: `Losses`; its hinge gets the whole loss.
    """
    n = lanes.literal_value

    def generate(context, builder: ir.IRBuilder, signature, args) -> ir.Value:
        positive, count, weight_, rate = args[1], args[2], args[3], args[4]
        dots_ = data_pointer(context, builder, signature.args[5], args[5])
        losses_type = signature.args[6]
        sums_ = data_pointer(
            context, builder, losses_type.types[0], builder.extract_value(args[6], 0)
        )
        v = Lanes(builder, n)
        doubles = ir.VectorType(F64, n)
        places = ir.Constant(v.ints, list(range(n)))
        one, zero = v.splat(1.0), v.splat(0.0)
        weights, rates = v.broadcast(weight_), v.broadcast(rate)
        limits = [v.broadcast_int(builder.trunc(number, I32)) for number in (positive, count)]
        total = v.variable(zero)
        vectors = builder.udiv(builder.add(count, I64(n - 1)), I64(n))
        with loop(builder, vectors) as vector:
            at = builder.mul(vector, I64(n))
            place = builder.add(v.broadcast_int(builder.trunc(at, I32)), places)
            is_positive = builder.icmp_signed("<", place, limits[0])
            is_there = builder.icmp_signed("<", place, limits[1])
            scale = builder.select(is_positive, one, builder.select(is_there, weights, zero))
            label = builder.select(is_positive, one, zero)
            dot = v.load(dots_, at)
            sigmoid, e = v.sigmoid(dot)
            wrong = builder.select(is_positive, builder.fsub(zero, dot), dot)
            hinge = builder.select(builder.fcmp_ordered("<", wrong, zero), zero, wrong)
            loss = v.fma(e, v.polynomial(_LOG1P, e), hinge)
            builder.store(v.fma(scale, loss, builder.load(total)), total)
            step = builder.fmul(builder.fmul(rates, scale), builder.fsub(label, sigmoid))
            v.store(step, dots_, at)
        sums = builder.bitcast(sums_, doubles.as_pointer())
        wide = builder.fpext(builder.load(total), doubles)
        builder.store(builder.fadd(builder.load(sums, align=8), wide), sums, align=8)
        return context.get_dummy_value()

    argument_types = (
        lanes, types.int64, types.int64, types.float32, types.float32, dots, losses,
    )  # fmt: skip
    return types.void(*argument_types), generate


@intrinsic(prefer_literal=True)
def update_with_hidden(
    typing_context, lanes, n_vectors, matrix, outputs, first, count, gradients, hidden, error
) -> _Generated:
    """``o_k += g_k h``, output by output; then ``sum_k g_k o_k`` is added to h and to e.

    Args:
        lanes, n_vectors: int literals.
        matrix: float32, flat, aligned to 64 bytes.
        outputs: int64, offsets in it, from `first` on `count` of them.
        gradients: float32, g.
        hidden: float32; h from 0 on, e from `error` (int64, in floats) on.
    """
    n, vectors = lanes.literal_value, n_vectors.literal_value

    def generate(context, builder: ir.IRBuilder, signature, args) -> ir.Value:
        o_rows, outputs_, gradients_, hidden_ = (
            data_pointer(context, builder, signature.args[i], args[i]) for i in (2, 3, 6, 7)
        )
        v = Lanes(builder, n)
        for run in _columns(n, vectors):
            h = [v.load(hidden_, I64(column * n)) for column in run]
            errors = [v.variable(v.splat(0.0)) for _ in run]
            with loop(builder, args[5]) as k:
                offset = builder.load(builder.gep(outputs_, [builder.add(args[4], k)]))
                g = v.broadcast(builder.load(builder.gep(gradients_, [k])))
                for error_, hidden_part, column in zip(errors, h, run, strict=True):
                    place = builder.add(offset, I64(column * n))
                    o = v.load(o_rows, place)
                    builder.store(v.fma(g, o, builder.load(error_)), error_)
                    v.store(v.fma(g, hidden_part, o), o_rows, place)
            for error_, hidden_part, column in zip(errors, h, run, strict=True):
                moved, place = builder.load(error_), builder.add(args[8], I64(column * n))
                v.store(builder.fadd(hidden_part, moved), hidden_, I64(column * n))
                v.store(builder.fadd(v.load(hidden_, place), moved), hidden_, place)
        return context.get_dummy_value()

    argument_types = (
        lanes, n_vectors, matrix, outputs, types.int64, types.int64, gradients, hidden, types.int64,
    )  # fmt: skip
    return types.void(*argument_types), generate


@intrinsic(prefer_literal=True)
def scatter_hidden(
    typing_context, lanes, n_vectors, matrix, rows, first, count, hidden, error, share
) -> _Generated:
    """``x_j += share e`` for the rows of `matrix` at ``rows[first:first + count]``.

    Args as in `gather_hidden`; e lies in `hidden` from `error` (int64, in floats) on; share is
    float32.
    """
    n, vectors = lanes.literal_value, n_vectors.literal_value

    def generate(context, builder: ir.IRBuilder, signature, args) -> ir.Value:
        x_rows, rows_, hidden_ = (
            data_pointer(context, builder, signature.args[i], args[i]) for i in (2, 3, 6)
        )
        v = Lanes(builder, n)
        share_ = v.broadcast(args[8])
        for run in _columns(n, vectors):
            parts = [
                builder.fmul(share_, v.load(hidden_, builder.add(args[7], I64(column * n))))
                for column in run
            ]
            with loop(builder, args[5]) as j:
                offset = builder.load(builder.gep(rows_, [builder.add(args[4], j)]))
                for part, column in zip(parts, run, strict=True):
                    place = builder.add(offset, I64(column * n))
                    v.store(builder.fadd(v.load(x_rows, place), part), x_rows, place)
        return context.get_dummy_value()

    argument_types = (
        lanes, n_vectors, matrix, rows, types.int64, types.int64, hidden, types.int64,
        types.float32,
    )  # fmt: skip
    return types.void(*argument_types), generate
