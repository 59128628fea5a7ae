"""Where compiled kernels are kept; Numba need not be loaded to ask that.

Numba keys its cache on the file that defines a function: a change in an imported file would serve
stale code without a word. So the cache directory is named by a digest of all kernel sources and of
the versions that compile them, inside the user's own cache directory, readable by nobody else (the
cache is a pickle, hence code). ``EMBED_CACHE_DIR`` moves it.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import shutil
import tempfile
import warnings
from functools import cache
from importlib.metadata import version
from pathlib import Path

import platformdirs

__all__ = ["cache_directory", "is_first_run"]


@cache
def cache_directory() -> Path:
    """The directory for compiled kernels of exactly these sources and versions; ours alone (0700).

    Where there is none to be had (a read-only home, somebody else's directory), a temporary one
    serves this process, which then compiles anew.
    """
    digest = hashlib.sha256()
    for package in ("numba", "llvmlite", "numpy"):
        digest.update(version(package).encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.name.encode())
        digest.update(source.read_bytes())
    path = _root() / digest.hexdigest()[:16]
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = path.stat()
        if found.st_uid != os.geteuid() or found.st_mode & 0o022 or not os.access(path, os.W_OK):
            raise PermissionError(f"{path} is not ours alone to write")
    except OSError as error:
        warnings.warn(
            f"compiled kernels are not kept: {error}; EMBED_CACHE_DIR names another directory",
            stacklevel=2,
        )
        temporary = Path(tempfile.mkdtemp(prefix="embed-kernels-"))
        atexit.register(shutil.rmtree, temporary, ignore_errors=True)
        return temporary
    return path


def is_first_run() -> bool:
    """Whether kernels will be kept for other processes, and none has been yet."""
    path = cache_directory()
    return path.is_relative_to(_root()) and next(path.rglob("*.nbc"), None) is None


def _root() -> Path:
    """Where kernels of all versions should be kept."""
    return (
        Path(os.environ.get("EMBED_CACHE_DIR") or platformdirs.user_cache_dir("embed")) / "kernels"
    )
