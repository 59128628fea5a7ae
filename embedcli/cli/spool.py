"""Standard input as a file, where several processes have to read it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from embedcli.storage.publish import publish

__all__ = ["spooled"]


@contextmanager
def spooled(paths: Sequence[str], target: str | None = None) -> Iterator[list[str]]:
    """The paths, absolute, and in the place of standard input a file that is there meanwhile.

    Args:
        paths: files, globs, directories and URLs; ``-`` is standard input.
        target: the file to be made of standard input; None: any, where temporary files go.

    Raises:
        OutputError, ResourceError: it cannot be written.
        UsageError: standard input is a terminal.
    """
    from embedcli.text.sources import STDIN, open_source  # needs numba, which is slow to load

    if STDIN not in paths:
        yield [_absolute(path) for path in paths]
        return
    with tempfile.TemporaryDirectory(prefix="embed-") as folder:
        name = _absolute(target) if target else str(Path(folder) / "stdin")
        try:
            with open_source(STDIN) as source, publish(name) as sink:
                shutil.copyfileobj(source, sink, 1 << 20)
            yield [name if path == STDIN else _absolute(path) for path in paths]
        finally:
            Path(name).unlink(missing_ok=True)


def _absolute(path: str) -> str:
    """The same for processes that run in other directories; a link stays a link."""
    return path if "://" in path else os.path.abspath(path)  # noqa: PTH100 (resolves no links)
