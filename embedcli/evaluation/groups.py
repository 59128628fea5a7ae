"""Words that belong together: categories that clusters find again, and the odd one out.

Categories: spherical k-means (`kmeans.py`) sorts the known words into as many classes as there are
categories, of ten beginnings the one whose words are nearest their centres; the score is the
purity: the percentage of words that are in a class most of whose words have their category.

The odd one out: right where it has the lowest mean cosine to the others; beside it stands the mean
of its position from the other end, 100 where it is last (Camacho-Collados & Navigli 2016).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from embedcli.evaluation.folded import FoldedWords
from embedcli.evaluation.parts import Part, left_out, otherwise
from embedcli.evaluation.protocols import Protocol
from embedcli.lookup.kmeans import parted
from embedcli.lookup.out_of_vocabulary import OWN

__all__ = ["GroupReport", "score_categories", "score_odd"]

_BEGINNINGS: Final = 10
_RULES: Final = {
    "categories": f"purity of spherical k-means, the best of {_BEGINNINGS} beginnings by its "
    "cosines, seeds from 1, into as many classes as categories",
    "odd": "the lowest mean cosine to the others, ties counted wrong",
}
_UNITS: Final = {"categories": "words that are", "odd": "questions with an unknown word"}
_UNKNOWN: Final = {"skip": "left out", "wrong": "counted wrong"}


@dataclass(frozen=True)
class GroupReport:
    """The score of one model on one file of categories or odd ones.

    Attributes:
        path: the file.
        kind: ``categories`` or ``odd``.
        protocol: the rules.
        parts: the last one is the score.
        searched: how many words could be found.
        n_model: how many words the model has.
        answers: int8 (items,), 1 right, 0 wrong, -1 unseen, in the order of the file.
        answered: the words that the vocabulary does not hold, and how they were answered.
        skipped: what was wrong with the lines that were left out.
    """

    path: str
    kind: str
    protocol: Protocol
    parts: Sequence[Part]
    searched: int
    n_model: int
    answers: NDArray[np.int8] = field(compare=False, repr=False)
    answered: Mapping[str, str] = field(default_factory=dict, compare=False)
    skipped: Sequence[str] = field(default=(), compare=False)

    @property
    def score(self) -> float | None:
        """What is compared with a threshold: a percentage, or None."""
        return self.parts[-1].score

    @property
    def protocol_line(self) -> str:
        """One line that states the rules, to be quoted with the score."""
        rules = self.protocol
        return (
            f"{rules.title}: {_RULES[self.kind]}, first {self.searched:,} of {self.n_model:,} "
            f"words, {rules.folding}{otherwise(self.answered)}, {_UNITS[self.kind]} "
            f"{'unknown ' if self.kind == 'categories' else ''}{_UNKNOWN[rules.oov]}"
            f"{left_out(self.skipped)}"
        )


def score_categories(
    words: FoldedWords, path: str, given: Sequence[tuple[str, str]], protocol: Protocol
) -> GroupReport:
    """Find the categories of `given`, each a word and its category, again."""
    asked = [word for word, _ in given]
    units, ways = words.vectors(asked, subwords=protocol.subwords, token=protocol.token)
    known = np.array([way is not None for way in ways], np.bool_)
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
    parts = [_share("purity", right, protocol)]
    return _report(words, path, "categories", protocol, parts, right, asked, ways)


def score_odd(
    words: FoldedWords,
    path: str,
    questions: Sequence[tuple[tuple[str, ...], str]],
    protocol: Protocol,
) -> GroupReport:
    """Find the odd one of each of `questions`: words that belong together, and it."""
    asked = [word for together, odd in questions for word in (*together, odd)]
    units, ways = words.vectors(asked, subwords=protocol.subwords, token=protocol.token)
    right = np.full(len(questions), -1, np.int8)
    position = np.zeros(len(questions))
    stop = 0
    for i, (together, _) in enumerate(questions):
        start, stop = stop, stop + len(together) + 1
        if None in ways[start:stop]:
            continue
        cosines = units[start:stop] @ units[start:stop].T
        means = (cosines.sum(axis=1) - cosines.diagonal()) / len(together)
        nearer = int((means[:-1] > means[-1]).sum())
        right[i], position[i] = nearer == len(together), 100 * nearer / len(together)
    seen = right >= 0
    scores = position if protocol.oov == "wrong" else position[seen]
    mean = float(scores.mean()) if len(scores) else None
    of_all = float(position.mean()) if seen.any() or mean is not None else None
    parts = [
        Part("position", mean, of_all, int(seen.sum()), len(right)),
        _share("odd one out", right, protocol),
    ]
    return _report(words, path, "odd", protocol, parts, right, asked, ways)


def _share(name: str, right: NDArray[np.int8], protocol: Protocol) -> Part:
    """The percentage of right answers, of those seen and of all."""
    seen, correct = int((right >= 0).sum()), int((right > 0).sum())
    of_all = 100 * correct / len(right) if seen or protocol.oov == "wrong" else None
    score = of_all if protocol.oov == "wrong" else 100 * correct / seen if seen else None
    return Part(name, score, of_all, seen, len(right))


def _report(
    words: FoldedWords,
    path: str,
    kind: str,
    protocol: Protocol,
    parts: Sequence[Part],
    right: NDArray[np.int8],
    asked: Sequence[str],
    ways: Sequence[str | None],
) -> GroupReport:
    otherwise = {w: way for w, way in zip(asked, ways, strict=True) if way not in (None, OWN)}
    return GroupReport(
        path,
        kind,
        protocol,
        parts,
        len(words.embeddings),
        words.n_model,
        right,
        answered={word: way for word, way in otherwise.items() if way is not None},
    )
