"""Explicit vector code: the few vector operations the training kernels are made of, as LLVM IR.

Why by hand: LLVM's own vectoriser gives these loops half-width code, one dependency chain and
run-time alias checks, five to forty times slower than what the arithmetic needs. An ``@intrinsic``
that builds ``<L x float>`` values keeps twelve independent sums in registers, and says once how
wide a vector is: L = 16 lanes with AVX-512, 8 with AVX2, 4 anywhere else (`host_lanes`).

Rules kept here: addresses come from ``getelementptr`` alone (integer round trips are miscompiled
by LLVM 22), loops in the code generator are ordinary Python and unroll, no fast-math flag is ever
set, and comparisons are chosen so that a NaN stays a NaN.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import llvmlite.binding as llvm
from llvmlite import ir
from numba.core import cgutils

__all__ = ["F32", "F64", "I32", "I64", "LANES", "Lanes", "data_pointer", "host_lanes", "loop"]

LANES = (4, 8, 16)

F32 = ir.FloatType()
F64 = ir.DoubleType()
I32 = ir.IntType(32)
I64 = ir.IntType(64)

# 2^x on [-1/2, 1/2]: Taylor coefficients ln(2)^n / n!, n = 6..0; relative error below 2e-7.
_EXP2 = (1.5403530e-4, 1.3333558e-3, 9.6181291e-3, 5.5504109e-2, 2.4022651e-1, 6.9314718e-1, 1.0)
_LOG2_E = 1.4426950408889634
_INVERSE_ROOT_GUESS = 0x5F375A86


def host_lanes() -> int:
    """Lanes of float32 this processor works on at once; ``EMBED_LANES`` overrides, for tests."""
    forced = os.environ.get("EMBED_LANES")
    if forced:
        if forced not in {str(lanes) for lanes in LANES}:
            raise ValueError(f"EMBED_LANES is {forced!r}: expected 4, 8 or 16")
        return int(forced)
    features = llvm.get_host_cpu_features()
    if features.get("avx512f"):
        return 16
    return 8 if features.get("avx2") and features.get("fma") else 4


class Lanes:
    """The vector operations on `n` lanes of float32, emitted through one IR builder.

    Method names are LLVM's; values are ``<n x float>`` unless said otherwise.
    """

    def __init__(self, builder: ir.IRBuilder, n: int) -> None:
        self.builder = builder
        self.n = n
        self.type = ir.VectorType(F32, n)
        self.ints = ir.VectorType(I32, n)

    def const(self, values: Sequence[float]) -> ir.Constant:
        """The constant vector of `values` (n of them)."""
        return ir.Constant(self.type, [ir.Constant(F32, float(value)) for value in values])

    def splat(self, value: float) -> ir.Constant:
        """The constant vector with `value` in every lane."""
        return self.const([value] * self.n)

    def broadcast(self, scalar: ir.Value) -> ir.Value:
        """The vector with the float `scalar`, known at run time, in every lane."""
        undefined = ir.Constant(self.type, ir.Undefined)
        first = self.builder.insert_element(undefined, scalar, I32(0))
        return self.builder.shuffle_vector(first, undefined, ir.Constant(self.ints, [0] * self.n))

    def shuffle(self, a: ir.Value, b: ir.Value, lanes: Sequence[int]) -> ir.Value:
        """Lanes of `a` (0..n-1) and `b` (n..2n-1) in the order given."""
        return self.builder.shuffle_vector(a, b, ir.Constant(self.ints, list(lanes)))

    def fma(self, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
        """Return a * b + c, fused where the processor can."""
        name = f"llvm.fmuladd.v{self.n}f32"
        return self.builder.call(self._function(name, 3), [a, b, c])

    def pointer(self, base: ir.Value, offset: ir.Value) -> ir.Value:
        """`base` (float*) + `offset` (int64, in floats), as a pointer to a vector."""
        return self.builder.bitcast(self.builder.gep(base, [offset]), self.type.as_pointer())

    def broadcast_int(self, scalar: ir.Value) -> ir.Value:
        """The vector with the int32 `scalar`, known at run time, in every lane."""
        undefined = ir.Constant(self.ints, ir.Undefined)
        first = self.builder.insert_element(undefined, scalar, I32(0))
        return self.builder.shuffle_vector(first, undefined, ir.Constant(self.ints, [0] * self.n))

    def load(self, base: ir.Value, offset: ir.Value, align: int | None = None) -> ir.Value:
        """The vector at `base` + `offset` floats, aligned to `align` bytes or to whole vectors."""
        return self.builder.load(self.pointer(base, offset), align=align or 4 * self.n)

    def store(
        self, value: ir.Value, base: ir.Value, offset: ir.Value, align: int | None = None
    ) -> None:
        """Write `value` to `base` + `offset` floats; aligned as in `load`."""
        self.builder.store(value, self.pointer(base, offset), align=align or 4 * self.n)

    def sums(self, vectors: Sequence[ir.Value]) -> list[ir.Value]:
        """Sum the lanes of each vector: ``ceil(len(vectors) / n)`` vectors, sum i in lane i.

        A transposing tree: two rounds add lanes two apart inside groups of four, the others add
        groups, so n sums cost n - 1 additions instead of n * log2(n).
        """
        padded = list(vectors) + [self.splat(0.0)] * (-len(vectors) % self.n)
        return [
            self._transposing_sum(padded[i : i + self.n]) for i in range(0, len(padded), self.n)
        ]

    def sum(self, vector: ir.Value) -> ir.Value:
        """The float that is the sum of the lanes of one vector."""
        return self.builder.extract_element(self.sums([vector])[0], I32(0))

    def _transposing_sum(self, vectors: list[ir.Value]) -> ir.Value:
        n, groups = self.n, range(0, self.n, 4)
        # As unpacking does it, which two ports can; LLVM makes slow horizontal additions of
        # neighbours.
        rounds = [
            ([q + lane for q in groups for lane in (0, n, 1, n + 1)], 2),
            ([q + lane for q in groups for lane in (0, 1, n, n + 1)], 2),
        ]
        for first, apart in rounds:
            second = [lane + apart for lane in first]
            vectors = [
                self._add_shuffled(a, b, first, second)
                for a, b in zip(vectors[::2], vectors[1::2], strict=True)
            ]
        width = n // 2
        while width >= 4:
            stay = [lane + n if lane & width else lane for lane in range(n)]
            move = [(lane ^ width) + n if lane & width else lane ^ width for lane in range(n)]
            half = len(vectors) // 2
            vectors = [
                self._add_shuffled(a, b, stay, move)
                for a, b in zip(vectors[:half], vectors[half:], strict=True)
            ]
            width //= 2
        return vectors[0]

    def _add_shuffled(
        self, a: ir.Value, b: ir.Value, first: Sequence[int], second: Sequence[int]
    ) -> ir.Value:
        return self.builder.fadd(self.shuffle(a, b, first), self.shuffle(a, b, second))

    def sigmoid(self, dots: ir.Value) -> tuple[ir.Value, ir.Value]:
        """sigma(f) of each dot f, and E = exp(-|f|), which its loss needs too.

        E is in (0, 1], so nothing overflows: sigma(|f|) = 1 / (1 + E), sigma(-|f|) = E / (1 + E).
        """
        b = self.builder
        magnitude = b.call(self._function(f"llvm.fabs.v{self.n}f32", 1), [dots])
        limit = self.splat(87.0)  # exp(-87) is still normal
        clamped = b.select(b.fcmp_ordered("<", limit, magnitude), limit, magnitude)
        e = self.exp2(b.fmul(clamped, self.splat(-_LOG2_E)))
        inverse = b.fdiv(self.splat(1.0), b.fadd(self.splat(1.0), e))
        positive = b.fcmp_ordered(">", dots, self.splat(0.0))
        return b.select(positive, inverse, b.fmul(e, inverse)), e

    def inverse_root(self, x: ir.Value) -> ir.Value:
        """1 / sqrt(x) for normal positive x, relative error below 5e-6; NaN stays NaN.

        Halving the bits of a float halves its exponent: a guess that is 3 % off, and that two steps
        of Newton's method improve (Lomont 2003, *Fast Inverse Square Root*). Some nine cheap
        operations, where a root and a division keep one slow unit busy for four times as long.
        """
        b = self.builder
        bits = b.lshr(b.bitcast(x, self.ints), self._ints(1))
        y = b.bitcast(b.sub(self._ints(_INVERSE_ROOT_GUESS), bits), self.type)
        minus_half = b.fmul(self.splat(-0.5), x)
        for _ in range(2):
            y = b.fmul(y, self.fma(minus_half, b.fmul(y, y), self.splat(1.5)))
        return y

    def split(self, x: ir.Value) -> tuple[ir.Value, ir.Value]:
        """Normal positive floats as (exponent, mantissa): int32 lanes and floats in [1, 2)."""
        b = self.builder
        bits = b.bitcast(x, self.ints)
        exponent = b.sub(b.lshr(bits, self._ints(23)), self._ints(127))
        mantissa = b.or_(b.and_(bits, self._ints(0x007FFFFF)), self._ints(0x3F800000))
        return exponent, b.bitcast(mantissa, self.type)

    def _ints(self, value: int) -> ir.Constant:
        return ir.Constant(self.ints, [value] * self.n)

    def polynomial(self, coefficients: Sequence[float], x: ir.Value) -> ir.Value:
        """The polynomial in `x`, its highest coefficient first."""
        value: ir.Value = self.splat(coefficients[0])
        for coefficient in coefficients[1:]:
            value = self.fma(value, x, self.splat(coefficient))
        return value

    def exp2(self, x: ir.Value) -> ir.Value:
        """2 ** x for x in [-126, 127]: a polynomial of the fraction, the rest as exponent bits."""
        b = self.builder
        whole = b.call(self._function(f"llvm.rint.v{self.n}f32", 1), [x])
        mantissa = self.polynomial(_EXP2, b.fsub(x, whole))
        exponent = b.shl(b.fptosi(whole, self.ints), self._ints(23))
        return b.bitcast(b.add(b.bitcast(mantissa, self.ints), exponent), self.type)

    def _function(self, name: str, n_args: int) -> ir.Function:
        signature = ir.FunctionType(self.type, [self.type] * n_args)
        return cgutils.get_or_insert_function(self.builder.module, signature, name)

    def variable(self, value: ir.Value) -> ir.AllocaInstr:
        """A vector carried through a run-time loop; LLVM keeps it in a register."""
        slot = cgutils.alloca_once(self.builder, self.type)
        self.builder.store(value, slot)
        return slot


@contextmanager
def loop(builder: ir.IRBuilder, count: ir.Value) -> Iterator[ir.Value]:
    """A run-time loop; yields its int64 index from 0 to `count` - 1."""
    with cgutils.for_range(builder, count, intp=I64) as body:
        yield body.index


def data_pointer(context, builder: ir.IRBuilder, array_type, array: ir.Value) -> ir.Value:
    """The pointer to the first item of a Numba array."""
    return context.make_array(array_type)(context, builder, array).data
