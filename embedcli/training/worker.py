"""One thread of a run: its kernel, what that draws from, and its private arrays."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from embedcli.kernels.huffman import Tree
from embedcli.kernels.intrinsics.lanes import host_lanes
from embedcli.kernels.loop import PATH, training_kernel
from embedcli.kernels.optimizer import Features, Optimizer, make_optimizer, make_optimizer_scratch
from embedcli.kernels.paths import make_path_scratch
from embedcli.kernels.sampling import Noise, fill_pool, make_staged, shuffle, stage
from embedcli.kernels.weights import Scratch, Weights, make_scratch
from embedcli.settings.config import TrainConfig
from embedcli.training.huffman import huffman_tree, longest_path
from embedcli.training.initial_weights import initial_weights
from embedcli.training.sampling import noise_distribution, pool_size, random_key

__all__ = [
    "Pool",
    "Worker",
    "compile_kernels",
    "features_of",
    "measuring_optimizer",
    "optimizer_of",
    "outputs_of",
    "pool_of",
    "train_two_words",
    "words_to_compile",
]

# Multiply-adds in one call of a kernel, about 0.1 s: between calls a chunk can be left unfinished,
# so that a run stops soon whatever its settings.
SLICE_WORK = 1 << 30


class Pool(NamedTuple):
    """Negatives.

    Attributes:
        words: int32 (P,), in the proportions of the noise distribution (`fill_pool`).
        negative: K, how many each centre word gets.
    """

    words: NDArray[np.int32]
    negative: int


def outputs_of(counts: NDArray[np.int64], n_tokens: int, config: TrainConfig) -> Pool | Tree:
    """Where the outputs of a centre word come from, once for all epochs."""
    if config.loss == "hs":
        return huffman_tree(counts)
    return pool_of(counts, n_tokens, config)


def pool_of(counts: NDArray[np.int64], n_tokens: int, config: TrainConfig) -> Pool:
    """Negatives of words that have `counts`, for texts of `n_tokens`."""
    # A window has at most V - 1 distinct negatives.
    negative = min(config.negative, len(counts) - 1)
    words = np.empty(pool_size(n_tokens, negative, len(counts)), np.int32)
    noise = noise_distribution(counts, config.ns_exponent)
    fill_pool(noise, 0.5, random_key(config.seed, "pool"), words)
    return Pool(words, negative)


class Worker:
    """One thread's kernel and private arrays."""

    def __init__(
        self,
        weights: Weights,
        outputs: Pool | Tree,
        config: TrainConfig,
        chunk: int,
        window: int,
        optimizer: Optimizer | None = None,
        *,
        is_long: bool = False,
    ) -> None:
        self._config, self._is_long = config, is_long
        self._weights = weights
        self._outputs = outputs
        self._staged = make_staged(chunk)
        self._shuffled = np.empty(chunk if config.shuffle else 0, np.int32)
        self._window = window
        self._shrinks = config.shrinks
        self._more: tuple[Any, ...] | None = None  # what some kernels work with beside all others
        self._kernel, self.scratch, work = self._choose(outputs, optimizer)
        self._slice = max(1, SLICE_WORK // work)
        self.subsampled = 0

    def _choose(
        self, outputs: Pool | Tree, optimizer: Optimizer | None
    ) -> tuple[Callable[..., None], Scratch, int]:
        """The kernel, its scratch, and the multiply-adds that it takes for a word."""
        config, window, stride = self._config, self._window, self._weights.stride
        lanes = host_lanes()
        is_cbow = config.arch == "cbow"
        n_vectors = -(-config.dim // lanes)
        if isinstance(outputs, Tree):
            n_outputs = longest_path(outputs)
            scratch = make_path_scratch(n_outputs, window, stride)
            kernel = training_kernel(
                lanes,
                0,
                n_vectors,
                is_special=self._is_long,
                is_cbow=is_cbow,
                kind_of_outputs=PATH,
            )
        else:
            n_outputs = 1 + outputs.negative
            scratch = make_scratch(n_outputs, window, stride)
            features = None if optimizer is None else features_of(config)
            kernel = training_kernel(
                lanes,
                n_outputs,
                n_vectors,
                is_special=self._is_long,
                is_cbow=is_cbow,
                features=features,
            )
            if optimizer is not None:
                self._more = (
                    config.dim,
                    optimizer,
                    make_optimizer_scratch(n_outputs, window, stride),
                )
        inputs = 1 if is_cbow else 2 * window
        return kernel, scratch, 3 * inputs * n_outputs * stride

    @property
    def tally(self) -> NDArray[np.float64]:
        """What it has summed up."""
        return self.scratch.tally

    def forget(self) -> None:
        """Begin to count anew."""
        self.tally[:] = 0
        self.subsampled = 0

    def train(
        self,
        tokens: NDArray[np.int32],
        sentences: NDArray[np.int64],
        keep: NDArray[np.uint32],
        place: tuple[int, int],
        lr: float,
        *,
        position: int = 0,
        wants_stop: Callable[[], bool] = lambda: False,
    ) -> int | None:
        """Train on one chunk; `place` is its (epoch, chunk), which its random numbers depend on.

        It goes on at `position`, where it was left. Where `wants_stop` says so after a slice that
        is not the last, the chunk is left there, and the position returned; None when it is done.
        """
        seed = self._config.seed
        if self._config.shuffle:
            shuffle(tokens, sentences, random_key(seed, "shuffle", *place), self._shuffled)
            tokens = self._shuffled[: len(tokens)]
        n_kept = stage(tokens, sentences, keep, random_key(seed, "subsample", *place), self._staged)
        outputs = self._outputs_at(place)
        if position == 0:
            self.subsampled += len(tokens) - n_kept
        while position < n_kept:
            end = min(position + self._slice, n_kept)
            self._kernel(
                self._staged,
                position,
                end,
                self._weights,
                outputs,
                self._window,
                self._shrinks,
                random_key(seed, "window", *place),
                np.float32(lr),
                self._config.cbow_gradient == "divided",
                self.scratch,
                self._more,
            )
            position = end
            if position < n_kept and wants_stop():
                return position
        return None

    def _outputs_at(self, place: tuple[int, int]) -> Noise | Tree:
        """The outputs as the kernel takes them, for a chunk."""
        if isinstance(self._outputs, Tree):
            return self._outputs
        key = random_key(self._config.seed, "negatives", *place)
        pool = self._outputs.words
        return Noise(pool, np.int64(int(key) % len(pool)), key)


def features_of(config: TrainConfig) -> Features | None:
    """What the kernel has to do beside plain steps; None if that is nothing."""
    features = Features(
        adagrad=int(config.optimizer == "adagrad"),
        dropout=int(config.dropout > 0),
        max_norm=int(config.max_norm is not None),
        frozen=int(config.freeze is not None),
    )
    return features if any(features) or config.l2 > 0 else None


def optimizer_of(
    config: TrainConfig, n_words: int, frozen: NDArray[np.bool_] | None
) -> Optimizer | None:
    """The optimizer by which rows are updated; None where plain steps are taken."""
    features = features_of(config)
    if features is None:
        return None
    return make_optimizer(
        n_words,
        features,
        l2=config.l2,
        dropout=config.dropout,
        max_norm=config.max_norm or 0.0,
        frozen=frozen,
    )


def measuring_optimizer(config: TrainConfig, n_words: int) -> Optimizer | None:
    """An optimizer for the same kernel, which at rate 0 changes no row and masks no component."""
    features = features_of(config)
    return None if features is None else make_optimizer(n_words, features, max_norm=float("inf"))


def compile_kernels(config: TrainConfig) -> None:
    """Compile, or load from the cache, what `config` needs, by training on two words."""
    n_words = words_to_compile(config)
    weights = initial_weights(n_words, config)
    optimizer = optimizer_of(config, n_words, np.zeros(n_words, np.bool_))
    train_two_words(partial(_worker_by, weights, optimizer, config), config)


def _worker_by(
    weights: Weights, optimizer: Optimizer | None, config: TrainConfig, outputs: Pool | Tree
) -> Worker:
    return Worker(weights, outputs, config, 2, 1, optimizer)


def words_to_compile(config: TrainConfig) -> int:
    """The fewest words that `train_two_words` can do with."""
    return 1 + config.negative


def train_two_words(make_worker: Callable[[Pool | Tree], Worker], config: TrainConfig) -> None:
    """Train nothing on two words of a vocabulary of `words_to_compile`: it compiles the kernels."""
    n_words = words_to_compile(config)
    worker = make_worker(outputs_of(np.ones(n_words, np.int64), 2, config))
    keep = np.full(n_words, 0xFFFFFFFF, np.uint32)
    worker.train(np.array([0, 1], np.int32), np.array([0, 2]), keep, (0, 0), 0.0)
