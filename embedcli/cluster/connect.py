"""Connecting to a Dask cluster: by an address, a scheduler file, Dask's configuration, or locally.

A cluster of several machines (Kubernetes, Slurm, SSH, plain `dask worker`s) is started with Dask's
own tools. embed only gets its address.
"""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embedcli import __version__
from embedcli.errors import ClusterError, MissingExtraError, UsageError
from embedcli.files.leftovers import temporary_directory
from embedcli.settings.config import usable_cores

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["connect"]

_LOCAL = re.compile(r"local:([1-9][0-9]{0,3})")
_CONFIGURED = "config"
_NO_DASHBOARD = {"dashboard": False, "dashboard_address": "127.0.0.1:0"}  # Dask needs a port
# Dask's pages show to everyone what is computed, and by whom.
_NO_PAGES: Mapping[str, list[str]] = {
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
}
TIMEOUT = 30  # seconds to reach the scheduler, and for the first worker to come


@contextmanager
def connect(cluster: str) -> Iterator[Client]:
    """A client of a cluster that has at least one worker and runs this version of embed.

    Args:
        cluster: ``tcp://host:8786`` or another address of Dask; ``local:4`` for four processes on
            this machine; the path of a scheduler file; ``config`` for the address in Dask's
            configuration (``DASK_SCHEDULER_ADDRESS``).

    Raises:
        MissingExtraError: Dask is not installed, or for ``local:N`` cryptography.
        UsageError: `cluster` is none of these, or a worker has another version of embed.
        ClusterError: the scheduler cannot be reached, or has no worker.
    """
    distributed = _library()
    _silence()
    local = _LOCAL.fullmatch(cluster)
    if local:
        with _local(distributed, int(local[1])) as client:
            yield _checked(client, cluster)
        return
    options = _options(cluster)
    try:
        client = distributed.Client(**options, timeout=TIMEOUT, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise ClusterError(f"no scheduler answers at {cluster}: {error}") from error
    with client:
        yield _checked(client, cluster)


def _own_keys(distributed: Any) -> Any:
    """Keys and a certificate of this run, which every connection must have.

    Without them, whoever reaches the port of the scheduler can run any code.
    """
    try:
        return distributed.Security.temporary()
    except ImportError:
        raise MissingExtraError("--cluster local:N", "cryptography", "cluster") from None


def _library() -> Any:
    try:
        return import_module("distributed")
    except ImportError:
        raise MissingExtraError("--cluster", "distributed", "cluster") from None


def _silence() -> None:
    """Keep Dask's log messages from stderr; errors are raised in any case."""
    for name in ["distributed", *logging.root.manager.loggerDict]:
        if name.split(".")[0] == "distributed":
            logging.getLogger(name).setLevel(logging.CRITICAL)


@contextmanager
def _local(distributed: Any, n_workers: int) -> Iterator[Client]:
    """Processes on this machine that share its cores.

    Ctrl-C in a terminal reaches them too. They ignore it, because this process still needs their
    model to save it.
    """
    security = _own_keys(distributed)
    no_pages = import_module("dask").config.set(_NO_PAGES)
    # Dask's own directory has the same name for all users, and its files are pickled.
    with temporary_directory("embed-cluster") as scratch:
        with _no_interrupts(), no_pages:  # inherited by the processes
            machines = distributed.LocalCluster(
                n_workers=n_workers,
                threads_per_worker=max(1, usable_cores() // n_workers),
                scheduler_kwargs=_NO_DASHBOARD,
                security=security,
                local_directory=scratch,
                silence_logs=logging.CRITICAL,
            )
        with machines, distributed.Client(machines, set_as_default=False) as client:
            plugin = import_module("embedcli.cluster.dask_worker").IgnoreInterrupts()
            client.register_plugin(plugin, name="embed-interrupts")  # also for restarted workers
            yield client


@contextmanager
def _no_interrupts() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # other threads cannot set signals
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _options(cluster: str) -> dict[str, str]:
    """The arguments of the client."""
    if cluster == _CONFIGURED:
        address = import_module("dask").config.get("scheduler-address", None)
        if not address:
            raise UsageError(
                "--cluster config: Dask's configuration names no scheduler-address; set "
                "DASK_SCHEDULER_ADDRESS, or give the address"
            )
        return {"address": address}
    if "://" in cluster:
        return {"address": cluster}
    if _is_scheduler_file(Path(cluster)):
        return {"scheduler_file": os.fspath(cluster)}
    raise UsageError(
        f"--cluster {cluster} is no cluster: give tcp://HOST:PORT, local:N for N processes here, "
        "the path of a scheduler file, or config"
    )


def _is_scheduler_file(path: Path) -> bool:
    """Whether a file is what ``dask scheduler --scheduler-file`` writes."""
    try:
        return path.is_file() and "address" in json.loads(path.read_bytes())
    except (OSError, ValueError, TypeError):
        return False


def _checked(client: Client, cluster: str) -> Client:
    """The client, after it has a worker and all versions are equal."""
    try:
        client.wait_for_workers(1, timeout=TIMEOUT)
    except TimeoutError as error:
        raise ClusterError(
            f"{cluster} has no worker, not even after {TIMEOUT} s: start some with "
            "dask worker ADDRESS"
        ) from error
    try:
        found = {
            f"the worker {worker}": version for worker, version in client.run(_version).items()
        }
        found["the scheduler"] = client.run_on_scheduler(_version)
    except ImportError as error:
        raise UsageError(
            f"the scheduler or a worker of {cluster} cannot import {error.name}: install "
            f"embedcli[cluster] {__version__} where they run"
        ) from error
    for who, version in sorted(found.items()):
        if version != __version__:
            raise UsageError(
                f"{who} runs embed {version}, this is {__version__}: install the same version "
                "everywhere"
            )
    return client


def _version() -> str:
    return __version__
