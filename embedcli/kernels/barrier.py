"""Threads that wait for each other inside a kernel, and give the core away if that takes long."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from embedcli.kernels.jit import step
from embedcli.kernels.simd import data_pointer

__all__ = ["LINE_ITEMS", "make_phases", "wait_for_all"]

LINE_ITEMS = 8  # int64 items in a cache line
# A thread that is waited for has mostly been interrupted, for 20 to 50 microseconds. To sleep then
# is to wake up late and be waited for in turn; to look on where another process has the core burns
# what that thread needs. Offering the core costs little where nobody wants it.
_SPINS = 200  # looks at a phase before the processor is offered to others
_YIELDS = 1000  # offers before sleeping
_SLEEP_MICROSECONDS = 50

_sched_yield = types.ExternalFunction("sched_yield", types.int32())
_usleep = types.ExternalFunction("usleep", types.int32(types.uint32))


def make_phases(threads: int) -> NDArray[np.int64]:
    """A barrier: a line for the phase of each thread, and one where any of them can call it off."""
    return np.zeros((threads + 1) * LINE_ITEMS, np.int64)


@step
def wait_for_all(phases, thread, threads, phase) -> Any:
    """Wait until all threads have come to `phase`; False if one of them called it off.

    What they wrote before is seen by all afterwards. Who waits long (another process has the core)
    gives the processor away instead of burning what the others need.
    """
    _set(phases, thread * LINE_ITEMS, phase)
    for other in range(threads):
        looks = 0
        while _get(phases, other * LINE_ITEMS) < phase:
            if _get(phases, threads * LINE_ITEMS) != 0:
                return False
            looks += 1
            if looks < _SPINS:
                _pause()
            elif looks < _SPINS + _YIELDS:
                _sched_yield()
            else:
                _usleep(np.uint32(_SLEEP_MICROSECONDS))
    return True


_Generated = tuple[Any, Callable[..., ir.Value]]


@intrinsic
def _set(typing_context, phases, at, value) -> _Generated:
    def generate(context, builder: ir.IRBuilder, signature, args) -> ir.Value:
        base = data_pointer(context, builder, signature.args[0], args[0])
        builder.store_atomic(args[2], builder.gep(base, [args[1]]), "release", 8)
        return context.get_dummy_value()

    return types.void(phases, types.int64, types.int64), generate


@intrinsic
def _get(typing_context, phases, at) -> _Generated:
    def generate(context, builder: ir.IRBuilder, signature, args) -> ir.Value:
        base = data_pointer(context, builder, signature.args[0], args[0])
        return builder.load_atomic(builder.gep(base, [args[1]]), "acquire", 8)

    return types.int64(phases, types.int64), generate


@intrinsic
def _pause(typing_context) -> _Generated:
    def generate(context, builder: ir.IRBuilder, signature, args) -> ir.Value:
        if llvm.get_process_triple().startswith("x86_64"):
            kind = ir.FunctionType(ir.VoidType(), [])
            name = "llvm.x86.sse2.pause"
            builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [])
        return context.get_dummy_value()

    return types.void(), generate
