"""Vector files: one module per format, a registry, and telling them apart by content."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from embedcli.embeddings import Embeddings
from embedcli.errors import UsageError
from embedcli.formats import native
from embedcli.storage.publish import Sink, publish

__all__ = ["FORMATS", "Format", "detect", "format_for_path", "load", "save"]


class _Read(Protocol):
    def __call__(self, path: str | os.PathLike[str], *, decode_errors: str) -> Embeddings: ...


@dataclass(frozen=True)
class Format:
    """One format: its name, the suffixes that ask for it, its reader and its writer."""

    name: str
    suffixes: tuple[str, ...]
    read: _Read
    write: Callable[[Embeddings, Sink], None]
    file_size: Callable[[Embeddings], int] | None = None


FORMATS: Final[Mapping[str, Format]] = {
    entry.name: entry
    for entry in (
        Format("safetensors", (".safetensors",), native.read, native.write, native.file_size),
    )
}


def load(
    path: str | os.PathLike[str], format: str | None = None, *, decode_errors: str = "strict"
) -> Embeddings:
    """Read embeddings, whatever the format."""
    return FORMATS[format or detect(path)].read(path, decode_errors=decode_errors)


def save(embeddings: Embeddings, path: str | os.PathLike[str], format: str | None = None) -> None:
    """Write embeddings; the suffix decides the format unless `format` is given."""
    entry = FORMATS[format or format_for_path(path)]
    size = entry.file_size(embeddings) if entry.file_size else None
    with publish(path, size=size, stdout=True) as sink:
        entry.write(embeddings, sink)


def detect(path: str | os.PathLike[str]) -> str:
    """The name of the format of an existing file."""
    return "safetensors"


def format_for_path(path: str | os.PathLike[str]) -> str:
    """The name of the format that the suffix of `path` asks for."""
    for entry in FORMATS.values():
        if os.fspath(path).endswith(entry.suffixes):
            return entry.name
    raise UsageError(f"no format for the suffix of {os.fspath(path)}: give --format")
