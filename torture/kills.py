"""``kill -9`` at random moments of a run, of the run that resumes it, and so on."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from random import Random

from torture.subject import Subject
from torture.trials import Outcome

__all__ = ["trials"]

_LONGEST_CHAIN = 6
_PROCESSES = 0.08  # this share of the chains are real processes, start-up and all
_START_UP = 1.5  # seconds that a real process takes more


def trials(subject: Subject, n: int, rng: Random) -> Iterator[Outcome]:
    """Chains of runs, each killed, and each going on where the one before left off."""
    done = 0
    while done < n:
        real = rng.random() < _PROCESSES
        with subject.place() as place:
            moments = []
            length = min(rng.randint(1, _LONGEST_CHAIN), n - done)
            for step in range(length):
                moment = rng.uniform(0, subject.seconds + _START_UP * real)
                moments.append(f"{moment:.3f}")
                start = subject.spawn if real else subject.fork
                child = start(place.command(), place.folder)
                child.rest(moment)
                child.send(signal.SIGKILL)
                ended = child.end()
                wrong = place.harm(ended if ended.code == 0 else None)
                if step == length - 1:
                    wrong = "; ".join(filter(None, [wrong, place.harm_at_the_end()]))
                done += 1
                kind = "process" if real else "fork"
                yield Outcome(f"{kind} killed after {', '.join(moments)} s", wrong)
