"""What the streams of a deterministic run work with: their text, their lists, their copies.

`rounds.py` says what streams and rounds are, and what is done with all this.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from embedcli.kernels.sampling import SPARE
from embedcli.kernels.weights import TALLY, aligned

__all__ = [
    "HOT",
    "LINE_BYTES",
    "MOST_HOT",
    "ROUND",
    "STREAMS",
    "Copied",
    "Lists",
    "Streams",
    "classes_of_words",
    "make_copied",
    "make_lists",
    "make_streams",
    "moved_shares",
    "n_blocks",
    "n_hot_words",
    "noise_class",
    "rows_for_copies",
]

STREAMS = 8  # W; as many threads can work at once
ROUND = 128  # words of each stream at most; longer ones cost less and are staler
HOT = 128  # words that are hot in any case; more than the largest K
MOST_HOT = 1024
_HOT_SHARE = 1 / MOST_HOT  # of the noise or of the words trained: hot, however many they are
# How fast a row forgets where it began: its share of a learning rate, for each pair it is in.
# sigma' |x|^2 would be 0.25 |x|^2 at most, and is a fraction of that once a row has learnt. By
# measurement: with 0.25 frequent words learn too slowly (analogies 41.2 instead of 42.6).
_PULL = 0.05

LINE_BYTES = 64  # bytes of a cache line


class Streams(NamedTuple):
    """The W chunks that are trained side by side; row w is stream w's.

    Attributes:
        kept, first, last: `Staged` of each: int32 (W, n + `SPARE`), (W, n), (W, n).
        n_kept: int64 (W,), words that survived subsampling; 0 for a stream without a chunk.
        pools: int32 (W, P), the noise of each *class*: the hot words and the class's own.
        begins: int64 (W,). noise_keys, window_keys: uint64 (W,). See `Noise` and `draw_radius`.
        lrs: float32 (W,), learning rates.
        tally: float64 (W, `TALLY`), sums over the epoch.
    """

    kept: NDArray[np.int32]
    first: NDArray[np.int32]
    last: NDArray[np.int32]
    n_kept: NDArray[np.int64]
    pools: NDArray[np.int32]
    begins: NDArray[np.int64]
    noise_keys: NDArray[np.uint64]
    window_keys: NDArray[np.uint64]
    lrs: NDArray[np.float32]
    tally: NDArray[np.float64]


class Copied(NamedTuple):
    """Which rows of one matrix the streams copy in a round, C at most for each of them.

    Attributes:
        words: int32 (W, C + 1), whose rows they are. n: int64 (W,), how many.
        order: int32 (W, C), the copies by class, and begins: int64 (W, W + 1), where each begins.
        before: float32 (W C stride,), what they were.
    """

    words: NDArray[np.int32]
    n: NDArray[np.int64]
    order: NDArray[np.int32]
    begins: NDArray[np.int64]
    before: NDArray[np.float32]


class Lists(NamedTuple):
    """What the streams know of their words in a round.

    The copies themselves are the last W C rows of both matrices, so that kernels find copies and
    other rows under one address.

    Attributes:
        words: int32 (W, C + 1), the distinct words of each stream's text. n_words: int64 (W,).
        inputs, centres: int32 (W, ...), the rows of syn0 and of syn1neg for each word of the text.
        hot: int32 (W, H + 1), which copy in syn1neg is that of a hot word, or -1; the last is
            always -1.
        uses: int32 (2, W, H + 1), how often each hot row of syn0 and syn1neg is used in the round,
            nearly. shares: float32 (2, H + 1), by what their changes are multiplied.
        readers: uint8 (V + 64 W,), bit w of a cold word: stream w has it in its text. What lies
            behind the words is written and never read.
        drawn: uint8 (V,), whether a cold word may be a negative in this round.
        slots: int32 (T, V), the same for all words while a thread lists; all -1 otherwise.
        rows0, rows1: int32 (T, C), where the rows of each distinct word are.
    """

    words: NDArray[np.int32]
    n_words: NDArray[np.int64]
    inputs: NDArray[np.int32]
    centres: NDArray[np.int32]
    hot: NDArray[np.int32]
    uses: NDArray[np.int32]
    shares: NDArray[np.float32]
    readers: NDArray[np.uint8]
    drawn: NDArray[np.uint8]
    slots: NDArray[np.int32]
    rows0: NDArray[np.int32]
    rows1: NDArray[np.int32]


def n_hot_words(noise: NDArray[np.float64], trained: NDArray[np.float64], n_words: int) -> int:
    """H: how many of the most frequent words are hot.

    Args:
        noise, trained: float64 (V,), each word's share of the negatives and of the words trained.
    """
    frequent = np.flatnonzero((noise >= _HOT_SHARE) | (trained >= _HOT_SHARE))
    return min(n_words, max(HOT, int(frequent.max(initial=-1)) + 1))


def rows_for_copies(window: int, n_hot: int) -> int:
    """C: a round's words with the context on both sides, and the hot words."""
    return ROUND + 2 * window + n_hot


def moved_shares(pairs: float, lr: float, most: int) -> NDArray[np.float32]:
    """1 - exp(-g u) for u = 0..`most` uses of a row, each in so many `pairs`; float32."""
    moved: NDArray[np.float64] = -np.expm1(-_PULL * lr * pairs * np.arange(most + 1))
    return moved.astype(np.float32)


def make_streams(chunk: int, pools: NDArray[np.int32]) -> Streams:
    """Room for W chunks of `chunk` words."""
    w = STREAMS
    return Streams(
        kept=np.zeros((w, chunk + SPARE), np.int32),
        first=np.zeros((w, chunk), np.int32),
        last=np.zeros((w, chunk), np.int32),
        n_kept=np.zeros(w, np.int64),
        pools=pools,
        begins=np.zeros(w, np.int64),
        noise_keys=np.zeros(w, np.uint64),
        window_keys=np.zeros(w, np.uint64),
        lrs=np.zeros(w, np.float32),
        tally=np.zeros((w, TALLY)),
    )


def make_copied(window: int, n_hot: int, stride: int) -> Copied:
    """Room for the copies of one matrix; `n_hot` is H."""
    w, c = STREAMS, rows_for_copies(window, n_hot)
    return Copied(
        words=np.zeros((w, c + 1), np.int32),
        n=np.zeros(w, np.int64),
        order=np.zeros((w, c), np.int32),
        begins=np.zeros((w, w + 1), np.int64),
        before=aligned(w * c * stride),
    )


def make_lists(window: int, n_words: int, n_hot: int, threads: int) -> Lists:
    """Room for a round; `n_words` is V, `n_hot` H."""
    w, c = STREAMS, rows_for_copies(window, n_hot)
    longest = ROUND + 2 * window + SPARE
    return Lists(
        words=np.zeros((w, c + 1), np.int32),
        n_words=np.zeros(w, np.int64),
        inputs=np.zeros((w, longest), np.int32),
        centres=np.zeros((w, longest), np.int32),
        hot=np.full((w, n_hot + 1), -1, np.int32),
        uses=np.zeros((2, w, n_hot + 1), np.int32),
        shares=np.ones((2, n_hot + 1), np.float32),
        readers=np.zeros(n_words + w * LINE_BYTES, np.uint8),
        drawn=np.zeros(n_words, np.uint8),
        slots=np.full((threads, n_words), -1, np.int32),
        rows0=np.zeros((threads, c), np.int32),
        rows1=np.zeros((threads, c), np.int32),
    )


def n_blocks(threads: int) -> int:
    """Into how many blocks the streams are divided among so many threads: a power of two."""
    return min(STREAMS, 1 << (threads - 1).bit_length())


def classes_of_words(probabilities: NDArray[np.float64], n_hot: int) -> NDArray[np.float64]:
    """The noise of each class: float64 (W, V), cumulative, from the noise of all words (V,).

    Hot words have their own probability in all classes; a class's other words stand for those of
    all classes. They are dealt out by falling frequency, to and fro, so that classes are alike.
    """
    n_words = len(probabilities)
    class_of = np.array([noise_class.py_func(word) for word in range(2 * STREAMS)])
    class_of = np.resize(class_of, n_words)
    cold = np.arange(n_words) >= n_hot
    result = np.empty((STREAMS, n_words))
    for c in range(STREAMS):
        own = np.where(cold & (class_of == c), probabilities, 0.0)
        total = own.sum()
        scale = probabilities[n_hot:].sum() / total if total else 0.0
        result[c] = np.cumsum(np.where(cold, own * scale, probabilities))
        result[c] /= result[c, -1]
    return result


@numba.njit(inline="always")
def noise_class(word: Any) -> Any:
    """Which class a cold word is a negative of."""
    turn = word % (2 * STREAMS)
    return min(turn, 2 * STREAMS - 1 - turn)
