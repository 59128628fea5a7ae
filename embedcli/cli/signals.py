"""Ctrl-C, SIGTERM and SIGHUP: exceptions as a rule, a flag while training.

An exception may arrive between any two steps of the main thread, which is right where nothing but a
temporary file is at stake. Training must stop at a barrier between chunks instead, so that what is
saved can be continued exactly: inside `Deferred.deferred` the first signal is only noted, and
whoever trains asks whether one has arrived. The second one raises even there.

An exception may also be lost. C code in the middle of an import prints it or makes another one of
it: an import is let go on to its end. A finaliser drops it: where Python notices it is raised again
at once, and in any case every second, until somebody has `heard` it.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

__all__ = [
    "Deferred",
    "Terminated",
    "ending",
    "heard",
    "let_signals_kill",
    "prepare_signals",
]

_REPEAT_SECONDS = 1.0
_SOON_SECONDS = 0.01  # when what must not be interrupted may have come to its end
_IMPORT = "<frozen importlib._bootstrap>"  # the file of all frames of import statements
_NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Terminated(BaseException):
    """SIGTERM or SIGHUP arrived. Not an Exception, so that nothing catches it but `finally`."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def ending(number: int) -> str:
    """What is said of a command that a signal ended."""
    return "interrupted" if number == signal.SIGINT else f"ended by {signal.Signals(number).name}"


class Deferred:
    """What arrived while signals were deferred."""

    def __init__(self) -> None:
        self.number: int | None = None

    def arrived(self) -> bool:
        """Whether a signal asks the program to end."""
        return self.number is not None

    def raise_it(self) -> None:
        """Raise what the signal would have raised at once; do nothing if none arrived."""
        if self.number is not None:
            _raise(self.number)

    @contextmanager
    def deferred(self) -> Iterator[Callable[[], bool]]:
        """Note the first signal instead of raising it, until the ``with`` block is left.

        Yields what is asked whether one has arrived.
        """
        before = {number: signal.getsignal(number) for number in _NUMBERS}
        for number, handler in before.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, self.note)
        try:
            yield self.arrived
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def note(self, number: int, frame: FrameType | None) -> None:
        """Keep the first signal for later; raise at the second."""
        if self.number is not None:
            _raise(number)
        self.number = number


def prepare_signals() -> None:
    """Let signals raise, so that `finally` blocks run; under nohup, leave them be."""
    for number in _NUMBERS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _handle)
    sys.unraisablehook = _unraisable


def heard() -> None:
    """What a signal raised has been caught: do not raise it again."""
    signal.setitimer(signal.ITIMER_REAL, 0)


def let_signals_kill() -> None:
    """Nothing is left to clean up: a second signal may end the process where it stands.

    And there is one line to be said; what finalisers say on the way out is not it.
    """
    heard()
    sys.unraisablehook = lambda lost: None
    for number in _NUMBERS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda number, frame: os._exit(128 + number))


def _unraisable(lost: UnraisableHookArgs) -> None:
    """What cannot be raised where it happened: a signal is raised elsewhere, the rest is shown.

    But for what objects say in their finalisers that a signal has left half made: no error of ours,
    and on the way out.
    """
    if isinstance(lost.exc_value, KeyboardInterrupt | Terminated):
        signal.setitimer(signal.ITIMER_REAL, _SOON_SECONDS, _REPEAT_SECONDS)
    elif not signal.getitimer(signal.ITIMER_REAL)[0]:
        sys.__unraisablehook__(lost)


def _handle(number: int, frame: FrameType | None) -> None:
    """Raise, and again until it is heard; during an import wait for its end, or the next signal."""
    first = not signal.getitimer(signal.ITIMER_REAL)[0]
    signal.signal(signal.SIGALRM, lambda alarm, frame: _raise_after_imports(number, frame))
    signal.setitimer(signal.ITIMER_REAL, _REPEAT_SECONDS, _REPEAT_SECONDS)
    if first:
        _raise_after_imports(number, frame)
    else:
        _raise(number)


def _raise_after_imports(number: int, frame: FrameType | None) -> None:
    while frame is not None:
        if frame.f_code.co_filename == _IMPORT:
            signal.setitimer(signal.ITIMER_REAL, _SOON_SECONDS, _REPEAT_SECONDS)
            return
        frame = frame.f_back
    _raise(number)


def _raise(number: int) -> NoReturn:
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise Terminated(number)
