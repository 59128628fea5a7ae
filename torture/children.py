"""Children to torture: forked ones that begin at once, and real processes that begin from nothing.

A forked child has all modules imported and all kernels compiled, so that a trial takes the time of
its run and not a second more; it is this very process as far as the code goes, planted bugs too.
"""

from __future__ import annotations

import faulthandler
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

__all__ = ["TIMEOUT", "Child", "Ended", "fork", "spawn", "stream"]

TIMEOUT = 60.0  # seconds after which a child is said to hang, however busy the machine
_BROKEN = 99  # exit code of a child that raised what `main` should have caught
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Ended:
    """How a child ended.

    Attributes:
        code: its exit code; negative: the signal that killed it; None: it hung, and was killed.
        said: its standard error.
        printed: its standard output.
        seconds: from its start to its end.
        peak: bytes of memory that it held at most, with what a forked child shares with its parent.
    """

    code: int | None
    said: str
    printed: bytes
    seconds: float
    peak: int = 0


class Child:
    """A child that runs, and what it writes."""

    def __init__(self, pid: int, out: IO[bytes], err: IO[bytes]) -> None:
        self._pid = pid
        self._out, self._err = out, err
        self._began = time.perf_counter()
        self._status: int | None = None
        self._peak = 0

    def send(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self._status is None:
            os.kill(self._pid, number)

    def has_ended(self) -> bool:
        """Whether it has ended."""
        if self._status is None:
            self._wait(os.WNOHANG)
        return self._status is not None

    def rest(self, seconds: float) -> bool:
        """Let it run so long; whether it is still running."""
        until = time.perf_counter() + seconds
        while (left := until - time.perf_counter()) > 0 and not self.has_ended():
            time.sleep(min(left, 0.002))
        return not self.has_ended()

    def end(self, timeout: float = TIMEOUT) -> Ended:
        """Wait for its end; one that does not end is killed."""
        hangs = self.rest(timeout)
        if hangs:
            self.send(signal.SIGUSR1)  # a forked child then says where it is
            self.rest(1.0)
            self.send(signal.SIGKILL)
            if not self.has_ended():
                self._wait(0)
        seconds = time.perf_counter() - self._began
        code = None if hangs else os.waitstatus_to_exitcode(self._status or 0)
        with self._out, self._err:
            for file in (self._out, self._err):
                file.seek(0)
            said = self._err.read().decode(errors="replace")
            return Ended(code, said, self._out.read(), seconds, self._peak)

    def _wait(self, options: int) -> None:
        pid, status, used = os.wait4(self._pid, options)
        if pid:
            self._status, self._peak = status, used.ru_maxrss * 1024


def fork(action: Callable[[], int], folder: Path, *, memory: int | None = None) -> Child:
    """Call `action` in a forked child, in `folder`; what it returns is the exit code."""
    out, err = _files()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return Child(pid, out, err)
    code = _BROKEN
    try:
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        os.chdir(folder)
        faulthandler.register(signal.SIGUSR1, err, all_threads=True)
        for number in _SIGNALS:
            default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
            signal.signal(number, default)
        if memory is not None:
            resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        code = action()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def spawn(
    command: Sequence[str | Path],
    folder: Path,
    *,
    environment: Mapping[str, str] | None = None,
    stdin: int = subprocess.DEVNULL,
) -> Child:
    """Start a real process in `folder`."""
    out, err = _files()
    process = subprocess.Popen(
        [str(part) for part in command],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(_ROOT)} | dict(environment or {}),
        stdin=stdin,
        stdout=out,
        stderr=err,
    )
    process.returncode = 0  # it is waited for here, not by subprocess
    return Child(process.pid, out, err)


def stream(
    folder: Path, items: Callable[..., Iterator[Sequence[Any]]], *args: Any
) -> Iterator[list[Any]]:
    """Yield what ``items(*args)`` yields in a forked child (what JSON can hold), as it comes.

    Raises:
        ChildProcessError: it did not come to its end; the message is what it said.
    """
    reading, writing = os.pipe()

    def write() -> int:
        os.close(reading)
        with os.fdopen(writing, "w") as pipe:
            for item in items(*args):
                pipe.write(json.dumps(list(item)) + "\n")
                pipe.flush()
        return 0

    child = fork(write, folder)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        for line in pipe:
            yield json.loads(line)
    ended = child.end()
    if ended.code != 0:
        raise ChildProcessError(f"ended with {ended.code}: {ended.said.strip()[-500:]}")


def _files() -> tuple[IO[bytes], IO[bytes]]:
    return tempfile.TemporaryFile(), tempfile.TemporaryFile()
