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
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from embedcli import __version__
from embedcli.embeddings import Embeddings
from embedcli.errors import InputError
from embedcli.evaluation.bootstrap import middle, resampled
from embedcli.evaluation.histories import Lines, cut_last, shuffled, without_last
from embedcli.evaluation.recommenders import Recommender, baselines, recommenders
from embedcli.evaluation.report import Gain, Part, Report
from embedcli.vocabulary import Vocabulary

__all__ = ["BASE", "score_next_item"]

BASE = "co-occurrence"  # what gains are measured over

_CELLS = 1 << 22  # scores of a batch of histories

Doubles = NDArray[np.float64]


def score_next_item(
    embeddings: Embeddings,
    path: str,
    lines: Lines,
    *,
    training: Lines | None = None,
    cutoffs: Sequence[int] = (10,),
    wrong_if_unknown: bool = False,
    recent: int | None = 5,
    bootstrap: int = 1000,
    seed: int = 1,
) -> list[Report]:
    """Score a model on the last items of `lines`, beside the baselines.

    Args:
        embeddings: the model; its vocabulary is what is ranked.
        path: where the lines are from, for the report.
        lines: what to predict the last items of.
        training: what baselines count; by default the lines themselves without their last items.
        cutoffs: each k.
        wrong_if_unknown: count lines with an unknown answer or history as missed; else leave them
            out.
        recent: rank by the last so many items of each history as well, and by their order; None
            where lines have no order: one of the items, drawn by `seed`, is then the answer.
        bootstrap: resamples for intervals; 0 for none.
        seed: of the resampling, and of the answers of lines without order.

    Returns:
        A report for each baseline and for each ranking of the model, with a part for each cutoff:
        the hit rate, and in its further columns ``k`` and NDCG. Gains are those of the hit rate
        over `BASE`. Seen are lines whose answer and at least one item of the history the model
        knows.

    Raises:
        InputError: no line has two items.
    """
    if recent is None:
        lines = shuffled(lines, seed)
    histories = cut_last(lines)
    total = len(histories.answers)
    if not total:
        raise InputError(
            f"{path}: no line has two different items, so there is no last one to predict"
        )
    counted = training or without_last(lines)
    counted_by = baselines(counted, _ids(counted.vocabulary, embeddings), len(embeddings), recent)
    methods = {**counted_by, **recommenders(embeddings, recent)}
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
    asked = "the last item" if recent is not None else f"an item drawn by seed {seed}"
    line = _protocol(asked, histories.repeated, len(embeddings), wrong_if_unknown, bootstrap, seed)
    facts = {"short": histories.short, "repeated": histories.repeated}
    by_cutoff = [_parts(list(methods), ranks, k, bootstrap, seed) for k in cutoffs]
    return [
        Report(
            "next-item",
            path,
            [replace(parts[i], seen=len(questions), total=total) for parts in by_cutoff],
            line,
            subject=name,
            is_baseline=name in counted_by,
            main=0,
            facts=facts,
        )
        for i, name in enumerate(methods)
    ]


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


def _parts(names: Sequence[str], ranks: Doubles, k: int, resamples: int, seed: int) -> list[Part]:
    """The score of each ranking at one cutoff."""
    n, n_names = ranks.shape
    hits = np.where(ranks <= k, 100.0, 0.0)
    ndcg = np.where(ranks <= k, 100 / np.log2(1 + ranks), 0.0).astype(np.float64)
    both = np.concatenate([hits, ndcg], axis=1)
    (spread,) = resampled([lambda drawn: drawn @ both / max(1, n)], n, resamples, seed)
    base = names.index(BASE)
    parts = []
    for i, name in enumerate(names):
        gain = Gain.of(BASE, _mean(hits[:, i] - hits[:, base]), spread[:, i] - spread[:, base], n)
        low, high = middle(spread[:, n_names + i])
        more = {"k": k, "ndcg": _mean(ndcg[:, i]), "ndcg_low": low, "ndcg_high": high}
        compared = None if name == BASE else gain
        hit_rate = _mean(hits[:, i])
        parts.append(Part.of("hit_rate", hit_rate, spread[:, i], more=more, gain=compared))
    return parts


def _mean(values: Doubles) -> float | None:
    return float(values.mean()) if len(values) else None


def _protocol(
    asked: str, repeated: int, n_items: int, wrong: bool, resamples: int, seed: int
) -> str:
    unknown = "counted as missed" if wrong else "left out"
    interval = f", 95 % interval from {resamples:,} resamples, seed {seed}" if resamples else ""
    return (
        f"embed {__version__}, next item: {asked} of each line among all {n_items:,} items but "
        f"those {'before it' if asked == 'the last item' else 'beside it'}, equal scores share "
        f"their mean rank, lines with an unknown answer or no known history {unknown}, "
        f"{repeated:,} lines that repeat it left out"
        f"{interval}"
    )
