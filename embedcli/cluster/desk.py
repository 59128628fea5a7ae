"""What workers do: the functions of this room as tasks of Dask, and the encoded shards they keep.

Every task is a function of its arguments. A worker keeps the shards it has encoded, on its own disk
and out of Dask's sight; a task that comes to a worker without its shard encodes it anew, and finds
out by the digest whether the text is still the same.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from distributed import Scheduler, SchedulerPlugin, Worker, WorkerPlugin, get_worker

from embedcli.cluster.combination import Basis, Moment, after, bases, moments
from embedcli.cluster.deltas import Deltas, total
from embedcli.cluster.keeping import keep_scattered
from embedcli.cluster.shards import Shard
from embedcli.cluster.tables import Table, count
from embedcli.cluster.training import (
    Change,
    Matrices,
    Round,
    ShardTrainer,
    beginning,
    check,
    make_weights,
)
from embedcli.corpus import Corpus, Tally, encode_corpus
from embedcli.errors import CorpusError, EmbedError, UsageError
from embedcli.kernels.weights import Weights
from embedcli.settings.config import TrainConfig
from embedcli.training.forecast import measure_seconds
from embedcli.vocabulary import Vocabulary

__all__ = [
    "Deaf",
    "Desk",
    "Encoded",
    "Janitor",
    "Job",
    "after_task",
    "bases_task",
    "begin_task",
    "count_task",
    "encode_task",
    "measure_task",
    "moments_task",
    "part_task",
    "rows_task",
    "sums_task",
    "total_task",
    "train_task",
]


@dataclass(frozen=True)
class Job:
    """What all tasks of a run share.

    Attributes:
        name: of the run, and of its desks.
        config: settings; `threads` is None for as many as the worker has.
    """

    name: str
    config: TrainConfig


@dataclass(frozen=True)
class Encoded:
    """What is known of an encoded shard."""

    tally: Tally
    digest: str
    remarks: tuple[str, ...] = ()


class Desk(WorkerPlugin):  # type: ignore[misc]  # the library may not be there to look at
    """One worker's place for one run: its shards, and room for the model that it trains.

    A lock sees to it that one shard is trained at a time, with all threads.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def setup(self, worker: Worker) -> None:
        """Begin; called by Dask on each worker, also on one that joins later."""
        self.lock = threading.Lock()
        self._directory = Path(worker.local_directory)
        self._corpora: dict[int, Corpus] = {}
        self._trainers: dict[int, ShardTrainer] = {}
        self._weights: Weights | None = None

    def teardown(self, worker: Worker) -> None:
        """Give memory and disk space back."""
        self._trainers.clear()
        self._weights = None
        for corpus in self._corpora.values():
            corpus.close()
        self._corpora.clear()

    def corpus(
        self, shard: Shard, vocabulary: Vocabulary, config: TrainConfig, digest: str | None
    ) -> Corpus:
        """An encoded shard, kept or made.

        Raises:
            CorpusError: it cannot be read, or is not what it was.
        """
        if shard.number not in self._corpora:
            self._corpora[shard.number] = encode_corpus(
                shard.spans,
                rules=config,
                vocabulary=vocabulary,
                is_part=True,
                threads=config.threads or 1,
                scratch=self._directory,
            )
        corpus = self._corpora[shard.number]
        if digest is not None and corpus.digest != digest:
            raise CorpusError(
                f"the text is not what it was: it had sha256 {digest[:12]}, now "
                f"{corpus.digest[:12]}; give that text, or train anew without --resume"
            )
        return corpus

    def trainer(self, corpus: Corpus, config: TrainConfig, shard: int) -> ShardTrainer:
        """A shard ready to be trained; all of a worker's shards share the room for a model."""
        if self._weights is None:
            self._weights = make_weights(len(corpus.vocabulary), config.dim)
        if shard not in self._trainers:
            self._trainers[shard] = ShardTrainer(corpus, config, shard, self._weights)
        return self._trainers[shard]


class Janitor(SchedulerPlugin):  # type: ignore[misc]  # as above
    """Keeps what a run has scattered, and takes its desks away when who began it is gone."""

    def __init__(self, run: str, client: str) -> None:
        self.name = run
        self._client = client

    async def start(self, scheduler: Scheduler) -> None:
        """Called by Dask when this comes to the scheduler."""
        keep_scattered(scheduler)

    def remove_client(self, scheduler: Scheduler, client: str) -> None:
        """Called by Dask when a client has closed, or its connection is lost."""
        if client == self._client:
            scheduler.loop.add_callback(self._clear, scheduler)

    async def _clear(self, scheduler: Scheduler) -> None:
        await scheduler.unregister_worker_plugin(comm=None, name=self.name)
        await scheduler.unregister_scheduler_plugin(name=self.name)


class Deaf(WorkerPlugin):  # type: ignore[misc]  # as above
    """Makes a worker process ignore Ctrl-C, which is meant for the process that started it."""

    def setup(self, worker: Worker) -> None:
        """Called by Dask in the worker's main thread."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def count_task(job: Job, shard: Shard, n_parts: int) -> list[Table]:
    """A shard's counts, dealt into parts by the words."""
    with _named(shard):
        table = count(shard, _config(job))
        return [table] if n_parts == 1 else [table.part(k, n_parts) for k in range(n_parts)]


def encode_task(job: Job, shard: Shard, vocabulary: Vocabulary, digest: str | None) -> Encoded:
    """Encode a shard and keep it."""
    with _named(shard), _desk(job) as desk:
        corpus = desk.corpus(shard, vocabulary, _config(job), digest)
        return Encoded(corpus.tally, corpus.digest, corpus.remarks)


def measure_task(job: Job, shard: Shard, vocabulary: Vocabulary) -> float:
    """How many seconds an epoch of the shard takes this worker."""
    with _named(shard), _desk(job) as desk:
        config = _config(job)
        seconds = measure_seconds(desk.corpus(shard, vocabulary, config, None), config)
        return seconds / config.epochs


def train_task(
    job: Job, shard: Shard, at: Round, digest: str, vocabulary: Vocabulary, *model: Matrices
) -> Change:
    """Train a shard's stretch of a round, from all parts of a model."""
    with _named(shard), _desk(job) as desk:
        config = _config(job)
        corpus = desk.corpus(shard, vocabulary, config, digest)
        return desk.trainer(corpus, config, shard.number).train(model, at)


def begin_task(n_words: int, config: TrainConfig) -> Matrices:
    """The matrices that a run begins with."""
    return beginning(n_words, config)


def rows_task(model: Matrices, rows: slice) -> Matrices:
    """A part of the rows of a model."""
    return Matrices(*(np.array(matrix[rows]) for matrix in model))


def part_task(change: Change, number: int) -> Deltas:
    """What a shard changed in one part of the rows."""
    return change.deltas[number]


def sums_task(change: Change) -> Change:
    """What is known of a change without the matrices."""
    return change._replace(deltas=())


def total_task(*changes: Deltas) -> Deltas:
    """What all shards, in their order, changed in one part of the rows."""
    syn0, syn1neg = (total(of_all) for of_all in zip(*changes, strict=True))
    return syn0, syn1neg


def moments_task(model: Matrices, totals: Deltas) -> list[Moment]:
    """What a part of the rows adds to the moments of both matrices."""
    return moments(model, totals)


def bases_task(*parts: list[Moment]) -> list[Basis]:
    """From the moments of all parts, the directions of both matrices."""
    return bases(parts)


def after_task(
    model: Matrices,
    totals: Deltas,
    found: list[Basis],
    config: TrainConfig,
    at: Round,
    rows: slice,
) -> Matrices:
    """A part of the rows of the model after a round."""
    made = Matrices(*after(model, totals, found))
    check(made, config, at, f" (counted from row {rows.start})")
    return made


def _config(job: Job) -> TrainConfig:
    """The settings with the threads of the worker that asks."""
    return replace(job.config, threads=job.config.threads or get_worker().state.nthreads)


@contextmanager
def _desk(job: Job) -> Iterator[Desk]:
    desk: Desk = get_worker().plugins[job.name]
    with desk.lock:
        yield desk


@contextmanager
def _named(shard: Shard) -> Iterator[None]:
    """Name the shard in every error that is ours, in a form that travels."""
    try:
        yield
    except UsageError as error:  # MissingExtraError would not survive the way back
        raise UsageError(f"{error} ({shard})") from None
    except EmbedError as error:
        raise type(error)(f"{error} ({shard})") from None
