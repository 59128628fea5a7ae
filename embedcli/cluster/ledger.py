"""How far a run in rounds is, and what it adds up; the same `State` that checkpoints keep.

`State.chunk` is the number of the next round in its epoch, and ``tallies`` and ``subsampled`` are
what all shards together have summed up in the rounds of this epoch before it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedcli.cluster.training import Change, Round
from embedcli.errors import EmbedError
from embedcli.settings.config import TrainConfig
from embedcli.training.state import Epoch, State, nothing_trained

__all__ = ["advance", "at_beginning", "loss", "next_round", "sums"]


def at_beginning() -> State:
    """Nothing is trained."""
    return State(0, 0, (), sums(np.zeros((1, 4)), np.zeros(1, np.int64)))


def sums(tallies: NDArray[np.float64], subsampled: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """`State.arrays` between two rounds, when nothing is unfinished."""
    unfinished = np.zeros((0, 2), np.int64)
    return {"tallies": tallies, "subsampled": subsampled, "unfinished": unfinished}


def next_round(state: State, config: TrainConfig) -> Round | None:
    """The next round; None when all are done."""
    if state.epoch >= config.epochs:
        return None
    return Round(state.epoch, state.chunk, config.rounds or 1)


def advance(state: State, change: Change, config: TrainConfig, n_tokens: int) -> State:
    """The state after a round.

    Args:
        state: before it.
        change: what all shards did together.
        config: resolved settings.
        n_tokens: of an epoch.

    Raises:
        TrainingError: an epoch is over and nothing was trained.
    """
    tallies = state.arrays["tallies"] + change.sums
    subsampled = state.arrays["subsampled"] + change.subsampled
    if state.chunk + 1 < (config.rounds or 1):
        return replace(state, chunk=state.chunk + 1, arrays=sums(tallies, subsampled))
    epoch = _epoch(state.epoch, tallies[0].tolist(), int(subsampled[0]), n_tokens)
    return State(state.epoch + 1, 0, (*state.epochs, epoch), at_beginning().arrays)


def loss(state: State) -> float | None:
    """The mean loss of the rounds of this epoch, or of the last one; None before there is any."""
    total, pairs = state.arrays["tallies"][0, :2]
    if pairs:
        return float(total / pairs)
    return state.epochs[-1].loss if state.epochs else None


def _epoch(number: int, sums: list[float], subsampled: int, n_tokens: int) -> Epoch:
    total, pairs, trained, alone = sums[0], int(sums[1]), int(sums[2]), int(sums[3])
    if trained + subsampled + alone != n_tokens:
        raise EmbedError(
            f"epoch {number + 1} lost tokens: {n_tokens} read, but {trained} trained + "
            f"{subsampled} subsampled + {alone} without context; please report this"
        )
    if not trained:
        raise nothing_trained(n_tokens, subsampled, alone)
    return Epoch(n_tokens, trained, subsampled, alone, pairs, total / pairs)
