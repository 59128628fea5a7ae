"""The file of an index: stored beside its model, built on first use, rebuilt when that changes.

    faiss's own bytes      as `faiss.read_index` reads them; it does not mind what follows
    JSON                   what it is an index of, and how it is searched: `_About`
    32 bytes               sha256 of all before
    u64, little-endian     the length of the JSON
    8 bytes                ``embedidx``

All of it is checked before faiss sees it: an index with a flipped bit still answers, but wrongly.
Another digest, in the JSON, tells which model it belongs to: the one in embed's own files, or that
of the words and vectors. An index that fails either is made again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from embedcli.embeddings import Embeddings
from embedcli.errors import FormatError, OutputError
from embedcli.files import safetensors
from embedcli.files.plain import is_file, require_plain
from embedcli.files.publish import check_writable, publish
from embedcli.lookup.faiss_library import load_faiss
from embedcli.lookup.index import Index, build_index
from embedcli.progress import OnProgress, ignore_progress

__all__ = ["index_path", "model_digest", "open_index"]

_MAGIC: Final = b"embedidx"
_VERSION: Final = 3
_ROWS: Final = 1 << 14
_LARGEST_JSON: Final = 1 << 16
_BLOCK_BYTES: Final = 1 << 20
_END_BYTES: Final = 48  # behind the JSON


@dataclass(frozen=True)
class _About:
    """What the end of the file says.

    Attributes:
        version: of this layout.
        model: digest of the model, hexadecimal.
        n_words: of the model, less those that were not read.
        kind: of the index.
        effort: how hard it is searched.
        spare: candidates scored for each neighbour.
        recall: what it then finds.
        n_bytes: of faiss's part.
    """

    version: int
    model: str
    n_words: int
    kind: str
    effort: int
    spare: int
    recall: float
    n_bytes: int


def open_index(
    path: str | os.PathLike[str],
    embeddings: Embeddings,
    kind: str,
    *,
    on_build: Callable[[str], None] = lambda target: None,
    on_progress: OnProgress = ignore_progress,
) -> Index:
    """The index of the model at `path`: as its file has it, or built and published there.

    Args:
        path: the file or directory that `embeddings` were read from.
        embeddings: the model.
        kind: one of `KINDS`.
        on_build: called with the path of the index before it is built.
        on_progress: called with `Progress` reports while it is.

    Raises:
        MissingExtraError: faiss is not installed.
        OutputError: the index cannot be written beside the model, or is a link.
    """
    faiss = load_faiss("--index")
    target = index_path(path, kind)
    if os.path.islink(target):  # noqa: PTH114
        raise OutputError(
            f"{target} is a link, and an index is not written through one: move it away"
        )
    digest = model_digest(path, embeddings)
    about = _read_end(target)
    wanted = _VERSION, digest, len(embeddings), kind
    if about is not None and (about.version, about.model, about.n_words, about.kind) == wanted:
        with open(target, "rb") as file:  # noqa: PTH123 (by number: faiss takes UTF-8 names alone)
            searcher = faiss.read_index(f"/dev/fd/{file.fileno()}", faiss.IO_FLAG_MMAP_IFC)
        return Index(embeddings, kind, searcher, about.effort, about.spare, about.recall)
    check_writable(target)
    on_build(target)
    index = build_index(embeddings, kind, on_progress=on_progress)
    check = hashlib.sha256()
    with publish(target) as sink:

        def write(data: bytes) -> int:
            check.update(data)
            return sink.write(data)

        writer = faiss.PyCallbackIOWriter(write, _ROWS)
        faiss.write_index(index.searcher, writer)
        del writer  # it keeps the last bytes until then
        searched = index.effort, index.spare, index.recall
        end = json.dumps(asdict(_About(*wanted, *searched, sink.tell()))).encode()
        write(end)
        sink.write(check.digest() + len(end).to_bytes(8, "little") + _MAGIC)
    return index


def index_path(path: str | os.PathLike[str], kind: str) -> str:
    """Where the index of the model at `path` lies: ``model.safetensors.ivf.faiss``."""
    return f"{os.path.normpath(path)}.{kind}.faiss"


def model_digest(path: str | os.PathLike[str], embeddings: Embeddings) -> str:
    """What tells this model from any other: sha256, hexadecimal."""
    stored = _stored_digest(path)
    if stored is not None:
        return stored
    digest = hashlib.sha256(embeddings.vocabulary.blob.tobytes())
    digest.update(embeddings.vocabulary.offsets.tobytes())
    for start in range(0, len(embeddings), _ROWS):
        digest.update(embeddings.vectors[start : start + _ROWS].tobytes())
    return digest.hexdigest()


def _stored_digest(path: str | os.PathLike[str]) -> str | None:
    """The digest at the end of a file of embed's own, which was made of all its bytes."""
    if not is_file(path):
        return None
    try:
        header = safetensors.read_header(path)
    except FormatError:
        return None
    entry = header.tensors.get(safetensors.DIGEST)
    if entry is None:
        return None
    with Path(path).open("rb") as file:
        file.seek(entry.start)
        return file.read(entry.stop - entry.start).hex()


def _read_end(target: str) -> _About | None:
    """What the end of an index says; None where there is none, or none that is whole and sound."""
    try:
        require_plain(target)
        with Path(target).open("rb") as file:
            size = file.seek(0, os.SEEK_END) - _END_BYTES
            file.seek(max(0, size))
            check, end = file.read(32), file.read(16)
            length = int.from_bytes(end[:8], "little")
            if end[8:] != _MAGIC or length > min(_LARGEST_JSON, size):
                return None
            if _digest_of(file, size) != check:
                return None
            file.seek(size - length)
            fields: Any = json.loads(file.read(length))
        about = _About(**fields)
    except (OSError, FormatError, ValueError, TypeError):
        return None
    return about if about.n_bytes == size - length else None


def _digest_of(file: BinaryIO, size: int) -> bytes:
    """The sha256 of the first `size` bytes."""
    digest = hashlib.sha256()
    file.seek(0)
    while size > 0 and (block := file.read(min(size, _BLOCK_BYTES))):
        digest.update(block)
        size -= len(block)
    return digest.digest()
