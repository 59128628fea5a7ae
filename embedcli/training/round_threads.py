"""Threads that train one group of chunks together, round by round (`kernels/rounds.py`).

The opposite of `workers.py`, where each thread has chunks of its own: here all of them work on the
same eight chunks, and how many they are changes nothing but the time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from embedcli.kernels.barrier import make_phases
from embedcli.kernels.intrinsics.lanes import host_lanes
from embedcli.kernels.rounds import loop_of_rounds, rounds_kernel
from embedcli.kernels.sampling import Staged, shuffle, stage
from embedcli.kernels.streams import STREAMS, make_copied, make_lists, make_streams, n_blocks
from embedcli.kernels.weights import Weights, make_scratch
from embedcli.settings.config import TrainConfig, usable_cores
from embedcli.training.kernel_choice import KernelChoice
from embedcli.training.round_length import RoundLength, moved_shares
from embedcli.training.sampling import random_key
from embedcli.training.worker import Pool
from embedcli.training.workers import run_together

__all__ = ["Chunk", "RoundThreads", "Stream"]

# Multiply-adds of a round, and of a slice, by one core in half a second: no run stops later.
ROUND_WORK = 1 << 32


class Chunk(NamedTuple):
    """What one stream of a group trains.

    Attributes:
        tokens: int32 (n,), word ids.
        sentences: int64 (S + 1,), offsets in them.
        place: epoch and chunk, which its random numbers depend on.
        lr: learning rate.
    """

    tokens: NDArray[np.int32]
    sentences: NDArray[np.int64]
    place: tuple[int, int]
    lr: float


class Stream:
    """What one stream has summed up: `Counts` of a run."""

    def __init__(self, tally: NDArray[np.float64]) -> None:
        self.tally = tally
        self.subsampled = 0

    def forget(self) -> None:
        """Begin to count anew."""
        self.tally[:] = 0
        self.subsampled = 0


class RoundThreads:
    """The threads of a deterministic run, and what they share.

    Attributes:
        streams: what each has summed up; the same for any number of threads.

    Args:
        weights: of V words and `rows_for_copies` more rows for each stream.
        outputs: where negatives come from.
        round_length: of the text.
        chunk: tokens of the largest chunk. window: the widest.
        keep: uint32 (V,), see `stage`.
        is_long: see `KernelChoice`.
    """

    def __init__(
        self,
        weights: Weights,
        outputs: Pool,
        round_length: RoundLength,
        chunk: int,
        window: int,
        keep: NDArray[np.uint32],
        config: TrainConfig,
        *,
        is_long: bool = False,
    ) -> None:
        self._config, self._weights, self._keep = config, weights, keep
        self._window, self._round_length = window, round_length
        self._shrinks = config.shrinks
        self._n_words, n_outputs = len(keep), 1 + outputs.negative
        self._n_outputs = n_outputs
        # More than the cores there are would only wait for each other, in every step of a round.
        self._threads = min(config.threads or 1, STREAMS, usable_cores())
        self._streams = make_streams(chunk, outputs.words)
        self._lists = make_lists(
            window, self._n_words, round_length.n_hot, n_outputs, self._threads
        )
        self._copied = [make_copied(window, n_outputs) for _ in range(2)]
        self._scratches = [
            make_scratch(n_outputs, window, weights.stride) for _ in range(self._threads)
        ]
        self._phases = make_phases(self._threads)
        is_cbow = config.arch == "cbow"
        lanes = host_lanes()
        self._kernel = rounds_kernel(lanes)
        self._sizes = n_outputs, -(-config.dim // lanes)
        loop = partial(loop_of_rounds, is_cbow, lanes, *self._sizes)
        self._loop = KernelChoice(loop, partial(loop, is_special=True), is_long=is_long)
        self._address = 0  # of the loop; without text it is not called
        inputs = 1 if is_cbow else 2 * window
        work = 3 * inputs * n_outputs * weights.stride * STREAMS
        self._length = min(round_length.length, max(1, ROUND_WORK // work))
        self._slice = max(1, ROUND_WORK * self._threads // (work * self._length))
        self.streams = [Stream(tally) for tally in self._streams.tally]

    def train(
        self,
        chunks: Sequence[Chunk],
        *,
        position: int = 0,
        wants_stop: Callable[[], bool] = lambda: False,
    ) -> int | None:
        """Train a group of at most `STREAMS` chunks.

        It goes on at `position`, in words of each stream, where it was left. Where `wants_stop`
        says so after a slice that is not the last, the group is left there, and the position
        returned; None when it is done.
        """
        self._address = self._loop.best()
        self._streams.n_kept[:] = 0
        context, lr = self._round_length.context, max(chunk.lr for chunk in chunks)
        most = STREAMS * (self._length + 2 * self._window) * self._n_outputs
        self._moved = (
            moved_shares(context * self._n_outputs, lr, most),
            moved_shares(context, lr, most),
        )
        at = position // self._length

        def begin(thread: int) -> None:
            for w in range(thread, len(chunks), self._threads):
                self._stage(w, chunks[w], count=position == 0)
            self._run(at, thread)

        self._together(begin)
        n_rounds = -(-int(self._streams.n_kept.max()) // self._length)
        while (at := at + self._slice) < n_rounds:
            if wants_stop():
                return at * self._length
            self._together(partial(self._run, at))
        return None

    def compile(self) -> None:
        """Compile, or load from the cache, all but the loop that trains (`loop_of_rounds`)."""
        self._streams.n_kept[:] = 0
        self._moved = np.ones(1, np.float32), np.ones(1, np.float32)
        self._together(partial(self._run, 0))

    def _stage(self, w: int, chunk: Chunk, *, count: bool) -> None:
        streams, seed = self._streams, self._config.seed
        staged = Staged(streams.kept[w], streams.first[w], streams.last[w])
        key = random_key(seed, "subsample", *chunk.place)
        tokens = chunk.tokens
        if self._config.shuffle:
            tokens = np.empty_like(chunk.tokens)
            order = random_key(seed, "shuffle", *chunk.place)
            shuffle(chunk.tokens, chunk.sentences, order, tokens)
        n_kept = stage(tokens, chunk.sentences, self._keep, key, staged)
        if count:
            self.streams[w].subsampled += len(chunk.tokens) - n_kept
        streams.n_kept[w] = n_kept
        noise_key = random_key(seed, "negatives", *chunk.place)
        streams.begins[w] = int(noise_key) % len(streams.pool)
        streams.noise_keys[w] = noise_key
        streams.window_keys[w] = random_key(seed, "window", *chunk.place)
        streams.lrs[w] = chunk.lr

    def _run(self, first: int, thread: int) -> None:
        config = self._config
        self._kernel(
            self._address,
            *self._sizes,
            thread,
            self._threads,
            n_blocks(self._threads),
            first,
            self._slice,
            self._length,
            self._streams,
            self._lists,
            *self._copied,
            self._weights,
            self._n_words,
            self._window,
            self._shrinks,
            config.cbow_gradient == "divided",
            *self._moved,
            self._phases,
            self._scratches[thread],
        )

    def _together(self, function: Callable[[int], None]) -> None:
        """Call ``function(t)`` for each thread t, and wait for all; errors as in `run_together`."""
        self._phases[:] = 0
        run_together(function, self._threads, self._call_off)

    def _call_off(self) -> None:
        """Let no thread wait in the middle of a round for one that has failed."""
        self._phases[-8:] = 1  # the line where it is called off
