"""Kernels for any size at once, and those for the sizes of a long run as soon as they are compiled.

A kernel that is compiled for one number of components and of negatives is some hundredths faster,
and takes a second or two of processor time to compile, more than a short run has to gain. So a run
begins with a kernel that serves any size. A long one has the special kernel compiled meanwhile, and
goes on with it from one chunk to the next. Both give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from embedcli.settings.config import TrainConfig
from embedcli.training.workers import Background

__all__ = ["KernelChoice", "is_long"]

_Kernel = TypeVar("_Kernel")

# Tokens of all epochs, times components: above, the special kernel saves more than it takes.
_LONG = 8e9


def is_long(n_tokens: int, config: TrainConfig) -> bool:
    """Whether a run on so many tokens is worth a kernel of its own size."""
    return n_tokens * config.n_epochs * config.dim > _LONG


class KernelChoice(Generic[_Kernel]):
    """The better of two kernels that there is by now.

    Args:
        general: compiles, or loads, what serves any size.
        special: the same for what serves this size.
        is_long: whether to compile `special`, in the background.
    """

    def __init__(
        self, general: Callable[[], _Kernel], special: Callable[[], _Kernel], *, is_long: bool
    ) -> None:
        self._general, self._special = general, special
        self._kernel: _Kernel | None = None
        self._compiling = Background(self._compile) if is_long else None

    def best(self) -> _Kernel:
        """The kernel to go on with."""
        if self._compiling is not None and self._compiling.is_done:
            self._compiling.wait()
            self._kernel, self._compiling = self._special(), None
        if self._kernel is None:
            self._kernel = self._general()
        return self._kernel

    def _compile(self) -> None:
        self._special()
