"""Vector files: `load` and `save`, for any format of the registry.

A format is one module with a ``read`` and a ``write``, and one line in `registry.py`. The contract
test in `tests/formats/test_formats.py` then runs over it. Nothing here knows the bytes of a format.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedcli.embeddings import Embeddings
from embedcli.errors import FormatError, UsageError
from embedcli.files.folder import check_folder_writable, publish_folder
from embedcli.files.plain import is_directory
from embedcli.files.publish import check_writable, publish
from embedcli.files.source import Source
from embedcli.formats.detection import detect_format
from embedcli.formats.read_back import check_read_back
from embedcli.formats.registry import (
    DTYPES,
    FORMATS,
    VECTOR_FORMATS,
    WRITTEN,
    Folder,
    Format,
    named,
)
from embedcli.formats.sizes import check_room
from embedcli.quoting import quoted
from embedcli.settings.reading import STRICT, ReadingOptions
from embedcli.vocabulary import Vocabulary, counts_fault

__all__ = [
    "DTYPES",
    "FORMATS",
    "VECTOR_FORMATS",
    "WRITTEN",
    "Folder",
    "Format",
    "check_contents",
    "check_target",
    "detect",
    "format_for_path",
    "keeps_labels",
    "keeps_subwords",
    "left_out",
    "load",
    "load_from",
    "save",
]


def load(
    path: str | os.PathLike[str],
    format: str | None = None,  # noqa: A002 - the name of the public option
    *,
    reading: ReadingOptions = STRICT,
    **options: Any,
) -> Embeddings:
    r"""Read embeddings from a file or directory in any format of `FORMATS`.

    A native file is mapped: opening it does not read the vectors.

    Args:
        path: the file or directory. A file may be a pipe, or compressed with gzip, bzip2, xz or
            zstd; safetensors, Parquet and SQLite need a plain file.
        format: a name in `FORMATS`; None detects the format by content.
        reading: how much is read, and what happens to malformed rows.
        options: fields of `reading` by name: ``limit=100``, ``duplicates="first"``,
            ``encoding="latin-1"``; see `ReadingOptions`.

    Returns:
        Embeddings with float32 (V, D) vectors; the output vectors, counts, subwords and metadata
        if the file holds them.

    Raises:
        FormatError: the file is damaged, in no known format, or holds no vectors.
        InputError: the file cannot be read.
        UsageError: there is no such format or option.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("animals.vec").write_text("2 3\ncat 1 0 0\ndog 0.5 0.5 0\n")
        >>> animals = embedcli.load("animals.vec")
        >>> animals, animals["dog"].tolist()
        (Embeddings(2 words x 3), [0.5, 0.5, 0.0])
        >>> embedcli.load("animals.vec", limit=1).vocabulary.words
        ['cat']
    """
    if format is not None:
        options["format"] = format
    reading = replace(reading, **options)
    if is_directory(path):
        found = _folder_of(Path(path), reading.format).read(Path(path), reading)
        return _limited(_sound(path, found), reading)
    with Source(path) as source:
        return load_from(source, reading.format or detect_format(source), reading)


def load_from(source: Source, name: str, reading: ReadingOptions = STRICT) -> Embeddings:
    """Read embeddings of the format `name` from a source that is open already; see `load`."""
    entry = named(name)
    if isinstance(entry, Folder):
        raise FormatError(f"{source.path} is a file, but {name} is a directory of files")
    if entry.read is None:
        raise FormatError(
            f"{source.path} is a vocabulary file: words and counts, but no vectors "
            f"(if it is not one, name its format)"
        )
    if reading.word_column is not None and not entry.columns:
        able = " and ".join(n for n, e in FORMATS.items() if isinstance(e, Format) and e.columns)
        raise UsageError(f"{source.path} is {name}, which has no named columns; {able} have")
    found = _sound(source.path, entry.read(source, reading))
    if source.padding:
        reading.on_mended(
            f"{source.path}: {source.padding} zero bytes were taken for padding of packed data; if "
            "a part of the file was lost there, vectors are missing"
        )
    return _limited(found, reading)


def _sound(where: str | os.PathLike[str], embeddings: Embeddings) -> Embeddings:
    if not len(embeddings) or embeddings.dim < 1:
        raise FormatError(
            f"{os.fspath(where)} holds no vectors: it has {len(embeddings)} words and "
            f"{embeddings.dim} dimensions"
        )
    counts = embeddings.vocabulary.counts
    fault = None if counts is None else counts_fault(counts)
    if fault is not None:
        raise FormatError(f"{os.fspath(where)} has {fault}")
    return embeddings


def _limited(embeddings: Embeddings, reading: ReadingOptions) -> Embeddings:
    """For formats whose rows cannot be read one by one, or are mapped."""
    wanted = reading.until_limit(len(embeddings))
    return embeddings if wanted == len(embeddings) else embeddings.head(wanted)


def save(
    embeddings: Embeddings,
    path: str | os.PathLike[str],
    format: str | None = None,  # noqa: A002 - the name of the public option
    *,
    dtype: str = "float32",
    weights: NDArray[np.float32] | None = None,
) -> None:
    """Write embeddings to a file or directory.

    The file appears complete or not at all: after an error, `path` holds what it held before. What
    was written is read back and compared before it replaces the old file (`read_back.py`), except
    for pipes and devices.

    Args:
        embeddings: what to write. The vectors may be mapped, and their rows padded.
        path: the file or directory. ``-`` is standard output.
        format: a name in `FORMATS`; None: the suffix of `path` decides.
        dtype: ``float32``, ``float16``, ``int8`` or ``pq-M`` (product quantisation to M bytes), if
            the format has it. All but the first round.
        weights: float32 (V,), the weights of the words in means of their vectors, if the format has
            them. A reader gets vectors that are multiplied by them.

    Raises:
        FormatError: the format cannot hold these embeddings so that they read back the same.
        OutputError: the file cannot be written.
        ResourceError: the disk is too small.
        UsageError: no format has this name or suffix, or the format lacks this dtype or weights.

    Example:
        >>> from pathlib import Path
        >>> import numpy as np
        >>> vocabulary = embedcli.Vocabulary.from_words(["cat", "dog"])
        >>> embeddings = embedcli.Embeddings(vocabulary, np.eye(2, dtype=np.float32))
        >>> embedcli.save(embeddings, "two.vec")
        >>> Path("two.vec").read_text().splitlines()
        ['2 2', 'cat 1.0 0.0', 'dog 0.0 1.0']
    """
    name = check_target(path, format, dtype, weighted=weights is not None)
    entry = named(name)
    size = check_room(embeddings, path, name, dtype)
    if isinstance(entry, Folder):
        with publish_folder(path, entry.files, entry.prose) as folder:
            if weights is not None and entry.write_weighted is not None:
                entry.write_weighted(embeddings, folder, dtype, weights)
            elif entry.write is not None:
                entry.write(embeddings, folder, dtype)
            check_read_back(entry, embeddings, dtype, folder, path, weights)
        return
    with publish(path, size=size, stdout=True) as sink:
        if dtype == "float32" and entry.write is not None:
            entry.write(embeddings, sink)
        elif entry.write_narrow is not None:
            entry.write_narrow(embeddings, sink, dtype)
        sink.flush()
        if sink.path is not None:
            check_read_back(entry, embeddings, dtype, sink.path, path)


def keeps_subwords(name: str, dtype: str = "float32") -> bool:
    """Whether a file of the format `name` holds the rows of subwords."""
    entry = named(name)
    return isinstance(entry, Format) and entry.subwords and not dtype.startswith("pq")


def keeps_labels(name: str, dtype: str = "float32") -> bool:
    """Whether a file of the format `name` holds a classifier: narrow numbers have no outputs."""
    entry = named(name)
    return isinstance(entry, Format) and entry.labels and dtype == "float32"


def left_out(embeddings: Embeddings, name: str, dtype: str = "float32") -> list[str]:
    """What people should be told that a file of the format `name` does not hold of `embeddings`."""
    entry = named(name)
    said = entry.left_out(embeddings) if isinstance(entry, Format) else []
    if embeddings.subwords is not None and not keeps_subwords(name, dtype):
        said.append("without the rows of subwords, so words never seen have no vectors there")
    if embeddings.labels is not None and not keeps_labels(name, dtype):
        said.append("without the labels of the classifier: it predicts none")
    return said


def check_target(
    path: str | os.PathLike[str],
    format: str | None = None,  # noqa: A002 - the name of the public option
    dtype: str = "float32",
    *,
    weighted: bool = False,
) -> str:
    """Return the name of the format that `save` would write; find out before the work if it cannot.

    Raises:
        MissingExtraError, UsageError, OutputError: as `save`.
    """
    name = format or format_for_path(path)
    entry = named(name)
    if entry.write is None:
        raise UsageError(
            f"there is no format {quoted(name)} to write; there are {', '.join(WRITTEN)}"
        )
    if isinstance(entry, Format):
        entry.check_library()
    if weighted and not (isinstance(entry, Folder) and entry.write_weighted):
        able = ", ".join(
            n for n, e in FORMATS.items() if isinstance(e, Folder) and e.write_weighted
        )
        raise UsageError(f"{name} holds no weights of words; formats that do: {able}")
    kind = dtype.partition("-")[0]
    if kind not in entry.dtypes:
        able = ", ".join(n for n, e in FORMATS.items() if kind in e.dtypes) or "none"
        raise UsageError(
            f"{name} holds {' or '.join(entry.dtypes)}, not {dtype}; formats that do: {able}"
        )
    if isinstance(entry, Folder):
        if os.fspath(path) == "-":
            raise UsageError(f"{name} is a directory of files: it cannot go to standard output")
        check_folder_writable(path, entry.files, entry.prose)
    else:
        check_writable(path, stdout=True)
    return name


def check_contents(
    name: str, vocabulary: Vocabulary | None = None, units: str | None = None
) -> None:
    """Refuse what `save` in the format `name` would refuse, as soon as it is known.

    Args:
        name: of the format.
        vocabulary: the words, where they are known.
        units: the kind of subwords, as ``Units.described`` says it, where there are any.

    Raises:
        FormatError: names the word.
    """
    entry = named(name)
    if vocabulary is not None:
        entry.check(vocabulary)
    if units is not None and isinstance(entry, Format):
        entry.check_units(units)


def detect(path: str | os.PathLike[str]) -> str:
    """Return the name of the format of an existing file or directory, told by its content.

    Raises:
        FormatError: it is none that embed reads.
        InputError: it cannot be read.
    """
    if is_directory(path):
        return _folder_of(Path(path), None).name
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
    raise UsageError(f"cannot tell a format from the name {quoted(name)}: use {known}, or --format")


def _folder_of(path: Path, name: str | None) -> Folder:
    """The folder format called `name`, or the one whose files are in the directory."""
    for entry in FORMATS.values():
        if not isinstance(entry, Folder) or (name is not None and name != entry.name):
            continue
        for place in entry.places:
            if all((path / place / file).is_file() for file in entry.files[:2]):
                return entry
    if name is not None and not isinstance(named(name), Folder):
        raise FormatError(f"{path} is a directory, but {name} is a file")
    wanted = [
        f"{' and '.join(entry.files[:2])} ({entry.name})"
        for entry in FORMATS.values()
        if isinstance(entry, Folder) and name in (None, entry.name)
    ]
    raise FormatError(f"{path} is a directory without {', or '.join(wanted)}")
