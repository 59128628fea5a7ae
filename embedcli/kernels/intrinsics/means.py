"""CBOW's step on the mean of a few rows: gathered, held against outputs, given back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from embedcli.kernels.intrinsics.lanes import F32, I64, Lanes, data_pointer, loop

__all__ = ["gather_mean", "scatter_add", "update_outputs"]

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
