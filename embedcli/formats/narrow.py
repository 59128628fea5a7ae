"""Vectors in fewer bytes: float16, int8 (and, in `product.py`, fewer still), and back to float32.

float16 keeps 11 significant bits of each number. int8 keeps, for each row, 255 steps between plus
and minus its largest component, and that component / 127 as the row's scale: the step is small for
a short vector, and direction and length both survive. What either costs is measured by
`spaces/overlap.py`, not promised here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from embedcli.embeddings import Embeddings
from embedcli.errors import FormatError
from embedcli.formats.product import product_bytes, quantized
from embedcli.quoting import quoted

__all__ = [
    "FLOAT16_LIMIT",
    "from_int8",
    "narrowed",
    "row_blocks",
    "to_float16",
    "to_int8",
    "wide",
    "widened",
]

FLOAT16_LIMIT: Final = float(np.finfo(np.float16).max)
_BLOCK_BYTES: Final = 1 << 22
_STEPS: Final = 127

Narrow = tuple[NDArray[Any], NDArray[np.float32] | None]


def row_blocks(vectors: NDArray[np.float32]) -> Iterator[slice]:
    """Yield slices of rows, (n, D) float32, a few megabytes each."""
    rows = max(1, _BLOCK_BYTES // (4 * max(1, vectors.shape[1])))
    for start in range(0, len(vectors), rows):
        yield slice(start, min(start + rows, len(vectors)))


def to_float16(embeddings: Embeddings) -> NDArray[np.float16]:
    """The vectors as float16 (V, D).

    Raises:
        FormatError: a component is beyond 65504, the largest float16.
    """
    return _float16(embeddings.vectors, lambda row: quoted(embeddings.vocabulary[row]))


def narrowed(embeddings: Embeddings, dtype: str) -> list[Narrow]:
    """The vectors as ``float16`` or ``int8``; then, with subwords, rows of words and of parts.

    Raises:
        FormatError: as `to_float16`.
    """
    parts: list[tuple[NDArray[np.float32], Callable[[int], str]]] = [
        (embeddings.vectors, lambda row: quoted(embeddings.vocabulary[row]))
    ]
    subwords = embeddings.subwords
    if subwords is not None:
        ids = subwords.ids
        own = lambda row: f"the own row of {quoted(embeddings.vocabulary[row])}"  # noqa: E731
        parts += [(subwords.word_rows, own), (subwords.rows, lambda row: f"subword {ids[row]}")]
    if dtype == "int8":
        return [to_int8(rows) for rows, _ in parts]
    return [(_float16(rows, named), None) for rows, named in parts]


def wide(rows: NDArray[Any], scales: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """Narrow rows as float32: those of `to_int8` with their scales, all others without."""
    return rows.astype(np.float32) if scales is None else from_int8(rows, scales)


def _float16(vectors: NDArray[np.float32], named: Callable[[int], str]) -> NDArray[np.float16]:
    narrow = np.empty(vectors.shape, np.float16)
    for rows in row_blocks(vectors):
        block = vectors[rows]
        largest = np.abs(block).max(axis=1)
        if largest.max() > FLOAT16_LIMIT:
            row = rows.start + int(largest.argmax())
            raise FormatError(
                f"cannot save {named(row)} (row {row + 1}) as float16: it has a "
                f"component of {largest.max():g}, and float16 ends at {FLOAT16_LIMIT:g}"
            )
        narrow[rows] = block
    return narrow


def to_int8(vectors: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Codes int8 (V, D) and scales float32 (V,): row i is about ``codes[i] * scales[i]``."""
    codes = np.empty(vectors.shape, np.int8)
    scales = np.empty(len(vectors), np.float32)
    for rows in row_blocks(vectors):
        block = vectors[rows]
        scales[rows] = np.abs(block).max(axis=1) / np.float32(_STEPS)
        # a scale below the smallest normal number has lost its digits: such a row is as good as 0
        scales[rows][scales[rows] < np.finfo(np.float32).tiny] = 0
        inverse = np.divide(
            1, scales[rows], out=np.zeros_like(scales[rows]), where=scales[rows] > 0
        )
        codes[rows] = np.clip(np.rint(block * inverse[:, None]), -_STEPS, _STEPS)
    return codes, scales


def from_int8(codes: NDArray[np.int8], scales: NDArray[np.float32]) -> NDArray[np.float32]:
    """The vectors that `codes` and `scales` stand for, float32 (V, D)."""
    vectors = codes.astype(np.float32)
    vectors *= scales[:, None]
    return vectors


def widened(embeddings: Embeddings, dtype: str) -> Embeddings:
    """The embeddings as a reader of a file of `dtype` gets them: rounded, float32 again."""
    subwords = None
    if (n_bytes := product_bytes(dtype)) is not None:
        vectors = quantized(embeddings, n_bytes).vectors()
    elif dtype == "float32":
        return embeddings
    else:
        vectors, *more = (wide(*part) for part in narrowed(embeddings, dtype))
        if embeddings.subwords is not None:
            own, rows = more
            subwords = replace(embeddings.subwords, word_rows=own, rows=rows)
    return replace(embeddings, vectors=vectors, output_vectors=None, labels=None, subwords=subwords)
