"""`embed`, and `python -m embedcli`: runs the command and ends with its exit code."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

from embedcli.cli.signals import ending

__all__ = ["run"]


def run() -> NoReturn:
    """Run `embed` with the process's arguments, and end with its exit code here and now.

    Python's own way out takes a tenth of a second, in which a signal would be the end of a run that
    is complete; it would cut off a thread that compiles in the middle of LLVM; and it turns 130
    into a death by SIGINT if the interrupt came while a string of code was run, as `namedtuple`
    does (``unhandled_keyboard_interrupt`` in pythonrun.c outlives the handling). `main` has flushed
    both streams.
    """
    _at_a_signal(_end_at_once)  # until `main` knows better
    from embedcli.cli.main import main

    code = main()
    _at_a_signal(lambda number, frame: os._exit(code))
    atexit._run_exitfuncs()
    os._exit(code)


def _end_at_once(number: int, frame: FrameType | None) -> NoReturn:
    """End as `main` would, with its line, which a second signal does not wait for."""
    _at_a_signal(lambda number, frame: os._exit(128 + number))
    with contextlib.suppress(OSError):
        os.write(2, f"embed: error: {ending(number)}\n".encode())
    os._exit(128 + number)


def _at_a_signal(handler: Callable[[int, FrameType | None], None]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


if __name__ == "__main__":
    run()
