"""One trial: a run or several on an encoded corpus, scored, timed and held against each other.

The text is read and encoded once, whatever the number of trials. Runs of a trial differ in the seed
alone; how far two of them are apart is what stability means (`stability.py`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from embedcli.embeddings import Embeddings
from embedcli.errors import TrainingError
from embedcli.evaluation import evaluate
from embedcli.progress import OnProgress, ignore_progress
from embedcli.settings.config import TrainConfig
from embedcli.settings.values import Value
from embedcli.text.corpus import Corpus
from embedcli.training.architectures import compile_architecture, prepared
from embedcli.training.forecast import forecast
from embedcli.tuning.stability import pip_loss

__all__ = ["NEARLY", "Bench", "Trial", "recommended"]

NEARLY: Final = 0.99  # a score of this share of the best is as good


@dataclass(frozen=True)
class Trial:
    """What some settings are worth.

    Attributes:
        settings: those searched, by name.
        score: the mean of `scores`; None where one of them is undefined.
        scores: the score on each file (percent, or 100 x rho), the mean of all runs.
        loss: the mean loss of a pair in the last epoch of the first run; None where it failed.
        held_out: the same of text that was not trained, after the last epoch; None where nothing
            was held out. To be compared where `negative`, `window` and the loss are the same.
        seconds: of training one run; the mean of all.
        n_bytes: of the input vectors, float32.
        memory: bytes that training takes in all.
        pip_loss: between the first two runs, 0 to about 1.41; None with a single one.
        fault: why a run failed, such as a learning rate too high; None where none did.
    """

    settings: Mapping[str, Value]
    score: float | None
    scores: Sequence[float | None]
    loss: float | None
    held_out: float | None
    seconds: float
    n_bytes: int
    memory: int
    pip_loss: float | None
    fault: str | None = None

    @property
    def dim(self) -> int:
        """D, where dimensions are searched; otherwise 0, as all have the same."""
        return int(self.settings.get("dim") or 0)


@dataclass(frozen=True)
class Bench:
    """What all trials share.

    Attributes:
        corpus: the text, encoded.
        config: the settings that are not searched.
        files: analogy and similarity files.
        valid: a text in the same vocabulary that is measured and not trained; None to measure what
            `config.valid_fraction` holds out.
        runs: of each trial, with `config.seed` and the seeds after it.
        on_progress: as `train`'s.
    """

    corpus: Corpus
    config: TrainConfig
    files: Sequence[str]
    valid: Corpus | None = None
    runs: int = 2
    on_progress: OnProgress = ignore_progress

    def measure(self, settings: Mapping[str, Value]) -> Trial:
        """Train with `settings`, score, and compare the runs; a run may fail, which is a result."""
        config = self.config.with_settings(settings).resolve()
        compile_architecture(config)
        words = self.corpus.vocabulary
        needed = forecast(words, config, len(self.corpus.ids), (), checkpoints=False)
        unknown: list[float | None] = [None] * len(self.files)
        trial = Trial(
            settings=dict(settings),
            score=None,
            scores=unknown,
            loss=None,
            held_out=None,
            seconds=0.0,
            n_bytes=4 * config.dim * len(words),
            memory=needed.memory,
            pip_loss=None,
        )
        began = time.perf_counter()
        try:
            seeds = range(config.seed, config.seed + self.runs)
            runs = [self._train(replace(config, seed=seed)) for seed in seeds]
        except TrainingError as error:
            return replace(trial, seconds=time.perf_counter() - began, fault=str(error))
        seconds = (time.perf_counter() - began) / self.runs
        reports = [evaluate(run, self.files, bootstrap=0) for run in runs]
        scores = [mean([each[i].score for each in reports]) for i in range(len(self.files))]
        return replace(
            trial,
            score=mean(scores),
            scores=scores,
            loss=runs[0].metadata["loss"],
            held_out=runs[0].metadata["held_out"],
            seconds=seconds,
            pip_loss=pip_loss(runs[0].vectors, runs[1].vectors) if self.runs > 1 else None,
        )

    def _train(self, config: TrainConfig) -> Embeddings:
        with prepared(self.corpus, config, valid=self.valid, on_progress=self.on_progress) as run:
            run.train(self.on_progress)
            vectors, _ = run.matrices()
            last = run.epochs[-1]
            facts: dict[str, Any] = {"loss": last.loss, "held_out": last.held_out}
        return Embeddings(self.corpus.vocabulary, vectors, None, facts)


def recommended(trials: Sequence[Trial]) -> Trial | None:
    """The best of those with the fewest dimensions that still score `NEARLY` the best.

    None where no score is defined.
    """
    defined = [(trial, trial.score) for trial in trials if trial.score is not None]
    if not defined:
        return None
    best = max(score for _, score in defined)
    good = [(trial, score) for trial, score in defined if score >= min(best, NEARLY * best)]
    return min(good, key=lambda pair: (pair[0].dim, -pair[1]))[0]


def mean(values: Sequence[float | None]) -> float | None:
    """The mean; None where a value is, or where there are none."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None
