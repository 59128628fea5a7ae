"""Analogy questions: "a is to b as c is to d", and how many of them the vectors answer.

A question is right where d is the word, other than a, b and c, that scores best against a, b and c.
With unit vectors cos(x, b - a + c) orders words as x·b - x·a + x·c does, and cosmul orders them as
log x·b - log(x·a + eps) + log x·c does. Both are sums of three rows of one table of words by
vocabulary, so the 19,544 questions of the Google file, which use 905 words, need 905 rows of
cosines and not 19,544.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from embedcli.evaluation.folded import FoldedWords
from embedcli.evaluation.parts import Part
from embedcli.evaluation.protocols import Protocol
from embedcli.lookup import COSMUL_EPSILON
from embedcli.neighbors import cosines

__all__ = ["AnalogyReport", "Question", "Section", "Tallied", "score_analogies"]

Floats = NDArray[np.float32]
Ids = NDArray[np.int64]

_TABLE = 1 << 23  # cells of the table held at once: 32 MiB
_BATCH = 64  # questions answered at once: with a block of the table they stay in cache

Question = tuple[str, str, str, str]


@dataclass(frozen=True)
class Section:
    """The questions under one ``: name`` line."""

    name: str
    questions: Sequence[Question]


@dataclass(frozen=True)
class Tallied:
    """How a set of questions went.

    Attributes:
        total: questions asked.
        seen: questions whose four words are known.
        correct: questions answered rightly.
    """

    total: int = 0
    seen: int = 0
    correct: int = 0

    def __add__(self, other: Tallied) -> Tallied:
        return Tallied(
            self.total + other.total, self.seen + other.seen, self.correct + other.correct
        )

    @property
    def accuracy(self) -> float | None:
        """Share of the seen questions answered rightly, 0 to 1; None where none was seen."""
        return self.correct / self.seen if self.seen else None

    @property
    def accuracy_of_all(self) -> float | None:
        """The same with unseen questions counted as wrong; None where none was seen."""
        return self.correct / self.total if self.seen else None


@dataclass(frozen=True)
class AnalogyReport:
    """The score of one model on one analogy file.

    Attributes:
        path: the file.
        protocol: the rules.
        sections: for each section its name and tally, in the order of the file.
        searched: how many words could be an answer.
        n_model: how many words the model has.
        answers: int8 (questions,), 1 right, 0 wrong, -1 unseen, in the order of the file.
    """

    path: str
    protocol: Protocol
    sections: Sequence[tuple[str, Tallied]]
    searched: int
    n_model: int
    answers: NDArray[np.int8] = field(
        default_factory=lambda: np.empty(0, np.int8), compare=False, repr=False
    )
    answered: ClassVar[Mapping[str, str]] = {}  # a question with an unknown word is never answered
    kind: ClassVar[str] = "analogies"

    @property
    def semantic(self) -> Tallied:
        """The sections whose name does not begin with ``gram``."""
        return _sum(tally for name, tally in self.sections if not name.startswith("gram"))

    @property
    def syntactic(self) -> Tallied:
        """The sections whose name begins with ``gram``."""
        return _sum(tally for name, tally in self.sections if name.startswith("gram"))

    @property
    def total(self) -> Tallied:
        """All questions; one weighs as much as another, whatever its section."""
        return _sum(tally for _, tally in self.sections)

    @property
    def score(self) -> float | None:
        """What is compared with a threshold: percent right under the protocol, or None."""
        return self.parts[-1].score

    @property
    def parts(self) -> list[Part]:
        """The sections, their semantic and syntactic halves, and the total."""
        halves = [("semantic", self.semantic), ("syntactic", self.syntactic)]
        return [self._part(*one) for one in (*self.sections, *halves, ("total", self.total))]

    def _part(self, name: str, tally: Tallied) -> Part:
        if self.protocol.oov == "wrong":  # of which nothing is known is all wrong, not undefined
            share = tally.correct / tally.total if tally.total else None
            return Part(name, _percent(share), _percent(share), tally.seen, tally.total)
        of_all = _percent(tally.accuracy_of_all)
        return Part(name, _percent(tally.accuracy), of_all, tally.seen, tally.total)

    @property
    def protocol_line(self) -> str:
        """One line that states the rules, to be quoted with the score."""
        rules = self.protocol
        method = {"cosadd": "3CosAdd", "cosmul": "3CosMul (eps 0.001)"}[rules.method]
        unknown = {"skip": "skipped", "wrong": "counted wrong"}[rules.oov]
        return (
            f"{rules.title}: {method} on unit vectors, first {self.searched:,} of "
            f"{self.n_model:,} words, {rules.folding}, query words excluded, questions with an "
            f"unknown word {unknown}"
        )


def _sum(tallies: Iterator[Tallied]) -> Tallied:
    return sum(tallies, Tallied())


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def score_analogies(
    words: FoldedWords, path: str, sections: Sequence[Section], protocol: Protocol
) -> AnalogyReport:
    """Answer the questions of `sections`, read from `path`, among `words`.

    Raises:
        InputError: a vector is not finite.
    """
    seen = [_known(words, section.questions) for section in sections]
    known = [ids for ids, _ in seen]
    right = _answered(words, np.concatenate([np.empty((0, 4), np.int64), *known]), protocol.method)
    tallies, start = [], 0
    for section, ids in zip(sections, known, strict=True):
        correct = int(right[start : start + len(ids)].sum())
        tallies.append((section.name, Tallied(len(section.questions), len(ids), correct)))
        start += len(ids)
    answers = np.concatenate(
        [np.empty(0, np.int8), *(there.astype(np.int8) - 1 for _, there in seen)]
    )
    answers[answers == 0] = right
    return AnalogyReport(path, protocol, tallies, len(words.embeddings), words.n_model, answers)


def _known(words: FoldedWords, questions: Sequence[Question]) -> tuple[Ids, NDArray[np.bool_]]:
    """The questions whose words are all known, as ids, int64 (n, 4); and which ones they are."""
    ids = [[words.get(word) for word in question] for question in questions]
    known = [row for row in ids if None not in row]
    there = np.array([None not in row for row in ids], np.bool_)
    return np.array(known, np.int64).reshape(-1, 4), there


def _answered(words: FoldedWords, questions: Ids, method: str) -> NDArray[np.bool_]:
    """Whether each question, int64 (n, 4) of ids, is answered rightly: bool (n,)."""
    questions, order = _by_pair(questions)
    asked, local = np.unique(questions[:, :3], return_inverse=True)
    local = local.reshape(-1, 3)
    best = np.full(len(questions), -np.inf, np.float32)
    answer = np.full(len(questions), -1, np.int64)
    n_block = max(1, _TABLE // max(1, len(asked)))
    for start in range(0, len(words.embeddings), n_block):
        table = _Table.build(words, asked, slice(start, start + n_block), method)
        for part in _pairs(local):
            scores = table.scores(local[part])
            column = scores.argmax(axis=1)
            score = scores[np.arange(len(column)), column]
            better = score > best[part]
            best[part][better] = score[better]
            answer[part][better] = column[better] + start
    right = np.empty(len(questions), np.bool_)
    right[order] = (answer >= 0) & (words.forms[answer] == questions[:, 3])
    return right


def _by_pair(questions: Ids) -> tuple[Ids, Ids]:
    """The questions ordered so that those that share a and b are together; and that order."""
    order = np.lexsort((questions[:, 1], questions[:, 0]))
    return questions[order], order


def _pairs(questions: Ids) -> Iterator[slice]:
    """Runs of questions that share a and b, at most `_BATCH` long."""
    if not len(questions):
        return
    changes = np.flatnonzero((np.diff(questions[:, :2], axis=0) != 0).any(axis=1)) + 1
    edges = [0, *changes.tolist(), len(questions)]
    for low, high in pairwise(edges):
        for start in range(low, high, _BATCH):
            yield slice(start, min(start + _BATCH, high))


@dataclass(frozen=True)
class _Table:
    """A block of the table: what the asked words add to, or take from, the score of each column.

    Attributes:
        plus: float32 (asked, columns), for b and c; -inf where the column is the word itself, in
            any spelling, which therefore is never the answer.
        minus: float32 (asked, columns), for a.
        own: for each asked word, the columns that are the word itself.
    """

    plus: Floats
    minus: Floats
    own: Sequence[Ids]

    @classmethod
    def build(cls, words: FoldedWords, asked: Ids, columns: slice, method: str) -> _Table:
        head = words.embeddings
        block = cosines(head.vectors[columns], head.norms[columns], words.units(asked))
        plus, minus = _additive(block, method)
        forms = words.forms[columns]
        by_form = np.argsort(forms, kind="stable")
        low = np.searchsorted(forms[by_form], asked, "left")
        high = np.searchsorted(forms[by_form], asked, "right")
        own = [by_form[a:b] for a, b in zip(low, high, strict=True)]
        for row, ids in enumerate(own):
            plus[row, ids] = -np.inf
        return cls(plus, minus, own)

    def scores(self, questions: Ids) -> Floats:
        """float32 (n, columns) for n questions that share a and b; -inf where excluded."""
        a, b = questions[0, :2]
        shared = self.plus[b] - self.minus[a]
        shared[self.own[a]] = -np.inf
        scores = self.plus[questions[:, 2]]
        scores += shared
        return scores


def _additive(block: Floats, method: str) -> tuple[Floats, Floats]:
    """Turn cosines into what is summed: (for b and c, for a)."""
    if method == "cosadd":
        return block, block.copy()
    mapped = np.maximum((1 + block) / 2, 0)
    with np.errstate(divide="ignore"):
        return np.log(mapped), np.log(mapped + np.float32(COSMUL_EPSILON))
