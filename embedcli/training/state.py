"""The state of a run: a record of each finished epoch, and the position in the next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from embedcli.errors import TrainingError

__all__ = ["Epoch", "State", "nothing_trained"]


@dataclass(frozen=True)
class Epoch:
    """What happened to the tokens of one epoch, and how well they were predicted.

    Attributes:
        tokens: in-vocabulary tokens read to be trained; the sum of the next three.
        trained: centre words trained.
        subsampled: dropped by subsampling.
        alone: left without any other word in their sentence.
        pairs: (input, output) pairs the loss is the mean of.
        loss: mean of -log sigma(+-x.o) over the pairs, in nats, as each was when it was trained.
        held_out: the same over the pairs of the held-out text, after the epoch; None without one.
        sample: the same over the pairs of a fixed sample of the text, which is trained too; None
            where another text is measured, or nothing is.
        score: on the file of ``evaluate``, after the epoch; None where it was not measured.
    """

    tokens: int
    trained: int
    subsampled: int
    alone: int
    pairs: int
    loss: float
    held_out: float | None = None
    score: float | None = None
    sample: float | None = None


@dataclass(frozen=True)
class State:
    """Where a run stands between two slices, apart from its two matrices.

    There are no random numbers to keep: they depend on the seed, the epoch and the chunk alone.

    Attributes:
        epoch, chunk: the first that is not begun; epoch counts from 0, and behind the chunks that
            are trained in an epoch come those that are measured.
        epochs: the epochs that are finished.
        arrays: ``tallies``, float64 (T, 4), and ``subsampled``, int64 (T,): what each thread has
            summed up in this epoch; ``measured``, float64 (T, 4): the same of the held-out text,
            where there is one; ``unfinished``, int64 (U, 2): each chunk that was begun and is not
            finished, and how many of its words that survived subsampling are done; ``squares0``
            and ``squares1``, float32 (V,), with AdaGrad.
        n_chunks: how many chunks are trained in this epoch: fewer than all when time is over; None
            for all.
        clock: seconds of the time budget that are gone, and the share of the training time that is
            over; None without a budget.
        is_complete: whether nothing is left to train, however many epochs are finished.
    """

    epoch: int
    chunk: int
    epochs: tuple[Epoch, ...]
    arrays: Mapping[str, NDArray[Any]]
    n_chunks: int | None = None
    clock: tuple[float, float] | None = None
    is_complete: bool = False


def nothing_trained(n_tokens: int, subsampled: int, alone: int) -> TrainingError:
    """The error of an epoch in which no word was trained, and what would help."""
    advice = (
        "--sample 0 keeps all of them" if subsampled else "put a sentence or document on a line"
    )
    return TrainingError(
        f"nothing to train: {n_tokens} tokens = {subsampled} subsampled + {alone} alone in their "
        f"line; {advice}"
    )
