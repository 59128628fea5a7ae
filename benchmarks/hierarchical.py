"""Hierarchical softmax: embed --loss hs beside gensim hs=1, in turns, with accuracies."""

from __future__ import annotations

import sys

from benchmarks.peers import Contest, hold
from benchmarks.session import Session, main
from benchmarks.tables import Table
from benchmarks.trainers import Settings

NAME = "hierarchical"

CONTESTS = (
    Contest("Skip-gram with hierarchical softmax, D=100, 1 epoch", Settings(loss="hs", epochs=1)),
    Contest(
        "CBOW with hierarchical softmax, D=100, 1 epoch",
        Settings(arch="cbow", loss="hs", epochs=1, lr=0.05),
    ),
)


def measure(session: Session) -> list[Table]:
    """A table of figures and one of ratios for each contest."""
    return [table for contest in CONTESTS for table in hold(session, contest)]


if __name__ == "__main__":
    sys.exit(main({NAME: measure}))
