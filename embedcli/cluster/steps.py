"""The steps of a run in shards: the algorithm, once, for whatever runs it.

    count each shard -> choose the vocabulary -> encode each shard -> make the first model
    each round: train each shard -> combine the changes -> the next model

A `Driver` decides which process runs a step and where its result stays. `InProcess` runs every step
here; `file_driver.py` uses it and keeps the results in files. `dask_driver.py` sends the steps to
the workers of a Dask cluster, which keep the results.

Each worker combines some rows of the model, and every shard sends its changes of these rows to that
worker. So no process forwards the changes of others, and none holds more than one model. Which rows
form a part depends on the run alone, not on the number of workers: sums of floating-point numbers
depend on their order.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from embedcli.cluster.combination import Basis, Moment, after, bases, moments
from embedcli.cluster.counts import N_PARTS, Table, add_tables, choose, count, vocabulary_of
from embedcli.cluster.deltas import Deltas, part, total
from embedcli.cluster.shard_trainer import (
    Change,
    Matrices,
    Round,
    ShardTrainer,
    beginning,
    check,
    make_weights,
)
from embedcli.cluster.shards import Shard, text_size
from embedcli.corpus import Corpus, Tally, encode_corpus
from embedcli.errors import CorpusError
from embedcli.kernels.weights import Weights
from embedcli.settings.config import TrainConfig
from embedcli.training.forecast import measure_seconds
from embedcli.vocabulary import Vocabulary

__all__ = [
    "Driver",
    "Encoded",
    "InProcess",
    "ShardStore",
    "choose_vocabulary",
    "combine_changes",
    "count_shards",
    "count_step",
    "encode_shards",
    "encode_step",
    "first_model",
    "measure_shard",
    "train_shards",
    "train_step",
]

_PART_BYTES = 1 << 34  # of text, whose distinct words one worker adds up


class Driver(Protocol):
    """Runs steps. A result may be a handle, which later steps accept in place of the value."""

    def run(
        self,
        name: str,
        step: Callable[..., Any],
        *arguments: Any,
        shard: int | None = None,
        part: int | None = None,
    ) -> Any:
        """Run a step.

        Args:
            name: of the result; unique in a run.
            step: a function of this package.
            arguments: of the step: values and handles.
            shard: run it where this shard is trained.
            part: run it where this part of the model is combined.
        """

    def run_on_shard(
        self, name: str, step: Callable[..., Any], shard: Shard, *arguments: Any
    ) -> Any:
        """Run ``step(store, shard, config, *arguments)`` where the shard is trained."""

    def add_up(self, name: str, add: Callable[[Sequence[Any]], Any], values: Sequence[Any]) -> Any:
        """The sum of all values; `add` adds any number of neighbours."""

    def results(self, handles: Sequence[Any]) -> list[Any]:
        """The values of results."""


class ShardStore:
    """The encoded shards of one process, and the memory for the model that they train.

    Args:
        scratch: a directory for the encoded shards; the system's by default.
        corpora: shards that are encoded already, by number.

    Attributes:
        lock: held while a shard is encoded or trained: one at a time, with all threads.
    """

    def __init__(
        self, scratch: Path | None = None, corpora: Mapping[int, Corpus] | None = None
    ) -> None:
        self.lock = threading.Lock()
        self._scratch = scratch
        self._corpora = dict(corpora or {})
        self._trainers: dict[int, ShardTrainer] = {}
        self._weights: Weights | None = None

    def corpus(
        self, shard: Shard, vocabulary: Vocabulary, config: TrainConfig, digest: str | None
    ) -> Corpus:
        """An encoded shard. It is encoded if it is not here yet.

        Raises:
            CorpusError: it cannot be read, or its text does not have this digest.
        """
        if shard.number not in self._corpora:
            self._corpora[shard.number] = encode_corpus(
                shard.spans,
                rules=config,
                vocabulary=vocabulary,
                is_part=True,
                threads=config.threads or 1,
                scratch=self._scratch,
            )
        corpus = self._corpora[shard.number]
        if digest is not None and corpus.digest != digest:
            raise CorpusError(
                f"the text is not what it was: it had sha256 {digest[:12]}, now "
                f"{corpus.digest[:12]}; give that text, or train anew without --resume"
            )
        return corpus

    def trainer(self, corpus: Corpus, config: TrainConfig, shard: int) -> ShardTrainer:
        """A shard ready to be trained; all shards of a store share the memory for a model."""
        if self._weights is None:
            self._weights = make_weights(len(corpus.vocabulary), config.dim)
        if shard not in self._trainers:
            self._trainers[shard] = ShardTrainer(corpus, config, shard, self._weights)
        return self._trainers[shard]

    def close(self) -> None:
        """Free memory and disk space."""
        self._trainers.clear()
        self._weights = None
        for corpus in self._corpora.values():
            corpus.close()
        self._corpora.clear()


class InProcess:
    """A `Driver` that runs every step at once, in this process; its handles are the values."""

    def __init__(self, config: TrainConfig, store: ShardStore | None = None) -> None:
        self._config = config
        self._store = store or ShardStore()

    def run(
        self,
        name: str,
        step: Callable[..., Any],
        *arguments: Any,
        shard: int | None = None,
        part: int | None = None,
    ) -> Any:
        """Run a step."""
        return step(*arguments)

    def run_on_shard(
        self, name: str, step: Callable[..., Any], shard: Shard, *arguments: Any
    ) -> Any:
        """Run a step on a shard."""
        return step(self._store, shard, self._config, *arguments)

    def add_up(self, name: str, add: Callable[[Sequence[Any]], Any], values: Sequence[Any]) -> Any:
        """Add all values in one call."""
        return add(values)

    def results(self, handles: Sequence[Any]) -> list[Any]:
        """The values themselves."""
        return list(handles)


@dataclass(frozen=True)
class Encoded:
    """What is known of an encoded shard."""

    tally: Tally
    digest: str
    remarks: tuple[str, ...] = ()


def count_shards(driver: Driver, shards: Sequence[Shard], config: TrainConfig) -> Vocabulary:
    """Count every shard and choose the vocabulary.

    Args:
        driver: runs the steps.
        shards: all of them.
        config: `min_count` and `max_vocab` choose.

    Raises:
        CorpusError: a shard cannot be read, or no word occurs often enough.
        ResourceError: the distinct words do not fit in memory.
    """
    parts = math.ceil(text_size(shards) / _PART_BYTES)
    n_parts = min(N_PARTS, 1 << max(0, parts - 1).bit_length())
    tables = [
        driver.run_on_shard(f"count-{shard.number}", count_step, shard, n_parts) for shard in shards
    ]
    return choose_vocabulary(driver, tables, n_parts, config)


def choose_vocabulary(
    driver: Driver, tables: Sequence[Any], n_parts: int, config: TrainConfig
) -> Vocabulary:
    """The vocabulary of counted shards. The words are split into parts, each added up by itself.

    Args:
        driver: runs the steps.
        tables: of each shard, a list of `n_parts` tables (`count_step`).
        n_parts: a divisor of `N_PARTS`.
        config: `min_count` and `max_vocab` choose.

    Raises:
        CorpusError: no word occurs often enough.
        ResourceError: the distinct words do not fit in memory.
    """
    chosen = []
    for number in range(n_parts):
        of_all = [
            driver.run(f"part-{number}-{shard}", part_of_table, table, number)
            for shard, table in enumerate(tables)
        ]
        sum_of_all = driver.add_up(f"add-counts-{number}", add_tables, of_all)
        chosen.append(driver.run(f"choose-{number}", choose, [sum_of_all], config))
    return vocabulary_of(driver.results(chosen), config)


def encode_shards(
    driver: Driver, shards: Sequence[Shard], words: Any, digests: Mapping[str, str]
) -> list[Encoded]:
    """Encode every shard where it will be trained.

    Args:
        driver: runs the steps.
        shards: all of them.
        words: the vocabulary, or a handle of it.
        digests: that texts of shards must have, by the shard's number as text.
    """
    return driver.results([
        driver.run_on_shard(
            f"encode-{shard.number}", encode_step, shard, words, digests.get(str(shard.number))
        )
        for shard in shards
    ])  # fmt: skip


def measure_shard(driver: Driver, shard: Shard, words: Any) -> float:
    """How many seconds an epoch of a shard takes where it is trained."""
    (seconds,) = driver.results([driver.run_on_shard("measure", measure_step, shard, words)])
    return float(seconds)


def first_model(driver: Driver, parts: Sequence[slice], config: TrainConfig) -> list[Any]:
    """The model before the first round; `parts` are its rows (`row_parts`)."""
    whole = driver.run("beginning", beginning, parts[-1].stop, config)
    return [
        driver.run(f"beginning-{number}", rows_step, whole, rows)
        for number, rows in enumerate(parts)
    ]


def train_shards(
    driver: Driver,
    shards: Sequence[Shard],
    at: Round,
    digests: Sequence[str],
    words: Any,
    model: Sequence[Any],
) -> list[Any]:
    """Train every shard for a round, from the same model; the `Change` of each.

    Args:
        driver: runs the steps.
        shards: all of them.
        at: the round.
        digests: of the texts of the shards.
        words: the vocabulary, or a handle of it.
        model: its parts.
    """
    return [
        driver.run_on_shard(
            f"train-{at}-{shard.number}",
            train_step,
            shard,
            at,
            digests[shard.number],
            words,
            *model,
        )
        for shard in shards
    ]


def combine_changes(
    driver: Driver,
    model: Sequence[Any],
    changes: Sequence[Any],
    parts: Sequence[slice],
    config: TrainConfig,
    at: Round,
) -> tuple[list[Any], list[Any]]:
    """The model after a round, from what it did in all shards.

    Args:
        driver: runs the steps.
        model: its parts before the round.
        changes: of the shards, in their order.
        parts: the rows of the model's parts.
        config: resolved settings.
        at: the round.

    Returns:
        The parts of the next model, and each change without its deltas.
    """
    sums = [
        driver.run(f"sums-{at}-{shard}", sums_step, change, shard=shard)
        for shard, change in enumerate(changes)
    ]
    places = [at.number + number for number in range(len(parts))]
    totals = [
        driver.run(
            f"total-{at}-{number}",
            total_step,
            *(
                driver.run(
                    f"part-{at}-{shard}-{number}", part_step, change, number, rows, shard=shard
                )
                for shard, change in enumerate(changes)
            ),
            part=places[number],
        )
        for number, rows in enumerate(parts)
    ]
    pulls = [
        driver.run(f"moments-{at}-{number}", moments, *pair, part=places[number])
        for number, pair in enumerate(zip(model, totals, strict=True))
    ]
    found = driver.run(f"bases-{at}", bases_step, *pulls)
    return [
        driver.run(
            f"model-{at}-{number}", after_step, *pair, found, config, at, rows, part=places[number]
        )
        for number, (*pair, rows) in enumerate(zip(model, totals, parts, strict=True))
    ], sums


def count_step(store: ShardStore, shard: Shard, config: TrainConfig, n_parts: int) -> list[Table]:
    """The counts of a shard, split by word into `n_parts` tables."""
    table = count(shard, config)
    return [table] if n_parts == 1 else [table.part(number, n_parts) for number in range(n_parts)]


def part_of_table(tables: list[Table], number: int) -> Table:
    """One of the tables of a shard."""
    return tables[number]


def encode_step(
    store: ShardStore,
    shard: Shard,
    config: TrainConfig,
    vocabulary: Vocabulary,
    digest: str | None,
) -> Encoded:
    """Encode a shard and keep it in the store."""
    with store.lock:
        corpus = store.corpus(shard, vocabulary, config, digest)
        return Encoded(corpus.tally, corpus.digest, corpus.remarks)


def measure_step(
    store: ShardStore, shard: Shard, config: TrainConfig, vocabulary: Vocabulary
) -> float:
    """How many seconds an epoch of the shard takes here."""
    with store.lock:
        corpus = store.corpus(shard, vocabulary, config, None)
        return measure_seconds(corpus, config) / config.epochs


def train_step(
    store: ShardStore,
    shard: Shard,
    config: TrainConfig,
    at: Round,
    digest: str | None,
    vocabulary: Vocabulary,
    *model: Matrices,
) -> Change:
    """Train a shard's stretch of a round, from all parts of a model."""
    with store.lock:
        corpus = store.corpus(shard, vocabulary, config, digest)
        return store.trainer(corpus, config, shard.number).train(model, at)


def rows_step(model: Matrices, rows: slice) -> Matrices:
    """Some rows of a model."""
    return Matrices(*(np.array(matrix[rows]) for matrix in model))


def sums_step(change: Change) -> Change:
    """A change without its deltas."""
    return change._replace(deltas=())


def part_step(change: Change, number: int, rows: slice) -> Deltas:
    """What a shard changed in one part of the model."""
    if len(change.deltas) > 1:
        return change.deltas[number]
    ((syn0, syn1neg),) = change.deltas  # of a model in one part, as files hold it
    return part(syn0, rows), part(syn1neg, rows)


def total_step(*changes: Deltas) -> Deltas:
    """What all shards, in their order, changed in one part of the model."""
    syn0, syn1neg = (total(of_all) for of_all in zip(*changes, strict=True))
    return syn0, syn1neg


def bases_step(*parts: list[Moment]) -> list[Basis]:
    """The directions of both matrices, from the moments of all parts."""
    return bases(parts)


def after_step(
    model: Matrices, totals: Deltas, found: list[Basis], config: TrainConfig, at: Round, rows: slice
) -> Matrices:
    """One part of the model after a round.

    Raises:
        TrainingError: the numbers diverge.
    """
    made = Matrices(*after(model, totals, found))
    check(made, config, at, first_row=rows.start)
    return made
