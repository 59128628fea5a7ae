# ruff: noqa: PTH104
# (beside publish.py, which says why the primitives of os are called by their own names)
"""Publishes a directory of files whole or not at all, as `publish.py` does one file.

    temporary directory beside the target → its files, each synced → rename → fsync of the parent

An old directory is exchanged for the new one in one step (``RENAME_EXCHANGE``, Linux 3.15) and then
removed; where the file system cannot do that, two renames follow one another. A directory that
holds anything but the files of the format is not ours to replace, and is refused.
"""

from __future__ import annotations

import ctypes
import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from embedcli.errors import OutputError

__all__ = ["check_folder_writable", "publish_folder"]

_AT_FDCWD: Final = -100
_RENAME_EXCHANGE: Final = 2
_CANNOT_EXCHANGE: Final = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)


@contextmanager
def publish_folder(path: str | os.PathLike[str], names: tuple[str, ...]) -> Iterator[Path]:
    """Yield an empty directory; when the block ends well, it is at `path` with all it holds.

    Args:
        path: the target: nothing yet, or a directory that holds nothing but files called `names`.
        names: what the files of this format are called.

    Raises:
        OutputError: it cannot be written there; what was there before is untouched.
    """
    target = Path(path)
    check_folder_writable(target, names)
    real = target.resolve()
    fresh = real.with_name(f".{real.name[:180]}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        fresh.mkdir()
        yield fresh
        _sync(fresh)
        if real.exists():
            _exchange(fresh, real)
        else:
            os.rename(fresh, real)
        _sync(real.parent)
    except OSError as error:
        raise OutputError(f"cannot write {target}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def check_folder_writable(path: str | os.PathLike[str], names: tuple[str, ...]) -> None:
    """Find out before the work whether `publish_folder` could write `path`.

    Raises:
        OutputError: there is a file, or a directory with other things in it, or no parent.
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise OutputError(
            f"cannot write {target}: no directory {target.parent} (mkdir -p {target.parent})"
        )
    if not os.access(target.resolve().parent, os.W_OK):
        raise OutputError(f"cannot write {target}: may you write in {target.parent}?")
    if not target.exists():
        return
    if not target.is_dir():
        raise OutputError(f"cannot write {target}: it is a file, and this format is a directory")
    others = sorted({entry.name for entry in target.iterdir()} - set(names))
    if others:
        raise OutputError(
            f"cannot write {target}: the directory holds other files ({', '.join(others[:3])}); "
            f"name another one"
        )


def _exchange(fresh: Path, old: Path) -> None:
    """Put `fresh` in the place of `old`, which afterwards lies where `fresh` was."""
    libc = ctypes.CDLL(None, use_errno=True)
    paths = os.fsencode(fresh), os.fsencode(old)
    if not libc.renameat2(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], _RENAME_EXCHANGE):
        return
    number = ctypes.get_errno()
    if number not in _CANNOT_EXCHANGE:
        raise OSError(number, os.strerror(number))
    aside = fresh.with_name(f"{fresh.name}.old")
    os.rename(old, aside)
    os.rename(fresh, old)
    os.rename(aside, fresh)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that cannot sync directories
            raise
    finally:
        os.close(descriptor)
