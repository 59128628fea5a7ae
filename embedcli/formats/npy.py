r"""``npy``: a directory of plain arrays, for NumPy and whatever reads its files.

    vectors.npy               float32 or float16 (V, D), C order: ``np.load(..., mmap_mode="r")``
    words.txt                 V lines, UTF-8, each ended by \n
    counts.npy                int64 (V,), where the counts are known

float32 vectors are memory-mapped when read. Words with a line break are refused when writing.
Output vectors and metadata are not kept.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from embedcli.embeddings import Embeddings
from embedcli.errors import FormatError
from embedcli.files.publish import publish
from embedcli.formats.arrays import load_array
from embedcli.formats.checks import check_savable, check_words
from embedcli.formats.folder_lines import read_lines, refuse_characters, write_lines
from embedcli.formats.narrow import to_float16
from embedcli.formats.row_words import embeddings_of
from embedcli.settings.reading import ReadingOptions
from embedcli.vocabulary import Vocabulary

__all__ = ["FILES", "check", "read", "write", "write_array"]

FILES: Final = ("vectors.npy", "words.txt", "counts.npy")
_BLOCK_ROWS: Final = 1 << 14


def check(vocabulary: Vocabulary) -> None:
    """Refuse words that could not be read back: `write` would."""
    check_words(vocabulary)
    refuse_characters(vocabulary.words, "npy", "\r\n")


def write(embeddings: Embeddings, folder: Path, dtype: str) -> None:
    """Write the files into the empty `folder`; `dtype` is ``float32`` or ``float16``.

    Raises:
        FormatError: a word that could not be read back, or a number that is not finite.
    """
    check(embeddings.vocabulary)
    check_savable(embeddings)
    narrow = dtype == "float16"
    write_array(folder / FILES[0], to_float16(embeddings) if narrow else embeddings.vectors)
    write_lines(folder / FILES[1], embeddings.vocabulary.words)
    if embeddings.vocabulary.counts is not None:
        write_array(folder / FILES[2], embeddings.vocabulary.counts)


def read(folder: Path, reading: ReadingOptions) -> Embeddings:
    """Read the files; float32 vectors stay on the disk until they are used.

    Raises:
        FormatError: a file is damaged, or they do not belong together.
    """
    vectors = load_array(folder / FILES[0])
    if vectors.ndim != 2 or vectors.dtype not in (np.float32, np.float16, np.float64):
        raise FormatError(
            f"{folder / FILES[0]} is {vectors.dtype} {vectors.shape}, not float (V, D)"
        )
    words = read_lines(folder / FILES[1])
    if len(words) != len(vectors):
        raise FormatError(f"{folder}: {len(vectors)} vectors, but {len(words)} words")
    counts = None
    if (folder / FILES[2]).exists():
        counts = np.asarray(load_array(folder / FILES[2]))
        if counts.shape != (len(words),) or counts.dtype != np.int64:
            raise FormatError(
                f"{folder / FILES[2]} is {counts.dtype} {counts.shape}, not int64 (V,)"
            )
    stop = reading.until_limit(len(words))
    plain = vectors[:stop].astype(np.float32, order="C", copy=False)
    counts = None if counts is None else counts[:stop]
    return embeddings_of(str(folder), words[:stop], plain, reading, counts)


def write_array(path: str | os.PathLike[str], array: NDArray[Any]) -> None:
    """Publish one array as a ``.npy`` file; rows may be padded or mapped."""
    header = io.BytesIO()
    little = array.dtype.newbyteorder("<")
    described = {"descr": little.str, "fortran_order": False, "shape": array.shape}
    np.lib.format.write_array_header_1_0(header, described)
    with publish(path) as sink:
        sink.write(header.getvalue())
        for start in range(0, len(array), _BLOCK_ROWS):
            block = np.ascontiguousarray(array[start : start + _BLOCK_ROWS], little)
            sink.write(block.reshape(-1).view(np.uint8).data)
