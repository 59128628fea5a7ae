"""Words that belong together: categories that clusters find again, and the odd one out.

Categories: spherical k-means (`kmeans.py`) sorts the known words into as many classes as there are
categories, of ten beginnings the one whose words are nearest their centres; the score is the
purity: the percentage of words that are in a class most of whose words have their category.

The odd one out: right where it has the lowest mean cosine to the others; beside it stands the mean
of its position from the other end, 100 where it is last (Camacho-Collados & Navigli 2016).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from embedcli.evaluation.folded import FoldedWords
from embedcli.evaluation.protocols import Protocol
from embedcli.evaluation.report import Part, Report, answered_part, answers_of, file_report
from embedcli.lookup.kmeans import parted
from embedcli.lookup.out_of_vocabulary import answered

__all__ = ["score_categories", "score_odd"]

_BEGINNINGS: Final = 10
_RULES: Final = {
    "categories": f"purity of spherical k-means, the best of {_BEGINNINGS} beginnings by its "
    "cosines, seeds from 1, into as many classes as categories",
    "odd": "the lowest mean cosine to the others, ties counted wrong",
}
_UNKNOWN: Final = {"skip": "left out", "wrong": "counted wrong"}


def score_categories(
    words: FoldedWords,
    path: str,
    given: Sequence[tuple[str, str]],
    protocol: Protocol,
    *,
    skipped: Sequence[str] = (),
    **_unused: int,
) -> Report:
    """Find the categories of `given`, each a word and its category, again."""
    asked = [word for word, _ in given]
    units, sources = words.vectors(asked, subwords=protocol.subwords, token=protocol.token)
    known = np.array([source is not None for source in sources], np.bool_)
    number = {category: i for i, category in enumerate(dict.fromkeys(c for _, c in given))}
    categories = np.array([number[category] for _, category in given], np.int64)[known]
    right = np.full(len(given), -1, np.int8)
    if known.any():
        k = len(np.unique(categories))
        rows = units[known].astype(np.float32)
        tries = [parted(rows, k, seed=seed) for seed in range(1, _BEGINNINGS + 1)]
        belongs, _ = max(tries, key=lambda each: float(each[1].sum(dtype=np.float64)))
        table = np.zeros((k, len(number)), np.int64)
        np.add.at(table, (belongs, categories), 1)
        right[known] = table.argmax(axis=1)[belongs] == categories
    return file_report(
        "categories",
        words,
        path,
        protocol,
        [answered_part("purity", right, protocol.oov)],
        answers_of(right),
        rule=_RULES["categories"],
        unknown=f"words that are unknown {_UNKNOWN[protocol.oov]}",
        answered=answered(asked, sources),
        skipped=skipped,
    )


def score_odd(
    words: FoldedWords,
    path: str,
    questions: Sequence[tuple[tuple[str, ...], str]],
    protocol: Protocol,
    *,
    skipped: Sequence[str] = (),
    **_unused: int,
) -> Report:
    """Find the odd one of each of `questions`: words that belong together, and it."""
    asked = [word for together, odd in questions for word in (*together, odd)]
    units, sources = words.vectors(asked, subwords=protocol.subwords, token=protocol.token)
    right = np.full(len(questions), -1, np.int8)
    position = np.zeros(len(questions))
    stop = 0
    for i, (together, _) in enumerate(questions):
        start, stop = stop, stop + len(together) + 1
        if None in sources[start:stop]:
            continue
        cosines = units[start:stop] @ units[start:stop].T
        means = (cosines.sum(axis=1) - cosines.diagonal()) / len(together)
        nearer = int((means[:-1] > means[-1]).sum())
        right[i], position[i] = nearer == len(together), 100 * nearer / len(together)
    seen = right >= 0
    scores = position if protocol.oov == "wrong" else position[seen]
    mean = float(scores.mean()) if len(scores) else None
    of_all = float(position.mean()) if seen.any() or mean is not None else None
    n_seen = int(seen.sum())
    more = {"score_of_all": of_all}
    return file_report(
        "odd",
        words,
        path,
        protocol,
        [
            Part("position", mean, seen=n_seen, total=len(right), more=more),
            answered_part("odd one out", right, protocol.oov),
        ],
        answers_of(right),
        rule=_RULES["odd"],
        unknown=f"questions with an unknown word {_UNKNOWN[protocol.oov]}",
        answered=answered(asked, sources),
        skipped=skipped,
    )
