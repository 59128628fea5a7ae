"""Progress reports of long work, independent of who shows them. Imports nothing of ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["COMPILING", "OnProgress", "Progress", "ignore_progress"]

COMPILING = "compiling kernels, once on this machine"


@dataclass(frozen=True, slots=True)
class Progress:
    """One report: `done` of `total` units of `phase`.

    Attributes:
        phase: ``"reading"`` (bytes), ``"counting"`` (tokens), ``"merging"`` (co-occurrences),
            ``"training"`` (tokens x epochs), ``"writing"`` and ``"indexing"`` (rows), and
            `COMPILING` (nothing is counted), while a run waits for its kernels.
        done: units done since the phase began.
        total: units in all, or None where nobody can know (a pipe).
        epoch: current epoch from 1 while training, else 0.
        loss: mean loss of the current epoch so far, while training; it does not compare with that
            of other epochs.
        lr: current learning rate, while training.
        held_out: loss of the held-out text after the last epoch, where there is one.
        sample: loss of a fixed sample of the text after the last epoch, where there is none.
        finished: what a model says of this epoch (``metadata["epochs"]``), in the one report that
            comes when it is over.
    """

    phase: str
    done: int
    total: int | None = None
    epoch: int = 0
    loss: float | None = None
    lr: float | None = None
    held_out: float | None = None
    sample: float | None = None
    finished: Mapping[str, Any] | None = None


OnProgress = Callable[[Progress], None]


def ignore_progress(progress: Progress) -> None:
    """The default: nobody watches."""
