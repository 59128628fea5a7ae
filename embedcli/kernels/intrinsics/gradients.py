"""Gradients of outputs from their dots, by negatives or by paths, and the loss.

**The loss.** With f = x.o and E = exp(-|f|), -log sigma(s f) = max(-s f, 0) + log(1 + E). A
logarithm of each pair would cost as much as its sigmoid; but a sum of logarithms is that of a
product. So only 1 + E, which is in (1, 2], is multiplied into a product kept as mantissa and
exponent, lane by lane, and one logarithm is taken of the whole product at the end of a slice
(`take_losses`). Each factor adds an error of 6e-8 to a sum of about 0.4 a pair. A NaN lives on in
the first term.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from embedcli.kernels.intrinsics.blocks import DOTS_STRIDE
from embedcli.kernels.intrinsics.lanes import F32, F64, I64, Lanes, data_pointer, loop

__all__ = ["block_gradients", "path_gradients"]

_Generated = tuple[Any, Callable[..., ir.Value]]


@intrinsic(prefer_literal=True)
def block_gradients(
    typing_context, lanes, n_outputs, together, n_inputs, dots, first_dot, has_centre, lr, losses
) -> _Generated:
    """Turn a block's dots into gradients ``lr (label - sigma(dot))`` in place; adds up its loss.

    Apart from `block_dots` because these vectors do not depend on each other: the processor works
    on several at once, where one after each pair would wait for the longest chain. They are read
    just as they were written, so that no load waits for two stores. The gradient of an input that
    only fills up a pair is 0.

    Args:
        lanes, n_outputs, together: as in `block_dots`.
        n_inputs: input rows.
        dots: float32, as `block_dots` left them from `first_dot` on.
        has_centre: 1 if the first output is the centre word (label 1), else 0.
        lr: float32 learning rate.
        losses: `Losses`, added to.
    """
    n, m, t = lanes.literal_value, n_outputs.literal_value, together.literal_value

    def generate(context, builder: ir.IRBuilder, signature, args) -> ir.Value:
        dots_ = data_pointer(context, builder, signature.args[4], args[4])
        count, first, centre, rate = args[3], args[5], args[6], args[7]
        v = Lanes(builder, n)
        vectors = range(-(-t * m // n))
        is_centre = v.broadcast(builder.sitofp(centre, F32))
        firsts = [v.const(_marks(n, i, range(0, t * m, m))) for i in vectors]
        labels = [builder.fmul(mark, is_centre) for mark in firsts]
        against = [v.fma(label, v.splat(-2.0), v.splat(1.0)) for label in labels]  # -s
        of_all = [v.const(_marks(n, i, range(t * m))) for i in vectors]
        of_one = [v.const(_marks(n, i, range(m))) for i in vectors]
        rates = v.broadcast(rate)
        hinge = v.variable(v.splat(0.0))
        totals = LossLanes(context, builder, v, signature.args[8], args[8])
        with loop(builder, builder.udiv(builder.add(count, I64(t - 1)), I64(t))) as group:
            is_cut = builder.icmp_signed(
                "<", count, builder.mul(builder.add(group, I64(1)), I64(t))
            )
            row = builder.add(first, builder.mul(group, I64(DOTS_STRIDE)))
            product = totals.product
            for i in vectors:
                at = builder.add(row, I64(i * n))
                dot = v.load(dots_, at)
                counted = builder.select(is_cut, of_one[i], of_all[i])
                sigmoid, e = v.sigmoid(dot)
                wrong = builder.fmul(against[i], dot)
                loss = builder.select(
                    builder.fcmp_ordered("<", wrong, v.splat(0.0)), v.splat(0.0), wrong
                )
                builder.store(v.fma(loss, counted, builder.load(hinge)), hinge)
                product = builder.fmul(product, v.fma(e, counted, v.splat(1.0)))
                step = builder.fmul(builder.fmul(rates, counted), builder.fsub(labels[i], sigmoid))
                v.store(step, dots_, at)
            totals.multiplied(product)
        totals.add(builder.load(hinge))
        return context.get_dummy_value()

    argument_types = (
        lanes, n_outputs, together, types.int64, dots, types.int64, types.int64, types.float32,
        losses,
    )  # fmt: skip
    return types.void(*argument_types), generate


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


class LossLanes:
    """The lanes of a `Losses` that a kernel adds to: the product in a register, until `add`."""

    def __init__(
        self, context, builder: ir.IRBuilder, v: Lanes, losses_type, losses: ir.Value
    ) -> None:
        arrays = [
            data_pointer(context, builder, kind, builder.extract_value(losses, i))
            for i, kind in enumerate(losses_type.types)
        ]
        self._builder, self._v = builder, v
        doubles, ints = ir.VectorType(F64, v.n), v.ints
        self._hinge = builder.bitcast(arrays[0], doubles.as_pointer())
        self._product = arrays[1]
        self._exponent = builder.bitcast(arrays[2], ints.as_pointer())
        self._mantissa = v.variable(v.load(self._product, I64(0)))
        self._whole = cgutils.alloca_once(builder, ints)
        builder.store(builder.load(self._exponent, align=4), self._whole)

    @property
    def product(self) -> ir.Value:
        """The product so far, below 2."""
        return self._builder.load(self._mantissa)

    def multiplied(self, product: ir.Value) -> None:
        """`product` is the new product; its exponents go where they cannot overflow."""
        b = self._builder
        exponent, mantissa = self._v.split(product)
        b.store(mantissa, self._mantissa)
        b.store(b.add(b.load(self._whole), exponent), self._whole)

    def add(self, hinge: ir.Value) -> None:
        """Add the lanes of `hinge` to the sums, and store everything."""
        b = self._builder
        self._v.store(self.product, self._product, I64(0))
        b.store(b.load(self._whole), self._exponent, align=4)
        wide = b.fpext(hinge, ir.VectorType(F64, self._v.n))
        b.store(b.fadd(b.load(self._hinge, align=8), wide), self._hinge, align=8)


def _marks(n_lanes: int, vector: int, dots: range) -> list[float]:
    """1.0 in the lanes of the `vector`-th vector that hold one of `dots`, else 0.0."""
    return [float(vector * n_lanes + lane in dots) for lane in range(n_lanes)]
