"""One shard's part of a round: the same kernels as on one machine, from the same two matrices."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from embedcli.cluster.deltas import Deltas, add, difference
from embedcli.corpus import Corpus
from embedcli.errors import TrainingError
from embedcli.kernels.weights import Weights, aligned, row_stride
from embedcli.settings.config import LINE, TrainConfig
from embedcli.training.run import Run
from embedcli.training.sampling import keep_probabilities, noise_distribution
from embedcli.training.schedule import learning_rate
from embedcli.training.weights import find_fault, initial_weights

__all__ = [
    "Change",
    "Matrices",
    "Round",
    "ShardTrainer",
    "add_changes",
    "beginning",
    "check",
    "make_weights",
]

_SHARD_SEEDS = 1 << 32  # the seeds of shards lie so far apart


class Matrices(NamedTuple):
    """A model between two rounds: syn0 and syn1neg, float32 (V, D)."""

    syn0: NDArray[np.float32]
    syn1neg: NDArray[np.float32]


@dataclass(frozen=True)
class Round:
    """Which stretch of every shard is trained next.

    Attributes:
        epoch: from 0.
        number: of the round in its epoch, from 0.
        n_rounds: rounds in an epoch.
    """

    epoch: int
    number: int
    n_rounds: int

    def __str__(self) -> str:
        """The epoch and the number, as in names of results."""
        return f"{self.epoch}-{self.number}"

    def chunks(self, n_chunks: int) -> range:
        """Those of `n_chunks` that belong to this round."""
        first, last = (n_chunks * k // self.n_rounds for k in (self.number, self.number + 1))
        return range(first, last)


class Change(NamedTuple):
    """What a round did, in one shard or in several.

    Attributes:
        deltas: for each part of the rows, of syn0 and syn1neg; none where only the sums matter.
        sums: float64 (4,), the sums of `Epoch`: loss, pairs, trained, alone.
        subsampled: words that were.
        tokens: words that were read.
    """

    deltas: tuple[Deltas, ...]
    sums: NDArray[np.float64]
    subsampled: int
    tokens: int

    @property
    def nbytes(self) -> int:
        """Bytes that are sent."""
        return sum(delta.nbytes for deltas in self.deltas for delta in deltas)


def beginning(n_words: int, config: TrainConfig) -> Matrices:
    """The matrices that a run begins with: those of a run on one machine."""
    return _matrices(initial_weights(n_words, config.dim, config.seed), config.dim)


class ShardTrainer:
    """A shard, and what does not change from round to round.

    Args:
        corpus: the shard, encoded with the vocabulary of all shards and their joint counts.
        config: resolved settings.
        shard: its number.
        weights: memory for the matrices that are trained. Shards that are trained one after the
            other may share it.
    """

    def __init__(
        self, corpus: Corpus, config: TrainConfig, shard: int, weights: Weights | None = None
    ) -> None:
        self._corpus = corpus
        self._config = config
        self._shard = shard
        self._weights = weights or make_weights(len(corpus.vocabulary), config.dim)
        seed = (config.seed + shard * _SHARD_SEEDS) % (1 << 63)
        self._run = Run(corpus, replace(config, seed=seed), self._weights)

    def train(self, model: Sequence[Matrices], at: Round) -> Change:
        """Train the shard's stretch of a round.

        With one thread the same arguments give the same bytes on every machine.

        Args:
            model: all its rows, in consecutive parts, which stay as they are.
            at: the round.

        Raises:
            TrainingError: the numbers diverge.
        """
        config, bounds = self._config, self._run.bounds
        chunks = at.chunks(len(bounds) - 1)
        begin, end = int(bounds[chunks.start]), int(bounds[chunks.stop])
        trained = _matrices(self._weights, config.dim)
        edges = np.cumsum([0, *(len(part.syn0) for part in model)]).tolist()
        places = [slice(*pair) for pair in itertools.pairwise(edges)]
        for rows, part in zip(places, model, strict=True):
            for mine, given in zip(trained, part, strict=True):
                mine[rows] = given
        sums, subsampled = self._run.train_chunks(at.epoch, chunks, self._release)
        check(trained, config, at, f" in shard {self._shard}")
        progress = (at.epoch + (begin + end) / 2 / max(1, len(self._corpus.ids))) / config.epochs
        lr = learning_rate(progress, config)
        steps = [np.float32(lr) * n for n in self._steps(begin, end)]
        deltas = []
        for rows, part in zip(places, model, strict=True):
            syn0, syn1neg = (
                difference(before, now[rows], n[rows], config.deltas)
                for before, now, n in zip(part, trained, steps, strict=True)
            )
            deltas.append((syn0, syn1neg))
        return Change(tuple(deltas), sums, subsampled, end - begin)

    def _release(self, chunk: int) -> bool:
        """Let the pages of the text go; asked ten times a second, and never for a pause."""
        self._corpus.release()
        return False

    def _steps(self, begin: int, end: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """How many pairs each row of syn0 and of syn1neg is probably in: float32 (V,) each."""
        config, counts = self._config, self._corpus.vocabulary.counts
        assert counts is not None  # noqa: S101 (an encoded corpus has counts)
        seen = np.bincount(self._corpus.ids[begin:end], minlength=len(counts))
        kept = seen * keep_probabilities(counts, config.subsampling)
        contexts = _contexts(self._corpus, config)
        noise = np.diff(noise_distribution(counts, config.ns_exponent), prepend=0.0)
        as_input = kept * contexts * (1 + config.negative)
        as_output = kept + kept.sum() * config.negative * noise
        if config.arch == "skipgram":
            as_output = as_output * contexts
        return as_input.astype(np.float32), as_output.astype(np.float32)


def _contexts(corpus: Corpus, config: TrainConfig) -> float:
    """How many context words a word has, on average, away from the ends of lines."""
    if config.window == LINE:
        lengths = np.diff(corpus.offsets).astype(np.float64)
        return float((lengths**2).sum() / max(1.0, lengths.sum())) - 1.0
    window = config.widest_window(0)
    return window + 1.0 if config.shrink_window else 2.0 * window


def add_changes(one: Change, other: Change) -> Change:
    """What both together did; of the same parts."""
    deltas = tuple(
        (add(mine[0], theirs[0]), add(mine[1], theirs[1]))
        for mine, theirs in zip(one.deltas, other.deltas, strict=True)
    )
    return Change(
        deltas,
        one.sums + other.sums,
        one.subsampled + other.subsampled,
        one.tokens + other.tokens,
    )


def make_weights(n_words: int, dim: int) -> Weights:
    """Room for two matrices that kernels can train."""
    stride = row_stride(dim)
    return Weights(aligned(n_words * stride), aligned(n_words * stride), stride)


def check(
    model: Matrices, config: TrainConfig, at: Round, where: str = "", first_row: int = 0
) -> None:
    """Refuse numbers that grow without bound.

    Args:
        model: all of it, or a part.
        config: resolved settings.
        at: the round that made the numbers.
        where: more for the message.
        first_row: of the part.

    Raises:
        TrainingError: they do.
    """
    faults = (find_fault(*named, first_row) for named in zip(Matrices._fields, model, strict=True))
    fault = next(filter(None, faults), None)
    if fault is None:
        return
    lr = config.starting_lr
    raise TrainingError(
        f"training diverged in epoch {at.epoch + 1}, round {at.number + 1}: {fault}{where} at lr "
        f"{lr:g}; nothing was written; try --lr {lr / 4:g}"
    )


def _matrices(weights: Weights, dim: int) -> Matrices:
    """The matrices of `weights`: views with padded rows."""
    rows = [array.reshape(-1, weights.stride)[:, :dim] for array in weights[:2]]
    return Matrices(rows[0], rows[1])
