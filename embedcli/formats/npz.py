"""``npz``: words and vectors in an archive that ``numpy.savez`` wrote; only read.

    vectors     floats (V, D), by any name if it is the only such array
    words       text or bytes (V,), by any name; objects are read without running them
    counts      whole numbers (V,), if there are any

Memory is taken for what an array holds, not for what its header says.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final

import numpy as np

from embedcli.embeddings import Embeddings
from embedcli.errors import FormatError
from embedcli.files.source import Made, Source
from embedcli.formats.arrays import DAMAGE, load_packed_array, read_header, told
from embedcli.formats.pickled import read_pickle
from embedcli.formats.pickled_arrays import ARRAY_GLOBALS, array_of
from embedcli.formats.row_words import embeddings_of
from embedcli.quoting import quoted
from embedcli.settings.reading import ReadingOptions

__all__ = ["read"]

_BLOCK_BYTES: Final = 1 << 23
_MOST_ARRAYS: Final = 64
_VECTORS: Final = ("vectors", "embeddings", "embedding", "syn0", "weights")
_WORDS: Final = ("words", "vocab", "vocabulary", "tokens", "index_to_key", "index2word")
_COUNTS: Final = ("counts", "count", "freqs", "frequencies")


def read(source: Source, reading: ReadingOptions) -> Embeddings:
    """Read words, vectors and counts.

    Raises:
        FormatError: damaged, a pipe, or without arrays that are clearly these.
    """
    source.plain_size("an .npz")
    path, kinds = Path(source.path), _kinds(source.path)
    vectors = _chosen(source.path, kinds, _VECTORS, lambda shape, k: len(shape) == 2 and k == "f")
    n_rows = kinds[vectors][0][0]
    words = _chosen(source.path, kinds, _WORDS, lambda shape, k: shape == (n_rows,) and k in "USO")
    counts = [
        n for n, (shape, k) in kinds.items() if n in _COUNTS and shape == (n_rows,) and k in "iu"
    ]
    tally = load_packed_array(path, counts[0]).astype(np.int64) if counts else None
    texts = [_encoded(text) for text in _texts(source.path, words, kinds[words][1])]
    if not texts or any(text is None for text in texts):
        raise FormatError(f"{source.path}: the array {quoted(words)} holds no words")
    with np.errstate(over="ignore"):
        rows = load_packed_array(path, vectors).astype(np.float32, order="C", copy=False)
    if not rows.shape[1]:
        raise FormatError(f"{source.path}: the array {quoted(vectors)} has no columns")
    encoded = [text for text in texts if text is not None]
    return embeddings_of(source.path, encoded, rows, reading, tally)


def _texts(path: str, name: str, kind: str) -> list[Any]:
    """The text of the array `name`; objects are read as a pickle has them."""
    if kind != "O":
        return list(load_packed_array(Path(path), name).tolist())
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as file:
            read_header(file, objects=True)
            objects = array_of(read_pickle(Made(path, None, _blocks(file)), ARRAY_GLOBALS))
            return list(objects.tolist())
    except (*DAMAGE, OSError) as error:
        raise FormatError(f"{path} has no sound array {quoted(name)}: {told(error)}") from error


def _kinds(path: str) -> dict[str, tuple[tuple[int, ...], str]]:
    """The shape and the kind of numbers of each array."""
    found: dict[str, tuple[tuple[int, ...], str]] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist()[:_MOST_ARRAYS]:
                with archive.open(info) as file:
                    shape, _, kind = read_header(file, objects=True)
                    found[info.filename.removesuffix(".npy")] = shape, kind.kind
    except (*DAMAGE, OSError) as error:
        raise FormatError(f"{path} is a damaged .npz archive: {told(error)}") from error
    return found


def _chosen(
    path: str, kinds: dict[str, tuple[tuple[int, ...], str]], names: tuple[str, ...], fits: Any
) -> str:
    """The array called by one of `names`, or the only one that fits."""
    able = [name for name, (shape, kind) in kinds.items() if fits(shape, kind)]
    named = [name for name in names if name in able]
    if named or len(able) == 1:
        return (named or able)[0]
    held = ", ".join(f"{quoted(name)} {kind}{list(shape)}" for name, (shape, kind) in kinds.items())
    raise FormatError(f"{path} has no array that is clearly the {names[0]}; it has {held}")


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    while block := file.read(_BLOCK_BYTES):
        yield block


def _encoded(text: Any) -> bytes | None:
    if isinstance(text, str):
        return text.encode("utf-8", "surrogatepass")
    return text if isinstance(text, bytes) else None
