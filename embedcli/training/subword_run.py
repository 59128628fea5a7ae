"""A run whose input vectors are sums of subwords, with more rows and other kernels."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from embedcli.kernels.intrinsics.lanes import host_lanes
from embedcli.kernels.loop import CENTRE_ROWS, CONTEXT_ROWS, SHARED, training_kernel
from embedcli.kernels.subwords import cbow_scratch, skipgram_scratch
from embedcli.kernels.weights import Scratch, Weights
from embedcli.settings.config import TrainConfig
from embedcli.subwords.ngrams import NGrams
from embedcli.subwords.table import Subwords
from embedcli.text.corpus import Corpus
from embedcli.training.held_out import HeldOut, split_text
from embedcli.training.hogwild import HogwildWork, workers_for
from embedcli.training.initial_weights import initial_weights
from embedcli.training.models import SubwordModel
from embedcli.training.pretrained import Pretrained
from embedcli.training.run import Run, Score
from embedcli.training.sampling import keep_thresholds
from embedcli.training.stopping import Deadline
from embedcli.training.word_parts import WordParts, units_of
from embedcli.training.work import word_counts
from embedcli.training.worker import (
    Pool,
    Worker,
    outputs_of,
    train_two_words,
    words_to_compile,
)
from embedcli.vocabulary import Vocabulary

__all__ = ["compile_subwords", "subword_run"]


def subword_run(
    corpus: Corpus,
    config: TrainConfig,
    subwords: Subwords | None = None,
    *,
    valid: Corpus | None = None,
    pretrained: Pretrained | None = None,
    deadline: Deadline | None = None,
    score: Score | None = None,
) -> Run:
    """A run without locks whose input vectors are made of subwords, at its beginning.

    Args:
        corpus: the text.
        config: resolved settings.
        subwords: how words are cut, and parts that have a row in any case, where that is not for
            ``config.subword`` to say: those of a model or checkpoint that the run goes on with.
        valid: as in `hogwild_run`, like the next three.
        pretrained: vectors to begin with.
        deadline: when to be ready.
        score: that is to be followed.
    """
    units, kept = (units_of(config), None) if subwords is None else (subwords.units, subwords.ids)
    words = WordParts.of(corpus.vocabulary, units, kept)
    counts = word_counts(corpus)
    text, measured = split_text(corpus, valid, config)
    keep = keep_thresholds(counts, config.subsampling)
    outputs = outputs_of(counts, len(corpus.ids), config)
    weights = initial_weights(len(counts), config, n_parts=len(words.ids))
    model = SubwordModel(weights, config.dim, words, corpus.vocabulary)
    if pretrained is not None:
        rows, syn1neg = model.rows()
        pretrained.copy_parts_to(rows, words.ids)
        pretrained.copy_outputs_to(syn1neg)
    make_worker = partial(SubwordWorker, weights, outputs, words, config)
    workers = workers_for(make_worker, text, config)
    held_out = None
    if measured is not None:
        measurers = workers_for(make_worker, measured[0], config)
        held_out = HeldOut.by_workers(measured, keep, measurers)
    work = HogwildWork(text, keep, model, workers)
    return Run(corpus, config, work, held_out, deadline=deadline, score=score)


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

    def _choose(self, outputs: Any, optimizer: Any) -> tuple[Callable[..., None], Scratch, int]:
        """The kernel, its scratch, and the multiply-adds it takes for a word."""
        if not isinstance(outputs, Pool):
            raise ValueError("subwords are trained by negative sampling")
        config, words, lanes = self._config, self._words, host_lanes()
        stride, n_outputs = self._weights.stride, 1 + outputs.negative
        sizes = lanes, n_outputs, -(-config.dim // lanes)
        self._more = (words.rows,)
        if config.arch == "cbow":
            scratch = cbow_scratch(lanes, n_outputs, self._window, words.most, stride)
            work = (3 * n_outputs + 4 * self._window * words.most) * stride
            kernel = training_kernel(*sizes, is_cbow=True, kind_of_inputs=CONTEXT_ROWS)
        else:
            scratch = skipgram_scratch(n_outputs, self._window, words.most, stride)
            work = (3 * len(scratch.rows) + 2 * words.most) * stride
            kernel = training_kernel(
                *sizes, is_cbow=False, kind_of_inputs=CENTRE_ROWS, kind_of_outputs=SHARED
            )
        return kernel, scratch, work


def compile_subwords(config: TrainConfig) -> None:
    """Compile, or load from the cache, what `config` needs, by training on two words."""
    vocabulary = Vocabulary.from_words([f"{i}" for i in range(words_to_compile(config))])
    words = WordParts.of(vocabulary, NGrams(1, 1, 1))
    weights = initial_weights(len(vocabulary), config, n_parts=len(words.ids))
    train_two_words(lambda outputs: SubwordWorker(weights, outputs, words, config, 2, 1), config)
