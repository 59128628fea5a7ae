"""Two spaces brought into one by a rotation, and translation between them.

The rotation is orthogonal Procrustes (Schönemann 1966; Xing et al. 2015): of all
orthogonal matrices W, the one for which the unit vectors of known pairs come nearest, |x W - y|²
summed. It changes no cosine within a space. Translations are ranked by CSLS (Conneau et
al. 2018): 2 cos(x, y) - r(x) - r(y), r being the mean cosine to the `DENSITY` nearest words of the
other space, which keeps words that are near to everything from being the answer to everything.

Known pairs come from a dictionary, or are the words that both spaces hold. Refinement takes the
pairs that are each other's best translation among frequent words as the next dictionary, and turns
again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embedcli.embeddings import Embeddings
from embedcli.errors import FormatError, UsageError
from embedcli.lookup.exact import unit_rows

__all__ = [
    "DENSITY",
    "Precision",
    "Translator",
    "identical_pairs",
    "known_pairs",
    "precision",
    "read_dictionary",
    "refine",
    "same_axes",
    "turn",
    "turned",
]

Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]
Ids = NDArray[np.int64]

DENSITY = 10
_BLOCK = 1 << 22  # cosines held at once
_FEWEST = 2


def turn(source: Embeddings, target: Embeddings, pairs: Ids) -> Doubles:
    """The rotation W, float64 (D, D), that brings `source` (its rows times W) to `target`.

    Args:
        source: one space.
        target: the other, of the same dimension.
        pairs: int64 (n, 2), ids in source and target of words that mean the same.

    Raises:
        UsageError: the dimensions differ, or there are too few pairs to tell.
    """
    same_axes(source, target)
    if len(pairs) < _FEWEST:
        raise UsageError(
            f"{len(pairs)} known pairs; give a dictionary of words that both models hold "
            f"(D = {source.dim} or more pairs are wanted)"
        )
    x = unit_rows(source.vectors[pairs[:, 0]])
    y = unit_rows(target.vectors[pairs[:, 1]])
    left, _, right = np.linalg.svd(x.T @ y)
    rotation: Doubles = left @ right
    return rotation


def same_axes(source: Embeddings, target: Embeddings) -> Doubles:
    """The rotation that leaves spaces as they are: float64 (D, D).

    Raises:
        UsageError: the dimensions differ.
    """
    if source.dim != target.dim:
        raise UsageError(f"the dimensions are {source.dim} and {target.dim}, but must be the same")
    return np.eye(source.dim)


def turned(source: Embeddings, rotation: Doubles) -> Embeddings:
    """The space after the rotation: float32, without output vectors."""
    vectors = np.empty(source.vectors.shape, np.float32)
    for start in range(0, len(vectors), 1 << 14):
        block = source.vectors[start : start + (1 << 14)].astype(np.float64)
        vectors[start : start + (1 << 14)] = block @ rotation
    subwords = None if source.subwords is None else source.subwords.turned(rotation)
    metadata = dict(source.metadata) | {"aligned": True}
    return Embeddings(source.vocabulary, vectors, None, metadata, subwords)


def identical_pairs(source: Embeddings, target: Embeddings) -> Ids:
    """Ids of the words that both spaces hold, int64 (n, 2), in the order of `source`."""
    there = {word: i for i, word in enumerate(target.vocabulary.words)}
    found = [(i, there[w]) for i, w in enumerate(source.vocabulary.words) if w in there]
    return np.array(found, np.int64).reshape(-1, 2)


def known_pairs(
    source: Embeddings, target: Embeddings, dictionary: Iterable[tuple[str, str]]
) -> Ids:
    """Ids of the pairs of `dictionary` whose words are both known, int64 (n, 2)."""
    pairs = list(dictionary)
    first = source.vocabulary.find([a for a, _ in pairs])
    second = target.vocabulary.find([b for _, b in pairs])
    known = [(a, b) for a, b in zip(first, second, strict=True) if a is not None and b is not None]
    return np.array(known, np.int64).reshape(-1, 2)


def refine(
    source: Embeddings, target: Embeddings, rotation: Doubles, rounds: int, frequent: int
) -> tuple[Doubles, int]:
    """Turn again `rounds` times, each by the mutual best translations among `frequent` words.

    Returns:
        The rotation, and how many pairs the last round had.
    """
    n_pairs = 0
    for _ in range(rounds):
        translator = Translator(source.head(frequent), target.head(frequent), rotation)
        forth, back = translator.best(), translator.backward().best()
        ids = np.arange(len(forth))
        mutual = back[forth] == ids
        pairs = np.stack([ids[mutual], forth[mutual]], axis=1)
        if len(pairs) < _FEWEST:
            break
        rotation, n_pairs = turn(source, target, pairs), len(pairs)
    return rotation, n_pairs


class Translator:
    """Ranks the words of `target` as translations of words of `source`.

    Args:
        source: where the words come from.
        target: where the answers come from.
        rotation: as `turn` returns it.
        method: ``csls`` or ``cosine``.
    """

    def __init__(
        self, source: Embeddings, target: Embeddings, rotation: Doubles, method: str = "csls"
    ) -> None:
        self._x = (unit_rows(source.vectors) @ rotation).astype(np.float32)
        self._y = unit_rows(target.vectors).astype(np.float32)
        self._rotation = rotation
        # r(x) is the same for all answers to a word, so only r(y) decides
        self._density = _density(self._y, self._x) if method == "csls" else None

    def backward(self) -> Translator:
        """The same from `target` to `source`."""
        other = object.__new__(Translator)
        other._x, other._y, other._rotation = self._y, self._x, self._rotation.T
        other._density = None if self._density is None else _density(other._y, other._x)
        return other

    def best(self) -> Ids:
        """The best translation of every word of `source`, int64 (V,)."""
        return self.ranked(np.arange(len(self._x)), 1)[:, 0]

    def ranked(self, asked: Ids, k: int) -> Ids:
        """The `k` best translations of the words asked, int64 (n, k), best first."""
        return self._best(self._x[asked], k)[0]

    def nearest(self, vectors: Floats, k: int) -> tuple[Ids, Doubles, Doubles]:
        """The `k` best translations of vectors of the source space, float32 (n, D).

        Returns:
            ids, int64 (n, k), best first; what they are ranked by (CSLS with both means taken
            away, or the cosine) and their cosines, float64 (n, k).
        """
        rows = (unit_rows(vectors) @ self._rotation).astype(np.float32)
        found, cosines = self._best(rows, k)
        if self._density is None:
            return found, cosines, cosines
        means = _density(rows, self._y).astype(np.float64)[:, None] + self._density[found]
        return found, 2 * cosines - means, cosines

    def _best(self, rows: Floats, k: int) -> tuple[Ids, Doubles]:
        """The best answers to unit rows of the turned source, and their cosines."""
        k = min(k, len(self._y))
        found = np.empty((len(rows), k), np.int64)
        cosines = np.empty((len(rows), k))
        step = max(1, _BLOCK // len(self._y))
        for start in range(0, len(rows), step):
            block = rows[start : start + step] @ self._y.T
            scores = block if self._density is None else 2 * block - self._density
            top = np.argpartition(-scores, k - 1, axis=1)[:, :k]
            order = np.argsort(-np.take_along_axis(scores, top, 1), axis=1, kind="stable")
            found[start : start + step] = np.take_along_axis(top, order, 1)
            cosines[start : start + step] = np.take_along_axis(
                block, found[start : start + step], 1
            )
        return found, cosines


def _density(of: Floats, among: Floats) -> Floats:
    """The mean cosine of each row to its `DENSITY` nearest rows of `among`, float32 (n,)."""
    k = min(DENSITY, len(among))
    mean = np.empty(len(of), np.float32)
    step = max(1, _BLOCK // len(among))
    for start in range(0, len(of), step):
        cosines = of[start : start + step] @ among.T
        mean[start : start + step] = np.partition(cosines, -k, axis=1)[:, -k:].mean(axis=1)
    return mean


@dataclass(frozen=True)
class Precision:
    """How many words of a test dictionary were translated rightly.

    Attributes:
        at: for each k the percentage whose translation, any of them, is among the k best.
        asked: words asked: those that both models know, with a known translation.
        total: words in the dictionary.
    """

    at: Mapping[int, float]
    asked: int
    total: int


def precision(
    translator: Translator,
    source: Embeddings,
    target: Embeddings,
    dictionary: Sequence[tuple[str, str]],
    ks: Sequence[int] = (1, 5, 10),
) -> Precision | None:
    """Translate the words of `dictionary`; None where none of them is known.

    The spaces are those of the translator.
    """
    right: dict[int, set[int]] = {}
    for a, b in known_pairs(source, target, dictionary).tolist():
        right.setdefault(a, set()).add(b)
    total = len({a for a, _ in dictionary})
    if not right:
        return None
    found = translator.ranked(np.array(list(right), np.int64), max(ks)).tolist()
    hits = {
        k: sum(not right[word].isdisjoint(ids[:k]) for word, ids in zip(right, found, strict=True))
        for k in ks
    }
    return Precision({k: 100 * n / len(right) for k, n in hits.items()}, len(right), total)


def read_dictionary(path: str, skipped: list[str] | None = None) -> list[tuple[str, str]]:
    """Pairs of words, two a line, by white space or a tab.

    Args:
        path: the file.
        skipped: takes what is wrong with lines that are not two words, which then are left out;
            None: they are refused.

    Raises:
        FormatError: it cannot be read, or a line is not two words; with its number.
    """
    try:
        lines = Path(path).read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n")
    except OSError as error:
        raise FormatError(f"{path}: {error.strerror}") from error
    pairs = []
    for number, line in enumerate(lines, 1):
        try:
            pairs += _pair_of(f"{path}, line {number}", line)
        except FormatError as error:
            if skipped is None:
                raise
            skipped.append(str(error))
    if not pairs:
        raise FormatError(f"{path}: not a single pair")
    return pairs


def _pair_of(where: str, line: bytes) -> list[tuple[str, str]]:
    """The two words of a line; nothing of one that is empty."""
    try:
        text = line.decode().rstrip("\r")
    except UnicodeDecodeError as error:
        raise FormatError(f"{where}: byte {error.start} is not UTF-8") from error
    if not text.strip():
        return []
    fields = text.split("\t") if text.count("\t") == 1 else text.split()
    if len(fields) != 2:
        raise FormatError(f"{where}: {len(fields)} words; a pair has 2")
    return [(fields[0].strip(), fields[1].strip())]
