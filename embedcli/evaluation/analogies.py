"""Analogy questions: "a is to b as c is to d", and how many of them the vectors answer.

A question is right where d is the word, other than a, b and c, that scores best against a, b and c;
of several alternatives for d any one is right. A list of pairs makes questions of every two of
them; methods that learn from all pairs ask each pair once (`pairs.py`).
With unit vectors cos(x, b - a + c) orders words as x·b - x·a + x·c does, and cosmul orders them as
log x·b - log(x·a + eps) + log x·c does. Both are sums of three rows of one table of words by
vocabulary, so the 19,544 questions of the Google file, which use 905 words, need 905 rows of
cosines and not 19,544.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from embedcli.evaluation.analogy_scores import Offsets, Table
from embedcli.evaluation.folded import FoldedWords
from embedcli.evaluation.pairs import learned_answers
from embedcli.evaluation.protocols import Protocol
from embedcli.evaluation.report import Report, answered_part, answers_of, file_report

__all__ = ["Linked", "Question", "Section", "score_analogies"]

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Ids = NDArray[np.int64]

_TITLES = {
    "cosadd": "3CosAdd",
    "cosmul": "3CosMul (eps 0.001)",
    "pairdistance": "PairDistance",
    "cosavg": "3CosAvg, each pair by the mean offset of the others",
    "lrcos": "LRCos, each pair by a logistic regression on the others (C 1, as many random words "
    "as pairs, seed 1)",
}
_UNKNOWN = {"skip": "skipped", "wrong": "counted wrong"}
TABLE_CELLS = 1 << 23  # cells of the table held at once: 32 MiB
BATCH_QUESTIONS = 64  # questions answered at once: with a block of the table they stay in cache

Question = tuple[str, str, str, str]
Linked = tuple[str, tuple[str, ...]]  # a word, and the words that it may be to


@dataclass(frozen=True)
class Section:
    """The questions under one ``: name`` line, or the pairs that make questions of each other."""

    name: str
    questions: Sequence[Question]
    pairs: Sequence[Linked] = ()

    @property
    def linked(self) -> Sequence[Linked]:
        """The different pairs in the section, for methods that ask about pairs."""
        if self.pairs:
            return self.pairs
        found: dict[str, dict[str, None]] = {}
        for a, b, c, d in self.questions:
            found.setdefault(a, {})[b] = None
            found.setdefault(c, {})[d] = None
        return [(word, tuple(answers)) for word, answers in found.items()]


def score_analogies(
    words: FoldedWords,
    path: str,
    sections: Sequence[Section],
    protocol: Protocol,
    *,
    skipped: Sequence[str] = (),
    **_unused: int,
) -> Report:
    """Answer the questions of `sections`, read from `path`, among `words`.

    The parts of the report are the sections, ``semantic`` (those whose name does not begin with
    ``gram``), ``syntactic`` (the others) and ``total``, in which one question weighs as much as
    another; or one for a list of pairs.

    Raises:
        InputError: a vector is not finite.
    """
    if protocol.method in ("cosavg", "lrcos"):
        answers = [learned_answers(words, each.linked, protocol.method) for each in sections]
    else:
        answers = _compared_answers(words, sections, protocol.method)
    named = [(each.name, some) for each, some in zip(sections, answers, strict=True)]
    whole = _joined(answers)
    is_pairs = any(each.pairs for each in sections)
    if not is_pairs:
        semantic = [some for name, some in named if not name.startswith("gram")]
        syntactic = [some for name, some in named if name.startswith("gram")]
        named += [
            ("semantic", _joined(semantic)), ("syntactic", _joined(syntactic)), ("total", whole)
        ]  # fmt: skip
    return file_report(
        "pairs" if is_pairs else "analogies",
        words,
        path,
        protocol,
        [answered_part(name, some, protocol.oov) for name, some in named],
        answers_of(whole),
        rule=f"{_TITLES[protocol.method]} on unit vectors",
        remark=", query words excluded",
        unknown=f"questions with an unknown word {_UNKNOWN[protocol.oov]}",
        skipped=skipped,
    )


def _joined(answers: Sequence[NDArray[np.int8]]) -> NDArray[np.int8]:
    return np.concatenate([np.empty(0, np.int8), *answers])


def _compared_answers(
    words: FoldedWords, sections: Sequence[Section], method: str
) -> list[NDArray[np.int8]]:
    """How the questions of each section went, by methods that see three words: int8 (n,)."""
    asked = [_asked(words, section) for section in sections]
    ids = [row for section in asked for row, _ in section if row is not None]
    found = iter(_answered(words, np.array(ids, np.int64).reshape(-1, 3), method).tolist())
    return [
        np.array([-1 if row is None else next(found) in right for row, right in section], np.int8)
        for section in asked
    ]


def _asked(words: FoldedWords, section: Section) -> list[tuple[Sequence[int] | None, set[int]]]:
    """For each question the ids of its three words, None if one is unknown; and the answers'.

    Of several alternatives the first that is known stands in the question.
    """
    questions: Iterable[tuple[str, Sequence[str], str, Sequence[str]]] = (
        (a, b, c, d)
        for i, (a, b) in enumerate(section.pairs)
        for j, (c, d) in enumerate(section.pairs)
        if i != j
    )
    if not section.pairs:
        questions = ((a, (b,), c, (d,)) for a, b, c, d in section.questions)
    asked: list[tuple[Sequence[int] | None, set[int]]] = []
    for a, b, c, d in questions:
        known = [words.get(a), *words.known(b)[:1], words.get(c)]
        right = set(words.known(d))
        row = [i for i in known if i is not None]
        asked.append((row if len(row) == 3 and right else None, right))
    return asked


def _answered(words: FoldedWords, questions: Ids, method: str) -> Ids:
    """The answer to each question, int64 (n, 3) of ids: the id of its form, -1 for none."""
    questions, order = _by_pair(questions)
    asked, local = np.unique(questions, return_inverse=True)
    local = local.reshape(-1, 3)
    best = np.full(len(questions), -np.inf, np.float32)
    answer = np.full(len(questions), -1, np.int64)
    n_block = max(1, TABLE_CELLS // max(1, len(asked)))
    kind = Offsets if method == "pairdistance" else Table
    units = words.units(asked)
    for start in range(0, len(words.embeddings), n_block):
        table = kind.build(words, asked, units, slice(start, start + n_block), method)
        for part in _pairs(local):
            scores = table.scores(local[part])
            column = scores.argmax(axis=1)
            score = scores[np.arange(len(column)), column]
            better = score > best[part]
            best[part][better] = score[better]
            answer[part][better] = column[better] + start
    found = np.full(len(questions), -1, np.int64)
    found[order] = np.where(answer >= 0, words.forms[answer], -1)
    return found


def _by_pair(questions: Ids) -> tuple[Ids, Ids]:
    """The questions ordered so that those that share a and b are together; and that order."""
    order = np.lexsort((questions[:, 1], questions[:, 0]))
    return questions[order], order


def _pairs(questions: Ids) -> Iterator[slice]:
    """Runs of questions that share a and b, at most `BATCH_QUESTIONS` long."""
    if not len(questions):
        return
    changes = np.flatnonzero((np.diff(questions[:, :2], axis=0) != 0).any(axis=1)) + 1
    edges = [0, *changes.tolist(), len(questions)]
    for low, high in pairwise(edges):
        for start in range(low, high, BATCH_QUESTIONS):
            yield slice(start, min(start + BATCH_QUESTIONS, high))
