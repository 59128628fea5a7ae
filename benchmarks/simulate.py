"""A run in shards on one machine, with other rules of combination than embed's beside its own.

    python -m benchmarks.simulate TEXT OUT --shards 8 --rounds 4 --rule plain

Workers are simulated: the shards of a round are trained one after the other, by the functions that
workers call, from the same model. What they would send is summed up in bytes and printed as JSON.

    plain      the average of all changes, weighted by the words trained
    sum        their sum
    rows       their sum, each row divided by how many shards changed it
    combiner   GraphWord2Vec's model combiner (Gill et al. 2019, arXiv 1909.03359): of each further
               change of a row only what is orthogonal to what was combined before
    embed      embed's own, direction by direction (`embedcli/cluster/combination.py`)
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from embedcli import TrainConfig
from embedcli.cluster import combination
from embedcli.cluster.counts import add_tables, count, vocabulary_of
from embedcli.cluster.deltas import Change, Delta, Matrices, Round, row_parts
from embedcli.cluster.run_state import (
    advance,
    at_beginning,
    corpus_facts,
    next_round,
    to_embeddings,
)
from embedcli.cluster.shard_trainer import ShardTrainer, beginning, make_weights
from embedcli.cluster.shards import cut
from embedcli.cluster.steps import Driver
from embedcli.formats import save
from embedcli.text.corpus_reader import encode_corpus

Matrix = NDArray[np.float32]


def plain(changes: Sequence[Change], which: int) -> Matrix:
    """The weighted average."""
    total = sum(change.tokens for change in changes)
    return sum(_dense(change, which) * np.float32(change.tokens / total) for change in changes)


def summed(changes: Sequence[Change], which: int) -> Matrix:
    """The sum."""
    return sum(_dense(change, which) for change in changes)


def by_rows(changes: Sequence[Change], which: int) -> Matrix:
    """The sum divided by how many shards changed the row."""
    total, n = 0.0, 0
    for change in changes:
        dense = _dense(change, which)
        total = total + dense
        n = n + dense.any(axis=1)
    return total / np.maximum(n, 1)[:, None].astype(np.float32)


def combiner(changes: Sequence[Change], which: int) -> Matrix:
    """The model combiner, shard after shard."""
    total = _dense(changes[0], which)
    for change in changes[1:]:
        more = _dense(change, which)
        square = np.einsum("ij,ij->i", total, total)
        dot = np.einsum("ij,ij->i", total, more)
        share = np.divide(dot, square, out=np.zeros_like(dot), where=square > 0)
        total = total + more - share[:, None] * total
    return total


RULES: dict[str, Callable[[Sequence[Change], int], Matrix]] = {
    "plain": plain,
    "sum": summed,
    "rows": by_rows,
    "combiner": combiner,
}


def _dense(change: Change, which: int) -> Matrix:
    (deltas,) = change.deltas
    delta: Delta = deltas[which]
    if delta.rows is None:
        return delta.values.astype(np.float32)
    dense = np.zeros((delta.n_rows, delta.values.shape[1]), np.float32)
    dense[delta.rows] = delta.values
    return dense


def combine(
    rule: str, model: Matrices, changes: list[Change], config: TrainConfig, at: Round
) -> Matrices:
    """The model after a round."""
    if rule != "embed":
        return Matrices(*(part + RULES[rule](changes, i) for i, part in enumerate(model)))
    rows = row_parts(len(model.syn0), config.shards or 1)
    parts = [Matrices(*(matrix[part] for matrix in model)) for part in rows]
    after, _ = Driver(config).combine(at, parts, changes, rows)
    return Matrices(*(np.concatenate(of_all) for of_all in zip(*after, strict=True)))


def main(argv: Sequence[str] | None = None) -> int:
    """Train and save; print what was sent."""
    options = _options(argv)
    combination.CURVATURE = options.curvature
    config = TrainConfig(
        dim=options.dim,
        epochs=options.epochs,
        seed=options.seed,
        threads=options.threads,
        shards=options.shards,
        rounds=options.rounds,
        deltas=options.deltas,
    ).resolve()
    shards = cut([options.text], options.shards, rules=config)
    table = add_tables([count(shard, config) for shard in shards])
    vocabulary = vocabulary_of([table], config)
    corpora = [
        encode_corpus(shard.spans, vocabulary=vocabulary, threads=options.threads)
        for shard in shards
    ]
    n_tokens = sum(len(corpus.ids) for corpus in corpora)
    weights = make_weights(len(vocabulary), config.dim)
    trainers = [ShardTrainer(corpus, config, i, weights) for i, corpus in enumerate(corpora)]
    model, state = beginning(len(vocabulary), config), at_beginning()
    sent, sparse, began = [], 0, time.perf_counter()
    while (at := next_round(state, config)) is not None:
        changes = [trainer.train([model], at) for trainer in trainers]
        sent += [change.nbytes for change in changes]
        sparse += sum(delta.rows is not None for change in changes for delta in change.deltas[0])
        model = combine(options.rule, model, changes, config, at)
        state = advance(state, changes, config, n_tokens)
    config = replace(config, output_vectors=False)
    facts = corpus_facts(table.tally, vocabulary, [corpus.digest for corpus in corpora])
    embeddings = to_embeddings(model, vocabulary, config, state, facts, {}, everything=False)
    save(embeddings, options.out)
    figures = {
        "loss": state.epochs[-1].loss,
        "seconds": time.perf_counter() - began,
        "bytes_a_change": sum(sent) / len(sent),
        "sparse_share": sparse / (2 * len(sent)),
        "words": len(vocabulary),
    }
    print(json.dumps(figures))
    return 0


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulate", description=__doc__)
    add = parser.add_argument
    add("text")
    add("out")
    add("--shards", type=int, required=True)
    add("--rounds", type=int, required=True)
    add("--rule", choices=[*RULES, "embed"], default="embed")
    add("--curvature", type=float, default=combination.CURVATURE)
    add("--epochs", type=int, default=5)
    add("--dim", type=int, default=100)
    add("--seed", type=int, default=1)
    add("--threads", type=int, default=2)
    add("--deltas", choices=["float32", "float16"], default="float32")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
