"""A run on a Dask cluster, as `embed train --cluster` does it: count, encode, round after round.

    count each shard - add up in a tree -> vocabulary - encode each shard
    model -> copies in a tree -> train each shard - add up in a tree -> model after the round

All of it is futures: this process sends small tasks and gets small answers, and the matrices go
from worker to worker. It holds a model only while it writes a checkpoint, and at the end.

A task that is lost with its worker runs again elsewhere, with the same arguments and hence, with
one thread a worker, the same result. Dask can do that as long as it knows how everything came
about, which would in the end be the whole run. So the model of each checkpoint is handed to the
cluster anew, as data: nothing is ever computed again that is older than the last checkpoint.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np

from embedcli.cluster.desk import (
    Desk,
    Encoded,
    Job,
    count_task,
    encode_task,
    identity,
    measure_task,
    train_task,
)
from embedcli.cluster.ledger import advance, at_beginning, loss, next_round
from embedcli.cluster.plan import Plan, check_settings, shards_of
from embedcli.cluster.result import to_embeddings
from embedcli.cluster.shards import Shard, cut, joint_digest
from embedcli.cluster.tables import N_PARTS, add_tables, choose, sum_tallies, vocabulary_of
from embedcli.cluster.training import Change, Matrices, Round, add_changes, apply_change, beginning
from embedcli.config import TrainConfig
from embedcli.corpus import Corpus
from embedcli.embeddings import Embeddings
from embedcli.errors import ClusterError, EmbedError, ResourceError, UsageError
from embedcli.progress import OnProgress, Progress, ignore_progress
from embedcli.storage.publish import readable_size
from embedcli.training.schedule import learning_rate
from embedcli.training.trainer import Guard, Stopped
from embedcli.vocabulary import Vocabulary

if TYPE_CHECKING:
    from distributed import Client, Future

__all__ = ["train_on_cluster"]

_WAKE_SECONDS = 0.1
_PART_BYTES = 1 << 34  # of text, whose distinct words one worker adds up
_MODELS_HELD = 4  # by a worker while it trains: the model, what it trains, what changed, the next


@dataclass
class _Cluster:
    """The client, and how to wait for what was asked of it."""

    client: Client
    job: Job
    homes: dict[int, str] = field(default_factory=dict)

    def submit(
        self, what: str, function: Callable[..., Any], *arguments: Any, **more: Any
    ) -> Future:
        """Have a function called on a worker; `what` names the task on Dask's pages."""
        key = f"{what}-{self.job.name}"
        return self.client.submit(function, *arguments, key=key, pure=False, **more)

    def wait(self, futures: Sequence[Future], on_wake: Callable[[], None]) -> list[Any]:
        """The results of all; `on_wake` is called about ten times a second and may raise.

        Raises:
            ClusterError: the scheduler is gone, or a task has killed several workers.
            EmbedError: what a task raised.
        """
        waiting = list(futures)
        while waiting:
            self._check(waiting)
            waiting = [future for future in waiting if not future.done()]
            on_wake()
            if waiting:
                time.sleep(_WAKE_SECONDS)
        self._check(futures)
        return list(self._gathered(futures))

    def _gathered(self, futures: Sequence[Future]) -> Sequence[Any]:
        try:
            return list(self.client.gather(list(futures)))
        except EmbedError:
            raise
        except Exception as error:
            raise self._lost(error) from error

    def _check(self, futures: Sequence[Future]) -> None:
        for future in futures:
            if future.status == "error":
                error = future.exception()
                raise error if isinstance(error, EmbedError) else self._lost(error)
            if future.status in ("cancelled", "lost"):
                raise self._lost(None)
        if self.client.status not in ("running", "connecting"):
            raise self._lost(None)

    def _lost(self, error: BaseException | None) -> ClusterError:
        if error is None:
            return ClusterError("the scheduler was lost, and what the workers held with it")
        if type(error).__name__ == "KilledWorker":
            return ClusterError(f"a task has ended several workers, one after the other: {error}")
        return ClusterError(f"the cluster failed: {type(error).__name__}: {error}")

    def settle(self, shards: Sequence[Shard]) -> None:
        """Give every shard a worker; one whose worker is still there keeps it."""
        workers = sorted(self.client.scheduler_info(n_workers=-1)["workers"])
        if not workers:
            return  # tasks wait until one comes
        load = dict.fromkeys(workers, 0)
        most = math.ceil(len(shards) / len(workers))
        homeless = []
        for shard in shards:
            home = self.homes.get(shard.number, "")
            if load.get(home, most) < most:
                load[home] += 1
            else:
                homeless.append(shard)
        for shard in homeless:
            home = min(workers, key=load.__getitem__)
            self.homes[shard.number] = home
            load[home] += 1

    def at_home(self, shard: Shard) -> dict[str, Any]:
        """Where to run a shard's task, rather than anywhere else."""
        home = self.homes.get(shard.number)
        return {"workers": [home], "allow_other_workers": True} if home else {}


def train_on_cluster(
    client: Client,
    paths: Sequence[str],
    config: TrainConfig,
    *,
    sync_every: float,
    vocabulary: Vocabulary | None = None,
    on_progress: OnProgress = ignore_progress,
    guard: Guard | None = None,
) -> Embeddings:
    """Train word embeddings on the workers of a Dask cluster.

    Args:
        client: of the cluster (`connect`).
        paths: files, globs, directories and URLs that every worker reads under the same names.
        config: settings. `threads` None: as many as each worker has; `shards` None: as many as
            there are workers; `rounds` None: as `sync_every` says.
        sync_every: seconds that a round takes, about.
        vocabulary: words to train, instead of those the text holds often enough.
        on_progress: called with `Progress` reports.
        guard: where checkpoints go, and which one to go on from.

    Returns:
        What `training.trainer.train` returns; the settings say how many shards and rounds it were.

    Raises:
        ClusterError: the scheduler or too many workers were lost.
        CorpusError: text that cannot be read, or too little of it, or another than was trained.
        TrainingError: no word had a context to train with, or the numbers diverged.
        Stopped: `guard` asked to stop.
    """
    guard = guard or Guard()
    began = time.perf_counter()
    check_settings(config)
    plan = _plan(client, paths, config, guard)
    cluster = _Cluster(client, Job(uuid4().hex[:8], plan.config))
    client.register_plugin(Desk(cluster.job.name), name=cluster.job.name)
    try:
        run = _prepare(cluster, plan, vocabulary, sync_every, on_progress, guard)
        read = time.perf_counter()
        with guard.deferred() as stopping:
            run.train(stopping)
        timings = {"reading": read - began, "training": time.perf_counter() - read}
        return run.result(timings)
    finally:
        _tidy(client, cluster.job.name)


def _tidy(client: Client, name: str) -> None:
    """Let the workers forget the run, if there still is anybody to tell."""
    if client.status == "running":
        try:
            client.unregister_worker_plugin(name)
        except (OSError, TimeoutError, ValueError):
            return


def _plan(client: Client, paths: Sequence[str], config: TrainConfig, guard: Guard) -> Plan:
    """The shards: those of the checkpoint, or the text cut anew."""
    if guard.resumed is not None and "shards" in guard.resumed.given:
        return Plan(shards_of(guard.resumed.given["shards"]), config)
    n_shards = config.shards or len(client.scheduler_info(n_workers=-1)["workers"])
    shards = cut(paths, n_shards, recursive=config.recursive)
    if config.shards is not None and len(shards) < config.shards:
        raise UsageError(
            f"--shards is {config.shards}, but the text can be cut into {len(shards)} only: packed "
            "files stay whole, and a cut lies between two lines"
        )
    return Plan(tuple(shards), replace(config, shards=len(shards)))


def _prepare(
    cluster: _Cluster,
    plan: Plan,
    vocabulary: Vocabulary | None,
    sync_every: float,
    on_progress: OnProgress,
    guard: Guard,
) -> _Run:
    """Count and encode; everything that comes before the first round."""
    saved = guard.resumed.embeddings if guard.resumed is not None else None
    if saved is not None:
        vocabulary = saved.vocabulary
    n_bytes = sum(span.n_bytes or 0 for shard in plan.shards for span in shard.spans)
    on_progress(Progress("reading", 0, n_bytes or None))
    cluster.settle(plan.shards)
    if vocabulary is None:
        vocabulary = _count(cluster, plan, n_bytes)
    _check_memory(cluster.client, vocabulary, plan.config)
    words = cluster.client.scatter(vocabulary, broadcast=True, hash=False)
    known = saved.metadata["shards"]["digests"] if saved is not None else {}
    encoding = [
        cluster.submit(
            f"encode-{shard.number}",
            encode_task,
            cluster.job,
            shard,
            words,
            known.get(str(shard.number)),
            **cluster.at_home(shard),
        )
        for shard in plan.shards
    ]
    encoded: list[Encoded] = cluster.wait(encoding, _nothing)
    on_progress(Progress("reading", n_bytes, n_bytes or None))
    if plan.config.rounds is None:
        plan = _with_rounds(cluster, plan, words, encoded, sync_every)
    run = _Run(cluster, plan, vocabulary, words, encoded, on_progress, guard)
    run.begin(saved)
    return run


def _nothing() -> None:
    """Nobody waits for anything meanwhile; Ctrl-C raises by itself."""


def _count(cluster: _Cluster, plan: Plan, n_bytes: int) -> Vocabulary:
    """The vocabulary, each part of the words added up in a tree of its own."""
    n_parts = min(N_PARTS, 1 << max(0, math.ceil(n_bytes / _PART_BYTES) - 1).bit_length())
    counting = [
        cluster.submit(
            f"count-{shard.number}",
            count_task,
            cluster.job,
            shard,
            n_parts,
            **cluster.at_home(shard),
        )
        for shard in plan.shards
    ]
    chosen = []
    for part in range(n_parts):
        tables = [
            cluster.submit(f"part-{part}-{number}", _part, table, part)
            for number, table in enumerate(counting)
        ]
        total = _tree(cluster, f"add-counts-{part}", _add_two_tables, tables)
        chosen.append(cluster.submit(f"choose-{part}", _choose, total, plan.config))
    return vocabulary_of(cluster.wait(chosen, _nothing), plan.config)


def _part(tables: list[Any], part: int) -> Any:
    return tables[part]


def _add_two_tables(one: Any, other: Any) -> Any:
    return add_tables([one, other])


def _choose(table: Any, config: TrainConfig) -> Any:
    return choose([table], config)


def _tree(
    cluster: _Cluster, what: str, add: Callable[[Any, Any], Any], parts: Sequence[Future]
) -> Future:
    """The sum of all parts, two neighbours at a time."""
    level = 0
    while len(parts) > 1:
        pairs = [parts[at : at + 2] for at in range(0, len(parts), 2)]
        parts = [
            pair[0] if len(pair) == 1 else cluster.submit(f"{what}-{level}-{number}", add, *pair)
            for number, pair in enumerate(pairs)
        ]
        level += 1
    return parts[0]


def _with_rounds(
    cluster: _Cluster, plan: Plan, words: Future, encoded: Sequence[Encoded], sync_every: float
) -> Plan:
    """The plan with as many rounds as make one as long as is wanted, by the largest shard."""
    largest = max(plan.shards, key=lambda shard: encoded[shard.number].tally.kept)
    measuring = cluster.submit(
        "measure", measure_task, cluster.job, largest, words, **cluster.at_home(largest)
    )
    (seconds,) = cluster.wait([measuring], _nothing)
    rounds = max(1, math.ceil(seconds / sync_every))
    return replace(plan, config=replace(plan.config, rounds=rounds))


def _check_memory(client: Client, vocabulary: Vocabulary, config: TrainConfig) -> None:
    """Refuse what cannot end well.

    Raises:
        ResourceError: a worker may not take the memory that it needs.
    """
    needed = _MODELS_HELD * 2 * 4 * len(vocabulary) * config.dim
    for address, worker in client.scheduler_info(n_workers=-1)["workers"].items():
        limit = worker.get("memory_limit")
        if limit and needed > limit:
            fitting = int(len(vocabulary) * limit / needed)
            raise ResourceError(
                f"training {len(vocabulary):,} words x {config.dim} needs {readable_size(needed)} "
                f"of a worker's memory, but {address} may take {readable_size(limit)}; "
                f"--max-vocab {fitting} would fit"
            )


class _Run:
    """The rounds."""

    def __init__(
        self,
        cluster: _Cluster,
        plan: Plan,
        vocabulary: Vocabulary,
        words: Future,
        encoded: Sequence[Encoded],
        on_progress: OnProgress,
        guard: Guard,
    ) -> None:
        self._cluster = cluster
        self._plan = plan
        self._vocabulary = vocabulary
        self._words = words
        self._on_progress = on_progress
        self._guard = guard
        self._state = at_beginning()
        self._digests = [shard.digest for shard in encoded]
        tally = sum_tallies([shard.tally for shard in encoded])
        self._n_tokens = tally.kept
        self._facts = {"sha256": joint_digest(self._digests), **asdict(tally)}
        self._tally = tally
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
            self._model = self._cluster.submit(
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
        (model,) = self._cluster.wait([self._model], _nothing)
        return self._embeddings(model, timings, everything=False)

    def _round(self, at: Round, on_wake: Callable[[], None]) -> Change:
        """Go on by one round; what it did, without the matrices."""
        cluster, where = self._cluster, f"{at.epoch}-{at.number}"
        cluster.settle(self._plan.shards)
        copies = self._copies(where)
        trained = [
            cluster.submit(
                f"train-{where}-{shard.number}",
                train_task,
                cluster.job,
                shard,
                at,
                self._digests[shard.number],
                copies.get(cluster.homes.get(shard.number, ""), self._model),
                self._words,
                **cluster.at_home(shard),
            )
            for shard in self._plan.shards
        ]
        total = _tree(cluster, f"add-{where}", add_changes, trained)
        after = cluster.submit(
            f"model-{where}-after", apply_change, self._model, total, self._config, at
        )
        summary = cluster.submit(f"summary-{where}", _without_matrices, total, after)
        (change,) = cluster.wait([summary], on_wake)
        self._before = self._model, total  # `after` is on one worker yet, which may be lost
        self._model = after
        return change  # type: ignore[no-any-return]

    def _copies(self, where: str) -> dict[str, Future]:
        """The model on every worker that trains, handed on in a tree: by address."""
        homes = sorted(set(self._cluster.homes.values()))
        copies: list[Future] = []
        for number, home in enumerate(homes):
            source = copies[(number - 1) // 2] if number else self._model
            copies.append(
                self._cluster.submit(
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
        (model,) = self._cluster.wait([self._model], _nothing)
        embeddings = self._embeddings(model, {}, everything=True)
        save = checkpoints.save if must else checkpoints.save_if_possible
        save(embeddings, self._state)
        if not must:
            self._hand_out(model)

    def _hand_out(self, model: Matrices) -> None:
        """Put a model into the cluster as data, on two workers if there are two."""
        arrays = Matrices(*(np.array(matrix) for matrix in model))
        (self._model,) = self._cluster.client.scatter([arrays], hash=False)
        self._cluster.client.replicate([self._model], n=2)
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


def _without_matrices(change: Change, after: Matrices) -> Change:
    """What the driver needs to know of a round: the sums, once the model `after` it is there."""
    return change._replace(deltas=())
