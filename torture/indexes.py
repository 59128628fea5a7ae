"""Index files that are damaged or of another model: built anew, with the same neighbours."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from torture.damage import damaged
from torture.manners import harm
from torture.subject import Subject
from torture.trials import Outcome

__all__ = ["trials"]


def trials(subject: Subject, n: int, rng: Random) -> Iterator[Outcome]:
    """Damage both kinds of index by turns, and ask for the neighbours again."""
    with subject.place() as place:
        folder = place.folder
        for number in range(n):
            kind = ("ivf", "hnsw")[number % 2]
            command = ["neighbors", "w1", "w20", "-m", "m.safetensors", "--index", kind]
            path = folder / f"m.safetensors.{kind}.faiss"
            path.unlink(missing_ok=True)
            first = subject.fork(command, folder).end()
            whole = path.read_bytes()
            fault, content = damaged(whole, rng)
            path.write_bytes(content)
            again = subject.fork(command, folder).end()
            wrong = [harm(first), harm(again)]
            if again.code == 0 and again.printed != first.printed:
                wrong.append("exit code 0, and other neighbours")
            yield Outcome(f"{kind}: {fault}", "; ".join(filter(None, wrong)))
