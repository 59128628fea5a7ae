"""The run that is tortured: a small text, settings, and the bytes that must come of them."""

from __future__ import annotations

import os
import random
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from torture.children import Child, Ended, fork, spawn
from torture.manners import manners

__all__ = ["OUTPUTS", "Place", "Subject"]

OUTPUTS = ("m.safetensors", "m.vec", "m.bin")

_N_WORDS, _N_LINES, _LINE = 400, 1500, 10
_SETTINGS = ("--dim", "16", "--min-count", "1", "--epochs", "40", "--threads", "1", "--sample", "0")
_EVERY = ("--checkpoint-every", "0.02s")
_CHECKPOINT = "m.safetensors.checkpoint"
_OURS = re.compile(r"\.(m\.\w+(?:\.checkpoint)?|[12]\.safetensors)(\.\d+\.[0-9a-f]{8}\.tmp|\.lock)")


class Place:
    """A directory with the text, and outputs of an earlier run that must not be lost.

    Attributes:
        folder: where it is.
    """

    def __init__(self, subject: Subject, folder: Path) -> None:
        self.folder = folder
        self._subject = subject

    def has_checkpoint(self) -> bool:
        """Whether there is one to go on from."""
        return any(self.checkpoints())

    def is_underway(self) -> bool:
        """Whether the newest checkpoint is of a run that has begun to train, and not ended."""
        from embedcli.training.checkpoint import Checkpoints

        newest = Checkpoints(self.folder / _CHECKPOINT, None, {}).newest()
        return newest is not None and newest.state is not None and not newest.is_complete

    def checkpoints(self) -> list[Path]:
        """The files of the checkpoints."""
        return sorted((self.folder / _CHECKPOINT).glob("[12].safetensors"))

    def command(self, *more: str) -> list[str]:
        """The arguments of the run, going on where there is a checkpoint."""
        again = ["--resume"] if self.has_checkpoint() else []
        return [*self._subject.command, *again, *more]

    def start(self, *more: str) -> Child:
        """Begin the run, or go on with it, in a forked child."""
        return self._subject.fork(self.command(*more), self.folder)

    def harm(self, ended: Ended | None = None) -> str:
        """What is wrong here: outputs that are neither old nor new, strange files, what was said.

        Args:
            ended: the run that has ended, if it was not killed.
        """
        wrong = []
        for name in OUTPUTS:
            held = (self.folder / name).read_bytes() if (self.folder / name).exists() else None
            if held not in (self._subject.old[name], self._subject.new[name]):
                size = "nothing" if held is None else f"{len(held)} bytes"
                wrong.append(f"{name} is neither the old nor the new file: {size}")
        wrong += [f"a file {name} was left" for name in self._strange()]
        if ended is not None:
            wrong += self.manners(ended)
        return "; ".join(wrong)

    def harm_at_the_end(self) -> str:
        """What is wrong when the run is started again, without any fault, to come to its end."""
        ended = self.start().end()
        wrong = [self.harm(ended)] if ended.code else []
        if ended.code:
            wrong.append(f"the next run ended with {ended.code}: {ended.said.strip()[-300:]}")
        for name in OUTPUTS:
            path = self.folder / name
            if not path.exists() or path.read_bytes() != self._subject.new[name]:
                wrong.append(f"{name} has other bytes than that of an undisturbed run")
        if (self.folder / _CHECKPOINT).exists():
            wrong.append("the checkpoints are still there")
        return "; ".join(filter(None, wrong))

    def leftovers(self) -> list[str]:
        """Temporary files that are still there."""
        return sorted(path.name for path in self.folder.rglob(".*.tmp"))

    def _strange(self) -> Iterator[str]:
        known = {*OUTPUTS, "text", _CHECKPOINT, "1.safetensors", "2.safetensors"}
        for path in self.folder.rglob("*"):
            if path.name not in known and not _OURS.fullmatch(path.name):
                yield path.name

    def manners(self, ended: Ended) -> Iterator[str]:
        """What is wrong with how the run ended, and with what it said."""
        yield from manners(ended)
        if ended.code == 0:
            for name in OUTPUTS:
                path = self.folder / name
                if not path.exists() or path.read_bytes() != self._subject.new[name]:
                    yield f"exit code 0, but {name} is not the new file"


class Subject:
    """What every kind of fault is tried on.

    Args:
        folder: where its files and all places are to be.
        more: options of `embed train` beside the usual ones.

    Attributes:
        folder: where its files and all places are.
        text: the corpus.
        command: arguments of `embed`, without ``--resume``.
        old, new: for each output the bytes of an earlier run and of this one.
        seconds: what an undisturbed run takes in a forked child.
    """

    def __init__(self, folder: Path, more: Sequence[str] = ()) -> None:
        self.folder = folder
        self.text = folder / "text"
        self.text.write_text(_text())
        outputs = [part for name in OUTPUTS for part in ("-o", name)]
        self.command = ["train", "text", *outputs, *_SETTINGS, *_EVERY, *more]
        self.old = self._outputs("--seed", "2")
        self.new = self._outputs()
        self.seconds = self._seconds

    @contextmanager
    def place(self) -> Iterator[Place]:
        """A directory to torture a run in."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        try:
            self.furnish(folder)
            yield Place(self, folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def furnish(self, folder: Path) -> None:
        """Put the text and the old outputs into a directory."""
        self.furnish_text(folder)
        for name, content in self.old.items():
            (folder / name).write_bytes(content)

    def furnish_text(self, folder: Path) -> None:
        """Put the text into a directory, whatever is called so there."""
        (folder / "text").write_bytes(self.text.read_bytes())

    def fork(self, arguments: Sequence[str], folder: Path, *, memory: int | None = None) -> Child:
        """Run `embed` in a forked child."""
        return fork(lambda: _main(arguments), folder, memory=memory)

    def spawn(
        self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None
    ) -> Child:
        """Run `embed` in a real process."""
        command = [sys.executable, "-m", "embedcli", *arguments]
        return spawn(command, folder, environment=environment)

    def _outputs(self, *more: str) -> dict[str, bytes]:
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            shutil.copy(self.text, folder)
            ended = self.fork([*self.command, *more], Path(folder)).end()
            if ended.code:
                raise RuntimeError(f"the run itself fails: {ended.said}")
            self._seconds = ended.seconds
            return {name: (Path(folder) / name).read_bytes() for name in OUTPUTS}


def _main(arguments: Sequence[str]) -> int:
    from embedcli.cli.main import main

    return main(arguments)


def _text() -> str:
    words = [f"w{i}" for i in range(_N_WORDS)]
    weights = [1 / (i + 1) for i in range(_N_WORDS)]
    generator = random.Random(0)
    lines = (" ".join(generator.choices(words, weights, k=_LINE)) for _ in range(_N_LINES))
    return "\n".join(lines) + "\n"


def cache_folder() -> Path:
    """Where the kernels that this process uses are kept."""
    from embedcli.kernels.cache import cache_directory

    return Path(os.fspath(cache_directory()))
