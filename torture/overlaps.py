"""Commands whose output is one of their inputs: refused, and every file as it was."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from random import Random

from torture.manners import harm
from torture.subject import Subject
from torture.trials import Outcome

__all__ = ["trials"]

_QUICK = "--dim 16 --min-count 1 --epochs 1 --threads 1 --sample 0"

# Each command, and the file that it reads and is told to write; SAME is another name of that file.
_COMMANDS = (
    (f"train text -o SAME --format word2vec {_QUICK}", "text"),
    (f"train folder --recursive -o SAME --format word2vec {_QUICK}", "folder/part"),
    (f"train folder/* -o SAME --format word2vec {_QUICK}", "folder/part"),
    (f"train text --vocab words -o SAME --format word2vec {_QUICK}", "words"),
    (f"train text --init m.vec -o SAME {_QUICK}", "m.vec"),
    (f"train text --init m.vec --freeze words -o SAME --format glove {_QUICK}", "words"),
    (f"train text --valid held -o SAME --format glove {_QUICK}", "held"),
    (f"train text --config run.yaml -o SAME --format glove {_QUICK}", "run.yaml"),
    (f"train text -o one.vec --metrics SAME {_QUICK}", "text"),
    (f"train text -o one.vec --valid held --metrics SAME {_QUICK}", "held"),
    ("vocab text -o SAME", "text"),
    ("vocab folder --recursive -o SAME", "folder/part"),
    ("phrases text -o SAME", "text"),
    ("vectors -m m.vec w1 -o SAME --format word2vec", "m.vec"),
    ("plot m.safetensors -o SAME", "m.safetensors"),
    ("align m.vec m.bin -o SAME", "m.bin"),
)  # fmt: skip
_ALIASES = ("the name", "a link", "a hard link", "another way there")


def trials(subject: Subject, n: int, rng: Random) -> Iterator[Outcome]:
    """Each command, with the file named in each way."""
    cases = [(command, alias) for command in _COMMANDS for alias in _ALIASES]
    rng.shuffle(cases)
    for number in range(n):
        (command, read), alias = cases[number % len(cases)]
        with subject.place() as place:
            _furnish(place.folder)
            before = _content(place.folder)
            same = _named(place.folder, read, alias)
            arguments = command.replace("SAME", same).split()
            if "folder/*" in arguments:
                at = arguments.index("folder/*")
                arguments[at : at + 1] = ["folder/other", "folder/part"]
            ended = subject.fork(arguments, place.folder).end()
            after = _content(place.folder)
            lost = [name for name in before if after.get(name) != before[name]]
            wrong = [harm(ended), *(f"{name} was changed" for name in lost)]
            yield Outcome(f"{command}, by {alias}", "; ".join(filter(None, wrong)))


def _furnish(folder: Path) -> None:
    (folder / "folder").mkdir()
    lines = (folder / "text").read_text().splitlines(keepends=True)
    (folder / "folder" / "part").write_text("".join(lines[:100]))
    (folder / "folder" / "other").write_text("".join(lines[100:200]))
    (folder / "held").write_text("".join(lines[:50]))
    (folder / "words").write_text("w0 900\nw1 800\nw2 700\n")
    (folder / "run.yaml").write_text("window: 3\n")


def _named(folder: Path, read: str, alias: str) -> str:
    path = folder / read
    name = f"alias{path.suffix}"
    if alias == "a link":
        (folder / name).symlink_to(path)
    elif alias == "a hard link":
        os.link(path, folder / name)
    elif alias == "another way there":
        return f"folder/../{read}"
    else:
        return read
    return name


def _content(folder: Path) -> dict[str, bytes]:
    """All files but those that a rename of a hard link leaves alone: the files themselves."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink() and not path.name.startswith(("alias", "."))
    }
