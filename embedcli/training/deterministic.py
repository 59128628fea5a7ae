"""A run whose bytes do not depend on the number of threads: `kernels/rounds.py` says how and why.

The loop over epochs is that of `run.py`; what it passes over are groups of chunks, one for each
stream, and one team trains them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedcli.corpus import Corpus
from embedcli.kernels.sampling import count_kept, make_staged, shuffle, stage
from embedcli.kernels.streams import ROUND, STREAMS, rows_for_copies
from embedcli.kernels.weights import Weights
from embedcli.settings.config import TrainConfig
from embedcli.training.chunks import SMALLEST_CHUNK, Chunks
from embedcli.training.given import Given
from embedcli.training.pace import Pace, pace_of
from embedcli.training.run import Member, Run, parts_of
from embedcli.training.sampling import keep_thresholds, kept_share
from embedcli.training.schedule import learning_rate
from embedcli.training.team import Chunk, Team
from embedcli.training.weights import initial_weights
from embedcli.training.worker import Pool, Worker, compile_kernels, pool_of, words_to_compile

__all__ = ["DeterministicRun", "compile_rounds", "compile_staging"]


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


class DeterministicRun(Run):
    """Arguments as in `Run`, but for the weights, which are always its own."""

    def _prepare(
        self,
        counts: NDArray[np.int64],
        weights: Weights | None,
        valid: Corpus | None,
        given: Given | None,
    ) -> None:
        corpus, config, n_words = self.corpus, self.config, len(counts)
        self._text, self._held_out_text = parts_of(corpus, valid, config)
        self._keep = keep_thresholds(counts, config.subsampling)
        self._groups = Groups(self._text, self._keep)
        self._training, self._held_out = self._groups, self._held_out_text
        window = config.widest_window(min(self._text.longest_line, self._text.size))
        outputs = pool_of(counts, len(corpus.ids), config)
        kept = kept_share(counts, config.subsampling)
        context = self._text.mean_context(window, kept, shrinks=config.shrinks)
        more = STREAMS * rows_for_copies(window, 1 + outputs.negative)
        everything = initial_weights(n_words, config.dim, config.seed, n_copies=more)
        stride = everything.stride
        own = n_words * stride
        self._weights = Weights(everything.syn0[:own], everything.syn1neg[:own], stride)
        if given is not None:
            given.copy_to(*self.matrices())
        self._rule = None
        self._together = Team(
            everything,
            outputs,
            pace_of(counts, context, outputs.negative, config),
            self._text.longest_part,
            window,
            self._keep,
            config,
        )
        self._workers = self._together.streams
        self._measurers = []
        if self._held_out_text is not None:  # one, as sums by thread would depend on their number
            text = self._held_out_text
            widest = config.widest_window(min(text.longest_line, text.size))
            self._measurers = [Worker(self._weights, outputs, config, text.size, widest)]

    def _share(
        self,
        end: int,
        workers: Sequence[Member],
        work: Callable[[Any, int, int, Callable[[], bool]], int | None],
        on_wake: Callable[[int], bool],
    ) -> None:
        """As in `Run`; streams are trained by their team."""
        one = [self._together] if workers is self._workers else workers
        super()._share(end, one, work, on_wake)  # type: ignore[arg-type]

    def _train_chunk(
        self,
        worker: Team,
        epoch: int,
        chunk: int,
        wants_stop: Callable[[], bool] = lambda: False,
    ) -> int | None:
        """As in `Run`, with a group for a chunk."""
        chunks = []
        parts = self._groups.parts(chunk).tolist()
        for w, (begin, end) in enumerate(pairwise(parts)):
            lr = learning_rate(
                self._share_of_run(epoch * len(self.corpus.ids) + begin), self.config
            )
            place = epoch, chunk * STREAMS + w
            chunks.append(Chunk(*self._text.within(begin, end), place, lr))
        position = self._unfinished.get(chunk, 0)
        left = worker.train(chunks, position=position, wants_stop=wants_stop)
        self.corpus.release()  # 2 MB; what is trained until the next report is 7
        return left


def compile_staging(config: TrainConfig) -> None:
    """Compile, or load from the cache, what prepares chunks, by preparing two words."""
    tokens, offsets = np.array([0, 1], np.int32), np.array([0, 2])
    keep, key = np.full(2, 0xFFFFFFFF, np.uint32), np.uint64(0)
    if config.shuffle:
        shuffle(tokens, offsets, key, np.empty_like(tokens))
    stage(tokens, offsets, keep, key, make_staged(len(tokens)))
    count_kept(tokens, keep, np.empty(1))
    pool_of(np.ones(2, np.int64), len(tokens), config)
    if config.valid or config.valid_fraction:
        compile_kernels(config)  # which measure


def compile_rounds(config: TrainConfig) -> None:
    """Compile, or load from the cache, the kernel that `config` needs, by training nothing."""
    n_words = words_to_compile(config)
    window = config.widest_window(2)
    copies = STREAMS * rows_for_copies(window, n_words)
    weights = initial_weights(n_words, config.dim, 0, n_copies=copies)
    outputs = Pool(np.zeros(2, np.int32), config.negative)
    keep = np.full(n_words, 0xFFFFFFFF, np.uint32)
    pace = Pace(n_words, ROUND, 1.0)
    Team(weights, outputs, pace, 2, window, keep, config).compile()
