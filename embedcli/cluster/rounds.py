"""Round after round: what each worker trains, how it becomes one model, and what is kept of it.

    model - copies in a tree -> train each shard - add up in a tree -> model after the round

A task that is lost with its worker runs again elsewhere, with the same arguments and hence, with
one thread a worker, the same result. Dask can do that as long as it knows how everything came
about, which would in the end be the whole run. So the model of each checkpoint is handed to the
cluster anew, as data: nothing is ever computed again that is older than the last checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from embedcli.cluster.desk import identity, train_task
from embedcli.cluster.ledger import advance, at_beginning, loss, next_round
from embedcli.cluster.machines import Machines
from embedcli.cluster.plan import Plan
from embedcli.cluster.reading import Reading
from embedcli.cluster.result import to_embeddings
from embedcli.cluster.shards import joint_digest
from embedcli.cluster.training import Change, Matrices, Round, add_changes, apply_change, beginning
from embedcli.config import TrainConfig
from embedcli.corpus import Corpus
from embedcli.embeddings import Embeddings
from embedcli.progress import OnProgress, Progress
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
        self._before: tuple[Future, ...] = ()  # what the model of this round was made from

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
            self._model = self._machines.submit(
                "model-0-0", beginning, len(self._vocabulary), self._config
            )
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
        (model,) = self._machines.results([self._model])
        return self._embeddings(model, timings, everything=False)

    def _round(self, at: Round, on_wake: Callable[[], None]) -> Change:
        """Go on by one round; what it did, without the matrices."""
        machines, where = self._machines, f"{at.epoch}-{at.number}"
        machines.settle(self._plan.shards)
        copies = self._copies(where)
        trained = [
            machines.submit(
                f"train-{where}-{shard.number}",
                train_task,
                machines.job,
                shard,
                at,
                self._digests[shard.number],
                copies.get(machines.homes.get(shard.number, ""), self._model),
                self._words,
                **machines.at_home(shard),
            )
            for shard in self._plan.shards
        ]
        total = machines.tree(f"add-{where}", add_changes, trained)
        after = machines.submit(
            f"model-{where}-after", apply_change, self._model, total, self._config, at
        )
        summary = machines.submit(f"summary-{where}", _without_matrices, total)
        machines.wait([summary, after], on_wake)
        (change,) = machines.results([summary])
        self._before = self._model, total  # `after` is on one worker yet, which may be lost
        self._model = after
        return change  # type: ignore[no-any-return]

    def _copies(self, where: str) -> dict[str, Future]:
        """The model on every worker that trains, handed on in a tree: by address."""
        homes = sorted(set(self._machines.homes.values()))
        copies: list[Future] = []
        for number, home in enumerate(homes):
            source = copies[(number - 1) // 2] if number else self._model
            copies.append(
                self._machines.submit(
                    f"copy-{where}-{number}",
                    identity,
                    source,
                    workers=[home],
                    allow_other_workers=True,
                )
            )
        return dict(zip(homes, copies, strict=True))

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
        (model,) = self._machines.results([self._model])
        embeddings = self._embeddings(model, {}, everything=True)
        save = checkpoints.save if must else checkpoints.save_if_possible
        save(embeddings, self._state)
        if not must:
            self._hand_out(model)

    def _hand_out(self, model: Matrices) -> None:
        """Put a model into the cluster as data, on two workers if there are two."""
        arrays = Matrices(*map(np.ascontiguousarray, model))  # as they are: no second model here
        (self._model,) = self._machines.client.scatter([arrays], hash=False)
        self._machines.client.replicate([self._model], n=2)
        self._before = ()

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


def _without_matrices(change: Change) -> Change:
    """What the driver needs to know of a round: the sums."""
    return change._replace(deltas=())
