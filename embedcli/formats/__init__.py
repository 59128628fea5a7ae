"""Vector files: one module per format, the registry of formats, and `load` and `save`.

A format is one module with a ``read`` and a ``write``, and one line in `FORMATS`; the contract test
in `tests/test_formats.py` then runs over it. Nothing here knows the bytes of any format.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from embedcli.embeddings import Embeddings
from embedcli.errors import FormatError, UsageError
from embedcli.formats import glove, native, vocab, word2vec_binary, word2vec_text
from embedcli.formats.detection import detect_format
from embedcli.formats.source import Source
from embedcli.storage.publish import Sink, publish

__all__ = [
    "FORMATS",
    "VECTOR_FORMATS",
    "Format",
    "detect",
    "format_for_path",
    "load",
    "load_from",
    "save",
]


class _Read(Protocol):
    def __call__(self, source: Source, *, decode_errors: str) -> Embeddings: ...


@dataclass(frozen=True)
class Format:
    """One format.

    Attributes:
        name: what ``--format`` calls it.
        suffixes: of the files it is written to; the longest match of all formats wins.
        read: reads embeddings; None for vocabulary files, which hold no vectors.
        write: writes embeddings to what `publish` yields.
        file_size: how many bytes `write` will write, where that is cheap to know.
        lossless: whether counts, output vectors and metadata survive.
    """

    name: str
    suffixes: tuple[str, ...]
    read: _Read | None
    write: Callable[[Embeddings, Sink], None]
    file_size: Callable[[Embeddings], int] | None = None
    lossless: bool = False


def _write_vocab(embeddings: Embeddings, sink: Sink) -> None:
    vocab.write(embeddings.vocabulary, sink)


FORMATS: Final[Mapping[str, Format]] = {
    entry.name: entry
    for entry in (
        Format(
            "safetensors",
            (".safetensors",),
            native.read,
            native.write,
            native.file_size,
            lossless=True,
        ),
        Format("word2vec", (".vec", ".txt"), word2vec_text.read, word2vec_text.write),
        Format(
            "word2vec-bin",
            (".bin",),
            word2vec_binary.read,
            word2vec_binary.write,
            word2vec_binary.file_size,
        ),
        Format("glove", (".glove.txt", ".glove"), glove.read, glove.write),
        Format("vocab", (".vocab.txt", ".vocab"), None, _write_vocab),
    )
}

VECTOR_FORMATS: Final = tuple(name for name, entry in FORMATS.items() if entry.read)


def load(
    path: str | os.PathLike[str],
    format: str | None = None,  # noqa: A002 - the name of the public option
    *,
    decode_errors: str = "strict",
) -> Embeddings:
    """Read embeddings from a file of any format in `FORMATS`.

    Args:
        path: the file; may be a pipe or packed (gzip, bzip2, xz, zstd), but the native format must
            be a plain file, which is then memory-mapped.
        format: a name in `FORMATS`; None tells it by content.
        decode_errors: ``"strict"``, or ``"replace"`` to read words that are not UTF-8.

    Raises:
        FormatError: the file is damaged, of no known format or holds no vectors.
        InputError: it cannot be read.
        UsageError: there is no format of that name.
    """
    with Source(path) as source:
        return load_from(source, format or detect_format(source), decode_errors=decode_errors)


def load_from(source: Source, name: str, *, decode_errors: str = "strict") -> Embeddings:
    """Read embeddings of the format `name` from a source that is open already; see `load`."""
    if decode_errors not in ("strict", "replace"):
        raise UsageError(f"decode_errors is {decode_errors!r}; it may be 'strict' or 'replace'")
    entry = _named(name)
    if entry.read is None:
        raise FormatError(
            f"{source.path} is a vocabulary file: words and counts, but no vectors "
            f"(if it is not one, name its format)"
        )
    return entry.read(source, decode_errors=decode_errors)


def save(
    embeddings: Embeddings,
    path: str | os.PathLike[str],
    format: str | None = None,  # noqa: A002 - the name of the public option
) -> None:
    """Publish embeddings: `path` then holds all of them, or what it held before.

    Args:
        embeddings: what to write; vectors may be memory-mapped or have padded rows.
        path: the file; its suffix decides the format. ``-`` is standard output.
        format: a name in `FORMATS`; None leaves it to the suffix.

    Raises:
        FormatError: the format could not hold this so that it reads back the same.
        OutputError: the file cannot be written.
        UsageError: no format of that name or for that suffix.
    """
    entry = _named(format or format_for_path(path))
    size = entry.file_size(embeddings) if entry.file_size else None
    with publish(path, size=size, stdout=True) as sink:
        entry.write(embeddings, sink)


def detect(path: str | os.PathLike[str]) -> str:
    """Return the name of the format of an existing file, told by its content.

    Raises:
        FormatError: it is none that embed reads.
        InputError: it cannot be read.
    """
    with Source(path) as source:
        return detect_format(source)


def format_for_path(path: str | os.PathLike[str]) -> str:
    """Return the name of the format that the suffix of `path` asks for.

    Raises:
        UsageError: there is none; lists the suffixes.
    """
    name = os.fspath(path).lower()
    matches = [
        (len(suffix), entry.name)
        for entry in FORMATS.values()
        for suffix in entry.suffixes
        if name.endswith(suffix)
    ]
    if matches:
        return max(matches)[1]
    known = ", ".join(suffix for entry in FORMATS.values() for suffix in entry.suffixes)
    raise UsageError(f"cannot tell a format from the name {name!r}: use {known}, or --format")


def _named(name: str) -> Format:
    if name not in FORMATS:
        raise UsageError(f"there is no format {name!r}; there are {', '.join(FORMATS)}")
    return FORMATS[name]
