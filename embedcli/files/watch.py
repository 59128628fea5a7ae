"""Whether a file that is mapped is still what was opened.

A file that is replaced by a rename, as embed and most programs write, stays what it was for whoever
has it open. One that is written over in place changes under its readers, and a page beyond its new
end is a SIGBUS, which ends a process whatever it is written in. Whoever answers for long asks
before each answer; between that and the answer, and while a single long look-up runs, nothing can.
"""

from __future__ import annotations

import os
import stat
import weakref
from pathlib import Path

from embedcli.errors import InputError
from embedcli.files.plain import is_directory, is_file

__all__ = ["Watch", "state_of"]


class Watch:
    """The files of a model as they were when it was opened.

    Args:
        path: a file or directory, to be made before the model is loaded; what cannot be opened is
            for the loader to report.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._files: list[tuple[int, tuple[int, int] | None]] = []
        try:
            inside = sorted(Path(path).iterdir()) if is_directory(path) else [Path(path)]
        except OSError:
            inside = []
        for file in inside:
            if not is_file(file):  # a pipe would be read by being opened
                continue
            try:
                number = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                continue
            weakref.finalize(self, os.close, number)
            self._files.append((number, state_of(number)))

    def check(self) -> None:
        """Refuse to go on with a model that was written over.

        Raises:
            InputError: one of its files is longer, shorter or younger than it was.
        """
        for number, before in self._files:
            now = state_of(number)
            if now != before:
                sizes = f"{before[0]:,} bytes then, {now[0]:,} now" if before and now else "a file"
                raise InputError(
                    f"{self._path} was written over while it was open ({sizes}): start again, and "
                    "replace models by mv, not cp"
                )


def state_of(number: int) -> tuple[int, int] | None:
    """Size and time of change, in ns, of an open regular file; None of anything else."""
    found = os.fstat(number)
    return (found.st_size, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else None
