"""The registry of formats: what each one is called, read and written by, and can hold.

A format is one module and one line here: a `Format` is a file, a `Folder` a directory of files.
Those of other programs that are only read have no `write`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from embedcli.embeddings import Embeddings
from embedcli.errors import UsageError
from embedcli.files.parquet_library import pyarrow
from embedcli.files.publish import Sink
from embedcli.files.source import Source
from embedcli.formats import (
    csv_rows,
    fasttext,
    fasttext_2016,
    fasttext_writing,
    floret,
    gensim_model,
    glove,
    glove_binary,
    model2vec,
    native,
    npy,
    npz,
    parquet,
    projector,
    spacy_vectors,
    sqlite,
    vocab,
    word2vec_binary,
    word2vec_text,
)
from embedcli.formats.checks import check_words
from embedcli.quoting import quoted
from embedcli.settings.reading import ReadingOptions
from embedcli.vocabulary import Vocabulary

__all__ = ["DTYPES", "FORMATS", "VECTOR_FORMATS", "WRITTEN", "Folder", "Format", "named"]


class _Read(Protocol):
    def __call__(self, source: Source, reading: ReadingOptions) -> Embeddings: ...


@dataclass(frozen=True)
class Format:
    """One format that is a file.

    Attributes:
        name: what ``--format`` calls it.
        suffixes: of the files it is written to; the longest match of all formats wins.
        check: refuses words that it cannot hold; by default those that no format can.
        check_units: refuses kinds of subwords that it cannot hold.
        left_out: says what of embeddings it does not hold that its readers might expect.
        check_library: raises where a library is missing that reading and writing need.
        read: reads embeddings; None for vocabulary files, which hold no vectors.
        write: writes embeddings to what `publish` yields; None where it is only read.
        file_size: how many bytes `write` will write, where that is cheap to know.
        lossless: whether counts, output vectors and metadata survive.
        subwords: whether the rows of subwords survive.
        labels: whether the labels of a classifier do, and all that predicts them.
        columns: whether its columns have names, of which ``--word-column`` is one.
        magic: what its files begin with, where that is enough to tell them.
        mapped: whether its float32 vectors are memory-mapped when they are read.
        plain: whether it is read only from a plain file: not packed, not a pipe.
        dtypes: what ``--dtype`` may be.
        write_narrow: writes with another dtype than float32, which comes as the third argument.
    """

    name: str
    suffixes: tuple[str, ...]
    read: _Read | None
    write: Callable[[Embeddings, Sink], None] | None
    file_size: Callable[[Embeddings], int] | None = None
    lossless: bool = False
    subwords: bool = False
    labels: bool = False
    columns: bool = False
    magic: tuple[bytes, ...] = ()
    mapped: bool = False
    plain: bool = False
    dtypes: tuple[str, ...] = ("float32",)
    write_narrow: Callable[[Embeddings, Sink, str], None] | None = None
    check: Callable[[Vocabulary], None] = check_words
    check_units: Callable[[str], None] = lambda kind: None
    check_library: Callable[[], object] = lambda: None
    left_out: Callable[[Embeddings], list[str]] = lambda embeddings: []


@dataclass(frozen=True)
class Folder:
    """One format that is a directory of files.

    Attributes:
        name: what ``--format`` calls it.
        suffixes: of the directories it is written to.
        files: the names of its files; the first two are always there, and tell what it is.
        read: reads embeddings from the directory.
        write: writes them into an empty directory, with the dtype that is the third argument;
            None where it is only read.
        dtypes: what ``--dtype`` may be.
        prose: those of its files that people write too.
        mapped: whether its float32 vectors are memory-mapped when they are read.
        places: the directories in it where the files may be.
        write_weighted: writes a weight for each word too, float32 (V,), the fourth argument.
    """

    name: str
    suffixes: tuple[str, ...]
    files: tuple[str, ...]
    read: Callable[[Path, ReadingOptions], Embeddings]
    write: Callable[[Embeddings, Path, str], None] | None
    dtypes: tuple[str, ...] = ("float32",)
    check: Callable[[Vocabulary], None] = check_words
    prose: tuple[str, ...] = ()
    mapped: bool = False
    places: tuple[str, ...] = ("",)
    write_weighted: Callable[[Embeddings, Path, str, NDArray[np.float32]], None] | None = None


DTYPES: Final = ("float32", "float16", "int8")


def _write_vocab(embeddings: Embeddings, sink: Sink) -> None:
    vocab.write(embeddings.vocabulary, sink)


def _read_fasttext(source: Source, reading: ReadingOptions) -> Embeddings:
    if not fasttext.is_supervised(source.head):
        return fasttext.read(source, reading)
    from embedcli.formats.fasttext_supervised import read  # which loads Numba

    return read(source, reading)


FORMATS: Final[Mapping[str, Format | Folder]] = {
    entry.name: entry
    for entry in (
        Format(
            "safetensors",
            (".safetensors",),
            native.read,
            native.write,
            native.file_size,
            lossless=True,
            subwords=True,
            labels=True,
            mapped=True,
            plain=True,
            dtypes=(*DTYPES, "pq"),
            write_narrow=native.write_narrow,
            check=native.check,
        ),
        Format(
            "word2vec",
            (".vec", ".txt"),
            word2vec_text.read,
            word2vec_text.write,
            check=word2vec_text.check,
        ),
        Format(
            "word2vec-bin",
            (".bin",),
            word2vec_binary.read,
            word2vec_binary.write,
            word2vec_binary.file_size,
            check=word2vec_binary.check,
        ),
        Format(
            "fasttext",
            (".fasttext.bin", ".fasttext"),
            _read_fasttext,
            fasttext_writing.write,
            fasttext_writing.file_size,
            subwords=True,
            labels=True,
            magic=(fasttext.MAGIC,),
            check=fasttext_writing.check,
            check_units=fasttext_writing.check_units,
            left_out=fasttext_writing.left_out,
        ),
        Format("glove", (".glove.txt", ".glove"), glove.read, glove.write, check=glove.check),
        Format(
            "parquet",
            (".parquet",),
            parquet.read,
            parquet.write,
            columns=True,
            # The magic number, and the first byte of the first page's header.
            magic=(b"PAR1\x15",),
            plain=True,
            dtypes=("float32", "float16"),
            write_narrow=parquet.write_narrow,
            check_library=pyarrow,
        ),
        Format(
            "sqlite",
            (".sqlite", ".db"),
            sqlite.read,
            sqlite.write,
            magic=(b"SQLite format 3\x00",),
            plain=True,
        ),
        Folder(
            "model2vec",
            (".model2vec",),
            model2vec.FILES,
            model2vec.read,
            model2vec.write,
            DTYPES,
            model2vec.check,
            prose=("README.md",),
            mapped=True,
            places=model2vec.PLACES,
            write_weighted=model2vec.write,
        ),
        Folder(
            "npy",
            (".npydir",),
            npy.FILES,
            npy.read,
            npy.write,
            ("float32", "float16"),
            npy.check,
            mapped=True,
        ),
        Folder(
            "projector",
            (".projector",),
            projector.FILES,
            projector.read,
            projector.write,
            check=projector.check,
        ),
        Format("gensim", (), gensim_model.read, None, magic=gensim_model.PICKLES),
        Folder(
            "spacy", (), spacy_vectors.FILES, spacy_vectors.read, None, places=spacy_vectors.PLACES
        ),
        Format("floret", (), floret.read, None),
        Format("glove-bin", (), glove_binary.read, None, plain=True),
        Format("npz", (), npz.read, None, magic=(b"PK\x03\x04",), plain=True),  # others: `Source`
        Format("csv", (), csv_rows.read, None, columns=True),
        Format("fasttext-2016", (), fasttext_2016.read, None),
        Format("vocab", (".vocab.txt", ".vocab"), None, _write_vocab, check=vocab.check),
    )
}

WRITTEN: Final = tuple(name for name, entry in FORMATS.items() if entry.write)
VECTOR_FORMATS: Final = tuple(name for name in WRITTEN if FORMATS[name].read)


def named(name: str) -> Format | Folder:
    """The format called `name`.

    Raises:
        UsageError: there is none; lists all.
    """
    if name not in FORMATS:
        raise UsageError(f"there is no format {quoted(name)}; there are {', '.join(FORMATS)}")
    return FORMATS[name]
