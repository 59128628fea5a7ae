"""Standard input as a file, where several processes have to read it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from embedcli.errors import OutputError
from embedcli.files.leftovers import remove_stale, temporary_path

__all__ = ["spooled"]


@contextmanager
def spooled(paths: Sequence[str], target: str | None = None) -> Iterator[list[str]]:
    """The paths, absolute, and in the place of standard input a file that is there meanwhile.

    Args:
        paths: files, globs, directories and URLs; ``-`` is standard input.
        target: the file to be made of standard input; None: any, where temporary files go.

    Raises:
        OutputError: it cannot be written, or is there already.
        UsageError: standard input is a terminal.
    """
    from embedcli.files.opening import STDIN, open_source

    if STDIN not in paths:
        yield [_absolute(path) for path in paths]
        return
    with open_source(STDIN) as source:
        name = _absolute(target) if target else _temporary()
        mode = 0o666 if target else 0o600  # workers read the first, nobody else the second
        try:
            file = os.fdopen(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb")
        except FileExistsError:
            raise OutputError(
                f"cannot write standard input to {name}: a run that was killed may have left it "
                "there; remove it, or move it away"
            ) from None
        except OSError as error:
            raise OutputError(f"cannot write {name}: {error.strerror}") from error
        try:
            with _as_output_error(name), file:
                shutil.copyfileobj(source, file, 1 << 20)
            yield [name if path == STDIN else _absolute(path) for path in paths]
        finally:
            Path(name).unlink(missing_ok=True)


@contextmanager
def _as_output_error(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"cannot write {name}: {error.strerror or error}") from error


def _temporary() -> str:
    """A name for a temporary file; what killed runs left of them is removed."""
    beside = os.path.join(tempfile.gettempdir(), "embed-stdin")  # noqa: PTH118
    remove_stale(beside)
    return temporary_path(beside)


def _absolute(path: str) -> str:
    """The same for processes that run in other directories; a link stays a link."""
    return path if "://" in path else os.path.abspath(path)  # noqa: PTH100 (resolves no links)
