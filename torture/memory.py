"""A limit on memory, from too little to start to enough: exit code 0 or 4, never a crash."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from random import Random

from torture.children import spawn
from torture.subject import Subject
from torture.trials import Outcome

__all__ = ["trials"]

_LEAST, _MOST = 150, 3000  # megabytes of address space


def trials(subject: Subject, n: int, rng: Random) -> Iterator[Outcome]:
    """Real processes, with limits spread evenly over the orders of magnitude."""
    for number in range(n):
        megabytes = round(_LEAST * (_MOST / _LEAST) ** (number / max(1, n - 1)))
        with subject.place() as place:
            limited = f'ulimit -v {megabytes * 1024}; exec "$@"'
            embed = [sys.executable, "-m", "embedcli", *place.command()]
            ended = spawn(["bash", "-c", limited, "bash", *embed], place.folder).end()
            wrong = [place.harm(ended)]
            if ended.code not in (0, 4):
                wrong.append(f"exit code {ended.code}: {ended.said.strip()[-300:]}")
            wrong.append(place.harm_at_the_end())
            yield Outcome(f"{megabytes} MB", "; ".join(filter(None, wrong)))
