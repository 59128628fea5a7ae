"""How every kernel is compiled, and how its machine code is kept.

Numba trusts what it finds in its cache (`cache.py` says where that is): a file that was cut short
ends every later start with an EOFError (numba#10434), and one flipped bit of machine code is run.
So each file ends with the SHA-256 of what comes before it (a pickle ends where it says it ends,
what follows is not read), and a file that is not ours or not as it was written is compiled anew. A
cache that cannot be written is no failure.
"""

from __future__ import annotations

import hashlib
import os
import stat
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from copy import copy
from typing import IO, Any, TypeVar

import numba
from numba import types
from numba.core.caching import FunctionCache, IndexDataCacheFile

from embedcli.kernels.cache import cache_directory

__all__ = [
    "address_of",
    "called_kernel",
    "has_compiled",
    "inlined",
    "inlined_step",
    "kernel",
    "step",
    "types_of",
]

_Function = TypeVar("_Function", bound=Callable[..., Any])

# Kernels allocate nothing (`kernel`), and nobody calls them from C, by a function of their own that
# would have to be compiled too.
_OPTIONS: dict[str, Any] = {
    "nogil": True,
    "error_model": "numpy",
    "_nrt": False,
    "no_cfunc_wrapper": True,
}

# Numba's setting is everybody's. A kernel made by one thread while another has just restored it was
# seen to be kept in the working directory.
_making = threading.Lock()
_has_compiled = threading.Event()


def has_compiled() -> bool:
    """Whether this process has compiled, or begun to compile, a kernel that was not kept."""
    return _has_compiled.is_set()


def kernel(function: _Function) -> _Function:
    """Compile `function` on first call: without the GIL or fast-math, cached on disk.

    Without reference counts too: the caller keeps the arrays alive, and counting them, an atomic
    instruction for each array of a tuple at each call, took two thirds of the time of looking up a
    word. So kernels allocate nothing.
    """
    return _kept(numba.njit(**_OPTIONS)(_distinct(function)), function)


def called_kernel(function: _Function) -> _Function:
    """As `kernel`, for what only other kernels call, by its address (`address_of`)."""
    compiled = numba.njit(**_OPTIONS, no_cpython_wrapper=True)(_distinct(function))
    return _kept(compiled, function)


def types_of(arguments: Iterable[Any]) -> tuple[Any, ...]:
    """The Numba types of values like these."""
    return tuple(map(numba.typeof, arguments))


def address_of(function: Any, argument_types: tuple[Any, ...]) -> int:
    """Where the machine code of a `called_kernel` begins, compiled for arguments of these types.

    Compiles it, or loads it from the cache. It is there as long as `function` is.
    """
    compiled = function.get_compile_result(types.void(*argument_types))
    return int(compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name))


def _kept(compiled: Any, function: _Function) -> _Function:
    """`compiled` with the cache of `function`."""
    with _making:
        before = numba.config.CACHE_DIR
        numba.config.CACHE_DIR = str(cache_directory())  # read while the cache is made
        try:
            compiled._cache = _SealedCache(function)  # what `cache=True` would set: FunctionCache
        finally:
            numba.config.CACHE_DIR = before
    result: _Function = compiled
    return result


def step(function: _Function) -> _Function:
    """Compile what kernels call by itself, where to inline it would only take longer to compile.

    Numba's own time, which grows faster than a function, is most of what compiling takes.
    """
    compiled: _Function = numba.njit(**_OPTIONS, no_cpython_wrapper=True)(_distinct(function))
    return compiled


def inlined_step(function: _Function) -> _Function:
    """As `step`, for what loses by being called: LLVM puts it into the kernel, Numba never does."""
    options = _OPTIONS | {"no_cpython_wrapper": True, "forceinline": True}
    compiled: _Function = numba.njit(**options)(_distinct(function))
    return compiled


def inlined(function: _Function) -> _Function:
    """What Numba puts into its callers before types are known, so that constants prune branches."""
    compiled: _Function = numba.njit(inline="always")(function)
    return compiled


class _SealedCache(FunctionCache):  # type: ignore[misc]  # numba has no types
    """Numba's cache of one function, with sealed files."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        self._cache_file = _SealedFiles(
            cache_path=self._cache_path,
            filename_base=self._impl.filename_base,
            source_stamp=self._impl.locator.get_source_stamp(),
        )

    def _index_key(self, sig: Any, codegen: Any) -> Any:
        """As Numba's, but what a kernel closes over counts as what it is, in every process.

        Numba pickles it: a compiled function gets another name in each process, so that none would
        find the kernel. Its source need not count, as no two sources share a directory.
        """
        return sig, codegen.magic_tuple(), _name(self._py_func)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """What was kept; None, so that it is compiled, where nothing was."""
        found = super().load_overload(sig, target_context)
        if found is None:
            _has_compiled.set()
        return found

    def save_overload(self, signature: Any, data: Any) -> None:
        """Keep what was compiled, if there is room for it."""
        try:
            super().save_overload(signature, data)
        except OSError as error:
            warnings.warn(f"compiled kernels are not kept: {error}", stacklevel=2)


def _distinct(function: _Function) -> _Function:
    """`function`, called by what it closes over too, so that its machine code is not another's.

    Numba names machine code by the function, the types and a number that begins anew in each
    process. Functions of one name that close over different numbers, each compiled in a process of
    its own and loaded from the cache, would have one name, and LLVM would find the last for both.
    """
    digest = hashlib.sha256(repr(_name(function)).encode()).hexdigest()[:8]
    function.__qualname__ = f"{function.__qualname__}_{digest}"
    return function


def _name(function: Callable[..., Any]) -> tuple[Any, ...]:
    """A function of ours by its name and by what it closes over, the same in every process."""
    cells = [cell.cell_contents for cell in function.__closure__ or ()]
    return function.__module__, function.__qualname__, tuple(map(_described, cells))


def _described(value: Any) -> Any:
    """What a function closes over: numbers, texts, types, and functions that Numba knows."""
    if isinstance(value, tuple | list):
        return tuple(map(_described, value))
    function = getattr(value, "py_func", None) or getattr(value, "_defn", value)  # or an intrinsic
    return _name(function) if hasattr(function, "__closure__") else repr(value)


class _SealedFiles(IndexDataCacheFile):  # type: ignore[misc]  # numba has no types
    """The two kinds of files of a cache, each with a digest at its end.

    Numba opens a file by its name; it gets the name of the open file that was looked at.
    """

    def _load_index(self) -> Any:
        with _sound(self._index_path) as opened:
            if opened is None:
                return {}
            files = copy(self)
            files._index_path = opened
            return IndexDataCacheFile._load_index(files)

    def _load_data(self, name: str) -> Any:
        path = self._data_path(name)
        with _sound(path) as opened:
            if opened is None:
                raise FileNotFoundError(path)  # numba then compiles and writes it again
            return super()._load_data(opened)

    @contextmanager
    def _open_for_write(self, filepath: str) -> Iterator[Any]:
        with super()._open_for_write(filepath) as file:
            seal = _Seal(file)
            yield seal
            file.write(seal.digest.digest())


class _Seal:
    """Writes to a file and digests what it writes."""

    def __init__(self, file: IO[bytes]) -> None:
        self.digest = hashlib.sha256()
        self._file = file

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        return self._file.write(data)


@contextmanager
def _sound(path: str) -> Iterator[str | None]:
    """A name for a file that is ours and as it was written, while it is open; else None.

    Says so if there is one that is not.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        yield None
        return
    except OSError as error:
        warnings.warn(f"{path} cannot be read and is compiled anew: {error}", stacklevel=4)
        yield None
        return
    with open(descriptor, "rb") as file:  # noqa: PTH123 (it is open)
        if _is_sound(file):
            yield f"/proc/self/fd/{descriptor}"
        else:
            warnings.warn(f"{path} is damaged or not ours and is compiled anew", stacklevel=4)
            yield None


def _is_sound(file: IO[bytes]) -> bool:
    found = os.fstat(file.fileno())
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
        return False
    data = file.read()
    size = hashlib.sha256().digest_size
    return hashlib.sha256(data[:-size]).digest() == data[-size:]
