"""A GloVe run: its matrices, and what its threads do.

What a chunk is, and what each thread works with: `glove_work.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedcli.cooccurrence.cells import Cooccurrences
from embedcli.cooccurrence.counting import compile_counting, count_cooccurrences
from embedcli.embeddings import Embeddings
from embedcli.errors import EmbedError, TrainingError
from embedcli.kernels.glove import GloveWeights
from embedcli.progress import OnProgress, ignore_progress
from embedcli.settings.config import TrainConfig
from embedcli.subwords.table import Subwords
from embedcli.text.corpus import Corpus
from embedcli.training.glove_work import CellChunks, GloveWorker, initial_weights
from embedcli.training.run import Run, Score
from embedcli.training.sampling import random_key
from embedcli.training.state import Epoch
from embedcli.training.stopping import Deadline
from embedcli.training.work import Job, Step, word_counts
from embedcli.vocabulary import Vocabulary

__all__ = ["GLOVE_ARRAYS", "compile_glove", "count_cells", "glove_run"]

GLOVE_ARRAYS = ("glove_words", "glove_contexts", "glove_words_squares", "glove_contexts_squares")


def count_cells(
    corpus: Corpus,
    config: TrainConfig,
    scratch: Path | None = None,
    on_progress: OnProgress = ignore_progress,
) -> Cooccurrences:
    """The co-occurrences that `config` asks for, in `scratch`."""
    return count_cooccurrences(
        corpus,
        window=config.widest_window(corpus.longest_line),
        symmetric=config.symmetric,
        distance_weighting=config.distance_weighting,
        threads=config.threads or 1,
        memory=config.count_bytes,
        scratch=scratch,
        on_progress=on_progress,
    )


class GloveModel:
    """The `Model` of a GloVe run: four matrices."""

    def __init__(self, weights: GloveWeights, dim: int) -> None:
        self._weights, self._dim = weights, dim
        self.tree_counts: NDArray[np.int64] | None = None
        self.labels: Vocabulary | None = None

    def matrices(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """W + W~ (a copy) and W~ (a view with padded rows), float32 (V, D)."""
        words, contexts = self._rows()[:2]
        return words[:, : self._dim] + contexts[:, : self._dim], contexts[:, : self._dim]

    def rows(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The same."""
        return self.matrices()

    def subwords(self) -> Subwords | None:
        """None."""
        return None

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Every matrix, biases and held columns included."""
        return dict(zip(GLOVE_ARRAYS, self._rows(), strict=True))

    def restore(self, saved: Embeddings, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take the matrices from the arrays, as the vectors are sums."""
        for name, mine in self.arrays().items():
            mine[:] = arrays[name]

    def _rows(self) -> list[NDArray[np.float32]]:
        """The four matrices without padding, float32 (V, D + 2); views."""
        width, stride = self._dim + 2, self._weights.stride
        return [matrix.reshape(-1, stride)[:, :width] for matrix in self._weights[:4]]


class GloveWork:
    """The `Work` of a GloVe run: it passes over cells, not words.

    Args:
        cells: X.
        n_words: V.
        n_tokens: of the text.
        config: resolved settings.
    """

    def __init__(
        self, cells: Cooccurrences, n_words: int, n_tokens: int, config: TrainConfig
    ) -> None:
        weights = initial_weights(n_words, config.dim, config.seed, config.starting_lr)
        self.model = GloveModel(weights, config.dim)
        self.parts = CellChunks(cells, n_tokens, weights.stride)
        self._cells, self._n_tokens, self._seed = cells, n_tokens, config.seed
        self.counts = [
            GloveWorker(weights, config, self.parts.size, cells.is_symmetric)
            for _ in range(config.threads or 1)
        ]
        self.jobs: Sequence[Job] = [partial(self._train, worker) for worker in self.counts]

    def account(self, number: int, n_chunks: int) -> Epoch:
        """As in `Work`."""
        tally = np.asarray(sum(worker.tally for worker in self.counts))
        n_tokens = self.parts.n_tokens(n_chunks)
        expected = sum(
            self.parts.n_steps(self.parts.place(number, chunk, self._seed))
            for chunk in range(n_chunks)
        )
        if int(tally[1]) != expected:
            raise EmbedError(
                f"epoch {number + 1} lost co-occurrences: {expected} to be trained, but "
                f"{int(tally[1])} trained; please report this"
            )
        alone = self._cells.n_alone * n_tokens // self._n_tokens
        loss = float(tally[0] / tally[1])
        return Epoch(n_tokens, n_tokens - alone, 0, alone, expected, loss)

    def facts(self) -> dict[str, Any]:
        """How many pairs were counted, and the steps of an epoch: each cell, or both of a pair."""
        n_steps = sum(self.parts.n_steps(stretch) for stretch in range(len(self.parts)))
        return {"cooccurrences": {"pairs": self._cells.n_pairs, "cells": n_steps}}

    def release(self) -> None:
        """Let the pages of the cells go."""
        self._cells.release()

    def _train(self, worker: GloveWorker, step: Step) -> int | None:
        stretch = self.parts.place(step.epoch, step.chunk, self._seed)
        key = random_key(self._seed, "cells", step.epoch, stretch)
        worker.train(*self.parts.read(stretch), key, step.lr(self.parts.begin(step.chunk)))
        return None


def glove_run(
    corpus: Corpus,
    cooccurrences: Cooccurrences,
    config: TrainConfig,
    *,
    deadline: Deadline | None = None,
    score: Score | None = None,
) -> Run:
    """A GloVe run at its beginning: vectors, biases and AdaGrad's sums of squares, fitted to log X.

    Args:
        corpus: the text.
        cooccurrences: its X.
        config: resolved settings.
        deadline: as in `hogwild_run`.
        score: as there.

    Raises:
        TrainingError: there are no co-occurrences.
    """
    n_words = len(word_counts(corpus))
    if not len(cooccurrences):
        raise TrainingError(
            f"nothing to train: none of the {len(corpus.ids)} tokens has another word in "
            "its line; put sentences on a line"
        )
    work = GloveWork(cooccurrences, n_words, len(corpus.ids), config)
    return Run(corpus, config, work, deadline=deadline, score=score)


def compile_glove(config: TrainConfig) -> None:
    """Compile, or load from the cache, what `config` needs, by counting and training two words."""
    worker = GloveWorker(initial_weights(2, config.dim, 0, 1.0), config, 1, config.symmetric)
    cell = np.zeros(1, np.int32), np.ones(1, np.int32), np.ones(1, np.float32)
    worker.train(*cell, np.uint64(0), 0.0)
    compile_counting()
