"""The primitives of `os` that change files, each call counted, and failing when it is told to.

They are replaced where they live, so that nothing has to be known of who calls them. Only calls
that concern one directory count: what Python and Numba do elsewhere is left alone.
"""

from __future__ import annotations

import errno
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["ERRNOS", "Call", "Corrupt", "Fail", "Kill", "Recorder", "ShortWrite", "replaced"]

ERRNOS = (errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EACCES, errno.EROFS)
_WRITERS = ("write", "pwrite")
_NAMES = (
    *_WRITERS, "open", "fsync", "fchmod", "ftruncate", "pread",
    "replace", "rename", "unlink", "mkdir", "rmdir",
)  # fmt: skip


@dataclass(frozen=True)
class Call:
    """One call of a primitive.

    Attributes:
        number: counted from 1.
        name: of the primitive.
        path: of the file it is about; the new name, where there are two.
        source: the old name, where there are two.
    """

    number: int
    name: str
    path: str
    source: str


class Policy:
    """What to do at each call; this one does nothing but count."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def act(self, call: Call, original: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Do what the primitive is asked for, or what is wanted instead."""
        return original(*args)


class Recorder(Policy):
    """Records every call, in order."""


@dataclass
class Fail(Policy):
    """The call with this number raises an OSError; so do all later ones if it is `for_ever`."""

    number: int
    error: int
    for_ever: bool = False
    fired: list[Call] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)

    def act(self, call: Call, original: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Raise, or do it."""
        if call.number == self.number or (self.for_ever and call.number > self.number):
            self.fired.append(call)
            raise OSError(self.error, os.strerror(self.error), call.path)
        return original(*args)


@dataclass
class Kill(Policy):
    """The process ends by SIGKILL before the call with this number, or right after it."""

    number: int
    after: bool = False
    calls: list[Call] = field(default_factory=list)

    def act(self, call: Call, original: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """End, or do it."""
        if call.number != self.number:
            return original(*args)
        if self.after:
            original(*args)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("still alive")


class ShortWrite(Policy):
    """Every write takes a third of what it is given, which POSIX allows."""

    def act(self, call: Call, original: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Do less of it."""
        if call.name not in _WRITERS:
            return original(*args)
        file, data, *rest = args
        view = memoryview(data).cast("B")
        return original(file, view[: 1 + len(view) // 3], *rest)


class Corrupt(Policy):
    """The first write on the way to a file of this name writes one other bit and says nothing."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._beginning = f".{name}."
        self.fired = False

    def act(self, call: Call, original: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Do it, or something like it."""
        file_name = os.path.basename(call.path)
        is_it = file_name.startswith(self._beginning) and file_name.endswith(".tmp")
        if self.fired or not is_it or call.name not in _WRITERS:
            return original(*args)
        file, data, *rest = args
        changed = bytearray(memoryview(data).cast("B"))
        changed[len(changed) // 2] ^= 16
        self.fired = True
        return original(file, changed, *rest)


@contextmanager
def replaced(folder: Path, policy: Policy) -> Iterator[None]:
    """Have `policy` decide what primitives do that concern files below `folder`."""
    before = {name: getattr(os, name) for name in _NAMES}
    root = f"{folder.resolve()}{os.sep}"
    lock = threading.Lock()

    def replacement(name: str) -> Callable[..., Any]:
        original = before[name]

        def primitive(*args: Any, **more: Any) -> Any:
            path, source = _subject(name, args)
            if more or not f"{path}{os.sep}".startswith(root):
                return original(*args, **more)
            with lock:
                call = Call(len(policy.calls) + 1, name, path, source)
                policy.calls.append(call)
            return policy.act(call, original, args)

        return primitive

    for name in _NAMES:
        setattr(os, name, replacement(name))
    try:
        yield
    finally:
        for name, original in before.items():
            setattr(os, name, original)


def _subject(name: str, args: tuple[Any, ...]) -> tuple[str, str]:
    """The path a call is about, and the name it had before, if it is renamed."""
    if name in ("replace", "rename"):
        return _absolute(args[1]), _absolute(args[0])
    if isinstance(args[0], int):
        try:
            return os.readlink(f"/proc/self/fd/{args[0]}"), ""
        except OSError:  # not open: let the primitive say so
            return "", ""
    return _absolute(args[0]), ""


def _absolute(path: Any) -> str:
    return os.path.abspath(os.fsdecode(path))
