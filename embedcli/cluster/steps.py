"""The steps of a run in shards: the algorithm, once, for whatever runs it.

    count each shard -> choose the vocabulary -> encode each shard -> make the first model
    each round: train each shard -> combine the changes -> the next model

A driver decides which process runs a step and where its result stays. `Driver` runs every step in
this process; `file_driver.py` keeps its results in files. `DaskDriver` sends the steps to the
workers of a Dask cluster, which keep the results.

Each worker combines some rows of the model, and every shard sends its changes of these rows to that
worker. So no process forwards the changes of others, and none holds more than one model. Which rows
form a part depends on the run alone, not on the number of workers: sums of floating-point numbers
depend on their order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from embedcli.cluster.combination import Basis, Moment, after, bases, moments
from embedcli.cluster.counts import N_PARTS, Table, add_tables, choose, vocabulary_of
from embedcli.cluster.deltas import Change, Deltas, Matrices, Round, check, part, total
from embedcli.cluster.shard_trainer import Encoded, ShardStore, beginning
from embedcli.cluster.shards import Shard, text_size
from embedcli.settings.config import TrainConfig
from embedcli.vocabulary import Vocabulary

__all__ = ["Driver"]

_PART_BYTES = 1 << 34  # of text, whose distinct words one worker adds up


class Driver:
    """The steps of a run, each of which this driver runs at once, in this process.

    A driver that runs them elsewhere replaces `run`, `run_on_shard`, `add_up` and `results`. Its
    results are handles, which later steps accept in place of the values.

    Args:
        config: resolved settings.
        shards: of the text.
        store: of the encoded shards.
    """

    def __init__(
        self, config: TrainConfig, shards: Sequence[Shard] = (), store: ShardStore | None = None
    ) -> None:
        self.config = config
        self.shards = shards
        self._store = store or ShardStore()

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
        return step(*arguments)

    def run_on_shard(
        self, name: str, step: Callable[..., Any], shard: Shard, *arguments: Any
    ) -> Any:
        """Run ``step(store, shard, config, *arguments)``, where the shard is trained."""
        return step(self._store, shard, self.config, *arguments)

    def add_up(self, name: str, add: Callable[[Sequence[Any]], Any], values: Sequence[Any]) -> Any:
        """The sum of all values; `add` adds any number of neighbours."""
        return add(values)

    def results(self, handles: Sequence[Any]) -> list[Any]:
        """The values of results."""
        return list(handles)

    def count(self) -> Vocabulary:
        """Count every shard and choose the vocabulary.

        Raises:
            CorpusError: a shard cannot be read, or no word occurs often enough.
            ResourceError: the distinct words do not fit in memory.
        """
        parts = math.ceil(text_size(self.shards) / _PART_BYTES)
        n_parts = min(N_PARTS, 1 << max(0, parts - 1).bit_length())
        return self.choose(
            [
                self.run_on_shard(f"count-{shard.number}", ShardStore.count, shard, n_parts)
                for shard in self.shards
            ],
            n_parts,
        )

    def choose(self, tables: Sequence[Any], n_parts: int) -> Vocabulary:
        """The vocabulary of counted shards. Each part of the words is added up by itself.

        Args:
            tables: of each shard, a list of `n_parts` tables.
            n_parts: a divisor of `N_PARTS`.

        Raises:
            CorpusError: no word occurs often enough.
            ResourceError: the distinct words do not fit in memory.
        """
        chosen = []
        for number in range(n_parts):
            of_all = [
                self.run(f"part-{number}-{shard}", _table, table, number)
                for shard, table in enumerate(tables)
            ]
            added = self.add_up(f"add-counts-{number}", add_tables, of_all)
            chosen.append(self.run(f"choose-{number}", choose, [added], self.config))
        return vocabulary_of(self.results(chosen), self.config)

    def encode(self, words: Any, digests: Mapping[str, str]) -> list[Encoded]:
        """Encode every shard where it will be trained.

        Args:
            words: the vocabulary.
            digests: that texts of shards must have, by the shard's number as text.
        """
        return self.results([
            self.run_on_shard(
                f"encode-{shard.number}",
                ShardStore.encode,
                shard,
                words,
                digests.get(str(shard.number)),
            )
            for shard in self.shards
        ])  # fmt: skip

    def measure(self, shard: Shard, words: Any) -> float:
        """How many seconds an epoch of a shard takes where it is trained."""
        measuring = self.run_on_shard("measure", ShardStore.measure, shard, words)
        return float(self.results([measuring])[0])

    def first_model(self, parts: Sequence[slice]) -> list[Any]:
        """The model before the first round; `parts` are its rows (`row_parts`)."""
        whole = self.run("beginning", beginning, parts[-1].stop, self.config)
        return [
            self.run(f"beginning-{number}", _rows, whole, rows) for number, rows in enumerate(parts)
        ]

    def train(
        self, at: Round, words: Any, digests: Sequence[str], model: Sequence[Any]
    ) -> list[Any]:
        """Train every shard for a round, from the same model; the `Change` of each.

        Args:
            at: the round.
            words: the vocabulary.
            digests: of the texts of the shards.
            model: its parts.
        """
        return [
            self.run_on_shard(
                f"train-{at}-{shard.number}",
                ShardStore.train,
                shard,
                words,
                digests[shard.number],
                at,
                *model,
            )
            for shard in self.shards
        ]

    def combine(
        self, at: Round, model: Sequence[Any], changes: Sequence[Any], parts: Sequence[slice]
    ) -> tuple[list[Any], list[Any]]:
        """The model after a round, from what it did in all shards.

        Args:
            at: the round.
            model: its parts before the round.
            changes: of the shards, in their order.
            parts: the rows of the model's parts.

        Returns:
            The parts of the next model, and each change without its deltas.
        """
        sums = [
            self.run(f"sums-{at}-{shard}", _sums, change, shard=shard)
            for shard, change in enumerate(changes)
        ]
        combined = []  # what is needed of each part: its rows, where it is combined, model, total
        for number, (rows, before) in enumerate(zip(parts, model, strict=True)):
            place = at.number + number
            of_all = [
                self.run(f"part-{at}-{shard}-{number}", _deltas, change, number, rows, shard=shard)
                for shard, change in enumerate(changes)
            ]
            added = self.run(f"total-{at}-{number}", _total, *of_all, part=place)
            combined.append((rows, place, before, added))
        pulls = [
            self.run(f"moments-{at}-{number}", moments, before, added, part=place)
            for number, (_, place, before, added) in enumerate(combined)
        ]
        found = self.run(f"bases-{at}", _bases, *pulls)
        return [
            self.run(
                *(f"model-{at}-{number}", _after, before, added, found, self.config, at, rows),
                part=place,
            )
            for number, (rows, place, before, added) in enumerate(combined)
        ], sums


def _table(tables: list[Table], number: int) -> Table:
    """One of the tables of a shard."""
    return tables[number]


def _rows(model: Matrices, rows: slice) -> Matrices:
    """Some rows of a model."""
    return Matrices(*(np.array(matrix[rows]) for matrix in model))


def _sums(change: Change) -> Change:
    """A change without its deltas."""
    return change._replace(deltas=())


def _deltas(change: Change, number: int, rows: slice) -> Deltas:
    """What a shard changed in one part of the model."""
    if len(change.deltas) > 1:
        return change.deltas[number]
    ((syn0, syn1neg),) = change.deltas  # of a model in one part, as files hold it
    return part(syn0, rows), part(syn1neg, rows)


def _total(*changes: Deltas) -> Deltas:
    """What all shards, in their order, changed in one part of the model."""
    syn0, syn1neg = (total(of_all) for of_all in zip(*changes, strict=True))
    return syn0, syn1neg


def _bases(*parts: list[Moment]) -> list[Basis]:
    """The directions of both matrices, from the moments of all parts."""
    return bases(parts)


def _after(
    model: Matrices, totals: Deltas, found: list[Basis], config: TrainConfig, at: Round, rows: slice
) -> Matrices:
    """One part of the model after a round.

    Raises:
        TrainingError: the numbers diverge.
    """
    made = Matrices(*after(model, totals, found))
    check(made, config, at, first_row=rows.start)
    return made
