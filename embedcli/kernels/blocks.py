"""The two halves of a negative-sampling step on a block: dots and gradients, then the updates.

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

**The loss.** With f = x.o and E = exp(-|f|), -log sigma(s f) = max(-s f, 0) + log(1 + E). A
logarithm of each pair would cost as much as its sigmoid; but a sum of logarithms is that of a
product. So only 1 + E, which is in (1, 2], is multiplied into a product kept as mantissa and
exponent, lane by lane, and one logarithm is taken of the whole product at the end of a slice
(`take_losses`). Each factor adds an error of 6e-8 to a sum of about 0.4 a pair. A NaN lives on in
the first term.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from embedcli.kernels.jit import kernel
from embedcli.kernels.simd import F32, F64, I64, Lanes, data_pointer, loop

__all__ = [
    "BLOCK_OUTPUTS",
    "DOTS_STRIDE",
    "SINGLE",
    "LossLanes",
    "block_dots",
    "block_gradients",
    "block_update",
    "take_losses",
]

BLOCK_OUTPUTS = 6  # output rows of a full block
DOTS_STRIDE = 16  # floats kept for the dots of a pair of inputs: 2 x 6, to whole vectors
SINGLE = np.zeros(1, np.int64)  # offsets of "input rows" that are one vector in an array of its own

_Generated = tuple[Any, Callable[..., ir.Value]]


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


@kernel
def take_losses(losses) -> Any:
    """The sum of the losses in a `Losses`, in nats, float64; starts it anew."""
    total = 0.0
    for lane in range(losses.hinge.shape[0]):
        total += losses.hinge[lane] + math.log(losses.product[lane])
        total += losses.exponent[lane] * math.log(2.0)
        losses.hinge[lane] = 0.0
        losses.product[lane] = np.float32(1.0)
        losses.exponent[lane] = 0
    return total


def _marks(n_lanes: int, vector: int, dots: range) -> list[float]:
    """1.0 in the lanes of the `vector`-th vector that hold one of `dots`, else 0.0."""
    return [float(vector * n_lanes + lane in dots) for lane in range(n_lanes)]


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
