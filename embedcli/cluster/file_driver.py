"""The steps of a run in shards from file to file: what `embed shard` and `embed combine` do.

    plan - count each shard - combine -> model 0 - encode each shard
                                           train each shard - combine -> model 1 - ...

Each function depends on its input files alone. So Make, Slurm and people can call them in any order
that has the inputs, on any machine, and again after a failure.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any

import numpy as np

from embedcli.cluster import step_files
from embedcli.cluster.counts import add_tables, sum_tallies
from embedcli.cluster.deltas import Matrices, Round, add_changes, row_parts
from embedcli.cluster.plan import Plan, config_of
from embedcli.cluster.run_state import (
    advance,
    at_beginning,
    corpus_facts,
    next_round,
    state_arrays,
    to_embeddings,
)
from embedcli.cluster.shard_trainer import ShardStore, beginning
from embedcli.cluster.shards import Shard, joint_digest
from embedcli.cluster.step_files import CHANGE, COUNTS, Stamp
from embedcli.cluster.steps import Driver
from embedcli.embeddings import Embeddings
from embedcli.errors import CorpusError, FormatError, UsageError
from embedcli.settings.config import TrainConfig
from embedcli.training.state import Epoch, State

__all__ = ["add_files", "count_shard", "encode_shard", "first_model", "next_model", "train_shard"]


@dataclass(frozen=True)
class _Saved:
    """A model between two rounds: what it says of its run."""

    embeddings: Embeddings
    plan: str
    n_shards: int
    config: TrainConfig
    state: State
    digests: Mapping[str, str] = field(default_factory=dict)

    @property
    def next_round(self) -> Round:
        """The round that comes next."""
        at = next_round(self.state, self.config)
        if at is None:
            raise UsageError("the model has been trained for all rounds of its plan")
        return at

    @property
    def matrices(self) -> Matrices:
        """Both."""
        syn1neg = self.embeddings.output_vectors
        if syn1neg is None:
            raise FormatError("the model has no output vectors: it cannot be trained on")
        return Matrices(self.embeddings.vectors, syn1neg)


def count_shard(plan: Plan, number: int, output: str, threads: int) -> int:
    """Count one shard of a plan; how many distinct words it has."""
    (table,) = ShardStore().count(plan.shard(number), replace(plan.config, threads=threads), 1)
    step_files.write_table(table, Stamp(plan.digest, (number,)), output)
    return len(table.words)


def first_model(plan: Plan, inputs: Sequence[str]) -> Embeddings:
    """The model before the first round, from the counts of all shards.

    Raises:
        FormatError: a shard is missing, there twice, or of another plan.
        CorpusError: no word occurs often enough.
    """
    stamp = _stamp_of_all(inputs, COUNTS, plan.digest, len(plan.shards))
    tables = [step_files.read_table(path) for path in inputs]
    vocabulary = Driver(plan.config).choose([[table] for table in tables], 1)
    facts = corpus_facts(sum_tallies([table.tally for table in tables]), vocabulary)
    model = beginning(len(vocabulary), plan.config)
    more = _position(stamp.plan, len(plan.shards), at_beginning(), {})
    return to_embeddings(model, vocabulary, plan.config, at_beginning(), facts, more)


def encode_shard(plan: Plan, number: int, model: Embeddings, output: str, threads: int) -> int:
    """Encode one shard of a plan with the vocabulary of `model`; how many ids it has."""
    if _saved(model).plan != plan.digest:
        raise FormatError("the model and the plan are of different runs")
    shard, config, store = plan.shard(number), replace(plan.config, threads=threads), ShardStore()
    try:
        encoded = store.encode(shard, config, model.vocabulary, None)
        for remark in encoded.remarks:
            warnings.warn(f"{remark} ({shard})", stacklevel=2)
        corpus = store.corpus(shard, config, model.vocabulary, None)
        stamp = Stamp(plan.digest, (number,), digests={str(number): corpus.digest})
        step_files.write_ids(corpus, stamp, output)
        return len(corpus.ids)
    finally:
        store.close()


def train_shard(model: Embeddings, ids: str, output: str, threads: int) -> float | None:
    """Train one encoded shard for the next round of `model`; the mean loss, if anything was.

    Raises:
        UsageError: all rounds are done.
        FormatError: the files are of different runs.
    """
    saved = _saved(model)
    at = saved.next_round
    stamp = step_files.read_stamp(ids, step_files.IDS)
    if stamp.plan != saved.plan:
        raise FormatError(f"the model and {ids} are of different plans")
    shard, words = Shard(stamp.shards[0], ()), model.vocabulary
    store = ShardStore(corpora={shard.number: step_files.read_ids(ids, words)})
    config = replace(saved.config, threads=threads)
    change = store.train(shard, config, words, None, at, saved.matrices)
    step_files.write_change(change, replace(stamp, round=(at.epoch, at.number), tally={}), output)
    return float(change.sums[0] / change.sums[1]) if change.sums[1] else None


def next_model(model: Embeddings, inputs: Sequence[str]) -> Embeddings:
    """The model after its next round, from what the round did in all shards.

    Raises:
        FormatError: a shard is missing or there twice, or of another plan or round.
        CorpusError: a shard was encoded from another text than in the rounds before.
        TrainingError: training diverges.
    """
    saved = _saved(model)
    at = saved.next_round
    stamp = _stamp_of_all(inputs, CHANGE, saved.plan, saved.n_shards)
    if stamp.round != (at.epoch, at.number):
        due = step_files.show_round((at.epoch, at.number))
        raise FormatError(f"the model is due for {due}, but {inputs[0]} is of {stamp.shown_round}")
    _check_same_text(saved.digests, stamp.digests)
    in_order = sorted(inputs, key=lambda path: step_files.read_stamp(path, CHANGE).shards)
    changes = [step_files.read_change(path) for path in in_order]
    rows = row_parts(len(model), saved.config.shards or 1)
    before = [Matrices(*(matrix[part] for matrix in saved.matrices)) for part in rows]
    after, sums = Driver(saved.config).combine(at, before, changes, rows)
    matrices = Matrices(*(np.concatenate(of_all) for of_all in zip(*after, strict=True)))
    facts = dict(model.metadata["corpus"])
    state = advance(saved.state, sums, saved.config, int(facts["kept"]))
    texts = [stamp.digests[str(number)] for number in range(saved.n_shards)]
    facts["sha256"] = joint_digest(texts)
    more = _position(saved.plan, saved.n_shards, state, stamp.digests)
    return to_embeddings(
        matrices,
        model.vocabulary,
        saved.config,
        state,
        facts,
        more,
        everything=next_round(state, saved.config) is not None,
    )


def add_files(inputs: Sequence[str], output: str) -> None:
    """Add up counts, or changes of the same round, of different shards.

    Raises:
        FormatError: they are neither, or do not belong together.
    """
    kind = COUNTS if step_files.kind_of(inputs[0]) == COUNTS else CHANGE
    stamp = step_files.union([(path, step_files.read_stamp(path, kind)) for path in inputs])
    if kind == COUNTS:
        table = add_tables([step_files.read_table(path) for path in inputs])
        step_files.write_table(table, stamp, output)
    else:
        changes = (step_files.read_change(path) for path in inputs)
        step_files.write_change(reduce(add_changes, changes), stamp, output)


def _stamp_of_all(inputs: Sequence[str], kind: str, plan: str, n_shards: int) -> Stamp:
    """The stamp of files that are of all shards of a plan."""
    stamp = step_files.union([(path, step_files.read_stamp(path, kind)) for path in inputs])
    if stamp.plan != plan:
        raise FormatError(f"{inputs[0]} is of another plan")
    missing = sorted(set(range(n_shards)) - set(stamp.shards))
    if missing:
        raise FormatError(f"shard {missing[0]} of {n_shards} is missing: give a file of each")
    return stamp


def _check_same_text(before: Mapping[str, str], now: Mapping[str, str]) -> None:
    for number, digest in before.items():
        if now[number] != digest:
            raise CorpusError(
                f"shard {number} was encoded from another text than in the rounds before: it had "
                f"sha256 {digest[:12]}, now {now[number][:12]}; encode it from the same text"
            )


def _position(plan: str, n_shards: int, state: State, digests: Mapping[str, str]) -> dict[str, Any]:
    """The metadata that says how far a model is."""
    return {
        "shards": {
            "plan": plan,
            "n_shards": n_shards,
            "epoch": state.epoch,
            "round": state.chunk,
            "tallies": state.arrays["tallies"].tolist(),
            "subsampled": state.arrays["subsampled"].tolist(),
            "digests": dict(digests),
        }
    }


def _saved(model: Embeddings) -> _Saved:
    try:
        found = model.metadata["shards"]
        arrays = state_arrays(np.array(found["tallies"], "f8"), np.array(found["subsampled"], "i8"))
        epochs = tuple(Epoch(**epoch) for epoch in model.metadata["epochs"])
        state = State(found["epoch"], found["round"], epochs, arrays)
        config = config_of(model.metadata["settings"])
        return _Saved(model, found["plan"], found["n_shards"], config, state, found["digests"])
    except (KeyError, TypeError) as error:
        raise FormatError(
            "the model is not one of a run in shards: make one with embed combine PLAN COUNTS..."
        ) from error
