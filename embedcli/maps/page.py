"""One HTML file to look around in: words, places, neighbours and groups inside, nothing fetched.

The page itself is `page.html`; here the data are put into it: words and names as JSON, numbers as
little-endian arrays in base64, so that 20,000 words with ten neighbours each take 2 MB and open at
once. Words are data from a stranger: they are written as text, never as markup.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedcli.embeddings import Embeddings
from embedcli.quoting import json_text
from embedcli.spaces.overlap import neighbor_ids

__all__ = ["make_page"]

_HOLE = "/*DATA*/null"


def make_page(
    embeddings: Embeddings,
    places: NDArray[np.float32],
    groups: Sequence[str],
    *,
    title: str,
    colored_by: str,
    k: int = 10,
) -> str:
    """The page as HTML.

    Args:
        embeddings: the words shown, most frequent first; neighbours are found among them.
        places: float32 (V, 2), 0 to 1.
        groups: for each word the name of its group, which decides its colour.
        title: of the page.
        colored_by: what the groups are.
        k: neighbours shown for a word.
    """
    k = max(0, min(k, len(embeddings) - 1))
    near = neighbor_ids(embeddings, np.arange(len(embeddings)), k)
    names = sorted(set(groups), key=_natural)
    number = {name: i for i, name in enumerate(names)}
    counts = embeddings.vocabulary.counts
    data = {
        "title": title,
        "coloredBy": colored_by,
        "words": embeddings.vocabulary.words,
        "counts": None if counts is None else counts.tolist(),
        "groups": names,
        "k": k,
        "x": _packed(np.rint(places[:, 0] * 65535), "<u2"),
        "y": _packed(np.rint(places[:, 1] * 65535), "<u2"),
        "group": _packed(np.array([number[g] for g in groups]), "<u4"),
        "near": _packed(near, "<u4"),
        "cosine": _packed(np.rint(_cosines(embeddings, near) * 10000), "<i2"),
    }
    text = json_text(data, separators=(",", ":"))
    text = text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    template = files("embedcli.maps").joinpath("page.html").read_text(encoding="utf-8")
    return template.replace(_HOLE, text)


def _cosines(embeddings: Embeddings, near: NDArray[np.int64]) -> NDArray[np.float64]:
    inverse = 1 / np.maximum(embeddings.norms, np.finfo(np.float32).tiny)
    units = embeddings.vectors * inverse[:, None]
    return np.einsum("vd,vkd->vk", units, units[near]) if near.size else np.zeros(near.shape)


def _packed(numbers: NDArray[Any], kind: str) -> str:
    return base64.b64encode(np.ascontiguousarray(numbers, kind).tobytes()).decode()


def _natural(name: str) -> tuple[int, str]:
    """Names that begin with a number by its size, before the rest."""
    digits = name.partition(":")[0]
    return (int(digits), name) if digits.isdigit() and len(digits) < 10 else (1 << 40, name)
