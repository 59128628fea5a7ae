"""The report of every evaluation: the printer, comparisons and thresholds all take it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedcli.evaluation.bootstrap import middle
from embedcli.evaluation.folded import FoldedWords
from embedcli.evaluation.protocols import Protocol

__all__ = ["Gain", "Items", "Part", "Report", "Score", "answered_part", "answers_of", "file_report"]

Doubles = NDArray[np.float64]
Score = Callable[[Doubles, Doubles], Doubles]


@dataclass(frozen=True)
class Gain:
    """A difference of two scores, in points (percent, or 100 x rho); None: undefined.

    Attributes:
        over: the name of what it is over.
        gain: the difference on the items compared.
        low: where the middle 95 % of its resamples begin.
        high: where they end.
        items: questions, pairs, texts, sentences or lines compared.
    """

    over: str
    gain: float | None
    low: float | None
    high: float | None
    items: int

    @classmethod
    def of(cls, over: str, gain: float | None, resampled: Doubles, items: int) -> Gain:
        """A gain and its interval, from its values over resamples, float64 (R,)."""
        low, high = middle(resampled)
        is_defined = gain is not None and not np.isnan(gain)
        return (
            cls(over, gain, low, high, items) if is_defined else cls(over, None, None, None, items)
        )


@dataclass(frozen=True)
class Part:
    """One score: of a section of questions, of a file of pairs, by a metric, at a cutoff.

    Attributes:
        name: of the section or the metric.
        score: percent, or 100 x a correlation; None is undefined.
        low: where the middle 95 % of resampled scores begin; None where nothing is resampled.
        high: where they end.
        seen: items without an unknown word.
        total: items.
        more: further columns by name, ``score_of_all`` for example: the score with unknown words
            counted as wrong answers, or as pairs of cosine 0.
        gain: over a base, where there is one.
    """

    name: str
    score: float | None
    low: float | None = None
    high: float | None = None
    seen: int = 0
    total: int = 0
    more: Mapping[str, float | None] = field(default_factory=dict)
    gain: Gain | None = None

    @classmethod
    def of(cls, name: str, score: float | None, resampled: Doubles, **more: Any) -> Part:
        """A score and its interval, from its values over resamples, float64 (R,)."""
        low, high = middle(resampled)
        return cls(name, score, low, high, **more)


@dataclass(frozen=True, eq=False)
class Items:
    """The items behind a score, one by one: what `comparison.py` draws resamples of.

    Attributes:
        values: float64 (n, C), what is known of each item.
        seen: bool (n,), whether the item has no unknown word.
        score: of values (n, C) and how often each item counts, float64 (R, n): the scores, (R,),
            NaN where undefined. None: the percentage of items whose one value is 1.
    """

    values: Doubles
    seen: NDArray[np.bool_]
    score: Score | None = None


@dataclass(frozen=True)
class Report:
    """The scores of one model, kind of features or ranking on one file.

    Attributes:
        kind: ``analogies``, ``similarity``, ``pairs``, ``categories``, ``odd``, ``task`` or
            ``next-item``.
        path: the file.
        parts: the scores.
        protocol_line: the rules, in a line to quote with the scores.
        model: the name of the model; empty where the caller has not named it.
        subject: what was scored, where a model is scored in several ways or beside baselines.
        is_baseline: whether no threshold is for it.
        main: which of `parts` thresholds and comparisons are for.
        facts: what else JSON says of it.
        answered: the words that the vocabulary does not hold, and how they were answered.
        skipped: what was wrong with the lines that were left out.
        items: what the score is of, for comparisons; None where it is not compared so.
        is_of_all: whether comparisons count items with an unknown word, too.
    """

    kind: str
    path: str
    parts: Sequence[Part]
    protocol_line: str
    model: str = ""
    subject: str = ""
    is_baseline: bool = False
    main: int = -1
    facts: Mapping[str, Any] = field(default_factory=dict)
    answered: Mapping[str, str] = field(default_factory=dict)
    skipped: Sequence[str] = ()
    items: Items | None = field(default=None, compare=False, repr=False)
    is_of_all: bool = False

    @property
    def main_part(self) -> Part:
        """The part that thresholds and comparisons are for."""
        return self.parts[self.main]

    @property
    def score(self) -> float | None:
        """What is compared with a threshold; None is undefined."""
        return self.main_part.score

    @property
    def answers(self) -> NDArray[np.int8]:
        """How each question went, int8 (n,): 1 right, 0 wrong, -1 unseen.

        Raises:
            ValueError: the score is not of questions that are right or wrong.
        """
        if self.items is None or self.items.score is not None:
            raise ValueError(f"{self.kind} has no right and wrong answers")
        return np.where(self.items.seen, self.items.values[:, 0], -1).astype(np.int8)


def answers_of(answers: NDArray[np.int8]) -> Items:
    """Items of questions: int8 (n,), 1 right, 0 wrong, -1 unseen."""
    return Items((answers[:, None] > 0).astype(np.float64), answers >= 0)


def answered_part(name: str, answers: NDArray[np.int8], oov: str) -> Part:
    """The percentage of questions answered rightly, of those seen and of all.

    Where nothing is known the score is undefined, or all is wrong by the rule ``wrong``.
    """
    total, seen, right = len(answers), int((answers >= 0).sum()), int((answers > 0).sum())
    is_defined = total > 0 and (seen > 0 or oov == "wrong")
    of_all = 100 * right / total if is_defined else None
    of_seen = 100 * right / seen if seen else None
    score = of_all if oov == "wrong" else of_seen
    return Part(name, score, seen=seen, total=total, more={"score_of_all": of_all})


def file_report(
    kind: str,
    words: FoldedWords,
    path: str,
    protocol: Protocol,
    parts: Sequence[Part],
    items: Items,
    *,
    rule: str,
    unknown: str,
    remark: str = "",
    interval: str = "",
    answered: Mapping[str, str] | None = None,
    skipped: Sequence[str] = (),
) -> Report:
    """The report of a file that is scored under a protocol.

    Args:
        kind: of the file.
        words: the words that could be found.
        path: the file.
        protocol: the rules.
        parts: the scores; the last one is what thresholds are for.
        items: what that is the score of.
        rule: how items are scored, for the protocol line.
        unknown: what becomes of items with an unknown word.
        remark: more of the rules.
        interval: how intervals were made.
        answered: the words that the vocabulary does not hold, and how they were answered.
        skipped: what was wrong with the lines that were left out.
    """
    answered = answered or {}
    searched = len(words.embeddings)
    by = "".join(f", {n:,} words by {way}" for way, n in sorted(Counter(answered.values()).items()))
    bad = f", {len(skipped):,} bad line{'s' * (len(skipped) > 1)} left out" if skipped else ""
    line = (
        f"{protocol.title}: {rule}, first {searched:,} of {words.n_model:,} words, "
        f"{protocol.folding}{by}{remark}, {unknown}{bad}{interval}"
    )
    facts = {
        "name": protocol.name,
        "changed": protocol.changed,
        "method": protocol.method if kind in ("analogies", "pairs") else None,
        "words": searched,
        "oov": protocol.oov,
    }
    return Report(
        kind,
        path,
        parts,
        line,
        facts=facts,
        answered=answered,
        skipped=skipped,
        items=items,
        is_of_all=protocol.oov == "wrong",
    )
