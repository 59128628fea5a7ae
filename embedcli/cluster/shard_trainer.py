"""Counts, encodes and trains one shard, with the kernels of one machine."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embedcli.cluster.counts import Table, count
from embedcli.cluster.deltas import Change, Matrices, Round, check, difference
from embedcli.cluster.shards import Shard
from embedcli.errors import CorpusError
from embedcli.kernels.alignment import aligned, row_stride
from embedcli.kernels.weights import Weights
from embedcli.settings.config import LINE, TrainConfig
from embedcli.text.corpus import Corpus, Tally
from embedcli.text.corpus_reader import encode_corpus
from embedcli.training.forecast import measure_seconds
from embedcli.training.hogwild import hogwild_run
from embedcli.training.initial_weights import initial_weights
from embedcli.training.sampling import keep_probabilities, noise_distribution
from embedcli.training.schedule import learning_rate
from embedcli.vocabulary import Vocabulary

__all__ = ["Encoded", "ShardStore", "ShardTrainer", "beginning", "make_weights"]

_SHARD_SEEDS = 1 << 32  # between the seeds of two shards


@dataclass(frozen=True)
class Encoded:
    """What is known of an encoded shard."""

    tally: Tally
    digest: str
    remarks: tuple[str, ...] = ()


class ShardStore:
    """The encoded shards of one process, and the memory for the model that they train.

    A lock lets one shard at a time be encoded or trained, with all threads.

    Args:
        scratch: a directory for the encoded shards; the system's by default.
        corpora: shards that are encoded already, by number.
    """

    def __init__(
        self, scratch: Path | None = None, corpora: Mapping[int, Corpus] | None = None
    ) -> None:
        self._lock = threading.Lock()
        self._scratch = scratch
        self._corpora = dict(corpora or {})
        self._trainers: dict[int, ShardTrainer] = {}
        self._weights: Weights | None = None

    def count(self, shard: Shard, config: TrainConfig, n_parts: int) -> list[Table]:
        """The counts of a shard, split by word into `n_parts` tables."""
        table = count(shard, config)
        return [table] if n_parts == 1 else [table.part(k, n_parts) for k in range(n_parts)]

    def encode(
        self, shard: Shard, config: TrainConfig, vocabulary: Vocabulary, digest: str | None
    ) -> Encoded:
        """Encode a shard. Errors are those of `corpus`."""
        with self._lock:
            corpus = self.corpus(shard, config, vocabulary, digest)
            return Encoded(corpus.tally, corpus.digest, corpus.remarks)

    def measure(self, shard: Shard, config: TrainConfig, vocabulary: Vocabulary) -> float:
        """How many seconds an epoch of a shard takes here."""
        with self._lock:
            corpus = self.corpus(shard, config, vocabulary, None)
            return measure_seconds(corpus, config) / config.n_epochs

    def train(
        self,
        shard: Shard,
        config: TrainConfig,
        vocabulary: Vocabulary,
        digest: str | None,
        at: Round,
        *model: Matrices,
    ) -> Change:
        """Train a shard for a round, from all parts of a model."""
        with self._lock:
            corpus = self.corpus(shard, config, vocabulary, digest)
            if self._weights is None:
                self._weights = make_weights(len(vocabulary), config.dim)
            if shard.number not in self._trainers:
                trainer = ShardTrainer(corpus, config, shard.number, self._weights)
                self._trainers[shard.number] = trainer
            return self._trainers[shard.number].train(model, at)

    def corpus(
        self, shard: Shard, config: TrainConfig, vocabulary: Vocabulary, digest: str | None
    ) -> Corpus:
        """A shard, which is encoded if it is not here yet.

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

    def close(self) -> None:
        """Free memory and disk space."""
        self._trainers.clear()
        self._weights = None
        for corpus in self._corpora.values():
            corpus.close()
        self._corpora.clear()


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
        self._run = hogwild_run(corpus, replace(config, seed=seed), self._weights)

    def train(self, model: Sequence[Matrices], at: Round) -> Change:
        """Train the shard's stretch of a round.

        With one thread the same arguments give the same bytes on every machine.

        Args:
            model: all its rows, in consecutive parts, which stay as they are.
            at: the round.

        Raises:
            TrainingError: the numbers diverge.
        """
        config, parts = self._config, self._run.parts
        chunks = at.chunks(len(parts))
        begin, end = parts.begin(chunks.start), parts.begin(chunks.stop)
        trained = _matrices(self._weights, config.dim)
        edges = np.cumsum([0, *(len(part.syn0) for part in model)]).tolist()
        places = [slice(*pair) for pair in itertools.pairwise(edges)]
        for rows, part in zip(places, model, strict=True):
            for mine, given in zip(trained, part, strict=True):
                mine[rows] = given
        sums, subsampled = self._run.train_chunks(at.epoch, chunks, self._release)
        check(trained, config, at, f" in shard {self._shard}")
        progress = (at.epoch + (begin + end) / 2 / max(1, len(self._corpus.ids))) / config.n_epochs
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
        """Release the pages of the text, ten times a second; False, as training never pauses."""
        self._corpus.release()
        return False

    def _steps(self, begin: int, end: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The expected number of pairs of each row of both matrices: float32 (V,) each."""
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


def beginning(n_words: int, config: TrainConfig) -> Matrices:
    """The matrices before training: the same as on one machine."""
    return _matrices(initial_weights(n_words, config), config.dim)


def _contexts(corpus: Corpus, config: TrainConfig) -> float:
    """The mean number of context words of a word that is not near the end of a line."""
    if config.window == LINE:
        lengths = np.diff(corpus.offsets).astype(np.float64)
        return float((lengths**2).sum() / max(1.0, lengths.sum())) - 1.0
    window = config.widest_window(0)
    return window + 1.0 if config.shrink_window else 2.0 * window


def make_weights(n_words: int, dim: int) -> Weights:
    """Memory for two matrices that kernels can train."""
    stride = row_stride(dim)
    return Weights(aligned(n_words * stride), aligned(n_words * stride), stride)


def _matrices(weights: Weights, dim: int) -> Matrices:
    """The matrices of `weights`: views with padded rows."""
    rows = [array.reshape(-1, weights.stride)[:, :dim] for array in weights[:2]]
    return Matrices(rows[0], rows[1])
