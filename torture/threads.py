"""A worker that fails: every thread stops, the run ends, and what the worker said is heard."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import partial, partialmethod
from random import Random
from typing import Any

from torture.changes import change
from torture.children import fork
from torture.subject import OUTPUTS, Subject, _main
from torture.trials import Outcome

__all__ = ["trials"]

_ERRORS = {RuntimeError: 1, MemoryError: 4, OSError: 1}
_SOON = 10.0  # seconds more than the run itself would have taken


def trials(subject: Subject, n: int, rng: Random) -> Iterator[Outcome]:
    """Any of one to four threads, at any chunk, in rounds and without."""
    for _ in range(n):
        error, n_threads, at = rng.choice(list(_ERRORS)), rng.randint(1, 4), rng.randint(2, 60)
        way = rng.choice(("--deterministic", "--hogwild"))
        fault = f"{error.__name__} at chunk {at} of {n_threads} threads, {way}"
        with subject.place() as place:
            command = place.command("--threads", str(n_threads), way)
            ended = fork(partial(_failing, command, error, at), place.folder).end()
            wrong = [place.harm()]
            if ended.code != _ERRORS[error] or "planted" not in ended.said:
                wrong.append(f"exit code {ended.code}: {ended.said.strip()[-300:]}")
            if ended.seconds > subject.seconds + _SOON:
                wrong.append(f"it took {ended.seconds:.1f} s")
            held = {name: (place.folder / name).read_bytes() for name in OUTPUTS}
            if held != subject.old:
                wrong.append("an output was written all the same")
            again = place.start().end()
            if again.code:
                wrong.append(f"the next run ended with {again.code}: {again.said.strip()[-200:]}")
            yield Outcome(fault, "; ".join(filter(None, wrong)))


def _failing(command: list[str], error: type[Exception], at: int) -> int:
    from embedcli.training.round_threads import RoundThreads
    from embedcli.training.worker import Worker

    calls = itertools.count(1)
    for owner, name in ((Worker, "train"), (RoundThreads, "_stage")):
        change(owner, name, partialmethod(_failing_at, getattr(owner, name), calls, error, at))
    return _main(command)


def _failing_at(
    member: Any,
    original: Callable[..., Any],
    calls: Iterator[int],
    error: type[Exception],
    at: int,
    *args: Any,
    **more: Any,
) -> Any:
    """What a member of a run does with a chunk; but call number `at` of all fails."""
    if next(calls) == at:
        raise error("planted")
    return original(member, *args, **more)
