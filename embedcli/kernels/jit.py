"""How every kernel is compiled, and where the machine code is kept.

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
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import llvmlite
import numba
import numpy as np
import platformdirs

__all__ = ["cache_directory", "kernel"]

_Function = TypeVar("_Function", bound=Callable[..., Any])


@cache
def cache_directory() -> Path:
    """The directory for compiled kernels of exactly these sources and versions; ours alone (0700).

    Where there is none to be had (a read-only home, somebody else's directory), a temporary one
    serves this process, which then compiles anew.
    """
    digest = hashlib.sha256()
    for version in (numba.__version__, llvmlite.__version__, np.__version__):
        digest.update(version.encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.name.encode())
        digest.update(source.read_bytes())
    root = Path(os.environ.get("EMBED_CACHE_DIR") or platformdirs.user_cache_dir("embed"))
    path = root / "kernels" / digest.hexdigest()[:16]
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


def kernel(function: _Function) -> _Function:
    """Compile `function` on first call: without the GIL or fast-math, cached on disk."""
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(cache_directory())  # read while the dispatcher is made
    try:
        compiled: _Function = numba.njit(nogil=True, cache=True, error_model="numpy")(function)
    finally:
        numba.config.CACHE_DIR = before
    return compiled
