"""A run that trains a classifier: the work on its lines.

`kernels/labelled_rounds.py` says how lines are trained in rounds. Each epoch passes over all lines
in an order of its own, which depends on the seed; the rows begin as fastText's do.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from embedcli.classification.examples import Examples
from embedcli.errors import TrainingError
from embedcli.kernels.alignment import aligned
from embedcli.kernels.barrier import make_phases
from embedcli.kernels.intrinsics.label_groups import GROUP
from embedcli.kernels.intrinsics.lanes import host_lanes
from embedcli.kernels.labelled_rounds import (
    ROUND_LINES,
    SLOTS,
    LineParts,
    RoundScratch,
    Targets,
    count_features,
    labelled_rounds,
)
from embedcli.kernels.weights import TALLY
from embedcli.settings.classifier_config import ClassifierConfig
from embedcli.text.corpus import Corpus, Tally
from embedcli.training.classifier_model import (
    ClassifierModel,
    Features,
    initial_weights,
    lines_of,
)
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
    weights = initial_weights(features, len(examples.labels), config)
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
