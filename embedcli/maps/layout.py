"""Words in two dimensions, by principal components or UMAP.

PCA needs nothing and takes no time, and shows only what the two strongest directions hold: a tenth
of 100 dimensions, say. UMAP (McInnes et al. 2018; ``pip install 'embedcli[viz]'``) keeps neighbours
near each other and gives up on everything far; the distance between two groups then means nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from embedcli.embeddings import Embeddings
from embedcli.errors import MissingExtraError, UsageError
from embedcli.lookup.exact import unit_rows
from embedcli.spaces.reduction import principal_axes

__all__ = ["LAYOUTS", "lay_out"]

LAYOUTS = ("pca", "umap")


def lay_out(embeddings: Embeddings, layout: str = "pca", *, seed: int = 1) -> NDArray[np.float32]:
    """Places of the words, float32 (V, 2), each axis from 0 to 1.

    Args:
        embeddings: the words to lay out.
        layout: ``pca`` or ``umap``.
        seed: of UMAP.

    Raises:
        MissingExtraError: UMAP is not installed.
        UsageError: there is no such layout.
    """
    units = unit_rows(embeddings.vectors)
    if layout == "pca":
        centered = (units - units.mean(axis=0)).astype(np.float32)
        axes, _ = principal_axes(centered)
        places = centered @ axes[:, :2]
        if places.shape[1] < 2:  # one dimension
            places = np.concatenate([places, np.zeros_like(places)], axis=1)
    elif layout == "umap":
        places = _umap(units.astype(np.float32), seed)
    else:
        raise UsageError(f"no layout {layout!r}; there are {', '.join(LAYOUTS)}")
    low, high = places.min(axis=0), places.max(axis=0)
    span = np.where(high > low, high - low, 1)
    scaled: NDArray[np.float32] = ((places - low) / span).astype(np.float32)
    return scaled


def _umap(units: NDArray[np.float32], seed: int) -> NDArray[np.float64]:
    import warnings

    try:
        import umap
    except ImportError as error:
        raise MissingExtraError("--layout umap", "umap-learn", "viz") from error
    neighbors = max(2, min(15, len(units) - 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that a seed means one thread
        reducer = umap.UMAP(n_neighbors=neighbors, metric="cosine", random_state=seed)
        return np.asarray(reducer.fit_transform(units), np.float64)
