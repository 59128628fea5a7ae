"""Whole rows copied and put together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from embedcli.kernels.simd import I64, Lanes, data_pointer

__all__ = ["blend_row", "copy_row"]

_Generated = tuple[Any, Callable[..., ir.Value]]


@intrinsic(prefer_literal=True)
def copy_row(typing_context, lanes, n_vectors, source, row, target, copy):
    """Copy the row at `row` of `source` to `copy` in `target`, which may be the same matrix."""

    def generate(context, builder: ir.IRBuilder, signature, args) -> ir.Value:
        source_, target_ = (
            data_pointer(context, builder, signature.args[i], args[i]) for i in (2, 4)
        )
        v = Lanes(builder, lanes.literal_value)
        for vector in range(n_vectors.literal_value):
            column = I64(vector * v.n)
            x = v.load(source_, builder.add(args[3], column))
            v.store(x, target_, builder.add(args[5], column))
        return context.get_dummy_value()

    offsets = types.int64
    return types.void(lanes, n_vectors, source, offsets, target, offsets), generate


@intrinsic(prefer_literal=True)
def blend_row(typing_context, lanes, n_vectors, matrix, row, copy, keep, share) -> _Generated:
    """Make the row at `row` of `matrix` `keep` times itself and `share` times its `copy`."""

    def generate(context, builder: ir.IRBuilder, signature, args) -> ir.Value:
        matrix_ = data_pointer(context, builder, signature.args[2], args[2])
        v = Lanes(builder, lanes.literal_value)
        keep_, share_ = v.broadcast(args[5]), v.broadcast(args[6])
        for vector in range(n_vectors.literal_value):
            column = I64(vector * v.n)
            place = builder.add(args[3], column)
            kept = builder.fmul(keep_, v.load(matrix_, place))
            became = v.load(matrix_, builder.add(args[4], column))
            v.store(v.fma(share_, became, kept), matrix_, place)
        return context.get_dummy_value()

    offsets = types.int64, types.int64
    return types.void(lanes, n_vectors, matrix, *offsets, types.float32, types.float32), generate
