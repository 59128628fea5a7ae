"""Checkpoints and models that are cut short, flipped, overwritten or lengthened."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

from torture.subject import Subject
from torture.trials import Outcome, in_child

__all__ = ["damaged", "reading_trials", "resuming_trials"]

_POLL = 0.002  # seconds
_TRIES = 20


def damaged(whole: bytes, rng: Random) -> tuple[str, bytes]:
    """One way in which a disk, a download or an editor damages a file."""
    size = len(whole)
    at = rng.randrange(min(size, 4096) if rng.random() < 0.3 else size)  # the header more often
    ways: list[Callable[[], tuple[str, bytes]]] = [
        lambda: (f"cut after {at} bytes", whole[:at]),
        lambda: (f"bit {at % 8} of byte {at} flipped", _flipped(whole, at)),
        lambda: (f"zeros from byte {at} on", _zeroed(whole, at, rng.choice((1, 16, 512, 4096)))),
        lambda: (f"{at + 1} bytes behind the end", whole + bytes(at + 1)),
        lambda: (f"blocks swapped at byte {at}", _swapped(whole, at)),
        lambda: (f"the tail from byte {at} twice", whole + whole[at:]),
    ]
    while True:
        way, content = rng.choice(ways)()
        if content != whole:
            return way, content
        at = rng.randrange(size)


def reading_trials(subject: Subject, n: int, rng: Random) -> Iterator[Outcome]:
    """Every damaged checkpoint is noticed by whoever reads it."""
    seed = rng.random()
    with subject.place() as place:
        folder = place.folder / "damaged"
        folder.mkdir()
        yield from in_child(folder, "reading", _read_all, folder, n, Random(seed))


def _read_all(folder: Path, n: int, rng: Random) -> Iterator[Outcome]:
    from embedcli.errors import FormatError
    from embedcli.training.checkpoint import read_checkpoint

    path = _checkpoint(folder)
    whole = path.read_bytes()
    for _ in range(n):
        fault, content = damaged(whole, rng)
        path.write_bytes(content)
        wrong = "it was read as if it were sound"
        try:
            read_checkpoint(path)
        except FormatError as refusal:
            wrong = "" if "\n" not in str(refusal) else "a message of several lines"
        except Exception as problem:
            wrong = f"{type(problem).__name__}: {problem}"
        yield Outcome(fault, wrong)


def _checkpoint(folder: Path) -> Path:
    """A checkpoint of a run in its second epoch."""
    import numpy as np

    from embedcli.settings.config import TrainConfig
    from embedcli.training.checkpoint import Checkpoints, completed
    from torture.samples import embeddings

    model = embeddings(1)
    settings = TrainConfig().resolve().as_dict()
    made = type(model)(
        model.vocabulary, model.vectors, model.vectors, {"settings": settings, "epochs": []}
    )
    arrays = dict(completed(made).arrays) | {"unfinished": np.ones((2, 2), np.int64)}
    state = type(completed(made))(1, 3, (), arrays)
    checkpoints = Checkpoints(folder, None, {"settings": settings, "sources": ["text"]})
    checkpoints.save(made, state)
    return next(folder.glob("*.safetensors"))


def resuming_trials(subject: Subject, n: int, rng: Random) -> Iterator[Outcome]:
    """With one of two damaged, a run goes on from the other; with both, it refuses to begin."""
    done = in_vain = 0
    while done < n:
        if in_vain == _TRIES:
            yield Outcome(f"killed {_TRIES} times", "there were never two checkpoints")
            return
        with subject.place() as place:
            child = place.start()
            while len(place.checkpoints()) < 2 and child.rest(_POLL):
                pass
            child.rest(rng.uniform(0, 0.3) * subject.seconds)
            child.send(9)
            child.end()
            files = place.checkpoints()
            in_vain += 1
            if len(files) < 2:
                continue
            done, in_vain = done + 1, 0
            one = rng.randrange(2)
            sound = {path: path.read_bytes() for path in files}
            fault, content = damaged(sound[files[one]], rng)
            if rng.random() < 0.3:
                for path in files:
                    path.write_bytes(damaged(sound[path], rng)[1])
                ended = place.start().end()
                wrong = place.harm(ended)
                if ended.code != 3:
                    wrong += f"; both are damaged, but it ended with {ended.code}"
                for path in files:
                    path.write_bytes(sound[path])
                fault = "both damaged, then made sound again"
            else:
                files[one].write_bytes(content)
                wrong = ""
                fault = f"one of two: {fault}"
            yield Outcome(fault, "; ".join(filter(None, [wrong, place.harm_at_the_end()])))


def _flipped(whole: bytes, at: int) -> bytes:
    changed = bytearray(whole)
    changed[at] ^= 1 << (at % 8)
    return bytes(changed)


def _zeroed(whole: bytes, at: int, n: int) -> bytes:
    return whole[:at] + bytes(min(n, len(whole) - at)) + whole[at + n :]


def _swapped(whole: bytes, at: int) -> bytes:
    return whole[at:] + whole[:at]
