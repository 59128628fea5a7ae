"""A map of words as a file of any kind: where they are, their colours, and the picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from embedcli.embeddings import Embeddings
from embedcli.errors import UsageError
from embedcli.lookup.kmeans import classes
from embedcli.maps.figures import draw_map
from embedcli.maps.layout import lay_out
from embedcli.maps.page import make_page
from embedcli.quoting import escaped, quoted

__all__ = ["class_names", "draw_words", "kind_of"]

_KINDS: Final = ("html", "png", "svg", "pdf")
_NAMED_BY: Final = 3


def kind_of(path: str, *, may_be_page: bool = True) -> str:
    """The kind of picture that the suffix of `path` means: ``html``, ``png``, ``svg`` or ``pdf``.

    Raises:
        UsageError: it means none of these.
    """
    kind = Path(path).suffix.removeprefix(".").lower()
    if kind not in _KINDS or (kind == "html" and not may_be_page):
        known = ", ".join(f".{k}" for k in _KINDS[not may_be_page :])
        raise UsageError(f"cannot tell a picture from the name {quoted(path)}: use {known}")
    return kind


def draw_words(
    embeddings: Embeddings,
    kind: str,
    groups: Sequence[str],
    title: str,
    *,
    layout: str = "pca",
    colored_by: str = "class",
    k: int = 10,
    seed: int = 1,
) -> bytes:
    """A map of all words of `embeddings`, as the bytes of a file.

    Args:
        embeddings: the words shown, most frequent first.
        kind: ``html``, a page to look around in, or ``png``, ``svg`` or ``pdf``.
        groups: for each word the name of its group, which decides its colour.
        title: of the picture.
        layout: ``pca`` or ``umap``.
        colored_by: what the groups are.
        k: neighbours that the page shows for a word.
        seed: of the layout.

    Raises:
        MissingExtraError: a library for this kind or layout is not installed.
    """
    places = lay_out(embeddings, layout, seed=seed)
    if kind == "html":
        page = make_page(embeddings, places, groups, title=title, colored_by=colored_by, k=k)
        return page.encode(errors="backslashreplace")  # bytes that are not UTF-8, as in JSON
    number = {name: i for i, name in enumerate(dict.fromkeys(groups))}
    words = [escaped(word) for word in embeddings.vocabulary.words]
    return draw_map(places, words, [number[g] for g in groups], title, kind)


def class_names(embeddings: Embeddings, n_classes: int, seed: int = 1) -> list[str]:
    """For each word its class, called by a number and its three most frequent words."""
    words = embeddings.vocabulary.words
    belongs = classes(embeddings, min(n_classes, len(words)), seed=seed)[0].tolist()
    first: dict[int, list[str]] = {}
    for word, number in zip(words, belongs, strict=True):
        if len(first.setdefault(number, [])) < _NAMED_BY:
            first[number].append(word)
    names = {number: f"{number}: {', '.join(found)}" for number, found in first.items()}
    return [names[number] for number in belongs]
