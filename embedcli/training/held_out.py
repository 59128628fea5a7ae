"""A text that is measured after every epoch and never trained: a part of the corpus, or another."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from embedcli.errors import TrainingError
from embedcli.settings.config import LINE, TrainConfig
from embedcli.text.corpus import Corpus
from embedcli.training.chunks import Chunks, held_out_stretches
from embedcli.training.sampling import random_key
from embedcli.training.work import Job, Step
from embedcli.training.worker import Worker

__all__ = ["HeldOut", "split_text"]

# Where the number of the epoch goes in keys: the same samples whenever they are measured.
_HELD_OUT = 1 << 32


class HeldOut:
    """The held-out text, and the threads that measure it.

    Attributes:
        parts: its chunks.
        jobs: one for each thread.
        counts: what they sum up.
    """

    def __init__(self, parts: Chunks, keep: NDArray[np.uint32], workers: Sequence[Worker]) -> None:
        self.parts, self.counts = parts, workers
        self._keep = keep
        self.jobs: Sequence[Job] = [partial(self._measure, worker) for worker in workers]

    @property
    def n_tokens(self) -> int:
        """The tokens that are measured after every epoch."""
        return self.parts.n_tokens(len(self.parts))

    def _measure(self, worker: Worker, step: Step) -> int | None:
        """Add up the loss of a chunk: a training step whose learning rate is 0.

        Subsampling, windows and negatives are those of training, and the same after every epoch.
        """
        place = _HELD_OUT, step.chunk
        return worker.train(
            *self.parts.read(step.chunk),
            self._keep,
            place,
            0.0,
            position=step.position,
            wants_stop=step.wants_stop,
        )


def split_text(
    corpus: Corpus, valid: Corpus | None, config: TrainConfig
) -> tuple[Chunks, Chunks | None]:
    """What is trained, and what is measured.

    Raises:
        TrainingError: nothing is left to train.
    """
    whole = config.window == LINE
    if valid is not None:
        measured = Chunks(valid.ids, valid.offsets, whole_lines=whole)
        return Chunks(corpus.ids, corpus.offsets, whole_lines=whole), measured
    if not config.valid_fraction:
        return Chunks(corpus.ids, corpus.offsets, whole_lines=whole), None
    generator = np.random.Generator(np.random.Philox(int(random_key(config.seed, "held out"))))
    stretches = held_out_stretches(corpus.offsets, config.valid_fraction, generator)
    training = Chunks(corpus.ids, corpus.offsets, stretches, whole_lines=whole)
    if not training.n_tokens(len(training)):
        raise TrainingError(
            f"--valid-fraction {config.valid_fraction} of {len(corpus.offsets) - 1} lines leaves "
            "nothing to train: put a sentence or document on a line, or name another text with "
            "--valid"
        )
    return training, Chunks(corpus.ids, corpus.offsets, stretches, held_out=True, whole_lines=whole)
