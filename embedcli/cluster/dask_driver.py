"""Running steps on the workers of a Dask cluster: where each runs, and waiting for it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from embedcli.cluster.dask_worker import Job, run_on_worker, scatter_kept
from embedcli.cluster.shards import Shard
from embedcli.cluster.steps import Driver
from embedcli.errors import ClusterError, EmbedError

if TYPE_CHECKING:
    from distributed import Client, Future

__all__ = ["DaskDriver"]

_WAKE_SECONDS = 0.1


def _nothing() -> None:
    """Called while waiting if nothing else has to be done; Ctrl-C raises by itself."""


class DaskDriver(Driver):
    """Runs the steps on workers; its handles are futures.

    Args:
        client: of the cluster.
        job: what all tasks share.
        shards: of the text.

    Attributes:
        workers: the address of the worker that trains each shard, by the shard's number.
    """

    def __init__(self, client: Client, job: Job, shards: Sequence[Shard] = ()) -> None:
        super().__init__(job.config, shards)
        self.client = client
        self.job = job
        self.workers: dict[int, str] = {}

    def run(
        self,
        name: str,
        step: Callable[..., Any],
        *arguments: Any,
        shard: int | None = None,
        part: int | None = None,
    ) -> Future:
        """Have a step run on a worker; `name` names the task on Dask's pages."""
        worker = self.workers.get(shard) if shard is not None else self._worker_of_part(part)
        where = {"workers": [worker], "allow_other_workers": True} if worker else {}
        key = f"{name}-{self.job.name}"
        return self.client.submit(step, *arguments, key=key, pure=False, **where)

    def run_on_shard(
        self, name: str, step: Callable[..., Any], shard: Shard, *arguments: Any
    ) -> Future:
        """Have a step run on a shard, by its worker if that has time."""
        return self.run(name, run_on_worker, self.job, step, shard, *arguments, shard=shard.number)

    def add_up(
        self, name: str, add: Callable[[Sequence[Any]], Any], values: Sequence[Future]
    ) -> Future:
        """The sum of all values, two neighbours at a time."""
        level = 0
        while len(values) > 1:
            pairs = [values[at : at + 2] for at in range(0, len(values), 2)]
            values = [
                pair[0] if len(pair) == 1 else self.run(f"{name}-{level}-{number}", add, pair)
                for number, pair in enumerate(pairs)
            ]
            level += 1
        return values[0]

    def scatter(self, values: Mapping[str, Any], n: int | None = None) -> list[Future]:
        """Put values on `n` workers each, or on all, where they stay until the run ends."""
        return scatter_kept(self.client, self.job.name, values, n)

    def results(
        self, futures: Sequence[Future], on_wake: Callable[[], None] = _nothing
    ) -> list[Any]:
        """The values of results, fetched here. Errors are those of `wait`."""
        self.wait(futures, on_wake)
        try:
            return list(self.client.gather(list(futures)))
        except EmbedError:
            raise
        except Exception as error:
            raise self._lost(error) from error

    def wait(self, futures: Sequence[Future], on_wake: Callable[[], None]) -> None:
        """Return when all are done; `on_wake` is called about ten times a second and may raise.

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

    def _check(self, futures: Sequence[Future]) -> None:
        for future in futures:
            if future.status == "error":
                error = future.exception()
                raise error if isinstance(error, EmbedError) else self._lost(error)
            if future.status in ("cancelled", "lost"):
                raise self._gone()
        if self.client.status not in ("running", "connecting"):
            raise self._gone()

    def _gone(self) -> ClusterError:
        """What has ended that nobody can compute again."""
        if self.client.status == "running":
            return ClusterError(
                "too many workers were lost at once: nobody has the model or the words any more"
            )
        return ClusterError("the scheduler was lost, and what the workers held with it")

    def _lost(self, error: BaseException) -> ClusterError:
        if type(error).__name__ == "KilledWorker":
            return ClusterError(f"a task has ended several workers, one after the other: {error}")
        return ClusterError(f"the cluster failed: {type(error).__name__}: {error}")

    def assign(self) -> None:
        """Give every shard a worker. A shard whose worker is still there keeps it."""
        addresses = sorted(self.client.scheduler_info(n_workers=-1)["workers"])
        if not addresses:
            return  # tasks wait until one comes
        load = dict.fromkeys(addresses, 0)
        most = math.ceil(len(self.shards) / len(addresses))
        unassigned = []
        for shard in self.shards:
            worker = self.workers.get(shard.number, "")
            if load.get(worker, most) < most:
                load[worker] += 1
            else:
                unassigned.append(shard)
        for shard in unassigned:
            worker = min(addresses, key=load.__getitem__)
            self.workers[shard.number] = worker
            load[worker] += 1

    def _worker_of_part(self, part: int | None) -> str | None:
        """Workers take the parts in turn."""
        workers = sorted(set(self.workers.values()))
        return workers[part % len(workers)] if workers and part is not None else None
