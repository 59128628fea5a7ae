"""A run whose bytes do not depend on the number of threads; `kernels/rounds.py` describes it.

What an epoch passes over are groups of chunks, one for each stream, which the same threads train.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedcli.kernels.intrinsics.lanes import host_lanes
from embedcli.kernels.rounds import loop_of_rounds
from embedcli.kernels.sampling import count_kept, make_staged, shuffle, stage
from embedcli.kernels.streams import ROUND, STREAMS, rows_for_copies
from embedcli.kernels.weights import Weights
from embedcli.settings.config import TrainConfig
from embedcli.text.corpus import Corpus
from embedcli.training.chunks import SMALLEST_CHUNK, Chunks
from embedcli.training.held_out import HELD_OUT, HeldOut, split_text
from embedcli.training.initial_weights import initial_weights
from embedcli.training.kernel_choice import is_long
from embedcli.training.models import WordModel
from embedcli.training.pretrained import Pretrained
from embedcli.training.round_length import RoundLength, round_length_of
from embedcli.training.round_threads import Chunk, RoundThreads
from embedcli.training.run import Run, Score
from embedcli.training.sampling import keep_thresholds, kept_share
from embedcli.training.state import Epoch
from embedcli.training.stopping import Deadline
from embedcli.training.work import Job, Step, account_words, word_counts
from embedcli.training.worker import Pool, pool_of, words_to_compile

__all__ = ["Groups", "compile_loop", "compile_rounds", "compile_staging", "deterministic_run"]


class Groups:
    """The chunks of a text, `STREAMS` at a time, divided anew so that streams end together.

    Args:
        chunks: of the text.
        keep: uint32 (V,), see `stage`.
    """

    def __init__(self, chunks: Chunks, keep: NDArray[np.uint32]) -> None:
        self.chunks, self._keep = chunks, keep

    def __len__(self) -> int:
        return -(-len(self.chunks) // STREAMS)

    def parts(self, group: int) -> NDArray[np.int64]:
        """Where the parts of a group begin, and where the last ends, in tokens of the text."""
        begin, end = self.begin(group), self.begin(group + 1)
        n_parts = min(STREAMS, -((begin - end) // SMALLEST_CHUNK))
        return self.chunks.divide(begin, end, n_parts, self._keep)

    def begin(self, group: int) -> int:
        """Where a group begins, in tokens of the text."""
        return self.chunks.begin(min(group * STREAMS, len(self.chunks)))

    def n_tokens(self, n_groups: int) -> int:
        """Tokens of the first `n_groups`."""
        return self.chunks.n_tokens(min(n_groups * STREAMS, len(self.chunks)))


class DeterministicWork:
    """The `Work` of a run in rounds: its threads train the chunks of a group together.

    Args:
        groups: of the text.
        model: what is trained.
        threads: what trains a group.
        release: of the corpus.
    """

    def __init__(
        self, groups: Groups, model: WordModel, threads: RoundThreads, release: Callable[[], None]
    ) -> None:
        self.parts, self.model, self.counts = groups, model, threads.streams
        self.jobs: Sequence[Job] = [self._train]
        self._threads, self._release = threads, release

    def account(self, number: int, n_chunks: int) -> Epoch:
        """As in `Work`."""
        return account_words(self.counts, number, self.parts.n_tokens(n_chunks))

    def facts(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def release(self) -> None:
        """Nothing: the corpus is the run's."""

    def _train(self, step: Step) -> int | None:
        chunks = []
        for w, (begin, end) in enumerate(pairwise(self.parts.parts(step.chunk).tolist())):
            place = step.epoch, step.chunk * STREAMS + w
            text = self.parts.chunks.within(begin, end)
            chunks.append(Chunk(*text, place, step.lr(begin)))
        left = self._threads.train(chunks, position=step.position, wants_stop=step.wants_stop)
        self._release()  # 2 MB; what is trained until the next report is 7
        return left


def deterministic_run(
    corpus: Corpus,
    config: TrainConfig,
    *,
    valid: Corpus | None = None,
    pretrained: Pretrained | None = None,
    deadline: Deadline | None = None,
    score: Score | None = None,
) -> Run:
    """A run in rounds, at its beginning; arguments as in `hogwild_run`."""
    counts = word_counts(corpus)
    text, measured = split_text(corpus, valid, config)
    keep = keep_thresholds(counts, config.subsampling)
    window = config.widest_window(min(text.longest_line, text.size))
    outputs = pool_of(counts, len(corpus.ids), config)
    kept = kept_share(counts, config.subsampling)
    context = text.mean_context(window, kept, shrinks=config.shrinks)
    more = STREAMS * rows_for_copies(window, 1 + outputs.negative)
    everything = initial_weights(len(counts), config, n_copies=more)
    own = len(counts) * everything.stride
    weights = Weights(everything.syn0[:own], everything.syn1neg[:own], everything.stride)
    model = WordModel(weights, config.dim)
    if pretrained is not None:
        pretrained.copy_to(*model.rows())
    round_length = round_length_of(counts, context, outputs.negative, config)
    threads = RoundThreads(
        everything,
        outputs,
        round_length,
        text.longest_part,
        window,
        keep,
        config,
        is_long=is_long(len(corpus.ids), config),
    )
    held_out = None
    if measured is not None:
        parts, alone = measured[0], replace(config, threads=1)
        widest = config.widest_window(min(parts.longest_line, parts.size))
        measuring = RoundThreads(everything, outputs, round_length, parts.size, widest, keep, alone)
        held_out = HeldOut(measured, [partial(_measure, parts, measuring)], measuring.streams)
    work = DeterministicWork(Groups(text, keep), model, threads, corpus.release)
    return Run(corpus, config, work, held_out, deadline=deadline, score=score)


def _measure(parts: Chunks, threads: RoundThreads, step: Step) -> int | None:
    """As `held_out` measures a chunk, by the kernel that trains.

    It is a group of its own: where one stream works alone, no row is copied, so none is changed.
    """
    chunk = Chunk(*parts.read(step.chunk), (HELD_OUT, step.chunk), 0.0)
    return threads.train([chunk], position=step.position, wants_stop=step.wants_stop)


def compile_staging(config: TrainConfig) -> None:
    """Compile, or load from the cache, what prepares chunks, by preparing two words."""
    tokens, offsets = np.array([0, 1], np.int32), np.array([0, 2])
    keep, key = np.full(2, 0xFFFFFFFF, np.uint32), np.uint64(0)
    if config.shuffle:
        shuffle(tokens, offsets, key, np.empty_like(tokens))
    stage(tokens, offsets, keep, key, make_staged(len(tokens)))
    count_kept(tokens, keep, np.empty(1))
    pool_of(np.ones(2, np.int64), len(tokens), config)


def compile_loop(config: TrainConfig) -> None:
    """Compile, or load from the cache, the loop that trains in rounds."""
    lanes = host_lanes()
    n_vectors = -(-config.dim // lanes)
    loop_of_rounds(config.arch == "cbow", lanes, words_to_compile(config), n_vectors)


def compile_rounds(config: TrainConfig) -> None:
    """Compile, or load from the cache, what does the rest of a round, by training nothing."""
    n_words = words_to_compile(config)
    window = config.widest_window(2)
    copies = STREAMS * rows_for_copies(window, n_words)
    weights = initial_weights(n_words, config, n_copies=copies)
    outputs = Pool(np.zeros(2, np.int32), config.negative)
    keep = np.full(n_words, 0xFFFFFFFF, np.uint32)
    round_length = RoundLength(n_words, ROUND, 1.0)
    RoundThreads(weights, outputs, round_length, 2, window, keep, config).compile()
