"""GloVe's step on one cell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from embedcli.kernels.intrinsics.lanes import I32, I64, Lanes, data_pointer, loop

__all__ = ["cell_step"]

_Generated = tuple[Any, Callable[..., ir.Value]]

_UNROLL = 4  # vectors of a row worked on at once: four sums that do not wait for each other


@intrinsic(prefer_literal=True)
def cell_step(
    typing_context, lanes, n_vectors, weights, row, column, target, weight, lr
) -> _Generated:
    """One step on a cell; returns twice its loss, float32.

    Args:
        lanes, n_vectors: int literals, L and vectors of L lanes in a row.
        weights: `GloveWeights`, updated.
        row, column: int64, the offsets of the word's and the context's row.
        target, weight, lr: float32.
    """
    n, n_row = lanes.literal_value, n_vectors.literal_value

    def generate(context, builder: ir.IRBuilder, signature, args) -> ir.Value:
        words, contexts, words_squares, contexts_squares = (
            data_pointer(context, builder, kind, builder.extract_value(args[2], i))
            for i, kind in enumerate(signature.args[2].types[:4])
        )
        row_, column_, target_, weight_, rate = args[3:]
        v = Lanes(builder, n)

        def each_vector(work: Callable[[ir.Value, int], None]) -> None:
            """Call ``work(offset in the row, number of the sum)`` for every vector of a row."""
            whole = n_row // _UNROLL * _UNROLL
            if whole:
                with loop(builder, I64(whole // _UNROLL)) as group:
                    first = builder.mul(group, I64(_UNROLL * n))
                    for i in range(_UNROLL):
                        work(builder.add(first, I64(i * n)), i)
            for i in range(n_row - whole):
                work(I64((whole + i) * n), i)

        sums = [v.variable(v.splat(0.0)) for _ in range(min(_UNROLL, n_row))]

        def multiply(at: ir.Value, number: int) -> None:
            w = v.load(words, builder.add(row_, at))
            c = v.load(contexts, builder.add(column_, at))
            builder.store(v.fma(w, c, builder.load(sums[number])), sums[number])

        each_vector(multiply)
        total = builder.load(sums[0])
        for more in sums[1:]:
            total = builder.fadd(total, builder.load(more))
        dot = builder.extract_element(v.sums([total])[0], I32(0))
        error = builder.fsub(dot, target_)
        weighted = builder.fmul(weight_, error)
        step = v.broadcast(builder.fmul(rate, weighted))

        def update(at: ir.Value, number: int) -> None:
            row_at, column_at = builder.add(row_, at), builder.add(column_, at)
            w, c = v.load(words, row_at), v.load(contexts, column_at)
            of_w, of_c = v.load(words_squares, row_at), v.load(contexts_squares, column_at)
            by_w, by_c = builder.fmul(step, c), builder.fmul(step, w)
            v.store(builder.fsub(w, builder.fmul(by_w, v.inverse_root(of_w))), words, row_at)
            v.store(builder.fsub(c, builder.fmul(by_c, v.inverse_root(of_c))), contexts, column_at)
            v.store(v.fma(by_w, by_w, of_w), words_squares, row_at)
            v.store(v.fma(by_c, by_c, of_c), contexts_squares, column_at)

        each_vector(update)
        return builder.fmul(weighted, error)

    argument_types = (
        lanes, n_vectors, weights, types.int64, types.int64, types.float32, types.float32,
        types.float32,
    )  # fmt: skip
    return types.float32(*argument_types), generate
