"""Reads a new file back before it replaces the old one.

A file that its own reader refuses, or reads as something else, is never published: the old one
stays. What the reader gives is held against what was to be written: every word, and every bit of
what the format keeps. Rounded numbers are held against the same rounding; of product quantisation,
which takes long to repeat, the lengths are compared. Where there is no memory for a second matrix,
only the bytes are read back (`files/publish.py`), which is warned of.
"""

from __future__ import annotations

import os
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedcli.embeddings import Embeddings
from embedcli.errors import EmbedError, OutputError
from embedcli.files.memory import available_memory
from embedcli.files.source import Source
from embedcli.files.targets import readable_size
from embedcli.formats import native
from embedcli.formats.narrow import row_blocks, widened
from embedcli.formats.registry import Folder, Format
from embedcli.formats.vocab import read_vocab
from embedcli.settings.reading import STRICT
from embedcli.vocabulary import Vocabulary

__all__ = ["check_read_back"]


def check_read_back(
    entry: Format | Folder,
    embeddings: Embeddings,
    dtype: str,
    written: str | os.PathLike[str],
    target: str | os.PathLike[str],
    weights: NDArray[np.float32] | None = None,
) -> None:
    """Read what was written of `embeddings` and compare.

    Args:
        entry: the format it was written in.
        embeddings: what was to be written.
        dtype: as which.
        written: where it lies now.
        target: where it is to be published, for messages.
        weights: float32 (V,), what a reader multiplies the vectors by.

    Raises:
        OutputError: it cannot be read, or is not what was to be written.
    """
    needed, left = _memory(entry, embeddings, dtype), available_memory()
    if needed > left // 2:
        warnings.warn(
            f"{os.fspath(target)}: its bytes are read back, but not what they mean: that takes "
            f"{readable_size(needed)} of memory, and {readable_size(left)} are left",
            stacklevel=3,
        )
        return
    try:
        if isinstance(entry, Folder):
            read = entry.read(Path(written), STRICT)
            difference = _difference(entry, embeddings, read, dtype, weights)
        elif entry.read is None:
            difference = _of_vocabularies(embeddings.vocabulary, read_vocab(written), counts=True)
        else:
            with Source(written) as source:
                read = entry.read(source, STRICT)
                difference = _difference(entry, embeddings, read, dtype)
    except EmbedError as error:
        difference = str(error).replace(os.fspath(written), "it")
    if difference is not None:
        raise OutputError(
            f"cannot write {os.fspath(target)}: what was written as {entry.name} does not read "
            f"back as it should ({difference}); what was there before is untouched"
        )


def _memory(entry: Format | Folder, embeddings: Embeddings, dtype: str) -> int:
    """Bytes of memory that reading takes; about, and none for what is mapped."""
    if not entry.read or (dtype == "float32" and entry.mapped):
        return 0
    n_rows, subwords = len(embeddings), embeddings.subwords
    if isinstance(entry, Format) and entry.subwords and subwords is not None:
        # the words' rows, their outputs and vectors; and fastText keeps a row for every bucket
        n_rows = 3 * n_rows + (len(subwords.rows) if entry.lossless else subwords.units.count)
    return 4 * embeddings.dim * n_rows


def _difference(
    entry: Format | Folder,
    expected: Embeddings,
    read: Embeddings,
    dtype: str,
    weights: NDArray[np.float32] | None = None,
) -> str | None:
    """What the first thing is that differs; None for nothing."""
    lossless = isinstance(entry, Format) and entry.lossless
    if found := _of_vocabularies(expected.vocabulary, read.vocabulary, counts=lossless):
        return found
    if read.vectors.shape != expected.vectors.shape:
        return f"vectors {read.vectors.shape}, not {expected.vectors.shape}"
    if dtype.startswith("pq"):
        near = np.allclose(read.norms, expected.norms, rtol=1e-3)
        return None if near else "the lengths of the vectors differ"
    if lossless or dtype != "int8":  # model2vec's int8 keeps directions only
        expected = widened(expected, dtype)
        if weights is not None:
            expected = replace(expected, vectors=expected.vectors * weights[:, None])
        pairs = _rows_of(expected, read, has_made=not lossless)
        for name, (one, other) in pairs.items():
            if not _same_bits(one, other):
                return f"the {name} differ"
    if lossless and expected.labels != read.labels:
        return "the labels differ"
    if lossless and native.metadata(expected)["meta"] != native.metadata(read)["meta"]:
        return "what is said of how it was made differs"
    return None


def _rows_of(
    expected: Embeddings, read: Embeddings, *, has_made: bool
) -> dict[str, tuple[NDArray[Any] | None, NDArray[Any] | None]]:
    """The rows that must be equal; those the reader makes of others need not be compared."""
    one, other = expected.subwords, read.subwords
    if has_made and (one is None or other is None):
        return {"vectors": (expected.vectors, read.vectors)}
    pairs: dict[str, tuple[NDArray[Any] | None, NDArray[Any] | None]] = {}
    if one is not None and other is not None:
        rows = other.rows[np.searchsorted(other.ids, one.ids)]
        pairs = {"rows of words": (one.word_rows, other.word_rows), "subwords": (one.rows, rows)}
    if not has_made:
        pairs["vectors"] = (expected.vectors, read.vectors)
        pairs["output vectors"] = (expected.output_vectors, read.output_vectors)
    return pairs


def _of_vocabularies(expected: Vocabulary, read: Vocabulary, *, counts: bool) -> str | None:
    if expected != read:
        return f"{len(read)} words, not the {len(expected)} there should be"
    one, other = expected.counts, read.counts
    same = one is other if one is None or other is None else np.array_equal(one, other)
    return None if same or not counts else "the counts differ"


def _same_bits(one: NDArray[Any] | None, other: NDArray[Any] | None) -> bool:
    if one is None or other is None:
        return one is other
    if one.shape != other.shape:
        return False
    return all(
        np.array_equal(
            np.ascontiguousarray(one[rows]).view(np.uint32),
            np.ascontiguousarray(other[rows]).view(np.uint32),
        )
        for rows in row_blocks(one)
    )
