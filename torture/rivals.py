"""Several runs at once on the same outputs: one wins, the others say so and leave."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import partial
from random import Random

from torture.children import fork
from torture.subject import Subject, _main
from torture.trials import Outcome

__all__ = ["trials"]

_NUMBERS = (2, 8, 32)
_BUSY = 7


def trials(subject: Subject, n: int, rng: Random) -> Iterator[Outcome]:
    """Two, eight, thirty-two runs that begin at the same moment."""
    for number in range(n):
        n_runs = _NUMBERS[number % len(_NUMBERS)]
        with subject.place() as place:
            command = place.command()
            reading, writing = os.pipe()
            run = partial(_run_when_told, command, reading, writing)
            children = [fork(run, place.folder) for _ in range(n_runs)]
            os.close(reading)
            os.close(writing)  # now
            codes = sorted(str(child.end().code) for child in children)
            wrong = [place.harm()]
            if codes != ["0"] + [str(_BUSY)] * (n_runs - 1):
                wrong.append(f"they ended with {' '.join(codes)}")
            wrong.append(place.harm_at_the_end())
            yield Outcome(f"{n_runs} at once", "; ".join(filter(None, wrong)))


def _run_when_told(command: Sequence[str], reading: int, writing: int) -> int:
    """Run when the pipe is closed, which is when all have been started."""
    os.close(writing)
    os.read(reading, 1)
    return _main(command)
