# ruff: noqa: PTH101, PTH104
# (beside publish.py, which says why the primitives of os are called by their own names)
"""Publishes a directory of files whole or not at all, as `publish.py` does one file.

    temporary directory beside the target → its files, each synced → rename → fsync of the parent

An old directory is exchanged for the new one in one step (``RENAME_EXCHANGE``, Linux 3.15) and then
removed; where the file system cannot do that, two renames follow one another. The new one has the
permissions of the old one, and so have its files. A directory that is not of the format, or holds
more, is not ours to replace and is refused. Prose that somebody wrote or changed (`sealed`) stays.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from embedcli.errors import OutputError
from embedcli.files.leftovers import remove_stale, remove_tree, temporary_path
from embedcli.files.publish import publish, sync_directory
from embedcli.files.targets import as_output_error, check_may_replace, real_path

__all__ = ["check_folder_writable", "make_directory", "publish_folder", "sealed"]

_AT_FDCWD: Final = -100
_RENAME_EXCHANGE: Final = 2
_CANNOT_EXCHANGE: Final = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)
_SEAL: Final = "<!-- replaced with the model while these lines are as embed wrote them: {} -->\n"


@contextmanager
def publish_folder(
    path: str | os.PathLike[str], names: tuple[str, ...], prose: tuple[str, ...] = ()
) -> Iterator[Path]:
    """Yield an empty directory; when the block ends well, it is at `path` with all it holds.

    Args:
        path: the target: nothing yet, or a directory of this format that holds nothing else.
        names: what the files of this format are called; the first two make it.
        prose: those of them that people write too: kept unless they are as `sealed` left them.

    Raises:
        OutputError: it cannot be written there; what was there before is untouched.
    """
    target = Path(path)
    check_folder_writable(target, names, prose)
    real = real_path(target)
    remove_stale(os.fspath(real))
    fresh = Path(temporary_path(os.fspath(real)))
    is_ours = True
    try:
        fresh.mkdir(mode=0o700 if real.exists() else 0o777)
        yield fresh
        if real.exists():
            _take_over(fresh, real, names, prose)
            sync_directory(fresh)
            _exchange(fresh, real)
            is_ours = {entry.name for entry in fresh.iterdir()}.issubset(names)
        else:
            sync_directory(fresh)
            os.rename(fresh, real)
        sync_directory(real.parent)
    except OSError as error:
        raise OutputError(f"cannot write {target}: {error.strerror or error}") from error
    finally:
        if is_ours:
            with contextlib.suppress(OSError):  # what cannot be removed now, remove_stale will
                remove_tree(os.fspath(fresh))
    if not is_ours:
        raise OutputError(
            f"{target} is complete, but other files came into the directory before it meanwhile: "
            f"it is now {fresh}"
        )


def check_folder_writable(
    path: str | os.PathLike[str], names: tuple[str, ...], prose: tuple[str, ...] = ()
) -> None:
    """Find out before the work whether `publish_folder` could write `path`.

    Raises:
        OutputError: there is a file, or a directory of other things, or no parent.
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise OutputError(
            f"cannot write {target}: no directory {target.parent} (mkdir -p {target.parent})"
        )
    try:
        real = real_path(target)
        held = {entry.name for entry in real.iterdir()} if real.is_dir() else None
        if held is None and os.path.lexists(real):
            real.stat()  # links that go in a circle: raises
            raise OutputError(
                f"cannot write {target}: it is a file, and this format is a directory"
            )
        check_may_replace(os.fspath(real))
        probe = Path(temporary_path(os.fspath(real)))
        probe.mkdir()
        probe.rmdir()
    except OSError as error:
        raise OutputError(f"cannot write {target}: {error.strerror or error}") from error
    if not held:
        return
    others = sorted(held - set(names))
    if others:
        raise OutputError(
            f"cannot write {target}: the directory holds other files ({', '.join(others[:3])}); "
            f"name another one"
        )
    if not held.issuperset(names[:2]) and held - set(prose):
        there, missing = ", ".join(sorted(held - set(prose))), " and ".join(names[:2])
        raise OutputError(
            f"cannot write {target}: the directory holds {there} but not {missing}, so it is none "
            "of this format; name another one"
        )


def make_directory(path: str | os.PathLike[str], *, beside: str | os.PathLike[str]) -> None:
    """Make a directory that is there after a power cut too; its parent must exist.

    Args:
        path: the directory; it may be there already.
        beside: what it holds a part of: if that is there and closed to others, so is the directory.

    Raises:
        OutputError: it cannot be made.
    """
    target = os.fspath(path)
    with as_output_error(target, None):
        mode = 0o777
        with contextlib.suppress(FileNotFoundError):
            mode = 0o777 if Path(beside).stat().st_mode & 0o077 else 0o700
        with contextlib.suppress(FileExistsError):
            Path(target).mkdir(mode)
        sync_directory(real_path(target).parent)


def sealed(text: str) -> bytes:
    """Prose with a last line that tells whether anybody has changed it since."""
    body = text.encode()
    return body + _SEAL.format(hashlib.sha256(body).hexdigest()).encode()


def _is_sealed(data: bytes) -> bool:
    body, _, last = data.removesuffix(b"\n").rpartition(b"\n")
    body += b"\n"
    return last + b"\n" == _SEAL.format(hashlib.sha256(body).hexdigest()).encode()


def _take_over(fresh: Path, old: Path, names: tuple[str, ...], prose: tuple[str, ...]) -> None:
    """Give `fresh` what is to stay of `old`: prose that is not embed's, and permissions."""
    for name in prose:
        if (old / name).is_file() and not _is_sealed(data := (old / name).read_bytes()):
            with publish(fresh / name) as sink:
                sink.write(data)
    for name in names:
        if (old / name).is_file() and (fresh / name).is_file():
            os.chmod(fresh / name, stat.S_IMODE((old / name).stat().st_mode))
    os.chmod(fresh, stat.S_IMODE(old.stat().st_mode))


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
