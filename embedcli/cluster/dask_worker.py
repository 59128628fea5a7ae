"""The code that runs on the workers of a Dask cluster, and in its scheduler.

Every task is a step (`steps.py`) and depends on its arguments alone. A worker keeps the shards that
it has encoded on its own disk; Dask does not know of them. A worker that lacks the shard of its
task encodes it again and compares the digest of the text.

Dask computes a lost result of a task again, but not a lost value that was scattered. So the
vocabulary lies on all workers, and the model of a checkpoint on two. Dask's scheduler removes such
copies every two seconds, as one is enough for computing: `keep_scattered` replaces that policy.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from distributed import (
    Client,
    Future,
    Scheduler,
    SchedulerPlugin,
    Worker,
    WorkerPlugin,
    get_worker,
)
from distributed.active_memory_manager import ReduceReplicas, SuggestionGenerator

from embedcli.cluster.shard_trainer import ShardStore
from embedcli.cluster.shards import Shard
from embedcli.errors import EmbedError, UsageError
from embedcli.settings.config import TrainConfig

__all__ = [
    "IgnoreInterrupts",
    "Job",
    "RunInScheduler",
    "RunOnWorker",
    "run_on_worker",
    "scatter_kept",
]

_PREFIX = "kept"  # of the names of what is scattered


@dataclass(frozen=True)
class Job:
    """What all tasks of a run share.

    Attributes:
        name: of the run, and of its plugins.
        config: settings; `threads` is None for as many as the worker has.
    """

    name: str
    config: TrainConfig


class RunOnWorker(WorkerPlugin):  # type: ignore[misc]  # the library may be missing
    """What one worker keeps for a run: its encoded shards, and memory for the model."""

    def __init__(self, name: str) -> None:
        self.name = name

    def setup(self, worker: Worker) -> None:
        """Begin. Dask calls this on each worker, also on one that joins later."""
        self.store = ShardStore(Path(worker.local_directory))

    def teardown(self, worker: Worker) -> None:
        """Free memory and disk space."""
        self.store.close()


class RunInScheduler(SchedulerPlugin):  # type: ignore[misc]  # as above
    """Keeps what a run has scattered, and ends the run on the workers when its client is gone."""

    def __init__(self, run: str, client: str) -> None:
        self.name = run
        self._client = client

    async def start(self, scheduler: Scheduler) -> None:
        """Dask calls this when the plugin comes to the scheduler."""
        keep_scattered(scheduler)

    def remove_client(self, scheduler: Scheduler, client: str) -> None:
        """Dask calls this when a client has closed, or its connection is lost."""
        if client == self._client:
            scheduler.loop.add_callback(self._clear, scheduler)

    async def _clear(self, scheduler: Scheduler) -> None:
        await scheduler.unregister_worker_plugin(comm=None, name=self.name)
        await scheduler.unregister_scheduler_plugin(name=self.name)


class IgnoreInterrupts(WorkerPlugin):  # type: ignore[misc]  # as above
    """Makes a worker process ignore Ctrl-C, which is meant for the process that started it."""

    def setup(self, worker: Worker) -> None:
        """Dask calls this in the worker's main thread."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def run_on_worker(job: Job, step: Callable[..., Any], shard: Shard, *arguments: Any) -> Any:
    """Run a step on a shard, with the shards and threads of the worker that runs this.

    Raises:
        EmbedError: the step's own error, which names the shard, in a form that can be pickled.
    """
    worker = get_worker()
    config = replace(job.config, threads=job.config.threads or worker.state.nthreads)
    with _named(shard):
        return step(worker.plugins[job.name].store, shard, config, *arguments)


@contextmanager
def _named(shard: Shard) -> Iterator[None]:
    """Name the shard in every error of embed."""
    try:
        yield
    except UsageError as error:  # MissingExtraError cannot be pickled
        raise UsageError(f"{error} ({shard})") from None
    except EmbedError as error:
        raise type(error)(f"{error} ({shard})") from None


def scatter_kept(
    client: Client, run: str, values: Mapping[str, Any], n: int | None = None
) -> list[Future]:
    """Put values on `n` workers each, or on all; their names are new in the run.

    `run` is the name of a run whose `RunInScheduler` is in the scheduler.
    """
    keys = [f"{_PREFIX}-{name}-{run}" for name in values]
    found = client.scatter(dict(zip(keys, values.values(), strict=True)), hash=False)
    futures = [found[key] for key in keys]
    client.replicate(futures, n=n)
    return futures


class _KeepScattered(ReduceReplicas):  # type: ignore[misc]  # Dask's own has no types
    """Dask's policy, except for scattered values of runs with a plugin in the scheduler."""

    def run(self) -> SuggestionGenerator:
        """Which copies to remove."""
        runs = self.manager.scheduler.plugins
        for suggestion in super().run():
            key = str(suggestion.ts.key)
            if not (key.startswith(f"{_PREFIX}-") and key.rpartition("-")[2] in runs):
                yield suggestion


def keep_scattered(scheduler: Scheduler) -> None:
    """Keep the copies of what runs have scattered for as long as the runs last."""
    manager = scheduler.extensions.get("amm")
    if manager is None:
        return  # nothing removes copies
    for policy in [each for each in manager.policies if type(each) is ReduceReplicas]:
        manager.policies.remove(policy)
        manager.add_policy(_KeepScattered())
