"""A disk that is really full (a small tmpfs of our own), and a limit on the size of files."""

from __future__ import annotations

import ctypes
import os
import resource
from collections.abc import Iterator
from pathlib import Path
from random import Random

from torture.children import fork
from torture.subject import Place, Subject, _main
from torture.trials import Outcome, in_child

__all__ = ["trials"]

_NEWNS, _NEWUSER = 0x20000, 0x10000000
_REMOUNT, _RECURSIVE, _PRIVATE = 0x20, 0x4000, 0x40000
_ENOUGH = 64 << 20
_STEP = 4096


def trials(subject: Subject, n: int, rng: Random) -> Iterator[Outcome]:
    """Half of them a full disk, half of them a limit; of every size up to what a run needs."""
    held = sum(map(len, subject.old.values())) + subject.text.stat().st_size
    for number in range(n):
        size = held + int(rng.uniform(0, 2.5) * held)
        if number % 2:
            limit = int(rng.uniform(0, 1.2) * max(map(len, subject.new.values())))
            yield Outcome(f"files of at most {limit} bytes", _limited(subject, limit))
        else:
            yield _on_small_disk(subject, size // _STEP * _STEP)


def _limited(subject: Subject, limit: int) -> str:
    with subject.place() as place:
        command = place.command()

        def run() -> int:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
            return _main(command)

        ended = fork(run, place.folder).end()
        return "; ".join(filter(None, [place.harm(ended), place.harm_at_the_end()]))


def _on_small_disk(subject: Subject, size: int) -> Outcome:
    fault = f"a disk of {size} bytes"
    with subject.place() as place:
        disk = place.folder / "disk"
        disk.mkdir()
        wrong = [outcome.wrong for outcome in in_child(disk, "", _on, subject, disk, size)]
        return Outcome(fault, "; ".join(filter(None, wrong)))


def _on(subject: Subject, disk: Path, size: int) -> Iterator[Outcome]:
    """In a child with mounts of its own: the disk goes when it does."""
    if not _mount(disk, size):
        yield Outcome("", "")  # not allowed here: the other half of the trials stands for it
        return
    subject.furnish(disk)
    place = Place(subject, disk)
    wrong = [place.harm(place.start().end())]
    _mount(disk, _ENOUGH, again=True)
    wrong.append(place.harm_at_the_end())
    yield Outcome("", "; ".join(filter(None, wrong)))


def _mount(folder: Path, size: int, *, again: bool = False) -> bool:
    libc = ctypes.CDLL(None, use_errno=True)
    if not again:
        uid, gid = os.geteuid(), os.getegid()
        if libc.unshare(_NEWNS | (_NEWUSER if uid else 0)):
            return False
        if uid:
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
            Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
        libc.mount(None, b"/", None, _RECURSIVE | _PRIVATE, None)
    options = f"size={size}".encode()
    return not libc.mount(
        b"tmpfs", os.fsencode(folder), b"tmpfs", _REMOUNT if again else 0, options
    )
