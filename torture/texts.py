"""A text that changes while it is read, or between a run and the one that resumes it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

from torture.changes import change
from torture.children import fork
from torture.subject import Place, Subject, _main
from torture.trials import Outcome

__all__ = ["trials"]

_BLOCK = 2048
_UNUSABLE = 3
_POLL = 0.002  # seconds


def _replace(text: Path) -> None:
    other = text.with_name("other")
    other.write_bytes(b"x y z\n" * 1000)
    other.replace(text)


_CHANGES: dict[str, Callable[[Path], object]] = {
    "appended to": lambda text: text.open("ab").write(b"one more line\n" * 999),
    "cut short": lambda text: text.open("rb+").truncate(3000),
    "emptied": lambda text: text.write_bytes(b""),
    "replaced": _replace,
    "deleted": lambda text: text.unlink(),
    "overwritten": lambda text: text.write_bytes(b"\x00\xff" * 50_000),
}


def trials(subject: Subject, n: int, rng: Random) -> Iterator[Outcome]:
    """Every change, while reading and before resuming."""
    for number in range(n):
        what = list(_CHANGES)[number // 2 % len(_CHANGES)]
        with subject.place() as place:
            if number % 2:
                yield Outcome(f"{what} before resuming", _before_resuming(subject, place, what))
            else:
                wrong = _while_reading(place, what, rng.randint(1, 20))
                yield Outcome(f"{what} while reading", wrong)


def _while_reading(place: Place, what: str, block: int) -> str:
    command = place.command()

    def run() -> int:
        from embedcli.text import corpus_reader
        from embedcli.text.words import WordTable

        corpus_reader.BLOCK_BYTES = _BLOCK
        original, calls = WordTable.encode, []

        def encode(*args: Any) -> Any:
            calls.append(0)
            if len(calls) == block:
                _CHANGES[what](place.folder / "text")
            return original(*args)

        change(WordTable, "encode", encode)
        return _main(command)

    ended = fork(run, place.folder).end()
    if ended.code not in (0, _UNUSABLE) or "Traceback" in ended.said:
        return f"exit code {ended.code}: {ended.said.strip()[-300:]}"
    return ""


def _before_resuming(subject: Subject, place: Place, what: str) -> str:
    child = place.start()
    while not place.has_checkpoint() and child.rest(_POLL):
        pass
    child.send(signal.SIGINT)
    child.end()
    if not place.is_underway():
        return ""  # it had ended already, or not begun to train: there is no text to compare with
    _CHANGES[what](place.folder / "text")
    ended = place.start().end()
    wrong = [place.harm(ended)]
    if ended.code != _UNUSABLE:
        wrong.append(f"resumed with another text it ended with {ended.code}")
    subject.furnish_text(place.folder)
    wrong.append(place.harm_at_the_end())
    return "; ".join(filter(None, wrong))
