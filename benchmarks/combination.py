"""Accuracy of runs in shards: rules of combination and numbers of workers, one machine beside them.

Workers are simulated by ``benchmarks/simulate.py``: the functions and the order are those of a
cluster, so that only the clock is not. One machine and embed's rule are trained with every seed,
the other rules with the first.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from benchmarks.processes import ChildError, run
from benchmarks.scores import score
from benchmarks.session import Session, main
from benchmarks.tables import Table
from benchmarks.trainers import EMBED, Settings, train

NAME = "combination"
RULES = ("embed", "combiner", "rows", "plain", "sum")
WORKERS = (2, 4, 8, 16)
ROUNDS = 8  # in an epoch, of five: 40 in a run, the fewest that a cluster makes by itself

_COLUMNS = {
    "rule": "",
    "workers": "d",
    "seeds": "d",
    "analogies": ".1f",
    "from one machine": "+.1f",
    "lowest": ".1f",
    "highest": ".1f",
    "similarity": ".1f",
    "from it": "+.1f",
    "loss": ".3f",
}


class _Run(NamedTuple):
    analogies: float
    similarity: float
    loss: float


def measure(session: Session) -> list[Table]:
    """One machine, and embed's rule beside others."""
    seeds = range(1, session.seeds + 1)
    one = [_one_machine(session, seed) for seed in seeds]
    alone = Table("One machine", {"seed": "d", "analogies": ".1f", "similarity": ".1f"})
    for seed, made in zip(seeds, one, strict=True):
        alone.add(seed, made.analogies, made.similarity)
    rules = Table(f"Rules of combination, 5 epochs of {ROUNDS} rounds", _COLUMNS)
    for rule in RULES:
        for workers in WORKERS:
            some = seeds if rule == "embed" else seeds[:1]
            runs = [_simulated(session, workers, rule, seed) for seed in some]
            rules.add(rule, workers, len(some), *_means(runs, one))
    rules.notes.append("n/a: training diverged.")
    return [alone, rules]


def _means(runs: Sequence[_Run | None], one: Sequence[_Run]) -> list[float | None]:
    """Mean scores, how far they are from one machine's, and the range of the analogies."""
    made = [run for run in runs if run is not None]
    if len(made) < len(runs):
        return [None] * 7
    analogies = [run.analogies for run in made]
    similarity = fmean(run.similarity for run in made)
    return [
        *(fmean(analogies), fmean(analogies) - fmean(run.analogies for run in one)),
        *(min(analogies), max(analogies)),
        *(similarity, similarity - fmean(run.similarity for run in one)),
        fmean(run.loss for run in made),
    ]


def _one_machine(session: Session, seed: int) -> _Run:
    made = train(session, EMBED, Settings(lr=None, seed=seed))
    found = score(session, made.model)
    session.say(f"one machine, seed {seed}: {found.analogies:.2f}, {found.similarity:.2f}")
    return _Run(found.analogies or 0.0, found.similarity or 0.0, 0.0)


def _simulated(session: Session, workers: int, rule: str, seed: int) -> _Run | None:
    """Scores and the loss of the last epoch; None where training diverges."""
    model: Path = session.folder / "simulated.safetensors"
    command = [sys.executable, "-m", "benchmarks.simulate", session.corpus, model]
    options = [f"--shards={workers}", f"--rounds={ROUNDS}", f"--rule={rule}", f"--seed={seed}"]
    what = f"{rule}, {workers} workers, seed {seed}"
    try:
        done = run([*command, *options], session.environment)
    except ChildError as error:
        if "diverged" not in str(error):
            raise
        session.say(f"{what}: diverged")
        return None
    found, loss = score(session, model), json.loads(done.stdout)["loss"]
    session.say(f"{what}: {found.analogies:.2f}, {found.similarity:.2f}; loss {loss:.4f}")
    return _Run(found.analogies or 0.0, found.similarity or 0.0, loss)


if __name__ == "__main__":
    sys.exit(main({NAME: measure}))
