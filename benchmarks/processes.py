"""Children measured from outside: wall time and peak memory of one whole command.

Nothing a program says of itself is in these figures. They hold everything from before the fork to
after the exit: start-up, imports, reading, writing, tidying up.

The measuring process must stay small. The peak that wait4() reports for a child begins with that of
its parent, since until exec() they share one memory; so nothing here or in the claims imports NumPy
or holds a corpus, and whatever needs memory is a child of its own.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ChildError", "Done", "pinned", "run"]


class ChildError(Exception):
    """A command that should have worked did not."""


@dataclass(frozen=True)
class Done:
    """A command that has ended well.

    Attributes:
        seconds: wall time.
        peak: the most memory it held at once (resident, mapped files included), in bytes.
        stdout: what it printed.
        cpu: seconds of processors, of all its threads together; hardly longer on a busy machine.
    """

    seconds: float
    peak: int
    stdout: str
    cpu: float = 0.0


def run(
    command: Sequence[str | Path], environment: Mapping[str, str], stdin: str | Path = os.devnull
) -> Done:
    """Run `command` to its end.

    Files that earlier commands left unwritten are written first, or this one would pay for them.

    Raises:
        ChildError: it cannot be started or its exit code is not 0; the message ends with its own.
    """
    os.sync()
    argv = [str(part) for part in command]
    with (
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
        Path(stdin).open("rb") as given,
    ):
        began = time.perf_counter()
        try:
            child = subprocess.Popen(argv, stdin=given, stdout=out, stderr=err, env=environment)
        except OSError as error:
            raise ChildError(f"{argv[0]}: {error.strerror}") from error
        try:
            _, status, usage = os.wait4(child.pid, 0)
        except BaseException:  # Ctrl-C: leave no child behind
            child.kill()
            child.wait()
            raise
        seconds = time.perf_counter() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        if child.returncode:
            told = err.read().decode(errors="replace").strip()
            raise ChildError(f"{' '.join(argv)}: exit code {child.returncode}: {told[-2000:]}")
        cpu = usage.ru_utime + usage.ru_stime
        return Done(seconds, usage.ru_maxrss * 1024, out.read().decode(), cpu)


@contextmanager
def pinned(n: int) -> Iterator[None]:
    """Keep this process and the children it starts to `n` cores, as taskset does.

    Cores that share their arithmetic with one already chosen (hyper-threads) come last.
    """
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before, key=lambda core: (_is_second_thread(core), core))[:n])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _is_second_thread(core: int) -> bool:
    siblings = Path(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list")
    if not siblings.is_file():
        return False
    first = siblings.read_text().replace("-", ",").split(",")[0]
    return int(first) != core
