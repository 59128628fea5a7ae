"""What schedules, AdaGrad and regularisation do to scores and time, on much text and on little."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from statistics import fmean

from benchmarks.scores import Scores, score
from benchmarks.session import Session, main
from benchmarks.tables import Table
from benchmarks.trainers import EMBED, Settings, readable, train

NAME = "variants"

_LITTLE_TOKENS = 1_000_000
_LITTLE_EPOCHS = 20
# Each is compared with the first: skip-gram, D=100, and all other settings at their defaults.
VARIANTS = (
    (),
    ("--warmup=0.05",),
    ("--schedule=cosine",),
    ("--schedule=constant", "--lr=0.025"),
    ("--optimizer=adagrad",),
    ("--dropout=0.1",),
    ("--dropout=0.3",),
    ("--l2=1e-4",),
    ("--l2=1e-3",),
    ("--max-norm=5",),
    ("--max-norm=3",),
)


def measure(session: Session) -> list[Table]:
    """A table for the whole text, and one for its first million tokens."""
    little = session.excerpt(_LITTLE_TOKENS)
    texts = {
        "The whole text, 5 epochs": (session.corpus, 5),
        f"Its first million tokens, {_LITTLE_EPOCHS} epochs": (little, _LITTLE_EPOCHS),
    }
    return [_table(session, title, *text) for title, text in texts.items()]


def _table(session: Session, title: str, text: Path, epochs: int) -> Table:
    columns = {"options": "", "training s": ".1f", "analogies": ".1f", "similarity": ".1f"}
    table = Table(f"{title}: skip-gram, D=100, mean of {session.seeds} seeds", columns)
    for options in VARIANTS:
        seconds: list[float] = []
        scores: list[Scores] = []
        for seed in range(1, session.seeds + 1):
            settings = replace(Settings(lr=None, epochs=epochs), seed=seed)
            made = train(session, EMBED, settings, text, more=options)
            seconds.append(made.training or 0.0)
            scores.append(score(session, readable(session, made)))
        shown = " ".join(options).replace("=", " ") or "(the defaults)"
        analogies = _mean([one.analogies for one in scores])
        similarity = _mean([one.similarity for one in scores])
        table.add(shown, fmean(seconds), analogies, similarity)
    return table


def _mean(values: list[float | None]) -> float | None:
    told = [value for value in values if value is not None]
    return fmean(told) if len(told) == len(values) else None


if __name__ == "__main__":
    sys.exit(main({NAME: measure}))
