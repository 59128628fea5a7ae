"""How well a classifier labels lines: precision, recall and F1, by label and in all.

A line has its best label predicted, and a set of right ones. With r lines whose label is right, p
that have a label predicted and g right labels in all, precision is r / p, recall r / g and F1
2 r / (p + g). *Micro* counts all lines together, *macro* is the mean over the labels of the test.
P@k and R@k count the k best labels of each line, as ``fasttext test`` does. A label of the test
that the model does not have counts as a label that was never found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from embedcli import __version__
from embedcli.classification.examples import labelled_blocks
from embedcli.classification.model import LABEL_PREFIX, LabelModel
from embedcli.classification.prediction import Predictor
from embedcli.errors import InputError
from embedcli.evaluation.bootstrap import resampled
from embedcli.evaluation.report import Items, Part, Report
from embedcli.settings.text_rules import TextRules

__all__ = ["score_classifier"]

Doubles = NDArray[np.float64]

_MOST: Final = 5  # the k of P@k


@dataclass(frozen=True)
class _Lines:
    """What became of each line: the right labels, and those predicted, best first."""

    right: list[list[str]]
    predicted: list[list[str]]
    without: int


def score_classifier(
    classifier: LabelModel, path: str, rules: TextRules, *, bootstrap: int = 1000, seed: int = 1
) -> Report:
    """Score a classifier on a file of labelled lines.

    Args:
        classifier: the model.
        path: the file, as `classification.examples.labelled_blocks` reads it.
        rules: how its text is read.
        bootstrap: resamples for intervals; 0 for none.
        seed: of the resampling.

    Returns:
        A part for each label of the test, then ``P@5``, ``macro`` and ``micro``. The score is F1,
        of ``P@5`` the precision; further columns are ``precision`` and ``recall``.

    Raises:
        InputError: no line has a label.
    """
    lines = _predicted(classifier, path, rules)
    if not lines.right:
        raise InputError(
            f"no line of {path} has a label: write __label__NAME among its words, or NAME<TAB>text"
        )
    labels = sorted({label for right in lines.right for label in right})
    parts = _by_label(lines, labels)
    macro = Part(
        "macro",
        float(np.mean([part.score for part in parts])),
        more={
            name: float(np.mean([part.more[name] or 0.0 for part in parts]))
            for name in ("precision", "recall")
        },
        seen=len(lines.right),
        total=len(lines.right),
    )
    counts = _counts(lines, 1)
    best = [_at(lines, _MOST)] if len(classifier.labels) > _MOST else []
    known = set(map(_bare, classifier.labels))
    unknown = [label for label in labels if label not in known]
    facts = {
        "labels": len(labels),
        "unknown_labels": unknown,
        "without_label": lines.without,
        "confusion": _confusion(lines),
    }
    interval = f", 95 % intervals of {bootstrap:,} resamples" if bootstrap else ""
    missed = f", {len(unknown):,} labels that the model lacks count as missed" if unknown else ""
    return Report(
        "labels",
        path,
        [*parts, *best, macro, _micro(counts, bootstrap, seed)],
        f"embed {__version__}: F1 of the best label of {len(lines.right):,} lines, {len(labels):,} "
        f"labels{missed}{interval}",
        facts=facts,
        items=Items(counts, np.ones(len(counts), np.bool_), _f1),
    )


def _predicted(classifier: LabelModel, path: str, rules: TextRules) -> _Lines:
    predictor = Predictor(classifier, min(_MOST, len(classifier.labels)))
    names = [_bare(label) for label in classifier.labels]
    right: list[list[str]] = []
    predicted: list[list[str]] = []
    without = 0
    for block, labels in labelled_blocks([path], rules):
        found = predictor.of_block(block)
        rows = zip(labels, found.ids.tolist(), found.found.tolist(), strict=True)
        for spelt, ids, n in rows:
            if not spelt:
                without += 1
                continue
            right.append([_bare(label.decode(errors="surrogateescape")) for label in spelt])
            predicted.append([names[i] for i in ids[:n]])
    return _Lines(right, predicted, without)


def _bare(label: str) -> str:
    return label.removeprefix(LABEL_PREFIX)


def _counts(lines: _Lines, k: int) -> Doubles:
    """Of each line, float64 (n, 3): labels found, predicted and right."""
    rows = [
        (len(set(right) & set(predicted[:k])), len(predicted[:k]), len(right))
        for right, predicted in zip(lines.right, lines.predicted, strict=True)
    ]
    return np.array(rows, np.float64)


def _f1(values: Doubles, drawn: Doubles) -> Doubles:
    found, predicted, right = (drawn @ values).T
    with np.errstate(invalid="ignore"):
        scores: Doubles = 200 * found / (predicted + right)
    return scores


def _micro(counts: Doubles, bootstrap: int, seed: int) -> Part:
    once = np.ones((1, len(counts)))
    (values,) = resampled([lambda drawn: _f1(counts, drawn)], len(counts), bootstrap, seed)
    found, predicted, right = counts.sum(axis=0)
    more = {"precision": _share(found, predicted), "recall": _share(found, right)}
    score = float(_f1(counts, once)[0])
    return Part.of("micro", score, values, more=more, seen=len(counts), total=len(counts))


def _at(lines: _Lines, k: int) -> Part:
    found, predicted, right = _counts(lines, k).sum(axis=0)
    precision = _share(found, predicted)
    more = {"precision": precision, "recall": _share(found, right)}
    n = len(lines.right)
    return Part(f"P@{k}", precision, more=more, seen=n, total=n)


def _by_label(lines: _Lines, labels: Sequence[str]) -> list[Part]:
    """A part a label: found, predicted and right are counted over lines."""
    found: Counter[str] = Counter()
    predicted: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for wanted, best in zip(lines.right, lines.predicted, strict=True):
        right.update(set(wanted))
        predicted.update(best[:1])
        found.update(set(wanted) & set(best[:1]))
    return [
        Part(
            label,
            200 * found[label] / (predicted[label] + right[label]),
            more={
                "precision": _share(found[label], predicted[label]),
                "recall": _share(found[label], right[label]),
            },
            seen=predicted[label],
            total=right[label],
        )
        for label in labels
    ]


def _confusion(lines: _Lines) -> dict[str, dict[str, int]]:
    """By the right label, how often which other was the best: lines with one right label."""
    pairs = Counter(
        (right[0], best[0] if best else "")
        for right, best in zip(lines.right, lines.predicted, strict=True)
        if len(right) == 1 and best[:1] != right
    )
    table: dict[str, dict[str, int]] = {}
    for (right, best), n in pairs.most_common():
        table.setdefault(right, {})[best] = n
    return table


def _share(part: float, whole: float) -> float | None:
    return 100 * float(part) / float(whole) if whole else None
