"""Round after round: what each worker trains, how it becomes one model, and what is kept of it.

    parts of a model -> train each shard - deal what changed into parts (`parts.py`) -> add up each
    part - moments of each -> directions -> parts of the model after the round

A task that is lost with its worker runs again elsewhere, with the same arguments and hence, with
one thread a worker, the same result. Dask can do that as long as it knows how everything came
about, which would in the end be the whole run. So the model of each checkpoint is handed to the
cluster anew, as data: nothing is ever computed again that is older than the last checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np

from embedcli.cluster.desk import (
    after_task,
    bases_task,
    begin_task,
    moments_task,
    part_task,
    rows_task,
    sums_task,
    total_task,
    train_task,
)
from embedcli.cluster.keeping import scatter_kept
from embedcli.cluster.ledger import advance, at_beginning, loss, next_round
from embedcli.cluster.machines import Machines
from embedcli.cluster.parts import row_parts
from embedcli.cluster.plan import Plan
from embedcli.cluster.reading import Reading
from embedcli.cluster.result import to_embeddings
from embedcli.cluster.shards import Shard, joint_digest
from embedcli.cluster.training import Change, Matrices, Round, add_changes
from embedcli.corpus import Corpus
from embedcli.embeddings import Embeddings
from embedcli.progress import OnProgress, Progress
from embedcli.settings.config import TrainConfig
from embedcli.training.schedule import learning_rate
from embedcli.training.trainer import Guard, Stopped

if TYPE_CHECKING:
    from distributed import Future

__all__ = ["Rounds"]


class Rounds:
    """All rounds of a run, from the first model to the last.

    Args:
        machines: who computes.
        plan: shards and settings; `rounds` is a number.
        reading: the text, encoded, and its words.
        on_progress: called after each round.
        guard: where checkpoints go, and which one to go on from.
    """

    def __init__(
        self,
        machines: Machines,
        plan: Plan,
        reading: Reading,
        on_progress: OnProgress,
        guard: Guard,
    ) -> None:
        self._machines = machines
        self._plan = plan
        self._vocabulary = reading.vocabulary
        self._words = reading.words
        self._on_progress = on_progress
        self._guard = guard
        self._state = at_beginning()
        self._digests = [shard.digest for shard in reading.encoded]
        self._tally = reading.tally
        self._n_tokens = self._tally.kept
        self._facts = {"sha256": joint_digest(self._digests), **asdict(self._tally)}
        self._parts = row_parts(len(self._vocabulary), len(self._digests))
        self._model: list[Future] = []  # its parts
        self._before: list[Future] = []  # those of the model that it was made from

    @property
    def _config(self) -> TrainConfig:
        return self._plan.config

    def begin(self, saved: Embeddings | None) -> None:
        """Make the first model, or hand out the one that was saved."""
        if self._guard.checkpoints is not None:
            given = dict(self._guard.checkpoints.given)
            shards = self._plan.as_json()["shards"]
            more = {"settings": self._config.as_dict(), "shards": shards}
            self._guard.checkpoints.given = given | more
        empty = np.empty(0, np.int32), np.zeros(1, np.int64)
        self._guard.before_training(
            Corpus(self._vocabulary, *empty, self._tally, self._facts["sha256"]), None
        )
        resumed = self._guard.resumed
        if saved is None or saved.output_vectors is None or resumed is None or not resumed.state:
            whole = self._machines.submit(
                "beginning", begin_task, len(self._vocabulary), self._config
            )
            self._model = [
                self._machines.submit(f"beginning-{number}", rows_task, whole, rows)
                for number, rows in enumerate(self._parts)
            ]
            return
        self._state = resumed.state
        self._hand_out(Matrices(saved.vectors, saved.output_vectors))

    def train(self, stopping: Callable[[], bool]) -> None:
        """All rounds that are left.

        Raises:
            Stopped: it was asked to; a checkpoint of the last whole round is saved.
        """

        def on_wake() -> None:
            if stopping():
                raise _StopAskedError

        while (at := next_round(self._state, self._config)) is not None:
            try:
                change = self._round(at, on_wake)
            except _StopAskedError:
                self._save(must=True)
                raise Stopped from None
            self._state = advance(self._state, change, self._config, self._n_tokens)
            self._report()
            checkpoints = self._guard.checkpoints
            if checkpoints is not None and checkpoints.is_due():
                self._save(must=False)

    def result(self, timings: Mapping[str, float]) -> Embeddings:
        """The model at the end."""
        return self._embeddings(self._collected(), timings, everything=False)

    def _round(self, at: Round, on_wake: Callable[[], None]) -> Change:
        """Go on by one round; what it did, without the matrices."""
        machines, where = self._machines, f"{at.epoch}-{at.number}"
        machines.settle(self._plan.shards)
        trained = [
            machines.submit(
                f"train-{where}-{shard.number}",
                train_task,
                machines.job,
                shard,
                at,
                self._digests[shard.number],
                self._words,
                *self._model,
                **machines.at_home(shard),
            )
            for shard in self._plan.shards
        ]
        sums = [
            machines.submit(f"sums-{where}-{shard.number}", sums_task, change, **home)
            for shard, change, home in self._at_home(trained)
        ]
        after = self._combined(trained, at, where)
        machines.wait([*sums, *after], on_wake)
        self._model, self._before = after, self._model
        found: list[Change] = machines.results(sums)
        return reduce(add_changes, found)

    def _combined(self, trained: Sequence[Future], at: Round, where: str) -> list[Future]:
        """The parts of the model after a round, each made by one worker."""
        machines, config = self._machines, self._config
        places = [machines.place(at.number + number) for number in range(len(self._parts))]
        totals = [
            machines.submit(
                f"total-{where}-{number}",
                total_task,
                *(
                    machines.submit(
                        f"part-{where}-{shard.number}-{number}", part_task, change, number, **home
                    )
                    for shard, change, home in self._at_home(trained)
                ),
                **place,
            )
            for number, place in enumerate(places)
        ]
        moments = [
            machines.submit(f"moments-{where}-{number}", moments_task, before, total, **place)
            for number, (before, total, place) in enumerate(
                zip(self._model, totals, places, strict=True)
            )
        ]
        bases = machines.submit(f"bases-{where}", bases_task, *moments)
        together = zip(self._model, totals, self._parts, places, strict=True)
        return [
            machines.submit(
                *(f"model-{where}-{number}", after_task, before, total, bases, config, at, rows),
                **place,
            )
            for number, (before, total, rows, place) in enumerate(together)
        ]

    def _at_home(self, trained: Sequence[Future]) -> Iterator[tuple[Shard, Future, dict[str, Any]]]:
        """Each shard, what it changed, and where that is."""
        for shard, change in zip(self._plan.shards, trained, strict=True):
            yield shard, change, self._machines.at_home(shard)

    def _collected(self) -> Matrices:
        """The model, brought here part by part: never more than one and a part of it."""
        shape = len(self._vocabulary), self._config.dim
        model = Matrices(np.empty(shape, np.float32), np.empty(shape, np.float32))
        for rows, future in zip(self._parts, self._model, strict=True):
            (part,) = self._machines.results([future])
            for mine, theirs in zip(model, part, strict=True):
                mine[rows] = theirs
        return model

    def _report(self) -> None:
        rounds = self._config.rounds or 1
        done = self._state.epoch + self._state.chunk / rounds
        share = done / self._config.epochs
        total = self._n_tokens * self._config.epochs
        lr = learning_rate(share, self._config)
        epoch = min(self._state.epoch + 1, self._config.epochs)
        mean = loss(self._state)
        self._on_progress(Progress("training", round(share * total), total, epoch, mean, lr))

    def _save(self, *, must: bool) -> None:
        """Write a checkpoint, and hand its model out anew, so that nothing older is needed."""
        checkpoints = self._guard.checkpoints
        if checkpoints is None:
            return
        model = self._collected()
        embeddings = self._embeddings(model, {}, everything=True)
        save = checkpoints.save if must else checkpoints.save_if_possible
        save(embeddings, self._state)
        if not must:
            self._hand_out(model)

    def _hand_out(self, model: Matrices) -> None:
        """Put a model into the cluster as data, each part on two workers if there are two."""
        whole = [np.ascontiguousarray(matrix) for matrix in model]  # as they are: no second model
        parts = [Matrices(*(matrix[rows] for matrix in whole)) for rows in self._parts]
        place = f"{self._state.epoch}-{self._state.chunk}"
        named = {f"model-{place}-{number}": part for number, part in enumerate(parts)}
        machines = self._machines
        self._model = scatter_kept(machines.client, machines.job.name, named, n=2)
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
    """The run is to stop before the round is over."""
