"""Accuracy at equal settings: mean of several seeds, embed beside gensim, and embed's defaults."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

from benchmarks.scores import Scores, recall, remember, score
from benchmarks.session import Session, main
from benchmarks.tables import Table, goals
from benchmarks.trainers import EMBED, GENSIM, Settings, readable, train

NAME = "accuracy"
ALLOWED = -0.5  # points that embed may be below gensim
# A seed's similarity varies by half a point: three leave the difference uncertain by as much as is
# allowed, six by two thirds of that.
SEEDS = 6

# who, as what, with which settings
ENTRIES = (
    (EMBED, "embed, lr 0.025", Settings()),
    (GENSIM, "gensim, lr 0.025", Settings()),
    (EMBED, "embed, its own lr", Settings(lr=None)),
)


def measure(session: Session) -> list[Table]:
    """The scores of each seed and their means, and how far embed is from gensim."""
    columns = {
        "trainer": "",
        "analogies": ".2f",
        "analogies by seed": "",
        "similarity": ".2f",
        "similarity by seed": "",
    }
    table = Table("Skip-gram, D=100, 5 epochs: accuracy, mean of seeds", columns)
    means = {}
    for trainer, title, settings in ENTRIES:
        scores = [
            _score(session, trainer, replace(settings, seed=seed), table.notes)
            for seed in session.seeds_or(SEEDS)
        ]
        analogies = _column([one.analogies for one in scores])
        similarity = _column([one.similarity for one in scores])
        table.add(title, *analogies, *similarity)
        means[title] = analogies[0], similarity[0]
    return [table, _distance(means[ENTRIES[0][1]], means[ENTRIES[1][1]])]


def _score(session: Session, trainer: str, settings: Settings, notes: list[str]) -> Scores:
    """Train and score, unless it is gensim's and remembered; then a note says since when."""
    known = recall(session, trainer, settings) if trainer == GENSIM else None
    if known:
        notes.append(f"{trainer}, seed {settings.seed}: remembered from {known.date}.")
        session.say(notes[-1])
        return known
    scores = score(session, readable(session, train(session, trainer, settings)))
    if trainer == GENSIM:
        remember(session, trainer, settings, scores)
    return scores


def _column(values: Sequence[float | None]) -> tuple[float | None, str]:
    """The mean, None where a score is missing, and the scores themselves."""
    shown = ", ".join("n/a" if value is None else f"{value:.1f}" for value in values)
    told = [value for value in values if value is not None]
    return fmean(told) if len(told) == len(values) else None, shown


def _distance(
    ours: tuple[float | None, float | None], theirs: tuple[float | None, float | None]
) -> Table:
    table = goals("Accuracy: embed minus gensim, points")
    for name, a, b in zip(("analogies", "similarity"), ours, theirs, strict=True):
        table.add(name, None if a is None or b is None else a - b, f"{ALLOWED} or more")
    return table


if __name__ == "__main__":
    sys.exit(main({NAME: measure}))
