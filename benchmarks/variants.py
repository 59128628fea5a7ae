"""What schedules, AdaGrad and regularisation do to scores and time, on much text and on little."""

from __future__ import annotations

import sys
from collections.abc import Sequence
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
OF_LITTLE = (
    (),
    ("--warmup=0.05",),
    ("--schedule=cosine",),
    ("--schedule=constant", "--lr=0.025"),
    ("--optimizer=adagrad",),
    ("--dropout=0.1",),
    ("--dropout=0.3",),
    ("--dropout=0.5",),
    ("--l2=1e-3",),
    ("--l2=1e-2",),
    ("--max-norm=3",),
    ("--max-norm=2.5",),
    ("--max-norm=2",),
)
OF_MUCH = (
    (),
    ("--schedule=cosine",),
    ("--optimizer=adagrad",),
    ("--dropout=0.1",),
    ("--l2=1e-3",),
    ("--max-norm=4",),
)


def measure(session: Session) -> list[Table]:
    """A table for the first million tokens, and one for the whole text, with one seed."""
    little, seeds = session.excerpt(_LITTLE_TOKENS), session.seeds_or(3)
    title = f"A million tokens, {_LITTLE_EPOCHS} epochs"
    return [
        _table(session, title, OF_LITTLE, little, _LITTLE_EPOCHS, seeds),
        _table(session, "The whole text, 5 epochs", OF_MUCH, session.corpus, 5, range(1, 2)),
    ]


def _table(
    session: Session,
    title: str,
    variants: Sequence[Sequence[str]],
    text: Path,
    epochs: int,
    seeds: range,
) -> Table:
    columns = {"options": "", "training s": ".1f", "analogies": ".1f", "similarity": ".1f"}
    table = Table(f"{title}: skip-gram, D=100, seeds {seeds[0]} to {seeds[-1]}", columns)
    for options in variants:
        seconds: list[float] = []
        scores: list[Scores] = []
        for seed in seeds:
            settings = Settings(lr=None, epochs=epochs, seed=seed)
            made = train(session, EMBED, settings, text, more=tuple(options))
            seconds.append(made.training or 0.0)
            scores.append(score(session, readable(session, made)))
        shown = " ".join(options).replace("=", " ") or "(the defaults)"
        analogies = _mean([one.analogies for one in scores])
        similarity = _mean([one.similarity for one in scores])
        table.add(shown, fmean(seconds), analogies, similarity)
        session.say(f"{shown}: {analogies} {similarity}")
    return table


def _mean(values: list[float | None]) -> float | None:
    told = [value for value in values if value is not None]
    return fmean(told) if len(told) == len(values) else None


if __name__ == "__main__":
    sys.exit(main({NAME: measure}))
