"""The rounds of a run on a Dask cluster: training, checkpoints, stopping, the last model.

A task that is lost with its worker runs again on another worker, with the same arguments and hence,
with one thread a worker, the same result. Dask can do that as long as it knows the task of every
argument, which would in the end be all tasks of the run. So the model of each checkpoint is
scattered to the workers as data: nothing is computed again that is older than the last checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from embedcli.cluster.counts import sum_tallies
from embedcli.cluster.dask_driver import DaskDriver
from embedcli.cluster.deltas import Change, Matrices, Round, row_parts
from embedcli.cluster.plan import Plan
from embedcli.cluster.run_state import advance, at_beginning, loss, next_round, to_embeddings
from embedcli.cluster.shard_trainer import Encoded
from embedcli.cluster.shards import joint_digest
from embedcli.embeddings import Embeddings
from embedcli.progress import OnProgress, Progress
from embedcli.settings.config import TrainConfig
from embedcli.text.corpus import Corpus, Tally
from embedcli.training.schedule import learning_rate
from embedcli.training.trainer import RunControl, Stopped
from embedcli.vocabulary import Vocabulary

if TYPE_CHECKING:
    from distributed import Future

__all__ = ["DaskRounds", "EncodedText"]


@dataclass(frozen=True)
class EncodedText:
    """A text that the workers have encoded.

    Attributes:
        vocabulary: V words with the counts of all shards.
        words: the same on the workers.
        encoded: the facts of each shard, in order.
    """

    vocabulary: Vocabulary
    words: Future
    encoded: tuple[Encoded, ...]

    @property
    def tally(self) -> Tally:
        """The joint tally of all shards."""
        return sum_tallies([shard.tally for shard in self.encoded])


class DaskRounds:
    """All rounds of a run, from the first model to the last.

    Args:
        driver: runs the steps.
        plan: shards and settings; `rounds` is a number.
        text: encoded by the workers.
        on_progress: called after each round.
        control: the checkpoints, and the one to resume from.
    """

    def __init__(
        self,
        driver: DaskDriver,
        plan: Plan,
        text: EncodedText,
        on_progress: OnProgress,
        control: RunControl,
    ) -> None:
        self._driver = driver
        self._plan = plan
        self._vocabulary = text.vocabulary
        self._words = text.words
        self._on_progress = on_progress
        self._control = control
        self._state = at_beginning()
        self._digests = [shard.digest for shard in text.encoded]
        self._tally = text.tally
        self._n_tokens = self._tally.kept
        self._facts = {"sha256": joint_digest(self._digests), **asdict(self._tally)}
        self._parts = row_parts(len(self._vocabulary), len(self._digests))
        self._model: list[Future] = []  # its parts
        self._before: list[Future] = []  # the parts of the model that it was computed from

    @property
    def _config(self) -> TrainConfig:
        return self._plan.config

    def begin(self, saved: Embeddings | None) -> None:
        """Make the first model, or scatter the one that was saved."""
        if self._control.checkpoints is not None:
            arguments = dict(self._control.checkpoints.arguments)
            shards = self._plan.as_json()["shards"]
            more = {"settings": self._config.as_dict(), "shards": shards}
            self._control.checkpoints.arguments = arguments | more
        empty = np.empty(0, np.int32), np.zeros(1, np.int64)
        self._control.before_training(
            Corpus(
                self._vocabulary, *empty, self._tally, self._facts["sha256"], rules=self._config
            ),
            None,
        )
        resumed = self._control.resumed
        if saved is None or saved.output_vectors is None or resumed is None or not resumed.state:
            self._model = self._driver.first_model(self._parts)
            return
        self._state = resumed.state
        self._scatter(Matrices(saved.vectors, saved.output_vectors))

    def train(self, stopping: Callable[[], bool]) -> None:
        """Train all rounds that are left.

        Raises:
            Stopped: `stopping` said so; a checkpoint of the last complete round is saved.
        """

        def on_wake() -> None:
            if stopping():
                raise _StopAskedError

        while (at := next_round(self._state, self._config)) is not None:
            try:
                changes = self._round(at, on_wake)
            except _StopAskedError:
                self._save(must=True)
                raise Stopped from None
            self._state = advance(self._state, changes, self._config, self._n_tokens)
            self._report()
            checkpoints = self._control.checkpoints
            if checkpoints is not None and checkpoints.is_due():
                self._save(must=False)

    def result(self, timings: Mapping[str, float]) -> Embeddings:
        """The model at the end."""
        return self._embeddings(self._gathered(), timings, everything=False)

    def _round(self, at: Round, on_wake: Callable[[], None]) -> list[Change]:
        """Train one round; the change of each shard, without its deltas."""
        driver = self._driver
        driver.assign()
        changes = driver.train(at, self._words, self._digests, self._model)
        after, sums = driver.combine(at, self._model, changes, self._parts)
        driver.wait([*sums, *after], on_wake)
        self._model, self._before = after, self._model
        return driver.results(sums)

    def _gathered(self) -> Matrices:
        """The model, fetched part by part: never more than one model and a part of it."""
        shape = len(self._vocabulary), self._config.dim
        model = Matrices(np.empty(shape, np.float32), np.empty(shape, np.float32))
        for rows, future in zip(self._parts, self._model, strict=True):
            (part,) = self._driver.results([future])
            for mine, theirs in zip(model, part, strict=True):
                mine[rows] = theirs
        return model

    def _report(self) -> None:
        rounds = self._config.rounds or 1
        done = self._state.epoch + self._state.chunk / rounds
        share = done / self._config.n_epochs
        total = self._n_tokens * self._config.n_epochs
        lr = learning_rate(share, self._config)
        epoch = min(self._state.epoch + 1, self._config.n_epochs)
        mean = loss(self._state)
        at = round(share * total)
        finished = None
        if self._state.epochs and not self._state.chunk:
            finished, epoch = asdict(self._state.epochs[-1]), self._state.epoch
        report = Progress("training", at, total, epoch, mean, lr, finished=finished)
        self._on_progress(report)

    def _save(self, *, must: bool) -> None:
        """Write a checkpoint, and scatter its model, so that nothing older is needed."""
        checkpoints = self._control.checkpoints
        if checkpoints is None:
            return
        model = self._gathered()
        embeddings = self._embeddings(model, {}, everything=True)
        save = checkpoints.save if must else checkpoints.save_if_possible
        save(embeddings, self._state)
        if not must:
            self._scatter(model)

    def _scatter(self, model: Matrices) -> None:
        """Scatter a model, each part to two workers if there are two."""
        whole = [np.ascontiguousarray(matrix) for matrix in model]  # no copy
        parts = [Matrices(*(matrix[rows] for matrix in whole)) for rows in self._parts]
        place = f"{self._state.epoch}-{self._state.chunk}"
        named = {f"model-{place}-{number}": part for number, part in enumerate(parts)}
        self._model = self._driver.scatter(named, n=2)
        self._before = []

    def _embeddings(
        self, model: Matrices, timings: Mapping[str, float], *, everything: bool
    ) -> Embeddings:
        digests = {str(number): digest for number, digest in enumerate(self._digests)}
        more: dict[str, Any] = {"shards": {"n_shards": len(digests), "digests": digests}}
        if timings:
            more["timings"] = {name: round(seconds, 3) for name, seconds in timings.items()}
        return to_embeddings(
            model,
            self._vocabulary,
            self._config,
            self._state,
            self._facts,
            more,
            everything=everything,
        )


class _StopAskedError(Exception):
    """The run stops before the round is complete."""
