"""Measures the loss after every epoch: on text that is never trained, or on a sample of the text.

The mean loss of an epoch does not compare with that of the next: a stretch of negatives serves many
words in a row, so they are pushed away by one word and look easy to those after it, the more so the
further a run has come. Measuring is a pass at rate 0 over windows and negatives that stay the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from embedcli.errors import TrainingError
from embedcli.settings.config import LINE, TrainConfig
from embedcli.text.corpus import Corpus
from embedcli.training.chunks import Chunks, drawn_apart, held_out_stretches
from embedcli.training.sampling import random_key
from embedcli.training.work import Counts, Job, Step
from embedcli.training.worker import Worker

__all__ = ["HELD_OUT", "HeldOut", "split_text"]

# Where the number of the epoch goes in keys: the same samples whenever they are measured.
HELD_OUT = 1 << 32
# Tokens of a sample: of a text of average length it costs half a hundredth of an epoch.
_SAMPLE_SHARE = 1 / 256
_SMALLEST_SAMPLE, _LARGEST_SAMPLE = 1 << 10, 1 << 14


class HeldOut:
    """The text that is measured, and the threads that measure it.

    Attributes:
        parts: its chunks.
        is_sample: whether it is trained as well.
        jobs: one for each thread.
        counts: what they sum up.
    """

    def __init__(
        self, measured: tuple[Chunks, bool], jobs: Sequence[Job], counts: Sequence[Counts]
    ) -> None:
        self.parts, self.is_sample = measured
        self.jobs, self.counts = jobs, counts

    @classmethod
    def by_workers(
        cls,
        measured: tuple[Chunks, bool],
        keep: NDArray[np.uint32],
        workers: Sequence[Worker],
    ) -> HeldOut:
        """One that is measured chunk by chunk, each by one of the `workers`."""
        parts = measured[0]
        return cls(measured, [partial(_measure, parts, keep, each) for each in workers], workers)

    @property
    def n_tokens(self) -> int:
        """The tokens that are measured after every epoch."""
        return self.parts.n_tokens(len(self.parts))


def _measure(parts: Chunks, keep: NDArray[np.uint32], worker: Worker, step: Step) -> int | None:
    """Add up the loss of a chunk: a training step whose learning rate is 0.

    Subsampling, windows and negatives are those of training, and the same after every epoch.
    """
    return worker.train(
        *parts.read(step.chunk),
        keep,
        (HELD_OUT, step.chunk),
        0.0,
        position=step.position,
        wants_stop=step.wants_stop,
    )


def split_text(
    corpus: Corpus, valid: Corpus | None, config: TrainConfig
) -> tuple[Chunks, tuple[Chunks, bool] | None]:
    """What is trained, and what is measured with whether it is trained too.

    Where no text is held out, a sample is measured: as many lines, or pieces of long ones, as make
    about a 256th of the text, or 1,024 tokens if that is more, or 16,384 if it is less; the text
    and the seed say which.

    Raises:
        TrainingError: nothing is left to train.
    """
    whole = config.window == LINE
    if valid is not None:
        measured = Chunks(valid.ids, valid.offsets, whole_lines=whole)
        return Chunks(corpus.ids, corpus.offsets, whole_lines=whole), (measured, False)
    n_tokens = len(corpus.ids)
    generator = np.random.Generator(np.random.Philox(int(random_key(config.seed, "held out"))))
    if not config.valid_fraction:
        if not n_tokens:  # a shard of a text
            return Chunks(corpus.ids, corpus.offsets, whole_lines=whole), None
        wanted = min(max(n_tokens * _SAMPLE_SHARE, _SMALLEST_SAMPLE), _LARGEST_SAMPLE)
        share = min(1.0, wanted / n_tokens)
        stretches = held_out_stretches(corpus.offsets, share, generator)
        sample = Chunks(*drawn_apart(corpus.ids, stretches), whole_lines=whole)
        return Chunks(corpus.ids, corpus.offsets, whole_lines=whole), (sample, True)
    stretches = held_out_stretches(corpus.offsets, config.valid_fraction, generator)
    training = Chunks(corpus.ids, corpus.offsets, stretches, whole_lines=whole)
    if not training.n_tokens(len(training)):
        raise TrainingError(
            f"--valid-fraction {config.valid_fraction} of {len(corpus.offsets) - 1} lines leaves "
            "nothing to train: put a sentence or document on a line, or name another text with "
            "--valid"
        )
    held_out = Chunks(corpus.ids, corpus.offsets, stretches, held_out=True, whole_lines=whole)
    return training, (held_out, False)
