"""Threads that wait for each other inside a kernel, and give the core away if that takes long."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from embedcli.kernels.intrinsics.access import load_acquire, pause, store_release
from embedcli.kernels.jit import step

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
    store_release(phases, thread * LINE_ITEMS, phase)
    for other in range(threads):
        looks = 0
        while load_acquire(phases, other * LINE_ITEMS) < phase:
            if load_acquire(phases, threads * LINE_ITEMS) != 0:
                return False
            looks += 1
            if looks < _SPINS:
                pause()
            elif looks < _SPINS + _YIELDS:
                _sched_yield()
            else:
                _usleep(np.uint32(_SLEEP_MICROSECONDS))
    return True
