"""Signals in every phase of a run: it stops soon, saves, says how to go on, and can go on."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

from torture.children import TIMEOUT, Child, spawn
from torture.driver import PHASES
from torture.subject import Place, Subject
from torture.trials import Outcome

__all__ = ["moment_trials", "trials"]

_SIGNALS: dict[str, Sequence[int]] = {
    "SIGINT": (signal.SIGINT,),
    "SIGTERM": (signal.SIGTERM,),
    "SIGHUP": (signal.SIGHUP,),
    "SIGINT twice": (signal.SIGINT, signal.SIGINT),
}
_BETWEEN = 0.05  # seconds between two Ctrl-C
_LATEST = 0.4  # seconds after the beginning of the phase, at most
_PROMPT = 1.0  # seconds to stop in, on a machine that does nothing else
_PATIENT = 5.0  # the same where a few trials are to say whether it works at all
_TRIES = 5
_BUSY_SECONDS = 0.05  # of arithmetic, to see how busy the machine is
_START_UP = 1.0  # seconds that a real process takes more than a forked one


def trials(subject: Subject, n: int, rng: Random) -> Iterator[Outcome]:
    """Every phase and every signal, over and over; then the worst time it took to stop.

    Times are those of a machine that does nothing else: as measured, but over how much longer than
    its own time a bit of arithmetic took just before and after.
    """
    cases = [(phase, name) for phase in PHASES for name in _SIGNALS]
    if n < len(cases):
        cases = rng.sample(cases, n)
        limit = _PATIENT
    else:
        limit = _PROMPT
    times = []
    for number in range(n):
        phase, name = cases[number % len(cases)]
        wrong, seconds = _interrupted(subject, phase, name, rng)
        times.append((seconds, f"{name} while {phase}"))
        if seconds > limit:
            wrong += f"; it took {seconds:.2f} s to stop"
        yield Outcome(f"{name} while {phase}", wrong)
    times.sort()
    median, (worst, where) = times[len(times) // 2][0], times[-1]
    print(f"  signals: stopped after {median:.2f} s, at most {worst:.2f} s ({where})")


def moment_trials(subject: Subject, n: int, rng: Random) -> Iterator[Outcome]:
    """A signal at any moment of a real process, from its start to its end."""
    for _ in range(n):
        name = rng.choice(list(_SIGNALS))
        moment = rng.uniform(0, _START_UP + subject.seconds)
        with subject.place() as place:
            child = subject.spawn(place.command(), place.folder)
            child.rest(moment)
            for number in _SIGNALS[name]:
                child.send(number)
                child.rest(_BETWEEN if len(_SIGNALS[name]) > 1 else 0)
            ended = child.end()
            # Python itself still starts, and does as it likes
            too_early = ended.code in (1, -_SIGNALS[name][0]) and "embed" not in ended.said
            wrong = [place.harm(None if too_early else ended)]
            if not too_early and ended.code not in (0, 128 + _SIGNALS[name][0]):
                wrong.append(f"exit code {ended.code}: {ended.said.strip()[-300:]}")
            wrong.append(place.harm_at_the_end())
            yield Outcome(f"{name} after {moment:.3f} s", "; ".join(filter(None, wrong)))


def _interrupted(subject: Subject, phase: str, name: str, rng: Random) -> tuple[str, float]:
    """What went wrong, and the seconds from the last signal to the end."""
    for _ in range(_TRIES):
        with subject.place() as place:
            mark = place.folder.parent / f"{place.folder.name}.mark"
            child = _start(place, phase, mark)
            _await(mark, child)
            child.rest(rng.uniform(0, _LATEST))
            before = _slowness()
            sent = time.time()
            for number in _SIGNALS[name]:
                child.send(number)
                child.rest(_BETWEEN if len(_SIGNALS[name]) > 1 else 0)
            began = time.perf_counter()
            ended = child.end()
            seconds = (time.perf_counter() - began) / max(before, _slowness())
            mark.unlink(missing_ok=True)
            if ended.code == 0:  # the phase was over
                continue
            expected = 128 + _SIGNALS[name][0]
            wrong = [place.harm(ended)]
            if ended.code != expected:
                wrong.append(f"exit code {ended.code}, not {expected}: {ended.said.strip()[-300:]}")
            elif len(_SIGNALS[name]) == 1:
                wrong += _promises(place, ended.said, sent)
            wrong.append(place.harm_at_the_end())
            return "; ".join(filter(None, wrong)), seconds
    return f"the phase was over {_TRIES} times before the signal came", 0.0


def _slowness() -> float:
    """Wall time over own time of a bit of arithmetic: 1 on a machine that does nothing else."""
    wall, own = time.perf_counter(), time.process_time()
    while time.process_time() - own < _BUSY_SECONDS:
        pass
    return (time.perf_counter() - wall) / (time.process_time() - own)


def _promises(place: Place, said: str, sent: float) -> Iterator[str]:
    """What one signal has to leave: a line that resumes, and something newer than itself."""
    if "go on with: embed train --resume" not in said:
        yield f"no line that resumes: {said.strip()[-200:]}"
    saved = [path.stat().st_mtime for path in place.checkpoints()]
    if max(saved, default=0.0) < sent - 0.05:
        yield "no checkpoint is newer than the signal"


def _start(place: Place, phase: str, mark: Path) -> Child:
    command = [sys.executable, "-m", "torture.driver", phase, str(mark), *place.command()]
    environment = {}
    if phase == "compiling":
        environment["EMBED_CACHE_DIR"] = str(place.folder.parent / f"{place.folder.name}.cache")
    return spawn(command, place.folder, environment=environment)


def _await(mark: Path, child: Child) -> None:
    until = time.monotonic() + TIMEOUT
    while not mark.exists() and time.monotonic() < until and child.rest(0.005):
        pass
