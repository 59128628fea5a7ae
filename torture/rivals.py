"""Several runs at once on the same outputs: one wins, the others say so and leave.

The winner goes on when all others have tried, or a late one would find the outputs free again.
"""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from random import Random

from embedcli.errors import BusyError
from embedcli.files import locks
from torture.changes import change
from torture.children import fork
from torture.subject import Subject, _main
from torture.trials import Outcome

__all__ = ["trials"]

_NUMBERS = (2, 8, 32)
_BUSY = 7
_PATIENCE = 60.0  # seconds for the others to try
_LOOK_EVERY = 0.01  # seconds


def trials(subject: Subject, n: int, rng: Random) -> Iterator[Outcome]:
    """Two, eight, thirty-two runs that begin at the same moment."""
    for number in range(n):
        n_runs = _NUMBERS[number % len(_NUMBERS)]
        with subject.place() as place, mmap.mmap(-1, n_runs) as tried:
            command = place.command()
            reading, writing = os.pipe()
            children = [
                fork(partial(_run_when_told, command, reading, writing, tried, which), place.folder)
                for which in range(n_runs)
            ]
            os.close(reading)
            os.close(writing)  # now
            codes = sorted(str(child.end().code) for child in children)
            wrong = [place.harm()]
            if codes != ["0"] + [str(_BUSY)] * (n_runs - 1):
                wrong.append(f"they ended with {' '.join(codes)}")
            wrong.append(place.harm_at_the_end())
            yield Outcome(f"{n_runs} at once", "; ".join(filter(None, wrong)))


def _run_when_told(
    command: Sequence[str], reading: int, writing: int, tried: mmap.mmap, which: int
) -> int:
    """Run when the pipe is closed, which is when all have been started."""
    os.close(writing)
    os.read(reading, 1)
    original = locks.locked

    @contextmanager
    def locked(paths: Sequence[str]) -> Iterator[None]:
        try:
            with original(paths):
                tried[which] = 1
                end = time.monotonic() + _PATIENCE
                while not all(tried[:]) and time.monotonic() < end:
                    time.sleep(_LOOK_EVERY)
                yield
        except BusyError:
            tried[which] = 1
            raise

    change(locks, "locked", locked)
    return _main(command)
