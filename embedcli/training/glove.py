"""A GloVe run: the loop over epochs is that of `run.py`; what it passes over are cells, not words.

What a chunk is, and what each thread works with: `glove_work.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedcli.cooccurrence.cells import Cooccurrences
from embedcli.cooccurrence.counting import compile_counting, count_cooccurrences
from embedcli.corpus import Corpus
from embedcli.embeddings import Embeddings
from embedcli.errors import EmbedError, TrainingError
from embedcli.kernels.weights import Weights
from embedcli.progress import OnProgress, Progress, ignore_progress
from embedcli.settings.config import TrainConfig
from embedcli.training.given import Given
from embedcli.training.glove_work import CellChunks, GloveWorker, initial_weights
from embedcli.training.run import Run, Score
from embedcli.training.sampling import random_key
from embedcli.training.schedule import learning_rate
from embedcli.training.state import Epoch, State
from embedcli.training.stopping import Deadline

__all__ = ["GLOVE_ARRAYS", "GloveRun", "compile_glove", "count_cells"]

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


class GloveRun(Run):
    """Word and context vectors, biases and AdaGrad's sums of squares, fitted to log X.

    Args:
        corpus: the text.
        cooccurrences: its X.
        config: resolved settings.
        deadline, score: as in `Run`.
    """

    def __init__(
        self,
        corpus: Corpus,
        cooccurrences: Cooccurrences,
        config: TrainConfig,
        *,
        deadline: Deadline | None = None,
        score: Score | None = None,
    ) -> None:
        self.cooccurrences = cooccurrences
        super().__init__(corpus, config, deadline=deadline, score=score)

    def _prepare(
        self,
        counts: NDArray[np.int64],
        weights: Weights | None,
        valid: Corpus | None,
        given: Given | None,
    ) -> None:
        config, cells = self.config, self.cooccurrences
        if not len(cells):
            raise TrainingError(
                f"nothing to train: none of the {len(self.corpus.ids)} tokens has another word in "
                "its line; put sentences on a line"
            )
        self._matrices = initial_weights(len(counts), config.dim, config.seed, config.starting_lr)
        self._chunks = CellChunks(cells, len(self.corpus.ids), self._matrices.stride)
        self._training, self._held_out = self._chunks, None
        self._workers = [
            GloveWorker(self._matrices, config, self._chunks.size, cells.is_symmetric)
            for _ in range(config.threads or 1)
        ]
        self._measurers = []

    def train(
        self, on_progress: OnProgress, wants_pause: Callable[[], bool] = lambda: False
    ) -> bool:
        """As in `Run`."""

        def watched(progress: Progress) -> None:
            self.cooccurrences.release()
            on_progress(progress)

        return super().train(watched, wants_pause)

    def matrices(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """W + W~ (a copy) and W~ (a view with padded rows), float32 (V, D)."""
        dim = self.config.dim
        words, contexts = self._rows()[:2]
        return words[:, :dim] + contexts[:, :dim], contexts[:, :dim]

    def state(self) -> State:
        """As in `Run`, with every matrix, biases and held columns included."""
        state = super().state()
        more = dict(zip(GLOVE_ARRAYS, self._rows(), strict=True))
        return replace(state, arrays={**state.arrays, **more})

    def restore(self, state: State, saved: Embeddings) -> None:
        """As in `Run`; the matrices are taken from the state, as the vectors are sums."""
        self._restore_progress(state)
        for mine, name in zip(self._rows(), GLOVE_ARRAYS, strict=True):
            mine[:] = state.arrays[name]

    def _rows(self) -> list[NDArray[np.float32]]:
        """The four matrices without padding, float32 (V, D + 2); views."""
        width, stride = self.config.dim + 2, self._matrices.stride
        return [matrix.reshape(-1, stride)[:, :width] for matrix in self._matrices[:4]]

    def _train_chunk(
        self,
        worker: Any,
        epoch: int,
        chunk: int,
        wants_stop: Callable[[], bool] = lambda: False,
    ) -> int | None:
        lr = learning_rate(self._progress(epoch, chunk), self.config)
        stretch = self._chunks.place(epoch, chunk, self.config.seed)
        cells = self._chunks.read(stretch)
        worker.train(*cells, random_key(self.config.seed, "cells", epoch, stretch), lr)
        return None

    @property
    def n_steps(self) -> int:
        """The steps of an epoch: the cells of X, both of those that are counted as one."""
        return sum(self._chunks.n_steps(stretch) for stretch in range(len(self._chunks)))

    def _account(self, number: int) -> Epoch:
        tally = np.asarray(sum(worker.scratch.tally for worker in self._workers))
        n_chunks, n_tokens = self._n_chunks, self._training.n_tokens(self._n_chunks)
        expected = sum(
            self._chunks.n_steps(self._chunks.place(number, chunk, self.config.seed))
            for chunk in range(n_chunks)
        )
        if int(tally[1]) != expected:
            raise EmbedError(
                f"epoch {number + 1} lost co-occurrences: {expected} to be trained, but "
                f"{int(tally[1])} trained; please report this"
            )
        alone = self.cooccurrences.n_alone * n_tokens // len(self.corpus.ids)
        loss = float(tally[0] / tally[1])
        return Epoch(n_tokens, n_tokens - alone, 0, alone, expected, loss)


def compile_glove(config: TrainConfig) -> None:
    """Compile, or load from the cache, what `config` needs, by counting and training two words."""
    worker = GloveWorker(initial_weights(2, config.dim, 0, 1.0), config, 1, config.symmetric)
    cell = np.zeros(1, np.int32), np.ones(1, np.int32), np.ones(1, np.float32)
    worker.train(*cell, np.uint64(0), 0.0)
    compile_counting()
