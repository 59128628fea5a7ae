"""Compile the kernels of a first run on another core than the reading of its text does.

A first run compiles what reads text and what trains, and Numba compiles one function at a time in a
process. So where nothing has been compiled yet, another process compiles what trains and leaves it
in the cache, while this one begins to read. `python -m embedcli.training.ahead` is that process: it
gets the settings as a line of JSON on standard input, and ends with its parent, whose end of the
pipe is closed however that ends.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import threading
from contextlib import suppress
from typing import NoReturn

from embedcli.config import TrainConfig, usable_cores
from embedcli.kernels.jit import is_first_run
from embedcli.training.architectures import compile_architecture
from embedcli.training.deterministic import compile_staging

__all__ = ["compile_ahead"]


def compile_ahead(config: TrainConfig) -> None:
    """Compile, or load from the cache, what `config` needs; on another core if that helps."""
    if is_first_run() and usable_cores() > 1 and sys.executable:
        _compile_elsewhere(config)
    compile_architecture(config)  # what is not in the cache now, whatever became of the other


def _compile_elsewhere(config: TrainConfig) -> None:
    """Fill the cache by another process, that finds the same modules as this one."""
    path = os.pathsep.join(map(os.path.abspath, sys.path))
    their_end, our_end = os.pipe()
    process = subprocess.Popen(  # noqa: S603 (this very interpreter)
        [sys.executable, "-P", "-m", __name__],
        stdin=their_end,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,  # what fails there fails here too, and is said once
        env=os.environ | {"PYTHONPATH": path},
        start_new_session=True,  # Ctrl-C is for its parent
    )
    os.close(their_end)
    with os.fdopen(our_end, "wb") as pipe:
        with suppress(BrokenPipeError):  # it could not even begin
            pipe.write(json.dumps(config.as_dict()).encode() + b"\n")
            pipe.flush()
        if config.deterministic:  # whose kernel takes longer to compile than all else
            compile_staging(config)
        process.wait()


def _compile_here() -> NoReturn:
    """What the other process does."""
    settings = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    gc.disable()  # looking for garbage takes an eighth of the time, and there is hardly any
    compile_architecture(TrainConfig(**settings), staging=False)
    os._exit(0)  # Python's own way out would wait for who reads standard input


def _end_with_parent() -> NoReturn:
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    _compile_here()
