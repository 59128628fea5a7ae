"""embed beside gensim (and fastText, where installed): whole run, training loop, accuracy."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.scores import Scores, remember, score
from benchmarks.session import Session, main, median
from benchmarks.tables import Table, goals
from benchmarks.trainers import (
    EMBED,
    FASTTEXT,
    GENSIM,
    Run,
    Settings,
    installed,
    readable,
    train,
    warm_up,
)

NAME = "peers"


@dataclass(frozen=True)
class Contest:
    """Settings that all trainers get, and what issue 2 asks of embed against gensim.

    Attributes:
        title: what is trained.
        settings: how.
        end_to_end: the least ratio of gensim's wall time to ours.
        loop: the least ratio of our tokens a second of the training loop to gensim's, if asked.
        trainers: who takes part.
    """

    title: str
    settings: Settings
    end_to_end: float
    loop: float | None = None
    trainers: tuple[str, ...] = (EMBED, GENSIM)


CONTESTS = (
    Contest("Skip-gram, D=100, 5 epochs", Settings(), 13, 16, (EMBED, GENSIM, FASTTEXT)),
    Contest("CBOW, D=100, 5 epochs", Settings(arch="cbow", lr=0.05), 5),
    Contest("Skip-gram, D=300, 1 epoch", Settings(dim=300, epochs=1), 10),
)


def measure(session: Session) -> list[Table]:
    """A table of figures and one of ratios for each contest."""
    if not installed(FASTTEXT):
        print("\nfastText is not installed (pip install fasttext): left out")
    return [table for contest in CONTESTS for table in _hold(session, contest)]


def _hold(session: Session, contest: Contest) -> tuple[Table, Table]:
    trainers = [trainer for trainer in contest.trainers if installed(trainer)]
    for trainer in trainers:
        warm_up(session, trainer, contest.settings)
    runs: dict[str, list[Run]] = {trainer: [] for trainer in trainers}
    scores: dict[str, Scores] = {}
    for trainer in _order(session, trainers):
        made = train(session, trainer, contest.settings)
        runs[trainer].append(made)
        if trainer not in scores:
            scores[trainer] = score(session, readable(session, made))
    remember(session, GENSIM, contest.settings, scores[GENSIM])
    return _figures(contest, runs, scores), _ratios(contest, runs)


def _order(session: Session, trainers: list[str]) -> Iterator[str]:
    """Take turns; embed, whose runs are short, at least three times."""
    for turn in range(max(session.repeat, len(session.times(3)))):
        for trainer in trainers:
            if trainer == EMBED or turn < session.repeat:
                yield trainer


def _figures(contest: Contest, runs: dict[str, list[Run]], scores: dict[str, Scores]) -> Table:
    columns = {
        "trainer": "",
        "runs": "d",
        "wall s": ".1f",
        "fastest to slowest s": "",
        "reading s": ".1f",
        "training s": ".1f",
        "M tokens/s": ".2f",
        "peak MB": ",.0f",
        "analogies": ".1f",
        "similarity": ".1f",
    }
    settings = contest.settings
    table = Table(f"{contest.title}, lr {settings.lr}, {settings.threads} threads", columns)
    for trainer, made in runs.items():
        walls = [run.seconds for run in made]
        table.add(
            trainer,
            len(made),
            median(walls),
            f"{min(walls):.1f} to {max(walls):.1f}",
            _median([run.reading for run in made]),
            _median([run.training for run in made]),
            _millions(_median([run.rate for run in made])),
            max(run.peak for run in made) / 1e6,
            scores[trainer].analogies,
            scores[trainer].similarity,
        )
    return table


def _ratios(contest: Contest, runs: dict[str, list[Run]]) -> Table:
    table = goals(f"{contest.title}: embed against gensim")
    ours, theirs = runs[EMBED], runs[GENSIM]
    walls = [median(run.seconds for run in made) for made in (theirs, ours)]
    table.add("end to end, times faster", walls[0] / walls[1], f"{contest.end_to_end:g} or more")
    rates = [median(run.rate or 0 for run in made) for made in (ours, theirs)]
    least = "" if contest.loop is None else f"{contest.loop:g} or more"
    table.add("training loop, times faster", rates[0] / rates[1], least)
    bound = ours[0].memory_bound / 1e6
    peak = max(run.peak for run in ours) / 1e6
    table.add("peak memory of embed, MB", peak, f"{bound:.0f} or less")
    return table


def _median(values: list[float | None]) -> float | None:
    """Of what a trainer tells; None where it does not tell."""
    told = [value for value in values if value is not None]
    return median(told) if told else None


def _millions(value: float | None) -> float | None:
    return None if value is None else value / 1e6


if __name__ == "__main__":
    sys.exit(main({NAME: measure}))
