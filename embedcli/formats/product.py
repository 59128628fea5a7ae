"""Product quantisation: a vector as M bytes (Jégou, Douze & Schmid 2011).

The D components are cut into M parts of D / M. Each part is replaced by the nearest of 256 centres
that k-means has found for it, and a byte says which. What is quantised is the direction, as that is
what look-ups compare; the length of each vector is kept beside it as a float32.

Writing needs faiss (``pip install 'embedcli[ann]'``), reading does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from embedcli.embeddings import Embeddings
from embedcli.errors import UsageError
from embedcli.lookup.faiss_library import load_faiss

__all__ = ["CENTRES", "Product", "check_parts", "product_bytes", "quantized"]

CENTRES: Final = 256
_TRAINED: Final = CENTRES * 64  # vectors that k-means sees
_ROUNDS: Final = 15  # of k-means
_ROWS: Final = 1 << 14


@dataclass(frozen=True)
class Product:
    """Quantised vectors: row i is the centres that its codes name, times its scale.

    Attributes:
        codes: uint8 (V, M).
        centres: float32 (M, 256, D / M).
        scales: float32 (V,).
    """

    codes: NDArray[np.uint8]
    centres: NDArray[np.float32]
    scales: NDArray[np.float32]

    @property
    def n_bytes(self) -> int:
        """What `vectors` takes."""
        n_parts, _, width = self.centres.shape
        return int(4 * len(self.codes) * n_parts * width)

    def vectors(self) -> NDArray[np.float32]:
        """What they stand for, float32 (V, D)."""
        n_parts, _, width = self.centres.shape
        rows = np.empty((len(self.codes), n_parts, width), np.float32)
        for part in range(n_parts):
            rows[:, part] = self.centres[part][self.codes[:, part]]
        vectors = rows.reshape(len(self.codes), n_parts * width)
        vectors *= self.scales[:, None]
        return vectors


def product_bytes(dtype: str) -> int | None:
    """M of the dtype ``pq-M``; None for any other."""
    name, _, number = dtype.partition("-")
    return int(number) if name == "pq" else None


def check_parts(dim: int, n_bytes: int) -> None:
    """Refuse a number of bytes that `dim` components cannot be shared out to.

    Raises:
        UsageError: lists those that are possible.
    """
    if n_bytes > dim or dim % n_bytes:
        able = [str(n) for n in range(1, dim + 1) if dim % n == 0]
        raise UsageError(
            f"{dim} dimensions cannot be cut into {n_bytes} equal parts; bytes a word may be "
            f"{', '.join(able)}"
        )


def quantized(embeddings: Embeddings, n_bytes: int) -> Product:
    """Quantise the vectors to `n_bytes` bytes each.

    Raises:
        MissingExtraError: faiss is not installed.
        UsageError: D is no multiple of `n_bytes`, or there are fewer than 256 words.
    """
    faiss = load_faiss("product quantisation")
    check_parts(embeddings.dim, n_bytes)
    if len(embeddings) < CENTRES:
        raise UsageError(
            f"{len(embeddings)} words are too few for product quantisation, which needs {CENTRES}"
        )
    quantizer = faiss.ProductQuantizer(embeddings.dim, n_bytes, 8)
    quantizer.cp.min_points_per_centroid = 1  # few words are no reason for a warning
    quantizer.cp.niter = _ROUNDS
    drawn = np.random.default_rng(1).permutation(len(embeddings))[:_TRAINED]
    quantizer.train(_units(embeddings, np.sort(drawn)))
    shape = n_bytes, CENTRES, embeddings.dim // n_bytes
    centres = faiss.vector_to_array(quantizer.centroids).reshape(shape)
    codes = np.empty((len(embeddings), n_bytes), np.uint8)
    for start in range(0, len(codes), _ROWS):
        rows = slice(start, start + _ROWS)
        codes[rows] = quantizer.compute_codes(_units(embeddings, rows))
    return Product(codes, centres, _scales(codes, centres, embeddings.norms))


def _scales(
    codes: NDArray[np.uint8], centres: NDArray[np.float32], norms: NDArray[np.float32]
) -> NDArray[np.float32]:
    """What makes each quantised vector as long as its original."""
    squares = np.square(centres).sum(axis=2)
    lengths = np.sqrt(sum(squares[part][codes[:, part]] for part in range(len(centres))))
    scales = np.zeros_like(norms)
    np.divide(norms, lengths, out=scales, where=lengths > 0)
    return scales


def _units(embeddings: Embeddings, rows: slice | NDArray[np.int64]) -> NDArray[np.float32]:
    vectors, norms = embeddings.vectors[rows], embeddings.norms[rows, None]
    units = np.zeros(vectors.shape, np.float32)
    np.divide(vectors, norms, out=units, where=norms > 0)
    return units
