"""Fewer dimensions by principal components.

The matrix (V, D) is multiplied by the eigenvectors of its D x D matrix of products that belong to
the largest eigenvalues. The mean is not subtracted: among all ways to N dimensions this one keeps
the inner products of words, which cosines are made of, best in the sense of least squares
(Eckart & Young 1936), and every word keeps its direction as seen from the origin.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from embedcli.embeddings import Embeddings
from embedcli.errors import UsageError

__all__ = ["principal_axes", "reduce_dim"]

_ROWS = 1 << 14


def reduce_dim(embeddings: Embeddings, dim: int) -> tuple[Embeddings, float]:
    """Turn the vectors onto their `dim` strongest axes.

    Args:
        embeddings: the model, D dimensions.
        dim: 1 to D. With D it is a rotation, after which the first n dimensions are the best n.

    Returns:
        The embeddings, float32 (V, dim), without output vectors; and the share, 0 to 1, of the sum
        of squares that is left.

    Raises:
        UsageError: `dim` is more than D.
    """
    if dim > embeddings.dim:
        raise UsageError(f"--dim {dim} is more than the {embeddings.dim} dimensions there are")
    axes, strengths = principal_axes(embeddings.vectors)
    vectors = np.empty((len(embeddings), dim), np.float32)
    for start in range(0, len(vectors), _ROWS):
        block = embeddings.vectors[start : start + _ROWS].astype(np.float64)
        vectors[start : start + _ROWS] = block @ axes[:, :dim]
    kept = float(strengths[:dim].sum() / strengths.sum()) if strengths.any() else 1.0
    note = {"reduced": {"from": embeddings.dim, "to": dim, "sum_of_squares_kept": round(kept, 6)}}
    metadata = dict(embeddings.metadata) | note
    subwords = embeddings.subwords and embeddings.subwords.turned(axes[:, :dim])
    return Embeddings(embeddings.vocabulary, vectors, None, metadata, subwords), kept


def principal_axes(
    vectors: NDArray[np.float32],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The axes, float64 (D, D), one a column, strongest first; and their sums of squares (D,).

    The sign of an axis is arbitrary by nature; here its largest entry is positive, so that the same
    vectors give the same axes everywhere.
    """
    dim = vectors.shape[1]
    products = np.zeros((dim, dim))
    for start in range(0, len(vectors), _ROWS):
        block = vectors[start : start + _ROWS].astype(np.float64)
        products += block.T @ block
    strengths, axes = np.linalg.eigh(products)
    axes, strengths = axes[:, ::-1], np.maximum(strengths[::-1], 0)
    largest = axes[np.abs(axes).argmax(axis=0), np.arange(dim)]
    return axes * np.where(largest < 0, -1.0, 1.0), strengths
