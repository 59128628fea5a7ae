"""What the streams of a deterministic run work with: their text, their lists, their copies.

`rounds.py` says what streams and rounds are, and what is done with all this.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from embedcli.kernels.barrier import LINE_ITEMS
from embedcli.kernels.intrinsics.matrix_rows import SPARE
from embedcli.kernels.jit import inlined
from embedcli.kernels.sampling import ROUND_STRETCH, stretch_windows
from embedcli.kernels.weights import TALLY

__all__ = [
    "HOT",
    "ROUND",
    "SPREAD",
    "STREAMS",
    "Copied",
    "Lists",
    "Streams",
    "make_copied",
    "make_lists",
    "make_streams",
    "n_blocks",
    "rows_for_copies",
    "text_of_round",
]

STREAMS = 8  # W; as many threads can work at once
ROUND = 256  # words of each stream in a round at most (`training/round_length.py`)
HOT = 128  # words that are hot in any case, if there are so many

_APART = 16  # int64 items after which nothing is in the same cache line as the first W + 1
SPREAD = 32  # counters of cold words, whose sums nobody reads


class Streams(NamedTuple):
    """The W parts of a text that are trained side by side; row w is stream w's.

    Attributes:
        kept, first, last: `Staged` of each: int32 (W, n + `SPARE`), (W, n), (W, n).
        n_kept: int64 (W,), words that survived subsampling; 0 for a stream without a part.
        pool: int32 (P,), see `Noise`.
        begins: int64 (W,). noise_keys, window_keys: uint64 (W,). See `Noise` and `draw_radius`.
        lrs: float32 (W,), learning rates.
        tally: float64 (W, `TALLY`), sums over the epoch.
    """

    kept: NDArray[np.int32]
    first: NDArray[np.int32]
    last: NDArray[np.int32]
    n_kept: NDArray[np.int64]
    pool: NDArray[np.int32]
    begins: NDArray[np.int64]
    noise_keys: NDArray[np.uint64]
    window_keys: NDArray[np.uint64]
    lrs: NDArray[np.float32]
    tally: NDArray[np.float64]


class Copied(NamedTuple):
    """Which rows of one matrix the streams copy in a round, C at most for each of them.

    Attributes:
        words: int32 (W, C + 1), whose rows they are.
        users: uint8 (W, C + 1), which streams copy it: a bit for each.
        order: int32 (W, C), the copies by class, and begins: int64 (W, 16), where each class
            begins; item W is how many they are.
    """

    words: NDArray[np.int32]
    users: NDArray[np.uint8]
    order: NDArray[np.int32]
    begins: NDArray[np.int64]


class Lists(NamedTuple):
    """What the streams know of their words in a round.

    The copies themselves are the last W C rows of both matrices, so that kernels find copies and
    other rows under one address.

    Attributes:
        words: int32 (W, C + 1), the distinct words of each stream. n_words: int64 (W, 16), how many
            they are, and how many items.
        inputs, centres: int32 (W, ...), the rows of syn0 and of syn1neg for each word of the text.
        items: int32 (W, ...), the rows of syn1neg for each item of the stretches of the pool that
            a round draws from, and for the words 0 to K.
        uses: int32 (2, W, H + `SPREAD`), how often each hot row of syn0 and syn1neg is used in the
            round, nearly. shares: float32 (2, H + 1), by what their changes are multiplied; the
            last is 1, for all other words.
        users: int64 (T, V). stamps: int64 (8 T,). See `word_users.py`.
        rows0, rows1: int32 (T, C), where the rows of each distinct word are.
    """

    words: NDArray[np.int32]
    n_words: NDArray[np.int64]
    inputs: NDArray[np.int32]
    centres: NDArray[np.int32]
    items: NDArray[np.int32]
    uses: NDArray[np.int32]
    shares: NDArray[np.float32]
    users: NDArray[np.int64]
    stamps: NDArray[np.int64]
    rows0: NDArray[np.int32]
    rows1: NDArray[np.int32]


def rows_for_copies(window: int, n_outputs: int) -> int:
    """C: a round's words with the context on both sides, and what they may draw."""
    return ROUND + 2 * window + _room_for_items(window, n_outputs)


def _room_for_items(window: int, n_outputs: int) -> int:
    stretches = ROUND // ROUND_STRETCH + 1  # a round may begin in the middle of one
    return stretches * (stretch_windows(window) * (n_outputs - 1) + 1) + n_outputs


def make_streams(chunk: int, pool: NDArray[np.int32]) -> Streams:
    """Room for W parts of `chunk` words."""
    w = STREAMS
    return Streams(
        kept=np.zeros((w, chunk + SPARE), np.int32),
        first=np.zeros((w, chunk), np.int32),
        last=np.zeros((w, chunk), np.int32),
        n_kept=np.zeros(w, np.int64),
        pool=pool,
        begins=np.zeros(w, np.int64),
        noise_keys=np.zeros(w, np.uint64),
        window_keys=np.zeros(w, np.uint64),
        lrs=np.zeros(w, np.float32),
        tally=np.zeros((w, TALLY)),
    )


def make_copied(window: int, n_outputs: int) -> Copied:
    """Room for the copies of one matrix."""
    w, c = STREAMS, rows_for_copies(window, n_outputs)
    return Copied(
        words=np.zeros((w, c + 1), np.int32),
        users=np.zeros((w, c + 1), np.uint8),
        order=np.zeros((w, c), np.int32),
        begins=np.zeros((w, _APART), np.int64),
    )


def make_lists(window: int, n_words: int, n_hot: int, n_outputs: int, threads: int) -> Lists:
    """Room for a round; `n_words` is V, `n_hot` H."""
    w, c = STREAMS, rows_for_copies(window, n_outputs)
    longest = ROUND + 2 * window + SPARE
    return Lists(
        words=np.zeros((w, c + 1), np.int32),
        n_words=np.zeros((w, _APART), np.int64),
        inputs=np.zeros((w, longest), np.int32),
        centres=np.zeros((w, longest), np.int32),
        items=np.zeros((w, _room_for_items(window, n_outputs)), np.int32),
        uses=np.zeros((2, w, n_hot + SPREAD), np.int32),
        shares=np.ones((2, n_hot + 1), np.float32),
        users=np.zeros((threads, n_words), np.int64),
        stamps=np.zeros(threads * LINE_ITEMS, np.int64),
        rows0=np.zeros((threads, c), np.int32),
        rows1=np.zeros((threads, c), np.int32),
    )


def n_blocks(threads: int) -> int:
    """Into how many blocks the streams are divided among so many threads: a power of two."""
    return min(STREAMS, 1 << (threads - 1).bit_length())


@inlined
def text_of_round(streams, w, start, stop, window) -> Any:
    """The first word and one past the last that words `start` to `stop` are or have as context."""
    begin = max(np.int64(streams.first[w, start]), start - window)
    return begin, min(np.int64(streams.last[w, stop - 1]), stop + window)
