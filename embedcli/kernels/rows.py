"""Whole rows copied and put together, and marks that several threads set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from embedcli.kernels.simd import I64, Lanes, data_pointer

__all__ = ["add_change", "copy_row", "set_bits"]

_Generated = tuple[Any, Callable[..., ir.Value]]


@intrinsic(prefer_literal=True)
def copy_row(
    typing_context: Any,
    lanes: Any,
    n_vectors: Any,
    matrix: Any,
    row: Any,
    copy: Any,
    before: Any,
    at: Any,
) -> _Generated:
    """Copy the row at `row` of `matrix` to `copy` in it, and to `at` in `before`."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> ir.Value:
        matrix_ = data_pointer(context, builder, signature.args[2], args[2])
        before_ = data_pointer(context, builder, signature.args[5], args[5])
        v = Lanes(builder, lanes.literal_value)
        for vector in range(n_vectors.literal_value):
            column = I64(vector * v.n)
            x = v.load(matrix_, builder.add(args[3], column))
            v.store(x, matrix_, builder.add(args[4], column))
            v.store(x, before_, builder.add(args[6], column))
        return context.get_dummy_value()

    offsets = types.int64, types.int64
    return types.void(lanes, n_vectors, matrix, *offsets, before, types.int64), generate


@intrinsic(prefer_literal=True)
def add_change(
    typing_context: Any,
    lanes: Any,
    n_vectors: Any,
    matrix: Any,
    row: Any,
    copy: Any,
    before: Any,
    at: Any,
    share: Any,
) -> _Generated:
    """Add to the row at `row` of `matrix` a `share` of the change of its `copy` since `before`."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> ir.Value:
        matrix_ = data_pointer(context, builder, signature.args[2], args[2])
        before_ = data_pointer(context, builder, signature.args[5], args[5])
        v = Lanes(builder, lanes.literal_value)
        share_ = v.broadcast(args[7])
        for vector in range(n_vectors.literal_value):
            column = I64(vector * v.n)
            became = v.load(matrix_, builder.add(args[4], column))
            change = builder.fsub(became, v.load(before_, builder.add(args[6], column)))
            place = builder.add(args[3], column)
            v.store(v.fma(share_, change, v.load(matrix_, place)), matrix_, place)
        return context.get_dummy_value()

    offsets = types.int64, types.int64
    return types.void(
        lanes, n_vectors, matrix, *offsets, before, types.int64, types.float32
    ), generate


@intrinsic
def set_bits(typing_context: Any, marks: Any, at: Any, bits: Any) -> _Generated:
    """``marks[at] |= bits``, which no other thread can come between; uint8."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> ir.Value:
        base = data_pointer(context, builder, signature.args[0], args[0])
        builder.atomic_rmw("or", builder.gep(base, [args[1]]), args[2], "monotonic")
        return context.get_dummy_value()

    return types.void(marks, types.int64, types.uint8), generate
