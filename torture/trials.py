"""What a kind of fault is, and what comes out of injecting it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from torture.children import stream
from torture.subject import Subject

__all__ = ["Kind", "Outcome", "in_child"]


class Outcome(NamedTuple):
    """What one trial came to.

    Attributes:
        fault: what was injected, so that it can be done again.
        wrong: what was found that must not be; empty where all was well.
    """

    fault: str
    wrong: str


@dataclass(frozen=True)
class Kind:
    """One kind of fault.

    Attributes:
        name: one word.
        what: what is injected, and what has to hold.
        trials: injects about as many faults as it is told, and yields what each came to.
        full, short: how many, by `make torture` and in every check of a change.
    """

    name: str
    what: str
    trials: Callable[[Subject, int, Random], Iterator[Outcome]]
    full: int
    short: int


def in_child(
    folder: Path, what: str, trials: Callable[..., Iterator[Outcome]], *args: Any
) -> Iterator[Outcome]:
    """The outcomes of ``trials(*args)`` in a forked child, whose end is one more if it is bad."""
    try:
        for fault, wrong in stream(folder, trials, *args):
            yield Outcome(fault, wrong)
    except ChildProcessError as broken:
        yield Outcome(what, str(broken))
