"""Text behind a URL, by fsspec: opened, measured, and found by a glob.

What fsspec and the libraries behind it raise when a network is dead, a server ends too early or an
archive is damaged is of no common kind: here all of it is an OSError. What is wrong with the URL
itself, or a library that is missing, is a UsageError.
"""

from __future__ import annotations

import glob
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from embedcli.errors import EmbedError, UsageError

__all__ = ["is_url", "matching_urls", "open_url", "url_size"]


def is_url(name: str) -> bool:
    """Whether a name is ``scheme://...``."""
    return "://" in name


def open_url(url: str) -> io.RawIOBase:
    """Open what a URL names.

    Raises:
        OSError: it is not there, or cannot be reached.
        UsageError: nothing can open such a URL.
    """
    filesystem, path = _place(url)
    with _one_error():
        return _UrlFile(filesystem, filesystem.open(path, "rb"))


def url_size(url: str) -> int | None:
    """Bytes of what a URL names; None where it does not say.

    Raises:
        OSError, UsageError: as for `open_url`.
    """
    filesystem, path = _place(url)
    with _one_error():
        size = filesystem.info(path).get("size")
    return None if size is None else int(size)


def matching_urls(url: str, *, recursive: bool) -> list[str]:
    """The files that a URL means, sorted: itself, what it matches, or all that is below it.

    Args:
        url: a glob if there is a ``*`` or ``[`` in it (``?`` is left to the queries of the web)
            and nothing of that very name.
        recursive: whether it may be a directory.

    Raises:
        OSError: nothing is there, or it cannot be reached.
        UsageError: nothing can open such a URL.
    """
    inner, *outer = url.split("::")
    is_pattern = glob.has_magic(inner.replace("?", ""))
    if not is_pattern and not recursive:
        return [url]
    filesystem, path = _place(url)
    with _one_error():
        if recursive and filesystem.isdir(path):
            found = filesystem.find(path)
        elif not is_pattern or filesystem.exists(path):
            return [url]
        else:
            matches = [str(match) for match in filesystem.glob(path)]
            is_directory = [filesystem.isdir(match) for match in matches]
            found = [m for m, is_dir in zip(matches, is_directory, strict=True) if not is_dir]
            if recursive:
                below = (m for m, is_dir in zip(matches, is_directory, strict=True) if is_dir)
                found += [file for match in below for file in filesystem.find(match)]
    if not found:
        raise FileNotFoundError("no such file")
    scheme = inner.partition("://")[0]
    return ["::".join([_with_scheme(match, scheme), *outer]) for match in sorted(set(found))]


def _with_scheme(path: str, scheme: str) -> str:
    return path if is_url(path) else f"{scheme}://{path}"


def _place(url: str) -> tuple[Any, str]:
    """The filesystem and the path in it."""
    import fsspec  # takes 0.1 s, and few need it

    with _one_error():
        try:
            filesystem, path = fsspec.core.url_to_fs(url)
        except (ValueError, TypeError, ImportError) as error:  # no such protocol, a part is missing
            raise UsageError(f"{url} cannot be opened: {error}") from error
    return filesystem, str(path)


class _UrlFile(io.RawIOBase):
    """An open file that keeps its filesystem, which may be an archive that closes with it."""

    def __init__(self, filesystem: Any, file: Any) -> None:
        self._filesystem = filesystem
        self._file = file
        self._at = 0
        size = getattr(file, "size", None)
        self._size = size if isinstance(size, int) else None

    def close(self) -> None:
        """Close it."""
        with _one_error():
            self._file.close()
        super().close()

    def fileno(self) -> int:
        """The file's; OSError where it has none."""
        with _one_error():
            return int(self._file.fileno())

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """Whether `seek` works."""
        with _one_error():
            return bool(self._file.seekable())

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to a place in it."""
        with _one_error():
            self._at = int(self._file.seek(offset, whence))
        return self._at

    def tell(self) -> int:
        """Where it is read next."""
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        """Fill `buffer` from its start; the number of bytes, 0 at the end.

        Raises:
            OSError: it cannot be read on, or ends before its size.
        """
        view = memoryview(buffer).cast("B")
        with _one_error():
            data = self._file.read(len(view))
        view[: len(data)] = data
        self._at += len(data)
        if view and not data and self._size is not None and self._at < self._size:
            raise OSError(f"it ends {self._size - self._at} bytes too early: was it cut short?")
        return len(data)


@contextmanager
def _one_error() -> Iterator[None]:
    try:
        yield
    except (OSError, EmbedError, MemoryError):
        raise
    except Exception as error:  # of any of the libraries that fsspec drives
        raise OSError(f"{type(error).__name__}: {error}") from error
