"""The two halves of a step on a block of inputs and outputs: dots, then updates.

Between them, `gradients.py` makes gradients of the dots.

A block is n input rows x_j (the context words' rows of ``syn0``) against M output rows o_k (the
centre word and its negatives in ``syn1neg``); all n M pairs share the rows, which is what makes a
window cheap (Ji et al. 2016, *Parallelizing Word2Vec in Shared and Distributed Memory*). With
label 1 for the centre word and 0 for a negative, the loss of a pair is -log sigma(s x.o), s = +-1,
and its gradient step is::

    g_jk = lr (label_k - sigma(x_j . o_k))
    x_j += sum_k g_jk o_k            o_k += sum_j g_jk x_j

Both sums use the rows as they were before the block, except that an input row listed twice is read
again after its first update. Outputs of one block must be distinct: they are held in registers
and stored once. `tests/reference/__init__.py` says the same in NumPy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from embedcli.kernels.intrinsics.lanes import I64, Lanes, data_pointer, loop

__all__ = ["BLOCK_OUTPUTS", "DOTS_STRIDE", "SINGLE", "block_dots", "block_errors", "block_update"]

_Generated = tuple[Any, Callable[..., ir.Value]]

BLOCK_OUTPUTS = 6  # output rows of a full block
DOTS_STRIDE = 16  # floats kept for the dots of a pair of inputs: 2 x 6, to whole vectors
SINGLE = np.zeros(1, np.int64)  # offsets of "input rows" that are one vector in an array of its own


@intrinsic(prefer_literal=True)
def block_dots(
    typing_context,
    lanes,
    n_outputs,
    together,
    syn0,
    syn1,
    inputs,
    n_inputs,
    outputs,
    first_output,
    n_vectors,
    dots,
    first_dot,
) -> _Generated:
    """The dot products of a block.

    ``dots[first_dot + j // together * DOTS_STRIDE + j % together * M + k] = x_j . o_k``.

    Args (all but the first three at run time):
        lanes, n_outputs: int literals, L and M (1 to 6).
        together: int literal, inputs worked on at once: 2, or 1 for a single input.
        syn0, syn1: float32, flat matrices aligned to 64 bytes.
        inputs: int64, offsets of the input rows in `syn0`; one more entry than `n_inputs` must be
            readable when `n_inputs` is odd, and name a valid row (it is computed and ignored).
        outputs: int64, offsets in `syn1`, from `first_output` on M of them.
        n_vectors: vectors of L lanes in a row.
        dots: float32, aligned to 64 bytes, as is `first_dot`.
    """
    n, m, t = lanes.literal_value, n_outputs.literal_value, together.literal_value

    def generate(context, builder: ir.IRBuilder, signature, args) -> ir.Value:
        arrays = [data_pointer(context, builder, signature.args[i], args[i]) for i in (3, 4, 5, 7)]
        x_rows, o_rows, inputs_, outputs_ = arrays
        dots_ = data_pointer(context, builder, signature.args[10], args[10])
        count, first, vectors, first_dot_ = (args[i] for i in (6, 8, 9, 11))
        v = Lanes(builder, n)
        o_offsets = [
            builder.load(builder.gep(outputs_, [builder.add(first, I64(k))])) for k in range(m)
        ]
        groups = builder.udiv(builder.add(count, I64(t - 1)), I64(t))
        with loop(builder, groups) as group:
            j = builder.mul(group, I64(t))
            x_offsets = [
                builder.load(builder.gep(inputs_, [builder.add(j, I64(i))])) for i in range(t)
            ]
            sums = [v.variable(v.splat(0.0)) for _ in range(t * m)]
            with loop(builder, vectors) as vector:
                at = builder.mul(vector, I64(n))
                x = [v.load(x_rows, builder.add(offset, at)) for offset in x_offsets]
                for k in range(m):
                    o = v.load(o_rows, builder.add(o_offsets[k], at))
                    for i in range(t):
                        total = sums[i * m + k]
                        builder.store(v.fma(x[i], o, builder.load(total)), total)
            row = builder.add(first_dot_, builder.mul(group, I64(DOTS_STRIDE)))
            for i, dot in enumerate(v.sums([builder.load(total) for total in sums])):
                v.store(dot, dots_, builder.add(row, I64(i * n)))
        return context.get_dummy_value()

    argument_types = (
        lanes, n_outputs, together, syn0, syn1, inputs, types.int64, outputs, types.int64,
        types.int64, dots, types.int64,
    )  # fmt: skip
    return types.void(*argument_types), generate


@intrinsic(prefer_literal=True)
def block_update(
    typing_context,
    lanes,
    n_outputs,
    syn0,
    syn1,
    inputs,
    n_inputs,
    outputs,
    first_output,
    n_vectors,
    gradients,
    first_gradient,
) -> _Generated:
    """Apply the gradients that `block_gradients` left; arguments as there.

    Column by column (a vector of L lanes): the M outputs stay in registers in two copies, as they
    were and as they become, while the inputs pass by in pairs. Where their number is odd, the last
    one passes again with gradients of 0, which leaves everything as it is.
    """
    n, m = lanes.literal_value, n_outputs.literal_value

    def generate(context, builder: ir.IRBuilder, signature, args) -> ir.Value:
        arrays = [data_pointer(context, builder, signature.args[i], args[i]) for i in (2, 3, 4, 6)]
        x_rows, o_rows, inputs_, outputs_ = arrays
        g_rows = data_pointer(context, builder, signature.args[9], args[9])
        count, first, vectors, first_g = (args[i] for i in (5, 7, 8, 10))
        v = Lanes(builder, n)
        o_offsets = [
            builder.load(builder.gep(outputs_, [builder.add(first, I64(k))])) for k in range(m)
        ]

        def update_column(at: ir.Value) -> None:
            places = [builder.add(offset, at) for offset in o_offsets]
            old = [v.load(o_rows, place) for place in places]
            new = [v.variable(o) for o in old]
            with loop(builder, builder.udiv(builder.add(count, I64(1)), I64(2))) as pair:
                row = builder.add(first_g, builder.mul(pair, I64(DOTS_STRIDE)))
                j = builder.mul(pair, I64(2))
                for side in range(2):
                    offset = builder.load(builder.gep(inputs_, [builder.add(j, I64(side))]))
                    place = builder.add(offset, at)
                    x = v.load(x_rows, place)
                    # Two chains of additions and not one, so that the row can be stored sooner.
                    chains: list[ir.Value] = [x]
                    for k in range(m):
                        item = builder.gep(g_rows, [builder.add(row, I64(side * m + k))])
                        g = v.broadcast(builder.load(item))
                        if k == 1:
                            chains.append(builder.fmul(g, old[k]))
                        else:
                            chains[k % 2] = v.fma(g, old[k], chains[k % 2])
                        builder.store(v.fma(g, x, builder.load(new[k])), new[k])
                    v.store(builder.fadd(*chains) if m > 1 else chains[0], x_rows, place)
            for k in range(m):
                v.store(builder.load(new[k]), o_rows, places[k])

        with loop(builder, vectors) as vector:
            update_column(builder.mul(vector, I64(n)))
        return context.get_dummy_value()

    argument_types = (
        lanes, n_outputs, syn0, syn1, inputs, types.int64, outputs, types.int64, types.int64,
        gradients, types.int64,
    )  # fmt: skip
    return types.void(*argument_types), generate


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
