"""The steps of a run in shards from file to file: what `embed shard` and `embed combine` do.

    plan - count each shard - combine -> model 0 - encode each shard
                                           train each shard - combine -> model 1 - ...

Each step is a function of its input files and nothing else, so that Make, Slurm and people can run
them in any order that has the inputs, anywhere, and again after a failure.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any

import numpy as np

from embedcli.cluster import files
from embedcli.cluster.files import CHANGE, COUNTS, Stamp
from embedcli.cluster.ledger import advance, at_beginning, next_round, sums
from embedcli.cluster.plan import Plan, config_of
from embedcli.cluster.result import corpus_facts, to_embeddings
from embedcli.cluster.shards import joint_digest
from embedcli.cluster.tables import add_tables, count, vocabulary_of
from embedcli.cluster.training import (
    Change,
    Matrices,
    Round,
    add_changes,
    apply_changes,
    beginning,
    train_shard,
)
from embedcli.corpus import encode_corpus
from embedcli.embeddings import Embeddings
from embedcli.errors import CorpusError, FormatError, UsageError
from embedcli.settings.config import TrainConfig
from embedcli.training.state import Epoch, State

__all__ = ["add_files", "count_shard", "encode_shard", "first_model", "next_model", "train_ids"]


@dataclass(frozen=True)
class _Stage:
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
    table = count(plan.shard(number), replace(plan.config, threads=threads))
    files.write_table(table, Stamp(plan.digest, (number,)), output)
    return len(table.words)


def first_model(plan: Plan, inputs: Sequence[str]) -> Embeddings:
    """The model before the first round, from the counts of all shards.

    Raises:
        FormatError: a shard is missing, there twice, or of another plan.
        CorpusError: no word occurs often enough.
    """
    stamp = _stamp_of_all(inputs, COUNTS, plan.digest, len(plan.shards))
    total = add_tables([files.read_table(path) for path in inputs])
    vocabulary = vocabulary_of([total], plan.config)
    facts = corpus_facts(total.tally, vocabulary)
    model = beginning(len(vocabulary), plan.config)
    more = _position(stamp.plan, len(plan.shards), at_beginning(), {})
    return to_embeddings(model, vocabulary, plan.config, at_beginning(), facts, more)


def encode_shard(plan: Plan, number: int, model: Embeddings, output: str, threads: int) -> int:
    """Encode one shard of a plan with the vocabulary of `model`; how many ids it has."""
    if _stage(model).plan != plan.digest:
        raise FormatError("the model and the plan are of different runs")
    with encode_corpus(
        plan.shard(number).spans,
        rules=plan.config,
        vocabulary=model.vocabulary,
        is_part=True,
        threads=threads,
    ) as corpus:
        for remark in corpus.remarks:
            warnings.warn(f"{remark} ({plan.shard(number)})", stacklevel=2)
        stamp = Stamp(plan.digest, (number,), digests={str(number): corpus.digest})
        files.write_ids(corpus, stamp, output)
        return len(corpus.ids)


def train_ids(model: Embeddings, ids: str, output: str, threads: int) -> float | None:
    """Train one encoded shard for the next round of `model`; the mean loss, if anything was.

    Raises:
        UsageError: all rounds are done.
        FormatError: the files are of different runs.
    """
    stage = _stage(model)
    at = stage.next_round
    stamp = files.read_stamp(ids, files.IDS)
    if stamp.plan != stage.plan:
        raise FormatError(f"the model and {ids} are of different plans")
    corpus = files.read_ids(ids, model.vocabulary)
    config = replace(stage.config, threads=threads)
    change = train_shard(stage.matrices, corpus, config, stamp.shards[0], at)
    files.write_change(change, replace(stamp, round=(at.epoch, at.number), tally={}), output)
    return float(change.sums[0] / change.sums[1]) if change.sums[1] else None


def next_model(model: Embeddings, inputs: Sequence[str]) -> Embeddings:
    """The model after its next round, from what the round did in all shards.

    Raises:
        FormatError: a shard is missing or there twice, or of another plan or round.
        CorpusError: a shard was encoded from another text than in the rounds before.
        TrainingError: training diverges.
    """
    stage = _stage(model)
    at = stage.next_round
    stamp = _stamp_of_all(inputs, CHANGE, stage.plan, stage.n_shards)
    if stamp.round != (at.epoch, at.number):
        due = files.show_round((at.epoch, at.number))
        raise FormatError(f"the model is due for {due}, but {inputs[0]} is of {stamp.shown_round}")
    _check_same_text(stage.digests, stamp.digests)
    in_order = sorted(inputs, key=lambda path: files.read_stamp(path, CHANGE).shards)
    changes = [files.read_change(path) for path in in_order]
    matrices = apply_changes(stage.matrices, changes, stage.config, at)
    change = _sum(change._replace(deltas=()) for change in changes)
    facts = dict(model.metadata["corpus"])
    state = advance(stage.state, change, stage.config, int(facts["kept"]))
    texts = [stamp.digests[str(number)] for number in range(stage.n_shards)]
    facts["sha256"] = joint_digest(texts)
    more = _position(stage.plan, stage.n_shards, state, stamp.digests)
    return to_embeddings(
        matrices,
        model.vocabulary,
        stage.config,
        state,
        facts,
        more,
        everything=next_round(state, stage.config) is not None,
    )


def add_files(inputs: Sequence[str], output: str) -> None:
    """Add up counts, or changes of the same round, of different shards.

    Raises:
        FormatError: they are neither, or do not belong together.
    """
    kind = files.kind_of(inputs[0])
    if kind == COUNTS:
        stamp = files.union([(path, files.read_stamp(path, COUNTS)) for path in inputs])
        files.write_table(add_tables([files.read_table(path) for path in inputs]), stamp, output)
    else:
        stamp = files.union([(path, files.read_stamp(path, CHANGE)) for path in inputs])
        files.write_change(_sum(files.read_change(path) for path in inputs), stamp, output)


def _sum(changes: Iterable[Change]) -> Change:
    """What all did together, two at a time."""
    return reduce(add_changes, changes)


def _stamp_of_all(inputs: Sequence[str], kind: str, plan: str, n_shards: int) -> Stamp:
    """The stamp of files that are of all shards of a plan."""
    stamp = files.union([(path, files.read_stamp(path, kind)) for path in inputs])
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


def _stage(model: Embeddings) -> _Stage:
    try:
        found = model.metadata["shards"]
        arrays = sums(np.array(found["tallies"], "f8"), np.array(found["subsampled"], "i8"))
        epochs = tuple(Epoch(**epoch) for epoch in model.metadata["epochs"])
        state = State(found["epoch"], found["round"], epochs, arrays)
        config = config_of(model.metadata["settings"])
        return _Stage(model, found["plan"], found["n_shards"], config, state, found["digests"])
    except (KeyError, TypeError) as error:
        raise FormatError(
            "the model is not one of a run in shards: make one with embed combine PLAN COUNTS..."
        ) from error
