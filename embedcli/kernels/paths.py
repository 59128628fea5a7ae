"""Hierarchical softmax: the outputs of a word are the inner nodes on its path in Huffman's tree.

With s = 1 where the path takes the first turn at a node and -1 where it takes the second, the
probability of the word is the product of all sigma(s x.o) (`huffman.py` has the tree); the loss of
a node is -log sigma(s x.o) and its gradient step

    g = lr (label - sigma(x.o)),  label = 1 if s = 1 else 0

which is that of negative sampling with other labels. A path has any length: it is cut into blocks
of six nodes, and a rest of 2 or 4 into a smaller one. An odd rest is filled up with a row that is
no node's, whose sign and hence gradient is 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from embedcli.kernels.blocks import BLOCK_OUTPUTS, DOTS_STRIDE, LossLanes
from embedcli.kernels.jit import inlined
from embedcli.kernels.simd import I64, Lanes, data_pointer, loop
from embedcli.kernels.weights import Scratch, make_scratch

__all__ = ["PATH_STEP", "lay_path", "make_path_scratch", "path_gradients"]

_Generated = tuple[Any, Callable[..., ir.Value]]

PATH_STEP = 2  # paths are filled up to a multiple of it


def make_path_scratch(longest: int, window: int, stride: int) -> Scratch:
    """Fresh scratch for one thread and paths of up to `longest` nodes."""
    return make_scratch(-(-longest // BLOCK_OUTPUTS) * BLOCK_OUTPUTS, window, stride)


@inlined
def lay_path(word, tree, no_node, stride, scratch, first):
    """Lay the path to `word` out in the rows from `first` on, and in the signs.

    Args:
        tree: `Tree`. no_node: the row that fills up.
        scratch: of `make_path_scratch`.

    Returns:
        How many nodes it has.
    """
    begin = tree.offsets[word]
    n = tree.offsets[word + 1] - begin
    n_filled = n + n % PATH_STEP
    first_sign = first // BLOCK_OUTPUTS * DOTS_STRIDE
    for k in range(n_filled):
        row, sign = no_node * stride, np.float32(0)
        if k < n:
            row = np.int64(tree.nodes[begin + k]) * stride
            sign = np.float32(tree.signs[begin + k])
        block = k // BLOCK_OUTPUTS
        size = min(BLOCK_OUTPUTS, n_filled - block * BLOCK_OUTPUTS)
        place = first_sign + block * DOTS_STRIDE + k - block * BLOCK_OUTPUTS
        scratch.rows[first + k] = row
        scratch.signs[place] = sign
        scratch.signs[place + size] = sign
    return n


@intrinsic(prefer_literal=True)
def path_gradients(
    typing_context,
    lanes,
    n_outputs,
    together,
    n_inputs,
    dots,
    first_dot,
    signs,
    first_sign,
    lr,
    losses,
) -> _Generated:
    """As `blocks.block_gradients`, with the sign of each output in `signs` from `first_sign` on."""
    n, m, t = lanes.literal_value, n_outputs.literal_value, together.literal_value

    def generate(context, builder: ir.IRBuilder, signature, args) -> ir.Value:
        dots_, signs_ = (data_pointer(context, builder, signature.args[i], args[i]) for i in (4, 6))
        count, first, first_sign_, rate = args[3], args[5], args[7], args[8]
        v = Lanes(builder, n)
        vectors = range(-(-t * m // n))
        zero = v.splat(0.0)
        laid = [v.load(signs_, builder.add(first_sign_, I64(i * n))) for i in vectors]

        def first_lanes(n_lanes: int) -> list[ir.Value]:
            """The signs in the first `n_lanes` lanes; 0 in what an earlier path left behind."""
            marks = [[float(i * n + lane < n_lanes) for lane in range(n)] for i in vectors]
            return [
                builder.fmul(sign, v.const(mark)) for sign, mark in zip(laid, marks, strict=True)
            ]

        of_all, of_one = first_lanes(t * m), first_lanes(m)
        rates = v.broadcast(rate)
        hinge = v.variable(zero)
        totals = LossLanes(context, builder, v, signature.args[9], args[9])
        with loop(builder, builder.udiv(builder.add(count, I64(t - 1)), I64(t))) as group:
            is_cut = builder.icmp_signed(
                "<", count, builder.mul(builder.add(group, I64(1)), I64(t))
            )
            row = builder.add(first, builder.mul(group, I64(DOTS_STRIDE)))
            product = totals.product
            for i in vectors:
                at = builder.add(row, I64(i * n))
                dot = v.load(dots_, at)
                sign = builder.select(is_cut, of_one[i], of_all[i])
                counted = builder.fmul(sign, sign)
                label = builder.select(builder.fcmp_ordered(">", sign, zero), sign, zero)
                sigmoid, e = v.sigmoid(dot)
                right = builder.fmul(sign, dot)
                loss = builder.select(
                    builder.fcmp_ordered(">", right, zero), zero, builder.fneg(right)
                )
                builder.store(builder.fadd(loss, builder.load(hinge)), hinge)
                product = builder.fmul(product, v.fma(e, counted, v.splat(1.0)))
                step = builder.fsub(label, builder.fmul(counted, sigmoid))
                v.store(builder.fmul(rates, step), dots_, at)
            totals.multiplied(product)
        totals.add(builder.load(hinge))
        return context.get_dummy_value()

    argument_types = (
        lanes, n_outputs, together, types.int64, dots, types.int64, signs, types.int64,
        types.float32, losses,
    )  # fmt: skip
    return types.void(*argument_types), generate
