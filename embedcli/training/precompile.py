"""Compile the kernels of a first run on another core than the reading of its text does.

A first run compiles what reads text and what trains, and Numba compiles one function at a time in a
process. So where nothing has been compiled yet, another process compiles what trains and leaves it
in the cache, while this one loads its libraries and begins to read. `python -m
embedcli.training.precompile` is that process: it gets the settings as a line of JSON on standard
input, and ends with its parent, whose end of the pipe is closed however that ends.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

from embedcli.kernels.cache import is_first_run
from embedcli.progress import COMPILING, OnProgress, Progress
from embedcli.settings.config import TrainConfig, usable_cores

__all__ = ["Precompiler", "begin_precompiling", "compile_all", "say_compiling"]


class Precompiler:
    """Another process, that finds the same modules as this one and fills the cache."""

    def __init__(self, config: TrainConfig) -> None:
        path = os.pathsep.join(map(os.path.abspath, sys.path))
        self._process = subprocess.Popen(  # noqa: S603 (this very interpreter)
            [sys.executable, "-P", "-m", __name__],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,  # what fails there fails here too, and is said once
            env=os.environ | {"PYTHONPATH": path},
            start_new_session=True,  # Ctrl-C is for its parent
        )
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):  # it could not even begin
                self._process.stdin.write(json.dumps(config.as_dict()).encode() + b"\n")

    def wait(self) -> None:
        """Wait until it has compiled everything, or has failed to."""
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()


def begin_precompiling(config: TrainConfig) -> Precompiler | None:
    """Compile what trains `config` in another process, if that saves time."""
    if is_first_run() and usable_cores() > 1 and sys.executable:
        with suppress(OSError):  # no more processes are allowed: this one compiles alone
            return Precompiler(config)
    return None


def compile_all(config: TrainConfig, precompiler: Precompiler | None = None) -> None:
    """Compile, or load from the cache, what `config` needs.

    `precompiler`: another process that does already. Without one, it is begun if that saves time.
    """
    from embedcli.training.architectures import compile_architecture, compile_first_part

    precompiler = precompiler or begin_precompiling(config)
    if precompiler is not None:
        with _without_garbage_collection():
            compile_first_part(config)
        precompiler.wait()
    compile_architecture(config)  # what is not in the cache now, whatever became of the other


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Looking for garbage takes an eighth of the time of compiling, and there is hardly any."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def say_compiling(precompiler: Precompiler | None, on_progress: OnProgress) -> None:
    """Report that a run waits for its kernels, where they are compiled and not just loaded."""
    from embedcli.kernels.jit import has_compiled

    if precompiler is not None or has_compiled():
        on_progress(Progress(COMPILING, 0))


def _compile_here() -> NoReturn:
    """What the other process does."""
    settings: dict[str, Any] = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # Numba loads SciPy, where it is installed, for a BLAS that no kernel uses.
    sys.modules["scipy"] = None  # type: ignore[assignment]

    from embedcli.training.architectures import compile_second_part

    with _without_garbage_collection():
        compile_second_part(TrainConfig(**settings))
    os._exit(0)  # Python's own way out would wait for who reads standard input


def _end_with_parent() -> NoReturn:
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    _compile_here()
