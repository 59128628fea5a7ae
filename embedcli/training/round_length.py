"""The length of rounds (`kernels/rounds.py`), from the counts of the words.

Streams begin a round at the same rows, and what each makes of a row is added up. That is as good as
one after the other where few of them train the same row, or move it little. So rounds are shorter
where few words are most of the text, and what becomes of the most frequent rows is weighed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from embedcli.kernels.streams import HOT, ROUND
from embedcli.settings.config import TrainConfig
from embedcli.training.sampling import keep_probabilities, noise_distribution

__all__ = ["RoundLength", "moved_shares", "round_length_of"]

_MOST_HOT = 1024
_HOT_SHARE = 1 / _MOST_HOT  # of the noise or of the words trained: hot, however many they are
# How far a stream may move a row in a round, in pairs times their learning rate, for a row as often
# trained as that of the word that is met next. By measurement: with 1 a text of twelve words
# diverges; with 4 and without limit, a million words that are not subsampled score 3 and 6 points
# less than without rounds. Texts that are subsampled mostly stay below it in the longest rounds.
_FAR = 0.5
# How fast a row forgets where it began: its share of a learning rate, for each pair it is in.
# sigma' |x|^2 would be 0.25 |x|^2 at most, and is a fraction of that once a row has learnt. By
# measurement: with 0.25 frequent words learn too slowly (analogies 41.2 instead of 42.6).
_PULL = 0.05


class RoundLength(NamedTuple):
    """How far it goes at a time.

    Attributes:
        n_hot: H, the most frequent words, whose changes are weighed.
        length: words of each stream in a round, a power of two.
        context: of a word, in the mean.
    """

    n_hot: int
    length: int
    context: float


def round_length_of(
    counts: NDArray[np.int64], context: float, n_negatives: int, config: TrainConfig
) -> RoundLength:
    """The round length of a text.

    Args:
        counts: int64 (V,), of its words.
        context: words of context of each, in the mean.
        n_negatives: K.
        config: resolved settings.
    """
    noise = np.diff(noise_distribution(counts, config.ns_exponent), prepend=0.0)
    trained = counts * keep_probabilities(counts, config.subsampling)
    trained /= trained.sum()
    frequent = np.flatnonzero((noise >= _HOT_SHARE) | (trained >= _HOT_SHARE))
    n_hot = min(len(counts), max(HOT, int(frequent.max(initial=-1)) + 1))
    n_outputs = 1 + n_negatives
    predicted = (trained + n_negatives * noise) / n_outputs
    of_input = (
        n_outputs * context * _collision_probability(trained)
    )  # pairs for each word that is trained
    of_output = n_outputs * _collision_probability(predicted)
    if config.arch == "skipgram":  # CBOW predicts once for all of the context
        of_output *= context
    length = ROUND
    while length > 1 and length * config.starting_lr * max(of_input, of_output) > _FAR:
        length //= 2
    return RoundLength(n_hot, length, context)


def _collision_probability(shares: NDArray[np.float64]) -> float:
    """The share of a text that the word which is met next has, in the mean."""
    return float(np.sum(shares**2))  # not a dot product, which BLAS adds up as it likes


def moved_shares(pairs: float, lr: float, most: int) -> NDArray[np.float32]:
    """1 - exp(-g u) for u = 0..`most` uses of a row, each in so many `pairs`; float32.

    Rounded from float64: NumPy's expm1 of float32 is another on another processor.
    """
    moved: NDArray[np.float64] = -np.expm1(-_PULL * lr * pairs * np.arange(most + 1))
    return moved.astype(np.float32)
