"""`embed train --cluster`: a run on a Dask cluster, from the text to the model.

This process sends small tasks and gets small answers; the matrices go from worker to worker. It
holds a model only while it writes a checkpoint, and at the end.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from uuid import uuid4

from embedcli.cluster.dask_driver import DaskDriver
from embedcli.cluster.dask_rounds import DaskRounds, EncodedText
from embedcli.cluster.dask_worker import Job, RunInScheduler, RunOnWorker
from embedcli.cluster.plan import Plan, make_plan, shard_settings, shards_of
from embedcli.cluster.shards import text_size
from embedcli.embeddings import Embeddings
from embedcli.errors import ResourceError
from embedcli.files.targets import readable_size
from embedcli.progress import OnProgress, Progress, ignore_progress
from embedcli.settings.config import TrainConfig
from embedcli.text.corpus import Tally
from embedcli.training.trainer import RunControl
from embedcli.vocabulary import Vocabulary

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["RunEstimate", "estimate_run", "train_on_cluster"]

_MOST_REMARKS = 8  # of workers that are shown
FEWEST_ROUNDS = 40  # in a run: with a few, several points of analogies are lost (docs/cluster.md)
_MODELS_HELD = 4  # by a worker while it trains: the model, what it trains, what changed, the next


@dataclass(frozen=True)
class RunEstimate:
    """What a run on a cluster would take.

    Attributes:
        config: the settings; shards and rounds are numbers.
        vocabulary: the words that would be trained.
        tally: of the text.
        workers: their number.
        threads: of all workers together.
        memory: bytes that each worker needs.
        memory_limit: the smallest limit of a worker, in bytes; None if there is none.
        seconds: of training, without communication between workers.
    """

    config: TrainConfig
    vocabulary: Vocabulary
    tally: Tally
    workers: int
    threads: int
    memory: int
    memory_limit: int | None
    seconds: float


def train_on_cluster(
    client: Client,
    paths: Sequence[str],
    config: TrainConfig,
    *,
    sync_every: float,
    vocabulary: Vocabulary | None = None,
    on_progress: OnProgress = ignore_progress,
    control: RunControl | None = None,
) -> Embeddings:
    """Train word embeddings on the workers of a Dask cluster.

    Args:
        client: of the cluster (`connect`).
        paths: files, globs, directories and URLs that every worker reads under the same names.
        config: settings. `threads` None: as many as each worker has; `shards` None: one for each
            worker; `rounds` None: as many as `sync_every` asks for.
        sync_every: target seconds between synchronisations.
        vocabulary: words to train, instead of those that occur often enough.
        on_progress: called with `Progress` reports.
        control: the checkpoints, and the one to resume from.

    Returns:
        As `training.trainer.train`; the settings hold the numbers of shards and rounds.

    Raises:
        ClusterError: the scheduler or too many workers were lost.
        CorpusError: text that cannot be read, or too little of it, or another than was trained.
        TrainingError: no word had a context to train with, or the numbers diverged.
        Stopped: `control` asked to stop.
    """
    control = control or RunControl()
    began = time.perf_counter()
    plan = _plan(client, paths, shard_settings(config), control)
    saved = control.resumed.embeddings if control.resumed is not None else None
    known = saved.metadata["shards"]["digests"] if saved is not None else {}
    with _driver(client, plan) as driver:
        words = saved.vocabulary if saved is not None else vocabulary
        text = _encode(driver, plan, words, known, on_progress)
        if plan.config.rounds is None:
            plan = _with_rounds(plan, _measure(driver, plan, text), sync_every)
        run = DaskRounds(driver, plan, text, on_progress, control)
        run.begin(saved)
        read = time.perf_counter()
        with control.deferred() as stopping:
            run.train(stopping)
        timings = {"reading": read - began, "training": time.perf_counter() - read}
        return run.result(timings)


def estimate_run(
    client: Client,
    paths: Sequence[str],
    config: TrainConfig,
    *,
    sync_every: float,
    vocabulary: Vocabulary | None = None,
    on_progress: OnProgress = ignore_progress,
) -> RunEstimate:
    """What `train_on_cluster` would take. Reads the text and trains a second of it.

    Arguments and errors are those of `train_on_cluster`.
    """
    plan = _plan(client, paths, shard_settings(config), RunControl())
    with _driver(client, plan) as driver:
        text = _encode(driver, plan, vocabulary, {}, on_progress)
        seconds = _measure(driver, plan, text)
        workers = client.scheduler_info(n_workers=-1)["workers"].values()
        limits = [worker["memory_limit"] for worker in workers if worker.get("memory_limit")]
        return RunEstimate(
            _with_rounds(plan, seconds, sync_every).config,
            text.vocabulary,
            text.tally,
            len(workers),
            sum(config.threads or worker["nthreads"] for worker in workers),
            _memory(text.vocabulary, config),
            min(limits, default=None),
            seconds * config.n_epochs,
        )


@contextmanager
def _driver(client: Client, plan: Plan) -> Iterator[DaskDriver]:
    """A driver for this run, whose plugins are on all workers and in the scheduler."""
    job = Job(uuid4().hex[:8], plan.config)
    client.register_plugin(RunOnWorker(job.name), name=job.name)
    client.register_plugin(RunInScheduler(job.name, client.id), name=job.name)
    try:
        yield DaskDriver(client, job, plan.shards)
    finally:
        _unregister(client, job.name)


def _unregister(client: Client, name: str) -> None:
    """Remove the plugins of a run, if the cluster still answers."""
    if client.status == "running":
        try:
            client.unregister_worker_plugin(name)
            client.unregister_scheduler_plugin(name)
        except (OSError, TimeoutError, ValueError):
            return


def _plan(client: Client, paths: Sequence[str], config: TrainConfig, control: RunControl) -> Plan:
    """The shards: those of the checkpoint, or of the text."""
    if control.resumed is not None and "shards" in control.resumed.arguments:
        return Plan(shards_of(control.resumed.arguments["shards"]), config)
    n_workers = len(client.scheduler_info(n_workers=-1)["workers"])
    return make_plan(paths, config, n_workers)


def _encode(
    driver: DaskDriver,
    plan: Plan,
    vocabulary: Vocabulary | None,
    known: Mapping[str, str],
    on_progress: OnProgress,
) -> EncodedText:
    """Count the text, unless the words are given, and encode it.

    `known` are the digests that the shards must have, by their numbers as text.
    """
    n_bytes = text_size(plan.shards)
    on_progress(Progress("reading", 0, n_bytes))
    driver.assign()
    if vocabulary is None:
        vocabulary = driver.count()
    _check_memory(driver.client, vocabulary, plan.config)
    (words,) = driver.scatter({"words": vocabulary})
    encoded = driver.encode(words, known)
    _warn([
        f"{remark} ({shard})"
        for shard, one in zip(plan.shards, encoded, strict=True)
        for remark in one.remarks
    ])  # fmt: skip
    on_progress(Progress("reading", n_bytes, n_bytes))
    return EncodedText(vocabulary, words, tuple(encoded))


def _warn(remarks: Sequence[str]) -> None:
    """Show what workers found, but not a thousand times."""
    for remark in remarks[:_MOST_REMARKS]:
        warnings.warn(remark, stacklevel=2)
    if len(remarks) > _MOST_REMARKS:
        warnings.warn(f"and {len(remarks) - _MOST_REMARKS} warnings more", stacklevel=2)


def _measure(driver: DaskDriver, plan: Plan, text: EncodedText) -> float:
    """How many seconds an epoch takes, by the largest shard."""
    largest = max(plan.shards, key=lambda shard: text.encoded[shard.number].tally.kept)
    return driver.measure(largest, text.words)


def _with_rounds(plan: Plan, seconds: float, sync_every: float) -> Plan:
    """The plan with as many rounds as `sync_every` asks for, unless a number is chosen.

    There are at least as many as accuracy needs: the less a model changes in a round, the better
    the shards agree.

    Args:
        plan: the plan.
        seconds: of an epoch.
        sync_every: target seconds of a round.
    """
    if plan.config.rounds is not None:
        return plan
    fewest = math.ceil(FEWEST_ROUNDS / plan.config.n_epochs)
    rounds = max(fewest, math.ceil(seconds / sync_every))
    return replace(plan, config=replace(plan.config, rounds=rounds))


def _check_memory(client: Client, vocabulary: Vocabulary, config: TrainConfig) -> None:
    """Check that every worker may use the memory that it needs.

    Raises:
        ResourceError: a worker may not.
    """
    needed = _memory(vocabulary, config)
    for address, worker in client.scheduler_info(n_workers=-1)["workers"].items():
        limit = worker.get("memory_limit")
        if limit and needed > limit:
            fitting = int(len(vocabulary) * limit / needed)
            raise ResourceError(
                f"training {len(vocabulary):,} words x {config.dim} needs {readable_size(needed)} "
                f"of a worker's memory, but {address} may take {readable_size(limit)}; "
                f"--max-vocab {fitting} would fit"
            )


def _memory(vocabulary: Vocabulary, config: TrainConfig) -> int:
    """Bytes that each worker needs."""
    return _MODELS_HELD * 2 * 4 * len(vocabulary) * config.dim
