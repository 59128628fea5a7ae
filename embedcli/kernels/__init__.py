"""Compiled loops, and nothing else: kernels never validate, allocate results or fail.

The only package that imports numba; it imports nothing else of ours. Before numba is loaded, a
limit on address space that is too low for it is refused here.
"""

from __future__ import annotations

import resource

_LEAST_ADDRESS_SPACE = 768 << 20  # with less, LLVM is seen to abort, or to loop without end


def _check_address_space() -> None:
    """Refuse a limit that is too low.

    Raises:
        MemoryError: with both numbers, and how to raise it.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < _LEAST_ADDRESS_SPACE:
        raise MemoryError(
            f"compiling needs {_LEAST_ADDRESS_SPACE >> 20} MB of address space, and no more than "
            f"{limit >> 20} MB are allowed: raise the limit (ulimit -v)"
        )


_check_address_space()
