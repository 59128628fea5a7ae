"""Whole rows of a matrix: found, copied, multiplied, put together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from embedcli.kernels.intrinsics.lanes import I32, I64, Lanes, data_pointer, loop

__all__ = ["SPARE", "blend_row", "copy_row", "multiply_row", "rows_of_words"]

SPARE = 8  # items after the last word that `windows.context_rows` may read

_Generated = tuple[Any, Callable[..., ir.Value]]


@intrinsic
def rows_of_words(
    typing_context, words, begin, n, stride, rows, first
) -> tuple[Any, Callable[..., ir.Value]]:
    """``rows[first + i] = words[begin + i] * stride`` for i < n, eight at a time.

    So a window costs no loop whose length no predictor can learn: half the time. Up to seven items
    (less than `SPARE`) too many are read and written.
    """

    def generate(context, builder: ir.IRBuilder, signature, args) -> ir.Value:
        source = data_pointer(context, builder, signature.args[0], args[0])
        target = data_pointer(context, builder, signature.args[4], args[4])
        narrow, wide = ir.VectorType(I32, SPARE), ir.VectorType(I64, SPARE)
        undefined = ir.Constant(wide, ir.Undefined)
        stride_ = builder.insert_element(undefined, args[3], I32(0))
        strides = builder.shuffle_vector(stride_, undefined, ir.Constant(narrow, [0] * SPARE))
        eights = builder.udiv(builder.add(args[2], I64(SPARE - 1)), I64(SPARE))
        with loop(builder, eights) as eight:
            i = builder.mul(eight, I64(SPARE))
            word = builder.gep(source, [builder.add(args[1], i)])
            ids = builder.load(builder.bitcast(word, narrow.as_pointer()), align=4)
            row = builder.gep(target, [builder.add(args[5], i)])
            offsets = builder.mul(builder.sext(ids, wide), strides)
            builder.store(offsets, builder.bitcast(row, wide.as_pointer()), align=8)
        return context.get_dummy_value()

    integers = types.int64, types.int64, types.int64
    return types.void(words, *integers, rows, types.int64), generate


@intrinsic(prefer_literal=True)
def copy_row(typing_context, lanes, n_vectors, source, row, target, copy):
    """Copy the row at `row` of `source` to `copy` in `target`, which may be the same matrix."""

    def generate(context, builder: ir.IRBuilder, signature, args) -> ir.Value:
        source_, target_ = (
            data_pointer(context, builder, signature.args[i], args[i]) for i in (2, 4)
        )
        v = Lanes(builder, lanes.literal_value)
        with loop(builder, args[1]) as vector:
            column = builder.mul(vector, I64(v.n))
            x = v.load(source_, builder.add(args[3], column))
            v.store(x, target_, builder.add(args[5], column))
        return context.get_dummy_value()

    offsets = types.int64
    return types.void(lanes, offsets, source, offsets, target, offsets), generate


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
def blend_row(typing_context, lanes, n_vectors, matrix, row, copy, keep, share) -> _Generated:
    """Make the row at `row` of `matrix` `keep` times itself and `share` times its `copy`."""

    def generate(context, builder: ir.IRBuilder, signature, args) -> ir.Value:
        matrix_ = data_pointer(context, builder, signature.args[2], args[2])
        v = Lanes(builder, lanes.literal_value)
        keep_, share_ = v.broadcast(args[5]), v.broadcast(args[6])
        with loop(builder, args[1]) as vector:
            column = builder.mul(vector, I64(v.n))
            place = builder.add(args[3], column)
            kept = builder.fmul(keep_, v.load(matrix_, place))
            became = v.load(matrix_, builder.add(args[4], column))
            v.store(v.fma(share_, became, kept), matrix_, place)
        return context.get_dummy_value()

    offsets = types.int64, types.int64
    return types.void(lanes, types.int64, matrix, *offsets, types.float32, types.float32), generate
