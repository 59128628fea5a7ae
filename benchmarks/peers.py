"""embed beside gensim (and fastText, where installed): whole run, training loop, accuracy."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.scores import Scores, remember, score
from benchmarks.session import Session, main
from benchmarks.tables import Table, goals, ratio
from benchmarks.trainers import (
    EMBED,
    FASTTEXT,
    GENSIM,
    Run,
    Settings,
    installed,
    middle,
    readable,
    train,
    warm_up,
)

__all__ = ["Contest", "hold", "measure"]

NAME = "peers"


@dataclass(frozen=True)
class Contest:
    """Settings that all trainers get, and the targets of embed against gensim.

    Attributes:
        title: what is trained.
        settings: how.
        end_to_end: the least ratio of gensim's wall time to ours, if asked.
        loop: the least ratio of our tokens a second of the training loop to gensim's, if asked.
        trainers: who takes part.
    """

    title: str
    settings: Settings
    end_to_end: float | None = None
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
    return [table for contest in CONTESTS for table in hold(session, contest)]


def hold(session: Session, contest: Contest) -> tuple[Table, Table]:
    """Let all train in turns; their figures, and the ratios."""
    trainers = [one for one in contest.trainers if one != FASTTEXT or installed(FASTTEXT)]
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
            middle(made, "seconds"),
            f"{min(walls):.1f} to {max(walls):.1f}",
            middle(made, "reading"),
            middle(made, "training"),
            ratio(middle(made, "rate"), 1e6),
            max(run.peak for run in made) / 1e6,
            scores[trainer].analogies,
            scores[trainer].similarity,
        )
    return table


def _ratios(contest: Contest, runs: dict[str, list[Run]]) -> Table:
    table = goals(f"{contest.title}: embed against gensim")
    ours, theirs = runs[EMBED], runs[GENSIM]
    whole = ratio(middle(theirs, "seconds"), middle(ours, "seconds"))
    table.add("end to end, times faster", whole, _at_least(contest.end_to_end))
    loop = ratio(middle(ours, "rate"), middle(theirs, "rate"))
    table.add("training loop, times faster", loop, _at_least(contest.loop))
    bound = ours[0].memory_bound / 1e6
    peak = max(run.peak for run in ours) / 1e6
    table.add("peak memory of embed, MB", peak, f"{bound:.0f} or less")
    return table


def _at_least(target: float | None) -> str:
    return "" if target is None else f"{target:g} or more"


if __name__ == "__main__":
    sys.exit(main({NAME: measure}))
