"""The real `embed` command, run in this process: the same parser, streams and exit codes.

A process of its own costs about a second to start, of which Numba takes most. What needs one (a
signal, a limit, a setting that is read once) asks for it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from embedcli.cli.main import main

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run_here(
    args: Sequence[str], directory: Path, environment: Mapping[str, str], text: str | None
) -> subprocess.CompletedProcess[str]:
    """Run `embed` with these arguments in `directory`; `text` is its standard input."""
    with ExitStack() as stack, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        given = stack.enter_context(tempfile.TemporaryFile())
        given.write((text or "").encode())
        given.seek(0)
        stack.enter_context(_environment(environment))
        stack.enter_context(_state_of_the_process(directory))
        stack.enter_context(_streams(given.fileno(), out.fileno(), errors.fileno()))
        code = main(args)
        sys.stderr.flush()
        said = []
        for file in (out, errors):
            file.seek(0)
            said.append(file.read().decode())
    return subprocess.CompletedProcess(["embed", *args], code, *said)


@contextmanager
def _streams(*numbers: int) -> Iterator[None]:
    """Let the three standard descriptors, and Python's streams on them, be these files."""
    before = [os.dup(number) for number in range(3)]
    streams = sys.stdin, sys.stdout, sys.stderr
    for number, file in enumerate(numbers):
        os.dup2(file, number)
    try:
        with (
            open(0, encoding="utf-8", closefd=False) as sys.stdin,
            open(1, "w", encoding="utf-8", closefd=False) as sys.stdout,
            open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False) as sys.stderr,
        ):
            yield
    finally:
        sys.stdin, sys.stdout, sys.stderr = streams
        for number, file in enumerate(before):
            os.dup2(file, number)
            os.close(file)


@contextmanager
def _environment(environment: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(environment)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def _state_of_the_process(directory: Path) -> Iterator[None]:
    """Give what the command changes for its whole process back as it was."""
    here, hook = Path.cwd(), sys.unraisablehook
    handlers = {number: signal.getsignal(number) for number in _SIGNALS}
    os.chdir(directory)
    try:
        with warnings.catch_warnings():
            warnings.resetwarnings()  # what Python does where nobody asks for more
            warnings.simplefilter("default")
            for kind in (DeprecationWarning, PendingDeprecationWarning, ImportWarning):
                warnings.simplefilter("ignore", kind)
            warnings.simplefilter("ignore", ResourceWarning)
            yield
    finally:
        os.chdir(here)
        sys.unraisablehook = hook
        for number, handler in handlers.items():
            signal.signal(number, handler)
