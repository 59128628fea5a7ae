"""Data that must outlive a worker: put on several of them, and left there.

What a task has made can be made again; what was handed out as data cannot. So a run puts its words
on all workers and the model of a checkpoint on two. But Dask's scheduler takes superfluous copies
away, every two seconds: one is enough for computing. Here it is told which ones are not
superfluous.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from distributed.active_memory_manager import ReduceReplicas, SuggestionGenerator

if TYPE_CHECKING:
    from distributed import Client, Future, Scheduler

__all__ = ["keep_scattered", "scatter_kept"]

_PREFIX = "kept"


def scatter_kept(
    client: Client, run: str, values: Mapping[str, Any], n: int | None = None
) -> list[Future]:
    """Put values on `n` workers each, or on all; their names are new in the run.

    `run` is the name of a plugin of the scheduler, which has been told to `keep_scattered`.
    """
    keys = [f"{_PREFIX}-{name}-{run}" for name in values]
    found = client.scatter(dict(zip(keys, values.values(), strict=True)), hash=False)
    futures = [found[key] for key in keys]
    client.replicate(futures, n=n)
    return futures


class _Frugal(ReduceReplicas):  # type: ignore[misc]  # Dask's own has no types
    """Dask's policy, but for what runs have scattered that have a plugin in the scheduler."""

    def run(self) -> SuggestionGenerator:
        """What to drop."""
        runs = self.manager.scheduler.plugins
        for suggestion in super().run():
            key = str(suggestion.ts.key)
            if not (key.startswith(f"{_PREFIX}-") and key.rpartition("-")[2] in runs):
                yield suggestion


def keep_scattered(scheduler: Scheduler) -> None:
    """Leave the copies of what runs have scattered alone from now on, for as long as they last."""
    manager = scheduler.extensions.get("amm")
    if manager is None:
        return  # nobody takes copies away
    for policy in [each for each in manager.policies if type(each) is ReduceReplicas]:
        manager.policies.remove(policy)
        manager.add_policy(_Frugal())
