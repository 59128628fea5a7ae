"""A real process of `embed` that says when it enters a phase, and stays in it for a while.

    python -m torture.driver PHASE MARK ARGUMENTS...

The file MARK is made when the phase begins. What is slowed down waits where the phase waits anyway,
for a block, a chunk or the disk; nothing else is changed. TORTURE_BUG names a bug to plant first.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from torture.changes import change

__all__ = ["PHASES"]

_STEP = 0.03  # seconds that each step of a slowed phase takes more


def _counting(mark: Callable[[], None]) -> None:
    from embedcli.text import corpus_reader
    from embedcli.text.words import WordTable

    corpus_reader.BLOCK_BYTES = 2048
    _slow(WordTable, "encode", mark)


def _encoding(mark: Callable[[], None]) -> None:
    from embedcli.text import corpus_reader, encoder

    corpus_reader.BLOCK_BYTES = 2048
    _slow(encoder, "remap", mark)


def _compiling(mark: Callable[[], None]) -> None:
    """The caller gives an empty EMBED_CACHE_DIR: compiling takes its time by itself."""
    from numba.core import compiler

    _slow(compiler, "compile_extra", mark, step=0)


def _training(mark: Callable[[], None]) -> None:
    from embedcli.training.round_threads import RoundThreads
    from embedcli.training.run import Run
    from embedcli.training.worker import Worker

    _slow(Run, "train", mark, step=0)
    _slow(Worker, "train", lambda: None)
    _slow(RoundThreads, "train", lambda: None)


def _saving(mark: Callable[[], None]) -> None:
    from embedcli.training.checkpoint import Checkpoints

    _slow(Checkpoints, "save", mark, step=0)
    _slow_disk()


def _exporting(mark: Callable[[], None]) -> None:
    from embedcli import formats

    _slow(formats, "save", mark, step=0)
    _slow_disk()


PHASES = {
    "counting": _counting,
    "encoding": _encoding,
    "compiling": _compiling,
    "training": _training,
    "saving": _saving,
    "exporting": _exporting,
}


def _slow_disk() -> None:
    """A disk that takes its time to sync."""
    original = os.fsync

    def fsync(file: int) -> None:
        time.sleep(2 * _STEP)
        original(file)

    change(os, "fsync", fsync)


def _slow(owner: Any, name: str, mark: Callable[[], None], *, step: float = _STEP) -> None:
    original = getattr(owner, name)

    def slowed(*args: Any, **more: Any) -> Any:
        mark()
        time.sleep(step)
        return original(*args, **more)

    change(owner, name, slowed)


def _run(phase: str, mark: str, arguments: list[str]) -> NoReturn:
    from embedcli.__main__ import run

    if bug := os.environ.get("TORTURE_BUG"):
        from torture.bugs import BUGS

        BUGS[bug].plant()
    PHASES[phase](Path(mark).touch)
    sys.argv = ["embed", *arguments]
    run()


if __name__ == "__main__":
    _run(sys.argv[1], sys.argv[2], sys.argv[3:])
