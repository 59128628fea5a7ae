"""Training without locks: each thread has chunks of its own, and all share the matrices.

`workers.py` says why that works.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedcli.kernels.optimizer import Optimizer
from embedcli.kernels.weights import Weights
from embedcli.settings.config import TrainConfig
from embedcli.text.corpus import Corpus
from embedcli.training.chunks import Chunks
from embedcli.training.held_out import HeldOut, split_text
from embedcli.training.initial_weights import initial_weights
from embedcli.training.kernel_choice import is_long
from embedcli.training.models import WordModel
from embedcli.training.pretrained import Pretrained
from embedcli.training.run import Run, Score
from embedcli.training.sampling import keep_thresholds
from embedcli.training.state import Epoch
from embedcli.training.stopping import Deadline
from embedcli.training.work import Job, Step, account_words, word_counts
from embedcli.training.worker import Worker, measuring_optimizer, optimizer_of, outputs_of

__all__ = ["HogwildWork", "hogwild_run", "workers_for"]


class HogwildWork:
    """The `Work` of a run without locks.

    Args:
        text: its chunks.
        keep: uint32 (V,), see `stage`.
        model: what is trained.
        workers: one for each thread.
    """

    def __init__(
        self, text: Chunks, keep: NDArray[np.uint32], model: WordModel, workers: Sequence[Worker]
    ) -> None:
        self.parts, self.model, self.counts = text, model, workers
        self._keep = keep
        self.jobs: Sequence[Job] = [partial(self._train, worker) for worker in workers]

    def account(self, number: int, n_chunks: int) -> Epoch:
        """As in `Work`."""
        return account_words(self.counts, number, self.parts.n_tokens(n_chunks))

    def facts(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def release(self) -> None:
        """Nothing: the corpus is the run's."""

    def _train(self, worker: Worker, step: Step) -> int | None:
        return worker.train(
            *self.parts.read(step.chunk),
            self._keep,
            (step.epoch, step.chunk),
            step.lr(self.parts.begin(step.chunk)),
            position=step.position,
            wants_stop=step.wants_stop,
        )


def hogwild_run(
    corpus: Corpus,
    config: TrainConfig,
    weights: Weights | None = None,
    *,
    valid: Corpus | None = None,
    pretrained: Pretrained | None = None,
    deadline: Deadline | None = None,
    score: Score | None = None,
) -> Run:
    """A run of skip-gram or CBOW without locks, at its beginning.

    Args:
        corpus: what to train on; its vocabulary may be that of a larger text it is a part of.
        config: resolved settings.
        weights: the matrices to train; fresh ones by default.
        valid: another text, in the same vocabulary, that is measured and not trained.
        pretrained: vectors to begin with.
        deadline: when to be ready.
        score: of the input vectors, float32 (V, D), that is to be followed.
    """
    counts = word_counts(corpus)
    text, measured = split_text(corpus, valid, config)
    keep = keep_thresholds(counts, config.subsampling)
    is_tree = config.loss == "hs"
    tree_counts = pretrained.tree_counts(counts) if pretrained is not None and is_tree else None
    outputs = outputs_of(counts if tree_counts is None else tree_counts, len(corpus.ids), config)
    weights = weights or initial_weights(len(counts), config)
    optimizer = optimizer_of(config, len(counts), None if pretrained is None else pretrained.frozen)
    squares = None
    if optimizer is not None and config.optimizer == "adagrad":
        squares = optimizer.squares0, optimizer.squares1
    model = WordModel(weights, config.dim, tree_counts, squares)
    if pretrained is not None:
        syn0, syn1 = model.rows()
        pretrained.copy_to(syn0, None if is_tree else syn1)
        if tree_counts is not None:
            pretrained.copy_nodes_to(syn1)

    long = is_long(len(corpus.ids), config)

    def make_worker(chunk: int, window: int, optimizer: Optimizer | None) -> Worker:
        return Worker(weights, outputs, config, chunk, window, optimizer, is_long=long)

    workers = workers_for(partial(make_worker, optimizer=optimizer), text, config)
    held_out = None
    if measured is not None:
        neutral = measuring_optimizer(config, len(counts))
        measurers = workers_for(partial(make_worker, optimizer=neutral), measured[0], config)
        held_out = HeldOut.by_workers(measured, keep, measurers)
    work = HogwildWork(text, keep, model, workers)
    return Run(corpus, config, work, held_out, deadline=deadline, score=score)


def workers_for(
    make_worker: Callable[[int, int], Worker], chunks: Chunks, config: TrainConfig
) -> list[Worker]:
    """A worker for each thread, made of the tokens of a chunk and the widest window."""
    window = config.widest_window(min(chunks.longest_line, chunks.size))
    return [make_worker(chunks.size, window) for _ in range(config.threads or 1)]
