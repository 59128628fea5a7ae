"""Does a model know what comes next? Hit rate and NDCG of the last item of each line.

Leave-last-out: the history is what precedes the last item, all items of the model but those of the
history are ranked, and the last item has a rank among them. Equal scores share the mean of their
ranks, so that a recommender which gives all items the same score gets what chance would.

    hit rate@k   percent of lines whose answer is among the first k
    NDCG@k       100 x the mean of 1 / log2(1 + rank) where the rank is at most k, else 0
                 (Järvelin & Kekäläinen 2002, with one relevant item)

The baselines are ranked on the same lines among the same items. What they count must not hold the
answers, nor must what the model was trained on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedcli import __version__
from embedcli.embeddings import Embeddings
from embedcli.errors import InputError
from embedcli.evaluation.histories import Lines, cut_last, without_last
from embedcli.evaluation.recommenders import Recommender, baselines, recommenders
from embedcli.evaluation.similarity import middle
from embedcli.vocabulary import Vocabulary

__all__ = ["BASE", "NextItemReport", "NextItemScore", "score_next_item"]

BASE = "co-occurrence"  # what gains are measured over

_CELLS = 1 << 22  # scores of a batch of histories
_DRAWS = 1 << 22

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class NextItemScore:
    """What one way to rank items scores at one cutoff, in percent; None: nothing was asked.

    Attributes:
        method: ``nearest``, ``predicted`` or a baseline.
        k: the cutoff.
        hit_rate, ndcg: the scores.
        hit_low, hit_high, ndcg_low, ndcg_high: the middle 95 % of resamples of the lines.
        gain, gain_low, gain_high: of the hit rate over that of co-occurrence, on the same
            resamples; None for co-occurrence itself.
    """

    method: str
    k: int
    hit_rate: float | None
    hit_low: float | None
    hit_high: float | None
    ndcg: float | None
    ndcg_low: float | None
    ndcg_high: float | None
    gain: float | None
    gain_low: float | None
    gain_high: float | None


@dataclass(frozen=True)
class NextItemReport:
    """The scores of a model and of the baselines on one file.

    Attributes:
        path: the file.
        scores: for each cutoff, baselines first.
        seen: lines whose answer and at least one item of the history the model knows.
        total: lines that ask something.
        short, repeated: lines that do not (`histories.py`).
        protocol_line: the rules, in a line to quote.
    """

    path: str
    scores: Sequence[NextItemScore]
    seen: int
    total: int
    short: int
    repeated: int
    protocol_line: str


def score_next_item(
    embeddings: Embeddings,
    path: str,
    lines: Lines,
    *,
    training: Lines | None = None,
    cutoffs: Sequence[int] = (10,),
    wrong_if_unknown: bool = False,
    bootstrap: int = 1000,
    seed: int = 1,
) -> NextItemReport:
    """Score a model on the last items of `lines`, beside the baselines.

    Args:
        embeddings: the model; its vocabulary is what is ranked.
        path: where the lines are from, for the report.
        lines: what to predict the last items of.
        training: what baselines count; by default the lines themselves without their last items.
        cutoffs: each k.
        wrong_if_unknown: count lines with an unknown answer or history as missed; else leave them
            out.
        bootstrap: resamples for intervals; 0 for none.
        seed: of the resampling.

    Raises:
        InputError: no line has two items.
    """
    histories = cut_last(lines)
    total = len(histories.answers)
    if not total:
        raise InputError(
            f"{path}: no line has two different items, so there is no last one to predict"
        )
    counted = training or without_last(lines)
    found = baselines(counted, _ids(counted.vocabulary, embeddings), len(embeddings))
    methods = {**found, **recommenders(embeddings)}
    ids = _ids(lines.vocabulary, embeddings)
    known = np.split(ids[histories.known.ids], histories.known.offsets[1:-1])
    answers = ids[histories.answers]
    questions = [
        (history[history >= 0], answer)
        for history, answer in zip(known, answers.tolist(), strict=True)
        if answer >= 0 and history.max() >= 0
    ]
    ranks = _ranks(methods, questions, len(embeddings))
    if wrong_if_unknown:
        missed = np.full((total - len(questions), len(methods)), np.inf)
        ranks = np.concatenate([ranks, missed])
    drawn = _Resamples(len(ranks), bootstrap, seed)
    scores = [score for k in cutoffs for score in _scores(list(methods), ranks, k, drawn)]
    return NextItemReport(
        path,
        scores,
        len(questions),
        total,
        histories.short,
        histories.repeated,
        _protocol(histories.repeated, len(embeddings), wrong_if_unknown, bootstrap, seed),
    )


def _ids(vocabulary: Vocabulary, embeddings: Embeddings) -> NDArray[np.int64]:
    """The model's id of each word of another vocabulary, int64; -1 where it has none."""
    found = embeddings.vocabulary.find(vocabulary.words)
    return np.array([-1 if i is None else i for i in found], np.int64)


def _ranks(
    methods: Mapping[str, Recommender],
    questions: Sequence[tuple[NDArray[np.int64], int]],
    n_items: int,
) -> Doubles:
    """The rank of each answer by each method, from 1: float64 (n, M)."""
    ranks = np.empty((len(questions), len(methods)))
    step = max(1, _CELLS // n_items)
    for start in range(0, len(questions), step):
        batch = questions[start : start + step]
        histories = [history for history, _ in batch]
        rows = np.repeat(np.arange(len(batch)), [len(history) for history in histories])
        answers = np.array([answer for _, answer in batch])
        for column, recommend in enumerate(methods.values()):
            scores = recommend(histories)
            scores[rows, np.concatenate(histories)] = -np.inf
            mine = scores[np.arange(len(batch)), answers][:, None]
            higher, same = (scores > mine).sum(axis=1), (scores == mine).sum(axis=1)
            ranks[start : start + step, column] = 1 + higher + (same - 1) / 2
    return ranks


class _Resamples:
    """Draws of n lines out of n, with replacement: the same ones for everything that is compared.

    They are drawn again for each use rather than kept, as how often each line was drawn.
    """

    def __init__(self, n: int, resamples: int, seed: int) -> None:
        self._n, self._resamples, self._seed = n, resamples, seed

    def means(self, values: Doubles) -> Doubles:
        """The means of the columns of `values`, float64 (n, C), over each resample: (R, C)."""
        generator = np.random.default_rng(self._seed)
        found = [np.empty((0, values.shape[1]))]
        step = max(1, _DRAWS // max(1, self._n))
        for start in range(0, self._resamples if self._n else 0, step):
            times = min(step, self._resamples - start)
            lines = generator.integers(self._n, size=(times, self._n))
            lines += self._n * np.arange(times)[:, None]
            drawn = np.bincount(lines.ravel(), minlength=times * self._n)
            found.append(drawn.reshape(times, self._n) @ values / self._n)
        return np.concatenate(found)


def _scores(names: Sequence[str], ranks: Doubles, k: int, drawn: _Resamples) -> list[NextItemScore]:
    hits = np.where(ranks <= k, 100.0, 0.0)
    ndcg = np.where(ranks <= k, 100 / np.log2(1 + ranks), 0.0).astype(np.float64)
    resampled = drawn.means(np.concatenate([hits, ndcg], axis=1))
    base = names.index(BASE)
    scores = []
    for i, name in enumerate(names):
        gains: Doubles = hits[:, i] - hits[:, base]
        is_compared = i != base
        hit_low, hit_high = middle(resampled[:, i]) or (None, None)
        ndcg_low, ndcg_high = middle(resampled[:, len(names) + i]) or (None, None)
        gain_low, gain_high = middle(resampled[:, i] - resampled[:, base]) or (None, None)
        scores.append(
            NextItemScore(
                method=name,
                k=k,
                hit_rate=_mean(hits[:, i]),
                hit_low=hit_low,
                hit_high=hit_high,
                ndcg=_mean(ndcg[:, i]),
                ndcg_low=ndcg_low,
                ndcg_high=ndcg_high,
                gain=_mean(gains) if is_compared else None,
                gain_low=gain_low if is_compared else None,
                gain_high=gain_high if is_compared else None,
            )
        )
    return scores


def _mean(values: Doubles) -> float | None:
    return float(values.mean()) if len(values) else None


def _protocol(repeated: int, n_items: int, wrong: bool, resamples: int, seed: int) -> str:
    unknown = "counted as missed" if wrong else "left out"
    interval = f", 95 % interval from {resamples:,} resamples, seed {seed}" if resamples else ""
    return (
        f"embed {__version__}, next item: the last item of each line among all {n_items:,} items "
        f"but those before it, equal scores share their mean rank, lines with an unknown answer or "
        f"no known history {unknown}, {repeated:,} lines that repeat their last item left out"
        f"{interval}"
    )
