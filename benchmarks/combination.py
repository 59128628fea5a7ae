"""Accuracy of runs in shards: rules of combination, rounds, numbers of workers; one machine beside.

Workers are simulated by ``benchmarks/simulate.py``: the functions and the order are those of a
cluster, so that only the clock is not.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from benchmarks.processes import ChildError, run
from benchmarks.scores import score
from benchmarks.session import Session, main
from benchmarks.tables import Table
from benchmarks.trainers import EMBED, Settings, train

NAME = "combination"
RULES = ("plain", "rows", "sum", "combiner", "embed")
SHARDS = 8
ROUNDS = (1, 8)
# Workers, and rounds in an epoch.
SETTINGS = ((2, 1), (2, 4), (4, 8), (8, 8), (8, 16), (16, 16))

_COLUMNS = {"shards": "d", "rounds": "d", "analogies": ".1f", "similarity": ".1f", "loss": ".3f"}


def measure(session: Session) -> list[Table]:
    """The rules with eight workers, then embed's own with others."""
    seconds = Table("One machine beside it", {"seed": "d", "analogies": ".1f", "similarity": ".1f"})
    for seed in range(1, session.seeds + 1):
        made = train(session, EMBED, Settings(lr=None, seed=seed))
        found = score(session, made.model)
        seconds.add(seed, found.analogies, found.similarity)
    rules = Table("Rules of combination, 5 epochs", {"rule": ""} | _COLUMNS)
    for rounds in ROUNDS:
        for rule in RULES:
            rules.add(rule, SHARDS, rounds, *_scores(session, SHARDS, rounds, rule))
    workers = Table("embed's rule, 5 epochs", _COLUMNS)
    for shards, rounds in SETTINGS:
        workers.add(shards, rounds, *_scores(session, shards, rounds, "embed"))
    rules.notes.append("n/a: training diverged.")
    return [seconds, rules, workers]


def _scores(
    session: Session, shards: int, rounds: int, rule: str
) -> tuple[float | None, float | None, float | None]:
    """Analogies, similarity and the loss of the last epoch."""
    model: Path = session.folder / "simulated.safetensors"
    command = [sys.executable, "-m", "benchmarks.simulate", session.corpus, model]
    options = [f"--shards={shards}", f"--rounds={rounds}", f"--rule={rule}"]
    try:
        done = run([*command, *options], session.environment)
    except ChildError as error:
        if "diverged" not in str(error):
            raise
        return None, None, None
    found = score(session, model)
    session.say(f"{rule}, {shards} shards, {rounds} rounds: {found.analogies}, {found.similarity}")
    return found.analogies, found.similarity, json.loads(done.stdout)["loss"]


if __name__ == "__main__":
    sys.exit(main({NAME: measure}))
