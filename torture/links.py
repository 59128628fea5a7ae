"""Things of other people where embed keeps its own: links, pipes, directories, files.

A repository that was cloned, a directory that others may write to: whatever lies at the place of a
lock, of a checkpoint or of a temporary file, the run comes to its end or says in one line why not,
and no file that is not its own is changed or taken away.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from random import Random

from torture.subject import OUTPUTS, Subject
from torture.trials import Outcome

__all__ = ["trials"]

_PLACES = (
    ".m.safetensors.lock", ".m.vec.lock", "m.safetensors.checkpoint",
    "m.safetensors.checkpoint/1.safetensors", "m.safetensors.checkpoint/2.safetensors",
    "m.safetensors.checkpoint/.1.safetensors.lock",
)  # fmt: skip
_THINGS = ("link to a file", "link to a directory", "dangling link", "pipe", "directory", "file")


def trials(subject: Subject, n: int, rng: Random) -> Iterator[Outcome]:
    """Each thing at each place, for a run that comes to its end and one that is interrupted."""
    cases = [(place, thing, stop) for place in _PLACES for thing in _THINGS for stop in (0, 1)]
    rng.shuffle(cases)
    for number in range(n):
        where, thing, stop = cases[number % len(cases)]
        with subject.place() as place:
            victims = place.folder.parent / f"{place.folder.name}.victims"
            _put(place.folder / where, thing, victims)
            before = _content(victims)
            child = place.start()
            if stop:
                child.rest(rng.uniform(0, 1.2) * subject.seconds)
                child.send(signal.SIGINT)
            ended = child.end()
            wrong = list(place.manners(ended))
            letter = place.folder / where / "letter.txt"
            if thing == "directory" and not letter.exists():
                wrong.append("a directory of somebody else is gone")
            if _content(victims) != before:
                wrong.append("files of somebody else were changed")
            for name in OUTPUTS:
                held = (place.folder / name).read_bytes()
                if held not in (subject.old[name], subject.new[name]):
                    wrong.append(f"{name} is neither the old nor the new file")
            fault = f"{thing} at {where}{', interrupted' * stop}"
            yield Outcome(fault, "; ".join(wrong))


def _put(path: Path, thing: str, victims: Path) -> None:
    """Put a thing at `path`; what it leads to is in `victims`."""
    path.parent.mkdir(exist_ok=True)
    (victims / "folder").mkdir(parents=True)
    (victims / "file").write_bytes(b"what somebody else wrote\n")
    for name in ("1.safetensors", "2.safetensors", "letter.txt"):
        (victims / "folder" / name).write_bytes(b"a model of somebody else\n")
    if thing == "link to a file":
        path.symlink_to(victims / "file")
    elif thing == "link to a directory":
        path.symlink_to(victims / "folder")
    elif thing == "dangling link":
        path.symlink_to(victims / "nothing")
    elif thing == "pipe":
        os.mkfifo(path)
    elif thing == "directory":
        path.mkdir()
        (path / "letter.txt").write_bytes(b"what somebody else wrote\n")
    else:
        path.write_bytes(b"what somebody else wrote\n")


def _content(folder: Path) -> dict[str, bytes]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}
