"""A run that trains a classifier: the matrices of it, and the work on its lines.

`kernels/labelled_rounds.py` says how lines are trained in rounds. Each epoch passes over all lines
in an order of its own, which depends on the seed; the rows begin as fastText's do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from embedcli.classification.examples import Examples
from embedcli.embeddings import Embeddings
from embedcli.errors import TrainingError
from embedcli.kernels.alignment import aligned, row_stride
from embedcli.kernels.barrier import make_phases
from embedcli.kernels.intrinsics.label_groups import GROUP, ROWS
from embedcli.kernels.intrinsics.lanes import host_lanes
from embedcli.kernels.labelled_rounds import (
    ROUND_LINES,
    SLOTS,
    Labelled,
    LineParts,
    RoundScratch,
    Targets,
    count_features,
    labelled_rounds,
    mark_word_ngrams,
)
from embedcli.kernels.line_features import character_ngrams, hash_of_bytes
from embedcli.kernels.weights import TALLY, Weights
from embedcli.settings.classifier_config import ClassifierConfig
from embedcli.subwords.ngrams import Cut, NGrams
from embedcli.subwords.table import Subwords
from embedcli.text.corpus import Corpus, Tally
from embedcli.training.huffman import huffman_tree
from embedcli.training.run import Run
from embedcli.training.sampling import random_key
from embedcli.training.state import Epoch
from embedcli.training.stopping import Deadline
from embedcli.training.work import Job, Step, mean_loss
from embedcli.training.workers import run_together
from embedcli.vocabulary import Vocabulary

__all__ = ["classifier_run", "compile_classifier"]

_CHUNKS: Final = 256  # of an epoch, at most
_LEAST_LINES: Final = 4 * ROUND_LINES  # of a chunk
_POOL: Final = 1 << 20
_LEAST_SHARE: Final = 2  # lines of a round for a thread
_MOST_THREADS: Final = 8
_FARTHEST: Final = 3.2  # learning rate x lines of a round: at 8, some data diverge


class Features:
    """The rows of all features of some lines: words, then buckets that occur, by their number.

    Args:
        examples: the lines that are trained.
        config: resolved settings.
    """

    def __init__(self, examples: Examples, config: ClassifierConfig) -> None:
        self.n_words = examples.n_words
        self.units = _units(config)
        self._config = config
        cut = self._cut(examples.types)
        marks = np.zeros(self.units.buckets if self.units else 1, np.uint8)
        marks[cut.ids] = 1
        if config.word_ngrams > 1:
            parts = self._parts(examples.types, cut, np.zeros(len(marks), np.int32))
            mark_word_ngrams(lines_of(examples), parts, marks)
        self.ids = np.flatnonzero(marks).astype(np.int32) if self.units else np.empty(0, np.int32)
        self._places = np.full(len(marks), -1, np.int32)
        self._places[self.ids] = self.n_words + np.arange(len(self.ids), dtype=np.int32)
        self.parts = self._parts(examples.types, cut, self._places)

    def of(self, examples: Examples) -> LineParts:
        """The rows of the features of other lines; of those that are new, the one of zeros."""
        places = np.where(self._places < 0, np.int32(self.n_rows), self._places)
        return self._parts(examples.types, self._cut(examples.types), places)

    @property
    def n_rows(self) -> int:
        """How many rows there are; behind them is one of zeros."""
        return self.n_words + len(self.ids)

    def _cut(self, types: Vocabulary) -> Cut:
        units = self.units
        if units is None or not units.longest:
            return Cut(np.empty(0, np.int32), np.zeros(len(types) + 1, np.int64))
        rule = units.shortest, units.longest, np.uint32(units.buckets)
        ends = np.empty(len(types) + 1, np.int64)
        character_ngrams(types.blob, types.offsets, *rule, ends, np.empty(0, np.int32))
        ids = np.empty(int(ends[-1]), np.int32)
        if len(ids):
            character_ngrams(types.blob, types.offsets, *rule, ends, ids)
        return Cut(ids, ends)

    def _parts(self, types: Vocabulary, cut: Cut, places: NDArray[np.int32]) -> LineParts:
        """The own row of each word before those of its n-grams; the latter where they have one."""
        rows = places[cut.ids] if len(cut.ids) else cut.ids
        known = rows >= 0
        counts = np.diff(np.concatenate([[0], np.cumsum(known)])[cut.offsets])
        own = np.arange(len(types)) < self.n_words
        offsets = np.concatenate([[0], np.cumsum(counts + own)]).astype(np.int64)
        joined = np.empty(int(offsets[-1]), np.int32)
        is_own = np.zeros(len(joined), np.bool_)
        is_own[offsets[:-1][own]] = True
        joined[is_own] = np.arange(self.n_words)
        joined[~is_own] = rows[known]
        hashes = np.empty(len(types), np.uint32)
        hash_of_bytes(types.blob, types.offsets, hashes)
        words = self._config.word_ngrams
        buckets = np.uint64(len(places))
        return LineParts(joined, offsets, hashes.view(np.int32), words, buckets, places)


def _units(config: ClassifierConfig) -> NGrams | None:
    shortest = longest = 0
    if config.subword is not None:
        shortest, longest = map(int, config.subword.split(":"))
    elif config.word_ngrams == 1:
        return None
    return NGrams(shortest, longest, config.buckets)


def lines_of(examples: Examples) -> Labelled:
    """The lines as kernels see them."""
    return Labelled(examples.tokens, examples.offsets, examples.label_ids, examples.label_offsets)


class ClassifierModel:
    """The matrices of a classifier: a `Model` of a run.

    Args:
        weights: rows of words and n-grams; of labels, or of the nodes of their tree.
        dim: D.
        features: which rows there are.
        examples: the words and the labels.
    """

    tree_counts: NDArray[np.int64] | None = None

    def __init__(self, weights: Weights, dim: int, features: Features, examples: Examples) -> None:
        self.weights = weights
        self._dim, self._features = dim, features
        self._words, self._n_labels = examples.words, len(examples.labels)
        self.labels: Vocabulary | None = examples.labels

    def rows(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Rows of words and n-grams, float32 (V + U, D); of labels, float32 (C, D); views."""
        syn0, syn1, stride = self.weights
        outputs = syn1.reshape(-1, stride)[: self._n_labels, : self._dim]
        inputs = syn0.reshape(-1, stride)[: self._features.n_rows, : self._dim]
        return inputs, outputs

    def matrices(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The vectors of words, float32 (V, D), each with its n-grams; and the rows of labels."""
        inputs, outputs = self.rows()
        subwords = self.subwords()
        if subwords is None:
            return inputs, outputs
        return subwords.of_vocabulary(self._words), outputs

    def subwords(self) -> Subwords | None:
        """The rows as they are, where there are n-grams; views."""
        features, rows = self._features, self.rows()[0]
        if features.units is None:
            return None
        n = features.n_words
        return Subwords(features.units, rows[:n], features.ids, rows[n:])

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Nothing."""
        return {}

    def restore(self, saved: Embeddings, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Copy the rows."""
        inputs, outputs = self.rows()
        if saved.output_vectors is None:
            raise ValueError("a checkpoint of a classifier holds the rows of labels")
        outputs[:] = saved.output_vectors
        if saved.subwords is None:
            inputs[:] = saved.vectors
        else:
            inputs[: len(saved)] = saved.subwords.word_rows
            inputs[len(saved) :] = saved.subwords.rows


class LineChunks:
    """The lines of an epoch in chunks: `Parts`, measured as if all lines were equally long."""

    def __init__(self, n_lines: int, n_tokens: int) -> None:
        self.n_lines, self._n_tokens = n_lines, n_tokens
        self._n = max(1, min(_CHUNKS, n_lines // _LEAST_LINES))

    def __len__(self) -> int:
        return self._n

    def begin(self, chunk: int) -> int:
        """Where a chunk begins, in tokens."""
        return self._n_tokens * min(chunk, self._n) // self._n

    def n_tokens(self, n_chunks: int) -> int:
        """How many tokens the first chunks hold."""
        return self.begin(n_chunks)

    def lines(self, chunk: int) -> slice:
        """Which lines, in the order of the epoch, a chunk holds."""
        return slice(self.n_lines * chunk // self._n, self.n_lines * (chunk + 1) // self._n)


class LineCounts:
    """What is summed up in an epoch."""

    subsampled = 0

    def __init__(self) -> None:
        self.tally = np.zeros(TALLY)

    def forget(self) -> None:
        """Begin to count anew."""
        self.tally[:] = 0


class Lines:
    """Lines that are trained or measured by threads together.

    Args:
        examples: the lines. parts: the rows of their features. model: what is trained.
        targets: of ``hs`` and ``ns``.
        config: resolved settings.
        trains: whether they are trained; else only measured.
    """

    def __init__(
        self,
        examples: Examples,
        parts: LineParts,
        model: ClassifierModel,
        targets: Targets,
        config: ClassifierConfig,
        *,
        trains: bool,
    ) -> None:
        self.chunks = LineChunks(len(examples), len(examples.tokens))
        self.counts = LineCounts()
        self._lines, self._parts, self._targets = lines_of(examples), parts, targets
        self._weights, self._n_labels = model.weights, len(examples.labels)
        self._config, self._trains = config, trains
        self._threads = min(config.threads or 1, _MOST_THREADS)
        self._sizes = np.empty(len(examples), np.int64)
        count_features(self._lines, parts, self._sizes)
        self._order: tuple[int, NDArray[np.int64]] = (-1, np.arange(len(examples)))
        stride = model.weights.stride
        self._n_rows = len(model.weights.syn1neg) // stride
        widest = int(np.sort(self._sizes)[-ROUND_LINES:].sum())
        self._scratch = _scratch(widest, stride, self._n_rows, targets, config)
        lanes = min(host_lanes(), 16)
        self._kernel = labelled_rounds(lanes, -(-config.dim // lanes), config.loss)
        self._phases = make_phases(1)

    def run(self, step: Step) -> int | None:
        """A chunk of an epoch, whole."""
        order = self._ordered(step.epoch)[self.chunks.lines(step.chunk)]
        lr = step.lr(self.chunks.begin(step.chunk)) if self._trains else 1.0
        epoch = step.epoch if self._trains else 1 << 32
        key = np.uint64(random_key(self._config.seed, "negatives", epoch, 0))
        length = round_length(lr) if self._trains else ROUND_LINES
        threads = max(1, min(self._threads, length // _LEAST_SHARE))
        self._phases = make_phases(threads)
        self._scratch.tallies[:] = 0
        run_together(
            partial(self._work, threads=threads, length=length, order=order, key=key, lr=lr),
            threads,
            self._call_off,
        )
        self.counts.tally += self._scratch.tallies.sum(axis=0)
        return None

    def _work(
        self,
        thread: int,
        threads: int,
        length: int,
        order: NDArray[np.int64],
        key: np.uint64,
        lr: float,
    ) -> None:
        self._kernel(
            thread,
            threads,
            self._lines,
            self._parts,
            order,
            self._sizes,
            self._weights,
            self._n_rows,
            self._n_labels,
            self._targets,
            key,
            np.float32(lr),
            length,
            self._trains,
            self._scratch,
            self._phases,
        )

    def _ordered(self, epoch: int) -> NDArray[np.int64]:
        if self._trains and self._order[0] != epoch:
            seed = int(random_key(self._config.seed, "shuffle", epoch, 0))
            order = np.random.Generator(np.random.Philox(seed)).permutation(len(self._sizes))
            self._order = epoch, order
        return self._order[1]

    def _call_off(self) -> None:
        self._phases[-8:] = 1


def round_length(lr: float) -> int:
    """Lines of a round: as many as may go from the same place at this learning rate."""
    return max(1, min(ROUND_LINES, int(_FARTHEST / lr)))


def _scratch(
    widest: int, stride: int, n_rows: int, targets: Targets, config: ClassifierConfig
) -> RoundScratch:
    longest = int(np.diff(targets.offsets).max(initial=0))
    n_outputs = max(1, longest if config.loss == "hs" else config.negative + 1)
    is_dense = config.loss in ("softmax", "ova")
    n_scores = n_rows * GROUP if is_dense else 8
    return RoundScratch(
        np.empty(max(1, widest), np.int64),
        np.zeros(ROUND_LINES + 1, np.int64),
        aligned(ROUND_LINES * 2 * stride),
        aligned(SLOTS * 2 * stride * GROUP).reshape(SLOTS, -1),
        aligned(SLOTS * n_scores).reshape(SLOTS, -1),
        np.zeros((ROUND_LINES, n_outputs), np.int64),
        np.zeros((ROUND_LINES, n_outputs), np.float32),
        np.zeros(ROUND_LINES, np.int64),
        np.zeros((ROUND_LINES, TALLY)),
    )


class ClassifierWork:
    """The `Work` of a run."""

    def __init__(self, lines: Lines, model: ClassifierModel) -> None:
        self.parts, self.model = lines.chunks, model
        self.jobs: Sequence[Job] = [lines.run]
        self.counts = [lines.counts]

    def account(self, number: int, n_chunks: int) -> Epoch:
        """What became of the first `n_chunks` chunks of an epoch."""
        pairs = int(self.counts[0].tally[1])
        n = self.parts.n_tokens(n_chunks)
        if not pairs:
            raise TrainingError(f"epoch {number + 1} trained no line")
        return Epoch(n, n, 0, 0, pairs, mean_loss(self.counts) or 0.0)

    def facts(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def release(self) -> None:
        """Nothing."""


class HeldOutLines:
    """Lines that are measured after every epoch, and never trained: as `HeldOut`."""

    is_sample = False

    def __init__(self, lines: Lines) -> None:
        self.parts = lines.chunks
        self.jobs: Sequence[Job] = [lines.run]
        self.counts = [lines.counts]

    @property
    def n_tokens(self) -> int:
        """The tokens that are measured."""
        return self.parts.n_tokens(len(self.parts))


def classifier_run(
    examples: Examples,
    config: ClassifierConfig,
    *,
    valid: Examples | None = None,
    deadline: Deadline | None = None,
) -> Run:
    """A run that trains a classifier, at its beginning.

    Args:
        examples: what is trained.
        config: resolved settings.
        valid: what is measured after every epoch.
        deadline: when to be ready.
    """
    features = Features(examples, config)
    weights = _initial(features, len(examples.labels), config)
    model = ClassifierModel(weights, config.dim, features, examples)
    targets = _targets(examples.labels, config)
    lines = Lines(examples, features.parts, model, targets, config, trains=True)
    held_out: Any = None
    if valid is not None:
        parts = features.of(valid)
        held_out = HeldOutLines(Lines(valid, parts, model, targets, config, trains=False))
    corpus = Corpus(
        examples.types,
        examples.tokens,
        examples.offsets,
        _tally(examples),
        examples.digest,
    )
    corpus.vocabulary = examples.words  # those that are kept: rarer tokens have ids, but no rows
    return Run(corpus, config, ClassifierWork(lines, model), held_out, deadline=deadline)


def _tally(examples: Examples) -> Tally:
    n = len(examples.tokens)
    kept = int((examples.tokens < examples.n_words).sum())
    return Tally(n, kept, n - kept, 0, len(examples), examples.n_bytes, 0)


def compile_classifier(config: ClassifierConfig) -> None:
    """Compile, or load from the cache, the kernels that `config` needs."""
    lanes = host_lanes()
    labelled_rounds(lanes, -(-config.dim // lanes), config.loss)


def _initial(features: Features, n_labels: int, config: ClassifierConfig) -> Weights:
    """Rows of features uniform on [-1/D, 1/D), as in fastText, and rows of labels 0."""
    stride = row_stride(config.dim)
    n_rows = features.n_rows
    syn0 = aligned((n_rows + 1) * stride)
    generator = np.random.Generator(np.random.Philox(config.seed))
    rows = syn0.reshape(-1, stride)
    at_once = max(1, (1 << 20) // config.dim)
    for start in range(0, n_rows, at_once):
        shape = min(at_once, n_rows - start), config.dim
        block = generator.random(shape, dtype=np.float32)
        rows[start : start + shape[0], : config.dim] = (2 * block - 1) / np.float32(config.dim)
    padded = -(-n_labels // ROWS) * ROWS
    return Weights(syn0, aligned(padded * stride), stride)


def _targets(labels: Vocabulary, config: ClassifierConfig) -> Targets:
    offsets, nodes = np.zeros(len(labels) + 1, np.int64), np.empty(0, np.int32)
    signs, pool = np.empty(0, np.int8), np.empty(0, np.int32)
    counts = labels.counts
    if counts is None:
        raise ValueError("labels that are trained have counts")
    if config.loss == "hs":
        offsets, nodes, signs = huffman_tree(counts)
    elif config.loss == "ns":
        shares = np.sqrt(counts)
        often = np.maximum(1, np.round(_POOL * shares / shares.sum())).astype(np.int64)
        pool = np.repeat(np.arange(len(labels), dtype=np.int32), often)
    return Targets(offsets, nodes, signs, pool, config.negative)
