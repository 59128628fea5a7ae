"""How many dimensions? Trains at each of several and says what each is worth.

For a number of dimensions: the scores on the user's evaluation files, the training loss of the last
epoch, the time, the size, and how far two runs with different seeds are apart: the PIP loss (Yin &
Shen 2018), the Frobenius norm of E1 E1' - E2 E2' over unit-scaled spaces, 0 for the same space
turned, about 1.4 for unrelated ones. No V x V matrix is made:

    |E1 E1' - E2 E2'|² = |E1' E1|² + |E2' E2|² - 2 |E1' E2|²
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from embedcli.config import TrainConfig
from embedcli.embeddings import Embeddings
from embedcli.evaluation import evaluate
from embedcli.progress import OnProgress, ignore_progress
from embedcli.training.trainer import train

__all__ = ["NEARLY", "Trial", "pip_loss", "recommended", "try_dimensions"]

NEARLY = 0.99  # a score of this share of the best is as good


@dataclass(frozen=True)
class Trial:
    """One number of dimensions.

    Attributes:
        dim: D.
        score: the mean of `scores`, over both runs; None where one of them is undefined.
        scores: the score on each file (percent, or 100 x rho), the mean of both runs.
        loss: the mean loss of a pair in the last epoch of the first run.
        seconds: of one run, reading included.
        n_bytes: of the input vectors, float32.
        pip_loss: between the two runs; 0 to about 1.4.
    """

    dim: int
    score: float | None
    scores: Sequence[float | None]
    loss: float
    seconds: float
    n_bytes: int
    pip_loss: float


def try_dimensions(
    paths: Sequence[str],
    config: TrainConfig,
    dims: Sequence[int],
    files: Sequence[str],
    *,
    budget: float = np.inf,
    clock: Callable[[], float] = time.perf_counter,
    on_trial: Callable[[Trial], None] = lambda trial: None,
    on_progress: OnProgress = ignore_progress,
) -> tuple[list[Trial], list[int]]:
    """Train twice at each of `dims`, with `config.seed` and the next seed, and score.

    Args:
        paths: the corpus, as `train` takes it; not standard input.
        config: all other settings.
        dims: the numbers of dimensions, tried in rising order.
        files: analogy and similarity files.
        budget: seconds. What would probably end after that, by the time of the one before, is not
            begun; the first always is.
        clock: what tells the seconds.
        on_trial: called after each trial.
        on_progress: as `train`'s.

    Returns:
        The trials, and the dims that were left out for want of time.
    """
    began = clock()
    trials: list[Trial] = []
    ordered = sorted(set(dims))
    for i, dim in enumerate(ordered):
        if trials:
            expected = 2 * trials[-1].seconds * dim / trials[-1].dim
            if clock() - began + expected > budget:
                return trials, ordered[i:]
        start = clock()
        runs = [
            train(paths, replace(config, dim=dim, seed=config.seed + more), on_progress=on_progress)
            for more in (0, 1)
        ]
        trials.append(_trial(dim, runs, files, (clock() - start) / 2))
        on_trial(trials[-1])
    return trials, []


def recommended(trials: Sequence[Trial]) -> Trial | None:
    """The fewest dimensions that score `NEARLY` the best; None where nothing is defined."""
    defined = [trial for trial in trials if trial.score is not None]
    if not defined:
        return None
    best = max(trial.score or 0.0 for trial in defined)
    return min((t for t in defined if (t.score or 0.0) >= NEARLY * best), key=lambda t: t.dim)


def pip_loss(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """How far two spaces over the same words, float32 (V, D1) and (V, D2), are apart.

    Each is scaled so that its table of inner products has norm 1: 0 for the same up to a turn,
    the square root of 2 for spaces that have nothing in common.
    """
    own = [float(np.linalg.norm(each.T.astype(np.float64) @ each)) for each in (first, second)]
    if not all(own):
        return 0.0 if not any(own) else math.sqrt(2)
    cross = float(np.linalg.norm(first.T.astype(np.float64) @ second))
    return math.sqrt(max(0.0, 2 - 2 * cross**2 / (own[0] * own[1])))


def _trial(dim: int, runs: Sequence[Embeddings], files: Sequence[str], seconds: float) -> Trial:
    reports = [evaluate(run, files, bootstrap=0) for run in runs]
    scores = [_mean([each[i].score for each in reports]) for i in range(len(files))]
    return Trial(
        dim,
        _mean(scores),
        scores,
        float(runs[0].metadata["loss"][-1]),
        seconds,
        4 * dim * len(runs[0]),
        pip_loss(runs[0].vectors, runs[1].vectors),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None
