"""Approximate nearest neighbours by faiss: candidates from an index, scores from the model itself.

An index holds the unit vectors of a model in fewer bytes and in one of two orders:

    ivf     in lists around about 2 sqrt(V) centres; a search looks into the lists nearest to it
            (Jégou, Douze & Schmid 2011). Two components are 4 bits, by product quantisation, whose
            tables of 16 distances fit a register (André, Kermarrec & Le Scouarnec 2015): so little
            is told apart by them, and many candidates are asked for, but they are found very fast.
    hnsw    as a graph of neighbours of neighbours (Malkov & Yashunin 2018), 8 bits a component.
            Slow to build.

What it finds are candidates. They are scored again in float64 by the model's own vectors, so that
every cosine is exact and only a neighbour may be missing. How many are is measured when an index is
built, by asking 1,000 of its words both ways; it is searched harder, or more candidates are scored,
whichever finds more, until `TARGET` of the ten nearest are found.

Needs faiss (``pip install 'embedcli[ann]'``). Their files: `index_files.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from embedcli.embeddings import Embeddings
from embedcli.lookup.exact import best_of, nearest, unit_rows
from embedcli.lookup.faiss_library import load_faiss
from embedcli.progress import OnProgress, Progress, ignore_progress

__all__ = ["KINDS", "TARGET", "Index", "build_index"]

KINDS: Final = ("ivf", "hnsw")
TARGET: Final = 0.99
WORTH: Final = 0.001  # of recall: less is not worth searching twice as hard
ASKED: Final = 1000  # words whose neighbours are compared
FREQUENT: Final = 30_000  # half of them are among so many: they are asked most, and found least
NEAREST: Final = 10  # of each

_LEAST_SPARE: Final = 2
_MOST_SPARE: Final = 64
_LEAST_CANDIDATES: Final = 32
_FEW: Final = 1000  # words, too few to learn codes from
_ROWS: Final = 1 << 14
_TRAINED: Final = 50  # vectors for each centre that k-means sees; faiss warns below 39
_LINKS: Final = 32  # of a word in the graph

Ids = NDArray[np.int64]
Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Index:
    """An index of a model, and how hard it is searched.

    Attributes:
        embeddings: the model, whose vectors score the candidates.
        kind: one of `KINDS`.
        searcher: faiss's own object.
        effort: lists looked into (ivf), or words kept in view (hnsw).
        spare: candidates scored for each neighbour asked for: codes mistake the order of near ones.
        recall: the share, 0 to 1, of the ten nearest neighbours that are found.
    """

    embeddings: Embeddings
    kind: str
    searcher: Any
    effort: int = 0
    spare: int = _LEAST_SPARE
    recall: float = -1.0

    def nearest(
        self,
        queries: NDArray[np.floating],
        k: int,
        *,
        excluded: Sequence[Iterable[int]] | None = None,
    ) -> tuple[Ids, Doubles]:
        """As `exact.nearest`, but a neighbour may be missing.

        Args:
            queries: (Q, D).
            k: how many neighbours a query gets, at most.
            excluded: for each query the ids that must not be answered.

        Returns:
            ids, int64 (Q, k), best first, and exact cosines, float64 (Q, k).
        """
        banned = [list(each) for each in excluded or [()] * len(queries)]
        wanted = k + max(map(len, banned), default=0)
        candidates = min(len(self.embeddings), max(_LEAST_CANDIDATES, self.spare * wanted))
        units = np.ascontiguousarray(unit_rows(queries), np.float32)
        _, found = self.searcher.search(units, candidates, params=self._parameters(candidates))
        model = self.embeddings
        return best_of(model.vectors, model.norms, queries, found, k, excluded=banned)

    def _parameters(self, candidates: int) -> Any:
        faiss = load_faiss("--index")
        if self.kind == "ivf":
            return faiss.SearchParametersIVF(nprobe=self.effort)
        return faiss.SearchParametersHNSW(efSearch=max(self.effort, candidates))


def build_index(
    embeddings: Embeddings, kind: str, *, on_progress: OnProgress = ignore_progress
) -> Index:
    """Index all words, and find out how hard the index must be searched.

    Args:
        embeddings: V words x D.
        kind: one of `KINDS`.
        on_progress: called with `Progress` reports of rows.

    Raises:
        MissingExtraError: faiss is not installed.
        InputError: a vector is not finite.
    """
    faiss = load_faiss("--index")
    n_words, dim = embeddings.vectors.shape
    lists = max(1, min(int(2 * math.sqrt(n_words)), n_words // _TRAINED))
    codes = "SQ8" if n_words < _FEW else f"PQ{dim if dim % 2 else dim // 2}x4fs"
    recipe = f"IVF{lists},{codes}" if kind == "ivf" else f"HNSW{_LINKS},SQ8"
    searcher = faiss.index_factory(dim, recipe, faiss.METRIC_INNER_PRODUCT)
    with _one_thread(faiss):
        searcher.train(_units(embeddings, _sample(n_words, _TRAINED * lists)))
    for rows in _blocks(n_words):
        on_progress(Progress("indexing", rows.start, n_words))
        searcher.add(_units(embeddings, rows))
    return _tuned(Index(embeddings, kind, searcher), most=lists if kind == "ivf" else n_words)


def _tuned(index: Index, most: int) -> Index:
    """The index, searched just so hard that it finds `TARGET` of what there is, if it can."""
    model, n_words = index.embeddings, len(index.embeddings)
    pools = n_words, min(n_words, FREQUENT)
    asked = np.unique(np.concatenate([_sample(pool, ASKED // 2) for pool in pools]))
    queries, itself = model.vectors[asked], asked[:, None].tolist()
    true, _ = nearest(model.vectors, model.norms, queries, NEAREST, excluded=itself)

    def measured(effort: int, spare: int) -> Index:
        tried = replace(index, effort=min(effort, most), spare=min(spare, _MOST_SPARE))
        found, _ = tried.nearest(queries, NEAREST, excluded=itself)
        return replace(tried, recall=_shared(true, found))

    least = 1 if index.kind == "ivf" else _LEAST_CANDIDATES  # less would be the same
    best = measured(least, _LEAST_SPARE)
    while best.recall < TARGET:
        farther = measured(2 * best.effort, best.spare)
        longer = measured(best.effort, 2 * best.spare)
        better = max(farther, longer, key=lambda tried: tried.recall)
        if better.recall < best.recall + WORTH:  # no way leads to what is still missing
            break
        best = better
    return best


@contextmanager
def _one_thread(faiss: Any) -> Iterator[None]:
    """Learning codes is thousands of steps too short for several threads, which spin between them.

    With two on two busy cores it took 8.4 s of processor time, with one 0.5 s.
    """
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(threads)


def _shared(true: Ids, found: Ids) -> float:
    """The share of the ids in the rows of `true`, -1 left out, that the rows of `found` hold."""
    there = (true[:, :, None] == found[:, None, :]).any(axis=2) & (true >= 0)
    return float(there.sum() / max(1, (true >= 0).sum()))


def _sample(n_words: int, n: int) -> Ids:
    """At most `n` ids drawn from all, in rising order; the same ones every time."""
    drawn = np.random.default_rng(1).choice(n_words, min(n, n_words), replace=False)
    return np.sort(drawn).astype(np.int64)


def _blocks(n_words: int) -> Iterator[slice]:
    for start in range(0, n_words, _ROWS):
        yield slice(start, min(start + _ROWS, n_words))


def _units(embeddings: Embeddings, rows: slice | Ids) -> NDArray[np.float32]:
    return np.ascontiguousarray(unit_rows(embeddings.vectors[rows]), np.float32)
