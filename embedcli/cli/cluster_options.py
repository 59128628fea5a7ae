"""The options of `embed train` for a Dask cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from embedcli.cli.options import Duration
from embedcli.cli.spool import spooled
from embedcli.errors import UsageError
from embedcli.progress import OnProgress, ignore_progress
from embedcli.settings.compatibility import used_by
from embedcli.settings.config import TrainConfig
from embedcli.settings.values import Value

if TYPE_CHECKING:
    from embedcli.cluster.dask_run import RunEstimate
    from embedcli.embeddings import Embeddings
    from embedcli.training.checkpoint import Checkpoint
    from embedcli.training.trainer import RunControl
    from embedcli.vocabulary import Vocabulary

__all__ = ["Cluster", "check_options", "cluster_options", "digest_text"]


def cluster_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--cluster` and `--sync-every`."""
    where = click.option(
        "--cluster",
        metavar="ADDRESS",
        envvar="EMBED_TRAIN_CLUSTER",
        help="Train on this Dask cluster: tcp://HOST:PORT, a scheduler file, local:N for N local "
        "processes, or config for the address in Dask's configuration.",
    )
    often = click.option(
        "--sync-every",
        type=Duration(),
        default="30s",
        show_default=True,
        envvar="EMBED_TRAIN_SYNC_EVERY",
        help="--cluster: target time between synchronisations; --rounds sets their number instead.",
    )
    decorated: Callable[..., Any] = where(often(function))
    return decorated


@dataclass(frozen=True)
class Cluster:
    """Where to train.

    Attributes:
        address: the value of `--cluster`.
        sync_every: target seconds between synchronisations.
        spool: the file for standard input, which all workers can read; None: a temporary one.
    """

    address: str
    sync_every: float
    spool: str | None = None

    def resolve(self, config: TrainConfig, chosen: Mapping[str, Value]) -> TrainConfig:
        """The settings with nothing left open, except for the threads of workers.

        Raises:
            UsageError: a setting is not supported on a cluster.
        """
        from embedcli.cluster.plan import shard_settings

        threads = chosen.get("threads")
        return shard_settings(
            replace(config, threads=threads if isinstance(threads, int) else None)
        )

    def check_resumed(self, resumed: Checkpoint) -> None:
        """Refuse to resume a run of one machine: its position has no meaning on a cluster.

        Raises:
            UsageError: it began on one machine.
        """
        if "shards" not in resumed.arguments and resumed.state is not None:
            raise UsageError(f"{resumed.path} is of a run on one machine: leave out --cluster")

    @property
    def arguments(self) -> Sequence[str]:
        """The options that `--resume` needs."""
        return ("--cluster", self.address)

    def train(
        self,
        paths: Sequence[str | Path],
        config: TrainConfig,
        *,
        vocabulary: Vocabulary | None = None,
        pretrained: Embeddings | None = None,
        scratch: str | None = None,
        on_progress: OnProgress = ignore_progress,
        control: RunControl | None = None,
    ) -> Embeddings:
        """Do what `training.trainer.train` does, on the cluster.

        Workers have scratch directories of their own. `pretrained` is not used, because the
        settings that name such vectors are refused.
        """
        from embedcli.cluster.connect import connect

        with (
            spooled([str(path) for path in paths], self.spool) as names,
            connect(self.address) as client,
        ):
            # Imports Dask, which `connect` has found.
            from embedcli.cluster.dask_run import train_on_cluster

            return train_on_cluster(
                client,
                names,
                config,
                sync_every=self.sync_every,
                vocabulary=vocabulary,
                on_progress=on_progress,
                control=control,
            )

    def estimate(
        self,
        paths: Sequence[str],
        config: TrainConfig,
        *,
        vocabulary: Vocabulary | None,
        on_progress: OnProgress,
    ) -> RunEstimate:
        """What `train` would take: memory, time, shards and rounds."""
        from embedcli.cluster.connect import connect

        with spooled(paths) as names, connect(self.address) as client:
            from embedcli.cluster.dask_run import estimate_run  # as above

            return estimate_run(
                client,
                names,
                config,
                sync_every=self.sync_every,
                vocabulary=vocabulary,
                on_progress=on_progress,
            )


def check_options(cluster: Cluster | None, chosen: Mapping[str, Value]) -> None:
    """Refuse options of a cluster without one.

    Raises:
        UsageError: an option needs `--cluster`; the message names it.
    """
    if cluster is None:
        for name in used_by("cluster"):
            if chosen.get(name) not in (None, getattr(TrainConfig, name)):
                raise UsageError(f"--{name} is for a cluster: give --cluster too")


def digest_text(sources: Sequence[str], metadata: Mapping[str, Any]) -> str:
    """The digest of a text as the run that made a model has digested it: whole, or in shards."""
    from embedcli.cluster.shards import cut, digest_shards
    from embedcli.settings.text_rules import TextRules
    from embedcli.training import resuming

    if "shards" not in metadata:
        return resuming.digest_text(sources, metadata)
    rules = TextRules.from_settings(metadata["settings"])
    recursive, n_shards = bool(metadata["settings"]["recursive"]), metadata["shards"]["n_shards"]
    with spooled(sources) as names:
        return digest_shards(cut(names, n_shards, rules=rules, recursive=recursive), rules)
