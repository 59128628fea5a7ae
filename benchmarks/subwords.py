"""embed beside fastText, both with character n-grams: whole run, accuracy, words never seen.

fastText's settings are those of its own defaults, and embed is given the same: lr 0.05, noise in
proportion to the square root of counts, 3:6 n-grams in 2,000,000 buckets. Words that neither has
seen get the vectors of their subwords, in the sets of similarity and in that of rare words, such as
Luong, Socher & Manning's (2013), which ``--rare FILE`` names.
"""

from __future__ import annotations

import sys
from dataclasses import replace

from benchmarks.scores import Scores, score
from benchmarks.session import Session, main
from benchmarks.tables import Table, goals, ratio
from benchmarks.trainers import (
    EMBED,
    FASTTEXT,
    Run,
    Settings,
    installed,
    middle,
    readable,
    train,
    warm_up,
)

NAME = "subwords"
SETTINGS = Settings(lr=0.05, subword="3:6", ns_exponent=0.5)
# What the issue asks of embed against fastText: times faster end to end, points it may be below.
FASTER, ALLOWED = 10, -1.5
FIGURES = {"analogies": "analogies", "similarity": "similarity", "rare words": "rare"}


def measure(session: Session) -> list[Table]:
    """A table of figures and one of distances for skip-gram and for CBOW."""
    if not installed(FASTTEXT):
        print("\nfastText is not installed (pip install fasttext): nothing to compare with")
    tables = []
    for arch, faster in (("skipgram", FASTER), ("cbow", None)):
        tables += _hold(session, replace(SETTINGS, arch=arch), faster)
    return tables


def _hold(session: Session, settings: Settings, faster: int | None) -> list[Table]:
    trainers = [one for one in (EMBED, FASTTEXT) if one != FASTTEXT or installed(FASTTEXT)]
    for trainer in trainers:
        warm_up(session, trainer, settings)
    runs: dict[str, list[Run]] = {trainer: [] for trainer in trainers}
    scores: dict[str, Scores] = {}
    for turn in range(max(session.repeat, len(session.times(3)))):
        for trainer in trainers:
            if trainer == FASTTEXT and turn >= session.repeat:
                continue
            made = train(session, trainer, settings)
            runs[trainer].append(made)
            if turn == 0:
                scores[trainer] = score(session, readable(session, made))
    tables = [_figures(settings, runs, scores)]
    if FASTTEXT in runs:
        tables.append(_distances(settings, runs, scores, faster))
    return tables


def _figures(settings: Settings, runs: dict[str, list[Run]], scores: dict[str, Scores]) -> Table:
    columns = {
        "trainer": "",
        "runs": "d",
        "wall s": ".1f",
        "fastest to slowest s": "",
        "training s": ".1f",
        "CPU s": ".1f",
        "peak MB": ",.0f",
        "analogies": ".1f",
        "similarity": ".1f",
        "rare words": ".1f",
    }
    title = f"{settings.arch} with {settings.subword} n-grams, D={settings.dim}"
    table = Table(f"{title}, {settings.epochs} epochs, lr {settings.lr}", columns)
    for trainer, made in runs.items():
        walls = [run.seconds for run in made]
        table.add(
            trainer,
            len(made),
            middle(made, "seconds"),
            f"{min(walls):.1f} to {max(walls):.1f}",
            middle(made, "training"),
            middle(made, "cpu"),
            max(run.peak for run in made) / 1e6,
            scores[trainer].analogies,
            scores[trainer].similarity,
            scores[trainer].rare,
        )
    return table


def _distances(
    settings: Settings, runs: dict[str, list[Run]], scores: dict[str, Scores], faster: int | None
) -> Table:
    table = goals(f"{settings.arch} with {settings.subword} n-grams: embed against fastText")
    times = ratio(middle(runs[FASTTEXT], "seconds"), middle(runs[EMBED], "seconds"))
    table.add("end to end, times faster", times, f"{faster} or more" if faster else "")
    less = ratio(middle(runs[FASTTEXT], "cpu"), middle(runs[EMBED], "cpu"))
    table.add("processor time, times less", less, "")
    for name, figure in FIGURES.items():
        ours, theirs = (getattr(scores[trainer], figure) for trainer in (EMBED, FASTTEXT))
        gain = None if None in (ours, theirs) else ours - theirs
        table.add(f"{name}, points above", gain, f"{ALLOWED} or more" if faster else "")
    return table


if __name__ == "__main__":
    sys.exit(main({NAME: measure}))
