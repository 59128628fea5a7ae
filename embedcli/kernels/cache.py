"""Where compiled kernels are kept; Numba need not be loaded to ask that.

Numba keys its cache on the file that defines a function: a change in an imported file would serve
stale code without a word. So the cache directory is named by a digest of all kernel sources and of
the versions that compile them, inside the user's own cache directory, readable by nobody else.
``EMBED_CACHE_DIR`` moves it.

The cache is code: machine code, in Numba's pickles. So nobody but this user and root may be able to
put anything in its place: neither the directory nor one above it may be theirs or open to them.
"""

from __future__ import annotations

import atexit
import errno
import grp
import hashlib
import os
import pwd
import shutil
import stat
import tempfile
import time
import warnings
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Final, NamedTuple

import platformdirs

__all__ = ["KeptKernels", "cache_directory", "is_first_run", "kept_kernels"]

_MOST_LINKS: Final = 40
_STALE_AFTER: Final = 3600.0  # seconds


@cache
def cache_directory() -> Path:
    """The directory for compiled kernels of exactly these sources and versions; ours alone (0700).

    Where there is none to be had (a read-only home, somebody else's directory), a temporary one
    serves this process, which then compiles anew.
    """
    digest = hashlib.sha256()
    for package in ("numba", "llvmlite", "numpy"):
        digest.update(version(package).encode())
    kernels = Path(__file__).parent
    for source in sorted(kernels.rglob("*.py")):
        digest.update(source.relative_to(kernels).as_posix().encode())
        digest.update(source.read_bytes())
    root = _root()
    path = root / digest.hexdigest()[:16]
    try:
        _make(path)
        for own in (root.parent, root, path):
            if own.is_symlink():
                raise PermissionError(f"{own} is a link")
        _check_nobody_else_may_change(path)
        if path.stat().st_uid != os.geteuid() or not os.access(path, os.W_OK):
            raise PermissionError(f"{path} is not ours to write")
    except OSError as error:
        warnings.warn(
            f"compiled kernels are not kept: {error}; EMBED_CACHE_DIR names another directory",
            stacklevel=2,
        )
        _remove_stale()
        temporary = Path(tempfile.mkdtemp(prefix=f"embed-kernels-{os.getpid()}-"))
        atexit.register(shutil.rmtree, temporary, ignore_errors=True)
        return temporary
    return path


def _remove_stale() -> None:
    """Remove temporary directories of ours that killed processes left, an hour old."""
    for path in Path(tempfile.gettempdir()).glob("embed-kernels-*-*"):
        process = path.name.split("-")[2]
        if process.isdigit() and not Path(f"/proc/{process}").exists():
            with suppress(OSError):
                found = path.lstat()
                is_old = time.time() - found.st_mtime > _STALE_AFTER
                if is_old and found.st_uid == os.geteuid() and stat.S_ISDIR(found.st_mode):
                    shutil.rmtree(path)


def _make(path: Path) -> None:
    """Make a directory and those above it, each for this user alone."""
    if not path.is_dir():
        _make(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)


def _check_nobody_else_may_change(path: Path) -> None:
    """Look at every directory on the way to `path`, and at every link.

    Raises:
        PermissionError: another user owns one of them, or may write in it.
    """
    ahead, at, n_links = list(reversed(path.absolute().parts[1:])), Path("/"), 0
    _check_component(at)
    while ahead:
        part = ahead.pop()
        at = at.parent if part == ".." else at / part
        _check_component(at)
        if at.is_symlink():
            n_links += 1
            if n_links > _MOST_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
            target = at.readlink()
            at = Path("/") if target.is_absolute() else at.parent
            ahead += reversed(target.parts[target.is_absolute() :])


def _check_component(path: Path) -> None:
    found = path.lstat()
    if found.st_uid not in (0, os.geteuid()):
        raise PermissionError(f"{path} belongs to another user ({found.st_uid})")
    mode = found.st_mode
    if stat.S_ISLNK(mode) or mode & stat.S_ISVTX:  # in /tmp everybody has his own
        return
    if mode & 0o002 or (mode & 0o020 and not _is_private(found.st_gid)):
        raise PermissionError(f"other users may write in {path}")


def _is_private(group: int) -> bool:
    """Whether a group is that of one user and root, as many systems make for each user."""
    try:
        user, known = pwd.getpwuid(os.geteuid()), grp.getgrgid(group)
    except KeyError:
        return False
    is_own = known.gr_gid == user.pw_gid and known.gr_name == user.pw_name
    return is_own and set(known.gr_mem) <= {user.pw_name, "root"}


def is_first_run() -> bool:
    """Whether kernels will be kept for other processes, and none has been yet."""
    kept = kept_kernels()
    return kept is not None and kept.files == 0


class KeptKernels(NamedTuple):
    """Compiled kernels on the disk.

    Attributes:
        directory: where they are.
        files: how many.
        bytes: their sizes added up.
    """

    directory: Path
    files: int
    bytes: int


def kept_kernels() -> KeptKernels | None:
    """What is kept for other processes; None where nothing can be."""
    path = cache_directory()
    if not path.is_relative_to(_root()):
        return None
    sizes = [file.stat().st_size for file in path.rglob("*.nbc")]
    return KeptKernels(path, len(sizes), sum(sizes))


def _root() -> Path:
    """Where kernels of all versions should be kept."""
    return (
        Path(os.environ.get("EMBED_CACHE_DIR") or platformdirs.user_cache_dir("embed")) / "kernels"
    )
