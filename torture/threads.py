"""A worker that fails: every thread stops, the run ends, and what the worker said is heard."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import partial
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
    """Any of one to four threads, at any chunk."""
    for _ in range(n):
        error, n_threads, at = rng.choice(list(_ERRORS)), rng.randint(1, 4), rng.randint(2, 60)
        fault = f"{error.__name__} at chunk {at} of {n_threads} threads"
        with subject.place() as place:
            command = place.command("--threads", str(n_threads))
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
    from embedcli.training.worker import Worker

    original, calls = Worker.train, itertools.count(1)

    def train(*args: Any, **more: Any) -> Any:
        if next(calls) == at:
            raise error("planted")
        return original(*args, **more)

    change(Worker, "train", train)
    return _main(command)
