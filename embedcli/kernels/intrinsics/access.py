"""How single items of memory are asked for: without a sign, ahead of time, between threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from embedcli.kernels.intrinsics.lanes import I32, I64, data_pointer, loop

__all__ = ["load_acquire", "pause", "prefetch", "prefetch_to_read", "store_release", "unsigned"]

_Generated = tuple[Any, Callable[..., ir.Value]]


@intrinsic
def unsigned(typing_context: Any, index: Any) -> Any:
    """`index`, which is not negative, as the compiler should see it: uint64.

    From the end Numba counts negative ones, and asks of each signed index whether it is one: for a
    loop that is nothing but reading and writing here and there, two thirds of the time.
    """

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> ir.Value:
        return context.cast(builder, args[0], signature.args[0], types.uint64)

    return types.uint64(index), generate


@intrinsic
def prefetch(typing_context, array, offset, n_items) -> tuple[Any, Callable[..., ir.Value]]:
    """Ask for the cache lines of ``array[offset:offset + n_items]``, to be written soon.

    `array` of 4-byte items (n,), aligned to 64 bytes; `offset` int64, a multiple of 16.
    """
    return types.void(array, types.int64, types.int64), _prefetch(for_writing=True)


@intrinsic
def prefetch_to_read(typing_context, array, offset, n_items) -> tuple[Any, Callable[..., ir.Value]]:
    """As `prefetch`, for what is only read; any alignment and offset, up to a line too few."""
    return types.void(array, types.int64, types.int64), _prefetch(for_writing=False)


def _prefetch(*, for_writing: bool) -> Callable[..., ir.Value]:
    def generate(context, builder: ir.IRBuilder, signature, args) -> ir.Value:
        base = data_pointer(context, builder, signature.args[0], args[0])
        byte_pointer = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [byte_pointer, I32, I32, I32])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        lines = builder.udiv(builder.add(args[2], I64(15)), I64(16))
        how = I32(int(for_writing)), I32(3), I32(1)
        with loop(builder, lines) as line:
            item = builder.gep(base, [builder.add(args[1], builder.mul(line, I64(16)))])
            builder.call(function, [builder.bitcast(item, byte_pointer), *how])
        return context.get_dummy_value()

    return generate


@intrinsic
def store_release(typing_context, items, at, value) -> _Generated:
    """``items[at] = value``; who loads it sees what this thread wrote before."""

    def generate(context, builder: ir.IRBuilder, signature, args) -> ir.Value:
        base = data_pointer(context, builder, signature.args[0], args[0])
        builder.store_atomic(args[2], builder.gep(base, [args[1]]), "release", 8)
        return context.get_dummy_value()

    return types.void(items, types.int64, types.int64), generate


@intrinsic
def load_acquire(typing_context, items, at) -> _Generated:
    """``items[at]``, int64; see `store_release`."""

    def generate(context, builder: ir.IRBuilder, signature, args) -> ir.Value:
        base = data_pointer(context, builder, signature.args[0], args[0])
        return builder.load_atomic(builder.gep(base, [args[1]]), "acquire", 8)

    return types.int64(items, types.int64), generate


@intrinsic
def pause(typing_context) -> _Generated:
    """Let the other thread of this core go on, in a loop that waits."""

    def generate(context, builder: ir.IRBuilder, signature, args) -> ir.Value:
        if llvm.get_process_triple().startswith("x86_64"):
            kind = ir.FunctionType(ir.VoidType(), [])
            name = "llvm.x86.sse2.pause"
            builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [])
        return context.get_dummy_value()

    return types.void(), generate
