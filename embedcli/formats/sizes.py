"""The least size of a file in each format, for the check of free space before writing."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from typing import Final

from embedcli.embeddings import Embeddings
from embedcli.files.targets import check_space
from embedcli.formats.registry import Folder, named

__all__ = ["check_room"]

# Bytes of a number, where `Format.file_size` does not say all: in text a digit and what follows it.
_NUMBERS: Final[Mapping[str, int]] = {"float32": 4, "float16": 2, "int8": 1}
_TEXT: Final = ("word2vec", "glove", "projector")
_COMPRESSED: Final = "parquet"  # as far as the numbers let it


def check_room(
    embeddings: Embeddings, path: str | os.PathLike[str], name: str, dtype: str
) -> int | None:
    """Refuse before anything is written what the disk cannot hold.

    Returns:
        The size of the file, where it is known.

    Raises:
        ResourceError: with what is needed at least, and what is free.
    """
    entry = named(name)
    if not isinstance(entry, Folder) and entry.file_size is not None and dtype == "float32":
        size = entry.file_size(embeddings)
        check_space(path, size)
        return size
    for place, n_bytes in _least(embeddings, path, name, dtype):
        check_space(place, n_bytes)
    return None


def _least(
    embeddings: Embeddings, path: str | os.PathLike[str], name: str, dtype: str
) -> Iterator[tuple[str | os.PathLike[str], int]]:
    """Places and how many bytes each takes at least."""
    n_words, n_bytes = len(embeddings), len(embeddings.vocabulary.blob)
    kind, _, parts = dtype.partition("-")
    if name == "vocab":
        n_bytes += 2 * n_words
    elif kind == "pq":
        n_bytes += n_words * int(parts)
    elif name != _COMPRESSED:
        n_bytes += n_words * embeddings.dim * (2 if name in _TEXT else _NUMBERS[kind])
    yield path, n_bytes
    if name == "sqlite":  # it is made there first
        yield os.path.join(tempfile.gettempdir(), "a database"), n_bytes  # noqa: PTH118
