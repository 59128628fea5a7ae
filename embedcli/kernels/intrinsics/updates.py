"""The update of one row that an optimizer asks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from embedcli.kernels.intrinsics.lanes import F32, I64, Lanes, data_pointer, loop

__all__ = ["EPSILON", "update_row"]

EPSILON = 1e-8

_Generated = tuple[Any, Callable[..., ir.Value]]


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
