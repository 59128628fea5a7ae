"""``kill -9`` at random moments of a run, of the run that resumes it, and so on."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from random import Random

from torture.subject import Subject
from torture.trials import Outcome

__all__ = ["trials", "way_trials"]

_LONGEST_CHAIN = 6
_PROCESSES = 0.08  # this share of the chains are real processes, start-up and all
_START_UP = 1.5  # seconds that a real process takes more

# Whatever has a state of its own to be saved, or kernels of its own to be left within a chunk.
_WAYS = (
    "--arch cbow --cbow-gradient divided",
    "--arch glove",
    "--loss hs",
    "--optimizer adagrad --schedule cosine --warmup 0.2",
    "--dropout 0.2 --l2 0.001 --max-norm 2",
    "--shuffle --window line",
    "--valid-fraction 0.1 --patience 3",
)
_OF_EACH_WAY = 6


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


def way_trials(subject: Subject, n: int, rng: Random) -> Iterator[Outcome]:
    """The same for other ways to train."""
    for way in rng.sample(_WAYS, min(len(_WAYS), -(-n // _OF_EACH_WAY))):
        folder = subject.folder / way.replace(" ", "")
        folder.mkdir()
        for fault, wrong in trials(Subject(folder, way.split()), min(n, _OF_EACH_WAY), rng):
            yield Outcome(f"{way}: {fault}", wrong)
