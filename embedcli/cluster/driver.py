"""A run on a Dask cluster, as `embed train --cluster` does it: count, encode, round after round.

    count each shard - add up in a tree -> vocabulary - encode each shard -> rounds

All of it is futures: this process sends small tasks and gets small answers, and the matrices go
from worker to worker. It holds a model only while it writes a checkpoint, and at the end.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from embedcli.cluster.desk import (
    Desk,
    Encoded,
    Job,
    count_task,
    encode_task,
    measure_task,
)
from embedcli.cluster.plan import Plan, check_settings, make_plan, shards_of
from embedcli.cluster.shards import text_size
from embedcli.cluster.tables import N_PARTS, add_tables, choose, vocabulary_of
from embedcli.config import TrainConfig
from embedcli.embeddings import Embeddings
from embedcli.errors import ResourceError
from embedcli.progress import OnProgress, Progress, ignore_progress
from embedcli.storage.publish import readable_size
from embedcli.training.trainer import Guard
from embedcli.vocabulary import Vocabulary

if TYPE_CHECKING:
    from distributed import Client, Future

from embedcli.cluster.machines import Machines
from embedcli.cluster.rounds import Rounds

__all__ = ["train_on_cluster"]

_WAKE_SECONDS = 0.1
_FEWEST_ROUNDS = 40  # in a run: with a few, several points of analogies are lost (docs/cluster.md)
_PART_BYTES = 1 << 34  # of text, whose distinct words one worker adds up
_MODELS_HELD = 4  # by a worker while it trains: the model, what it trains, what changed, the next


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
    machines = Machines(client, Job(uuid4().hex[:8], plan.config))
    client.register_plugin(Desk(machines.job.name), name=machines.job.name)
    try:
        run = _prepare(machines, plan, vocabulary, sync_every, on_progress, guard)
        read = time.perf_counter()
        with guard.deferred() as stopping:
            run.train(stopping)
        timings = {"reading": read - began, "training": time.perf_counter() - read}
        return run.result(timings)
    finally:
        _tidy(client, machines.job.name)


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
    n_workers = len(client.scheduler_info(n_workers=-1)["workers"])
    return make_plan(paths, config, n_workers)


def _prepare(
    machines: Machines,
    plan: Plan,
    vocabulary: Vocabulary | None,
    sync_every: float,
    on_progress: OnProgress,
    guard: Guard,
) -> Rounds:
    """Count and encode; everything that comes before the first round."""
    saved = guard.resumed.embeddings if guard.resumed is not None else None
    if saved is not None:
        vocabulary = saved.vocabulary
    n_bytes = text_size(plan.shards)
    on_progress(Progress("reading", 0, n_bytes))
    machines.settle(plan.shards)
    if vocabulary is None:
        vocabulary = _count(machines, plan, n_bytes)
    _check_memory(machines.client, vocabulary, plan.config)
    words = machines.client.scatter(vocabulary, broadcast=True, hash=False)
    known = saved.metadata["shards"]["digests"] if saved is not None else {}
    encoding = [
        machines.submit(
            f"encode-{shard.number}",
            encode_task,
            machines.job,
            shard,
            words,
            known.get(str(shard.number)),
            **machines.at_home(shard),
        )
        for shard in plan.shards
    ]
    encoded: list[Encoded] = machines.results(encoding)
    on_progress(Progress("reading", n_bytes, n_bytes))
    if plan.config.rounds is None:
        plan = _with_rounds(machines, plan, words, encoded, sync_every)
    run = Rounds(machines, plan, vocabulary, words, encoded, on_progress, guard)
    run.begin(saved)
    return run


def _count(machines: Machines, plan: Plan, n_bytes: int) -> Vocabulary:
    """The vocabulary, each part of the words added up in a tree of its own."""
    n_parts = min(N_PARTS, 1 << max(0, math.ceil(n_bytes / _PART_BYTES) - 1).bit_length())
    counting = [
        machines.submit(
            f"count-{shard.number}",
            count_task,
            machines.job,
            shard,
            n_parts,
            **machines.at_home(shard),
        )
        for shard in plan.shards
    ]
    chosen = []
    for part in range(n_parts):
        tables = [
            machines.submit(f"part-{part}-{number}", _part, table, part)
            for number, table in enumerate(counting)
        ]
        total = machines.tree(f"add-counts-{part}", _add_two_tables, tables)
        chosen.append(machines.submit(f"choose-{part}", _choose, total, plan.config))
    return vocabulary_of(machines.results(chosen), plan.config)


def _part(tables: list[Any], part: int) -> Any:
    return tables[part]


def _add_two_tables(one: Any, other: Any) -> Any:
    return add_tables([one, other])


def _choose(table: Any, config: TrainConfig) -> Any:
    return choose([table], config)


def _with_rounds(
    machines: Machines, plan: Plan, words: Future, encoded: Sequence[Encoded], sync_every: float
) -> Plan:
    """The plan with as many rounds as make one as long as is wanted, by the largest shard.

    But not fewer than training needs: the less a model changes in a round, the better shards agree.
    """
    largest = max(plan.shards, key=lambda shard: encoded[shard.number].tally.kept)
    measuring = machines.submit(
        "measure", measure_task, machines.job, largest, words, **machines.at_home(largest)
    )
    (seconds,) = machines.results([measuring])
    fewest = math.ceil(_FEWEST_ROUNDS / plan.config.epochs)
    rounds = max(fewest, math.ceil(seconds / sync_every))
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
