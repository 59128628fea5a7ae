"""Labels of eight lines at once: scores, probabilities and errors, by explicit vector code.

A group are `GROUP` lines. Their hidden vectors lie column by column, component d of line l at
``d * GROUP + l``, and so do their scores: label c of line l at ``c * GROUP + l``. Each operation
then runs over the lines of a group, and no sum runs over the lanes of a vector. Rows of labels are
padded to a multiple of `ROWS`, of which four are worked on together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from embedcli.kernels.intrinsics.lanes import I64, Lanes, data_pointer, loop

__all__ = ["GROUP", "ROWS", "add_products", "dot_of_rows", "group_dots", "group_errors",
           "group_sigmoids", "group_softmax"]  # fmt: skip

GROUP = 8  # lines
ROWS = 4  # labels, or components, at once
_LOG2_E = 1.4426950408889634

_Generated = tuple[Any, Callable[..., ir.Value]]


def _pointers(context, builder, signature, args, places) -> list[ir.Value]:
    return [data_pointer(context, builder, signature.args[i], args[i]) for i in places]


def _number(builder: ir.IRBuilder, base: ir.Value, at: ir.Value) -> ir.Value:
    return builder.load(builder.gep(base, [at]))


@intrinsic
def group_dots(typing_context, rows, n_rows, stride, hidden, scores) -> _Generated:
    """``scores[c, l] = sum_d rows[c, d] hidden[d, l]``.

    `rows` float32, of `stride`, a multiple of `ROWS` of them (`n_rows`); `hidden` (stride, GROUP)
    and `scores` (n_rows, GROUP) float32, all flat and aligned.
    """

    def generate(context, builder: ir.IRBuilder, signature, args) -> ir.Value:
        rows_, hidden_, scores_ = _pointers(context, builder, signature, args, (0, 3, 4))
        v = Lanes(builder, GROUP)
        with loop(builder, builder.udiv(args[1], I64(ROWS))) as four:
            first = builder.mul(four, I64(ROWS))
            totals = [v.variable(v.splat(0.0)) for _ in range(ROWS)]
            with loop(builder, args[2]) as d:
                h = v.load(hidden_, builder.mul(d, I64(GROUP)))
                for j, total in enumerate(totals):
                    row = builder.mul(builder.add(first, I64(j)), args[2])
                    w = v.broadcast(_number(builder, rows_, builder.add(row, d)))
                    builder.store(v.fma(w, h, builder.load(total)), total)
            for j, total in enumerate(totals):
                at = builder.mul(builder.add(first, I64(j)), I64(GROUP))
                v.store(builder.load(total), scores_, at)
        return context.get_dummy_value()

    return types.void(rows, types.int64, types.int64, hidden, scores), generate


@intrinsic
def group_errors(typing_context, rows, n_rows, stride, steps, errors) -> _Generated:
    """``errors[d, l] = sum_c steps[c, l] rows[c, d]``; arguments as in `group_dots`."""

    def generate(context, builder: ir.IRBuilder, signature, args) -> ir.Value:
        rows_, steps_, errors_ = _pointers(context, builder, signature, args, (0, 3, 4))
        v = Lanes(builder, GROUP)
        with loop(builder, builder.udiv(args[2], I64(ROWS))) as four:
            first = builder.mul(four, I64(ROWS))
            totals = [v.variable(v.splat(0.0)) for _ in range(ROWS)]
            with loop(builder, args[1]) as c:
                g = v.load(steps_, builder.mul(c, I64(GROUP)))
                row = builder.add(builder.mul(c, args[2]), first)
                for j, total in enumerate(totals):
                    w = v.broadcast(_number(builder, rows_, builder.add(row, I64(j))))
                    builder.store(v.fma(w, g, builder.load(total)), total)
            for j, total in enumerate(totals):
                at = builder.mul(builder.add(first, I64(j)), I64(GROUP))
                v.store(builder.load(total), errors_, at)
        return context.get_dummy_value()

    return types.void(rows, types.int64, types.int64, steps, errors), generate


@intrinsic
def group_softmax(typing_context, scores, n_labels) -> _Generated:
    """Turn the scores of `n_labels` labels into probabilities, in place."""

    def generate(context, builder: ir.IRBuilder, signature, args) -> ir.Value:
        (scores_,) = _pointers(context, builder, signature, args, (0,))
        v = Lanes(builder, GROUP)
        largest = v.variable(v.load(scores_, I64(0)))
        with loop(builder, args[1]) as c:
            x, most = v.load(scores_, builder.mul(c, I64(GROUP))), builder.load(largest)
            # A score that is no number stays one, and ends the run.
            builder.store(builder.select(builder.fcmp_ordered("<", x, most), most, x), largest)
        total = v.variable(v.splat(0.0))
        with loop(builder, args[1]) as c:
            at = builder.mul(c, I64(GROUP))
            below = builder.fsub(v.load(scores_, at), builder.load(largest))
            limit = v.splat(-87.0)
            below = builder.select(builder.fcmp_ordered("<", below, limit), limit, below)
            e = v.exp2(builder.fmul(below, v.splat(_LOG2_E)))
            v.store(e, scores_, at)
            builder.store(builder.fadd(builder.load(total), e), total)
        share = builder.fdiv(v.splat(1.0), builder.load(total))
        with loop(builder, args[1]) as c:
            at = builder.mul(c, I64(GROUP))
            v.store(builder.fmul(v.load(scores_, at), share), scores_, at)
        return context.get_dummy_value()

    return types.void(scores, types.int64), generate


@intrinsic
def group_sigmoids(typing_context, scores, n_labels) -> _Generated:
    """Turn the scores of `n_labels` labels into sigmoids, in place."""

    def generate(context, builder: ir.IRBuilder, signature, args) -> ir.Value:
        (scores_,) = _pointers(context, builder, signature, args, (0,))
        v = Lanes(builder, GROUP)
        with loop(builder, args[1]) as c:
            at = builder.mul(c, I64(GROUP))
            v.store(v.sigmoid(v.load(scores_, at))[0], scores_, at)
        return context.get_dummy_value()

    return types.void(scores, types.int64), generate


@intrinsic(prefer_literal=True)
def add_products(typing_context, lanes, n_vectors, row, at, hidden, apart, steps, n) -> _Generated:
    """``row += sum_l steps[l] hidden_l``, the n lines of a group one after the other.

    Args:
        lanes, n_vectors: int literals. row: float32, `at` its offset (int64).
        hidden: float32, line l's from ``l * apart`` on. steps: float32, one a line.
        n: int64, at most `GROUP`.
    """
    width, vectors = lanes.literal_value, n_vectors.literal_value

    def generate(context, builder: ir.IRBuilder, signature, args) -> ir.Value:
        row_, hidden_, steps_ = _pointers(context, builder, signature, args, (2, 4, 6))
        v = Lanes(builder, width)
        for start in range(0, vectors, 4):
            columns = range(start, min(start + 4, vectors))
            sums = [v.variable(v.load(row_, builder.add(args[3], I64(k * width)))) for k in columns]
            with loop(builder, args[7]) as line:
                g = v.broadcast(_number(builder, steps_, line))
                base = builder.mul(line, args[5])
                for k, total in zip(columns, sums, strict=True):
                    h = v.load(hidden_, builder.add(base, I64(k * width)))
                    builder.store(v.fma(g, h, builder.load(total)), total)
            for k, total in zip(columns, sums, strict=True):
                v.store(builder.load(total), row_, builder.add(args[3], I64(k * width)))
        return context.get_dummy_value()

    kinds = (lanes, n_vectors, row, types.int64, hidden, types.int64, steps, types.int64)
    return types.void(*kinds), generate


@intrinsic(prefer_literal=True)
def dot_of_rows(typing_context, lanes, n_vectors, row, at, hidden) -> _Generated:
    """``sum_d row[at + d] hidden[d]``, float32."""
    width, vectors = lanes.literal_value, n_vectors.literal_value

    def generate(context, builder: ir.IRBuilder, signature, args) -> ir.Value:
        row_, hidden_ = _pointers(context, builder, signature, args, (2, 4))
        v = Lanes(builder, width)
        total: ir.Value = v.splat(0.0)
        for k in range(vectors):
            w = v.load(row_, builder.add(args[3], I64(k * width)))
            total = v.fma(w, v.load(hidden_, I64(k * width)), total)
        return v.sum(total)

    return types.float32(lanes, n_vectors, row, types.int64, hidden), generate
