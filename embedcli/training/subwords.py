"""A run whose input vectors are made of subwords: `run.py` with more rows and other kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedcli.corpus import Corpus
from embedcli.embeddings import Embeddings
from embedcli.kernels.simd import host_lanes
from embedcli.kernels.subword_cbow import subword_cbow, subword_cbow_scratch
from embedcli.kernels.subword_skipgram import subword_skipgram, subword_skipgram_scratch
from embedcli.kernels.weights import Scratch, Weights
from embedcli.settings.config import TrainConfig
from embedcli.subwords.ngrams import NGrams
from embedcli.subwords.table import Subwords
from embedcli.training.chunks import Chunks
from embedcli.training.given import Given
from embedcli.training.run import Run, Score
from embedcli.training.state import State
from embedcli.training.stopping import Deadline
from embedcli.training.weights import initial_weights
from embedcli.training.word_parts import WordParts, units_of
from embedcli.training.worker import Pool, Worker, train_two_words, words_to_compile
from embedcli.vocabulary import Vocabulary

__all__ = ["SubwordRun", "compile_subwords"]


class SubwordRun(Run):
    """Rows of words and of their parts, output vectors of words, and a worker for each thread.

    Args:
        corpus: the text.
        config: resolved settings.
        subwords: how words are cut, and parts that have a row in any case, where that is not for
            ``config.subword`` to say: those of a model or checkpoint that the run goes on with.
        valid, given, deadline, score: as in `Run`.
    """

    def __init__(
        self,
        corpus: Corpus,
        config: TrainConfig,
        subwords: Subwords | None = None,
        *,
        valid: Corpus | None = None,
        given: Given | None = None,
        deadline: Deadline | None = None,
        score: Score | None = None,
    ) -> None:
        units, kept = (
            (units_of(config), None) if subwords is None else (subwords.units, subwords.ids)
        )
        self._words = WordParts.of(corpus.vocabulary, units, kept)
        super().__init__(corpus, config, valid=valid, given=given, deadline=deadline, score=score)

    def matrices(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The vectors the subwords make, a copy, and syn1neg, a view; float32 (V, D)."""
        return self.subwords().of_vocabulary(self.corpus.vocabulary), super().matrices()[1]

    def subwords(self) -> Subwords:
        """The rows as they are; views, not copies."""
        rows, n_words = super().matrices()[0], len(self.corpus.vocabulary)
        return Subwords(self._words.units, rows[:n_words], self._words.ids, rows[n_words:])

    def restore(self, state: State, saved: Embeddings) -> None:
        """As in `Run`; the rows are those of ``saved.subwords``."""
        if saved.subwords is None or saved.output_vectors is None:
            raise ValueError("a checkpoint of a run with subwords holds them")
        rows, syn1neg = super().matrices()
        rows[: len(saved)] = saved.subwords.word_rows
        rows[len(saved) :] = saved.subwords.rows
        syn1neg[:] = saved.output_vectors
        self._restore_progress(state)

    def check(self) -> None:
        """As in `Run`, of the rows themselves."""
        for name, matrix in zip(("syn0", "syn1neg"), super().matrices(), strict=True):
            self._check_matrix(name, matrix)

    def _begin_with(self, given: Given) -> None:
        rows, outputs = super().matrices()
        given.copy_parts_to(rows, self._words.ids)
        given.copy_outputs_to(outputs)

    def _initial_weights(self, n_words: int) -> Weights:
        return initial_weights(
            n_words, self.config.dim, self.config.seed, n_parts=len(self._words.ids)
        )

    def _team(self, chunks: Chunks, rule: Any) -> list[Worker]:
        window = self.config.widest_window(min(chunks.longest_line, chunks.size))
        sizes = chunks.size, window
        return [
            SubwordWorker(self._weights, self._outputs, self._words, self.config, *sizes)
            for _ in range(self.config.threads or 1)
        ]


class SubwordWorker(Worker):
    """One thread's kernel and private arrays."""

    def __init__(
        self,
        weights: Weights,
        outputs: Any,
        words: WordParts,
        config: TrainConfig,
        chunk: int,
        window: int,
    ) -> None:
        self._words = words
        super().__init__(weights, outputs, config, chunk, window)

    def _choose(self, outputs: Any, rule: Any) -> tuple[Callable[..., None], Scratch, int]:
        """The kernel, its scratch, and the multiply-adds it takes for a word."""
        if not isinstance(outputs, Pool):
            raise ValueError("subwords are trained by negative sampling")
        config, words, lanes = self._config, self._words, host_lanes()
        stride, n_vectors = self._weights.stride, -(-config.dim // lanes)
        sizes = self._window, words.most, stride
        self._more = (words.parts,)
        if config.arch == "cbow":
            n_outputs = 1 + outputs.negative
            scratch = subword_cbow_scratch(lanes, n_outputs, *sizes)
            work = (3 * n_outputs + 4 * self._window * words.most) * stride
            return subword_cbow(lanes, n_outputs, n_vectors), scratch, work
        scratch = subword_skipgram_scratch(lanes, outputs.negative, *sizes)
        work = (3 * len(scratch.rows) + 2 * words.most) * stride
        return subword_skipgram(lanes, outputs.negative, n_vectors), scratch, work


def compile_subwords(config: TrainConfig) -> None:
    """Compile, or load from the cache, what `config` needs, by training on two words."""
    vocabulary = Vocabulary.from_words([f"{i}" for i in range(words_to_compile(config))])
    words = WordParts.of(vocabulary, NGrams(1, 1, 1))
    weights = initial_weights(len(vocabulary), config.dim, 0, n_parts=len(words.ids))
    train_two_words(lambda outputs: SubwordWorker(weights, outputs, words, config, 2, 1), config)
