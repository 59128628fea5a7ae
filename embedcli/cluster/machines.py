"""The workers of a Dask cluster, as one run sees them: asked, waited for, given shards.

What is asked of them is the business of `driver.py` and `rounds.py`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from embedcli.cluster.desk import Job
from embedcli.cluster.shards import Shard
from embedcli.errors import ClusterError, EmbedError

if TYPE_CHECKING:
    from distributed import Client, Future

__all__ = ["Machines"]

_WAKE_SECONDS = 0.1


def _nothing() -> None:
    """What is done while waiting where nobody asks for more; Ctrl-C raises by itself."""


@dataclass
class Machines:
    """The workers of a cluster, as one run sees them.

    Attributes:
        client: of the cluster.
        job: what all tasks share.
        homes: the address of the worker that each shard is at home on, by the shard's number.
    """

    client: Client
    job: Job
    homes: dict[int, str] = field(default_factory=dict)

    def submit(
        self, what: str, function: Callable[..., Any], *arguments: Any, **more: Any
    ) -> Future:
        """Have a function called on a worker; `what` names the task on Dask's pages."""
        key = f"{what}-{self.job.name}"
        return self.client.submit(function, *arguments, key=key, pure=False, **more)

    def results(
        self, futures: Sequence[Future], on_wake: Callable[[], None] = _nothing
    ) -> list[Any]:
        """The results of all, brought here; `wait` tells of the rest."""
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

    def place(self, number: int) -> dict[str, Any]:
        """Where to run the `number`th of many tasks that may run anywhere, in turn."""
        homes = sorted(set(self.homes.values()))
        if not homes:
            return {}
        return {"workers": [homes[number % len(homes)]], "allow_other_workers": True}

    def tree(self, what: str, add: Callable[[Any, Any], Any], parts: Sequence[Future]) -> Future:
        """The sum of all parts, two neighbours at a time."""
        level = 0
        while len(parts) > 1:
            pairs = [parts[at : at + 2] for at in range(0, len(parts), 2)]
            parts = [
                pair[0] if len(pair) == 1 else self.submit(f"{what}-{level}-{number}", add, *pair)
                for number, pair in enumerate(pairs)
            ]
            level += 1
        return parts[0]
