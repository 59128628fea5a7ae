"""Analogies by methods that see many pairs of one relation (Drozd, Gladkova & Matsuoka 2016).

Each pair is asked once, and answered from all the others:

    3CosAvg   the word with the highest cosine to c + mean(b) - mean(a), a and b being the sources
              and the targets of the other pairs
    LRCos     the word with the highest cos(x, c) P(x is a target), P by a logistic regression that
              tells the targets of the other pairs from their sources and from random words

Vectors have unit length. Of several targets the mean counts in 3CosAvg, and each is an example in
LRCos. The answer may be any word but the source, in any spelling.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from embedcli.evaluation.folded import FoldedWords
from embedcli.lookup.exact import nearest, unit_rows

__all__ = ["learned_answers", "logistic"]

Doubles = NDArray[np.float64]
Ids = NDArray[np.int64]

_FEWEST = 2  # pairs: one to ask, one to learn from
_PENALTY = 1.0  # scikit-learn's C
_STEPS, _ENOUGH = 100, 1e-9
_CELLS = 1 << 22  # scores held at once
_SEED = 1


def learned_answers(
    words: FoldedWords, pairs: Sequence[tuple[str, tuple[str, ...]]], method: str
) -> NDArray[np.int8]:
    """How each of `pairs`, a word and its targets, went: int8 (n,), 1 right, 0 wrong, -1 unseen.

    Args:
        words: the words that are searched.
        pairs: of one relation; unseen are those with an unknown source or no known target, and
            all of them where fewer than two are left.
        method: ``cosavg`` or ``lrcos``.

    Raises:
        InputError: a vector is not finite.
    """
    answers = np.full(len(pairs), -1, np.int8)
    asked = [(words.get(word), words.known(targets)) for word, targets in pairs]
    known = [(i, source, right) for i, (source, right) in enumerate(asked) if right]
    seen = [(i, source, right) for i, source, right in known if source is not None]
    if len(seen) < _FEWEST:
        return answers
    sources = np.array([source for _, source, _ in seen], np.int64)
    targets = [right for _, _, right in seen]
    found = (_by_mean if method == "cosavg" else _by_class)(words, sources, targets)
    for (i, _, right), answer in zip(seen, words.forms[found].tolist(), strict=True):
        answers[i] = answer in right
    return answers


def _by_mean(words: FoldedWords, sources: Ids, targets: Sequence[Sequence[int]]) -> Ids:
    """The answers of 3CosAvg, int64 (n,)."""
    units = words.units(sources)
    means = np.array([words.units(np.array(ids)).mean(axis=0) for ids in targets])
    offsets = means - units
    others = (offsets.sum(axis=0) - offsets) / (len(offsets) - 1)
    head = words.embeddings
    own = [np.flatnonzero(words.forms == source) for source in sources.tolist()]
    found, _ = nearest(head.vectors, head.norms, units + others, 1, excluded=own)
    return np.asarray(found[:, 0])


def _by_class(words: FoldedWords, sources: Ids, targets: Sequence[Sequence[int]]) -> Ids:
    """The answers of LRCos, int64 (n,)."""
    others = np.setdiff1d(
        np.unique(words.forms), [*sources.tolist(), *(i for ids in targets for i in ids)]
    )
    generator = np.random.default_rng(_SEED)
    drawn = generator.choice(others, min(len(sources), len(others)), replace=False)
    examples = np.concatenate([*map(np.array, targets), sources, drawn]).astype(np.int64)
    # the pair that an example belongs to; that of a random word is none
    owner = np.concatenate([
        np.repeat(np.arange(len(targets)), [len(ids) for ids in targets]),
        np.arange(len(sources)),
        np.full(len(drawn), -1),
    ])  # fmt: skip
    is_target = np.arange(len(examples)) < sum(map(len, targets))
    units = words.units(examples)
    models = [
        logistic(units[owner != i], is_target[owner != i], _PENALTY) for i in range(len(sources))
    ]
    weights, biases = np.array([w for w, _ in models]), np.array([b for _, b in models])
    asked = words.units(sources)
    best = np.full(len(sources), -np.inf)
    answer = np.zeros(len(sources), np.int64)
    step = max(1, _CELLS // len(sources))
    for start in range(0, len(words.embeddings), step):
        block = unit_rows(words.embeddings.vectors[start : start + step])
        scores = _sigmoid(block @ weights.T + biases) * (block @ asked.T)
        scores[words.forms[start : start + step, None] == sources] = -np.inf
        column = scores.argmax(axis=0)
        score = scores[column, np.arange(len(sources))]
        better = score > best
        best[better], answer[better] = score[better], column[better] + start
    return answer


def logistic(x: Doubles, y: NDArray[np.bool_], penalty: float) -> tuple[Doubles, float]:
    """A logistic regression with a square penalty on the weights, by Newton's method.

    Args:
        x: float64 (n, D).
        y: bool (n,).
        penalty: weight of the losses against half the square of the weights: scikit-learn's C.

    Returns:
        Weights, float64 (D,), and the intercept, which is not penalised.
    """
    # the weights are a sum of rows, so a basis of the rows is enough to look in
    basis = np.linalg.qr(x.T)[0] if x.shape[1] > len(x) else np.eye(x.shape[1])
    rows = np.concatenate([x @ basis, np.ones((len(x), 1))], axis=1)
    held = np.append(np.ones(basis.shape[1]), 0.0)
    signs = np.where(y, 1.0, -1.0)

    def loss(weights: Doubles) -> float:
        margins = signs * (rows @ weights)
        return float(penalty * np.logaddexp(0, -margins).sum() + (held * weights**2).sum() / 2)

    weights = np.zeros(rows.shape[1])
    for _ in range(_STEPS):
        chance = _sigmoid(rows @ weights)
        gradient = penalty * rows.T @ (chance - y) + held * weights
        bends = penalty * (rows.T * (chance * (1 - chance))) @ rows + np.diag(held)
        step = np.linalg.lstsq(bends, gradient, rcond=None)[0]
        scale = 1.0
        while loss(weights - scale * step) > loss(weights) and scale > _ENOUGH:
            scale /= 2
        weights -= scale * step
        if np.abs(step).max() < _ENOUGH:
            break
    return basis @ weights[:-1], float(weights[-1])


def _sigmoid(x: Doubles) -> Doubles:
    return np.asarray(np.exp(-np.logaddexp(0, -x)))
