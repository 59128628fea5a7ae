"""Words made of their subwords: the rows of each, and steps on a mean of many rows.

**Skip-gram.** The input is the *centre* word, as in fastText, where plain skip-gram (`steps.py`)
takes a context word: so the mean h of its rows is made once for all words of its window, and
written back once. The outputs meet it in groups of `GROUP`: p context words, and the noise words
there is then room for, which they share, each weighing p K / (GROUP - p)
(`intrinsics/hidden.py`). With K = 5 these are 2 and 14; h moves on after each group. Fewer noise
words would be faster, and cost accuracy (docs/training.md).

**CBOW.** As in fastText the hidden vector is the mean of *all* rows of the context words, their own
and those of their subwords, each row counting once; a word of many n-grams counts for more. The
outputs are the centre word and K negatives, in one group. Each row gets the whole gradient of the
mean, or its share (`steps.py`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from embedcli.kernels.alignment import aligned
from embedcli.kernels.intrinsics.blocks import SINGLE, block_dots
from embedcli.kernels.intrinsics.hidden import (
    gather_hidden,
    hidden_gradients,
    scatter_hidden,
    update_with_hidden,
)
from embedcli.kernels.intrinsics.matrix_rows import SPARE, rows_of_words
from embedcli.kernels.jit import inlined
from embedcli.kernels.losses import make_losses
from embedcli.kernels.sampling import draw_shared
from embedcli.kernels.weights import TALLY, Scratch
from embedcli.kernels.windows import context_bounds, context_rows, room_for_context

__all__ = [
    "GROUP",
    "SubwordRows",
    "append_rows",
    "cbow_scratch",
    "context_step",
    "deal_outputs",
    "n_groups",
    "padded_outputs",
    "rows_of_context",
    "shared_step",
    "skipgram_scratch",
    "usual_noise",
    "words_in_group",
]

GROUP = 16  # outputs that meet one state of the hidden vector: the lanes of the widest vector

_DOTS_ALIGNMENT = 16


class SubwordRows(NamedTuple):
    """Rows of ``syn0`` for each word: its own, and those of its subwords.

    Attributes:
        rows: int32 (n + `SPARE`,), those of word w are ``rows[offsets[w]:offsets[w + 1]]``;
            repeats kept.
        offsets: int64 (V + 1,).
    """

    rows: NDArray[np.int32]
    offsets: NDArray[np.int64]


def padded_outputs(lanes: int) -> int:
    """How many outputs meet the hidden vector at once: as many as there are accumulators for."""
    return max(8, lanes)


@inlined
def words_in_group(n_outputs):
    """p, the words to predict in a group at most: those that leave room for K noise words each."""
    return max(1, GROUP // n_outputs)


@inlined
def n_groups(n_words, most):
    """Groups that so many words are dealt to, at most `most` each."""
    return (n_words + most - 1) // most


@inlined
def usual_noise(window, shrink, most):
    """Noise words that four windows in five need at most; all, where windows do not shrink."""
    n_words = 2 * ((4 * window + 4) // 5 if shrink else window)
    return GROUP * n_groups(n_words, most) - n_words


def skipgram_scratch(n_outputs: int, window: int, most_rows: int, stride: int) -> Scratch:
    """Fresh scratch for one thread; `n_outputs` is 1 + K.

    ``rows`` are the outputs of this position and of the next, group after group, and behind them
    the context and the noise words of one, before they are dealt to groups; ``inputs`` are the rows
    of both words, `most_rows` each.
    """
    room = GROUP * -(-2 * window // max(1, GROUP // n_outputs))  # as `deal_outputs` takes it
    n_rows = 2 * room + room_for_context(window) + room
    return _make_scratch(n_rows, 2 * (most_rows + SPARE), stride)


def cbow_scratch(lanes: int, n_outputs: int, window: int, most_rows: int, stride: int) -> Scratch:
    """Fresh scratch for one thread; `n_outputs` is 1 + K.

    ``rows`` are the outputs of this position and of the next, filled up to whole blocks; ``inputs``
    the rows of all context words, `most_rows` each.
    """
    block = padded_outputs(lanes)
    return _make_scratch(2 * -(-n_outputs // block) * block, 2 * window * most_rows, stride)


def _make_scratch(n_rows: int, n_inputs: int, stride: int) -> Scratch:
    return Scratch(
        rows=np.zeros(n_rows, np.int64),
        signs=aligned(0),
        inputs=np.zeros(n_inputs + SPARE, np.int64),
        dots=aligned(-(-n_rows // _DOTS_ALIGNMENT) * _DOTS_ALIGNMENT),
        hidden=aligned(2 * stride),
        losses=make_losses(),
        tally=np.zeros(TALLY, np.float64),
    )


@inlined
def append_rows(word_rows, word, stride, inputs, first):
    """Write the offsets of the rows of `word` to `inputs` from `first` on; how many there are.

    Up to `SPARE` - 1 more are written behind them.
    """
    begin = word_rows.offsets[word]
    n = word_rows.offsets[word + 1] - begin
    rows_of_words(word_rows.rows, begin, n, stride, inputs, first)
    return n


@inlined
def rows_of_context(word_rows, text, position, radius, stride, inputs):
    """Write the offsets of all rows of the context words to `inputs`; how many there are."""
    n = 0
    begin, end = context_bounds(text, position, radius)
    for j in range(begin, end):
        if j != position:
            n += append_rows(word_rows, text.inputs[j], stride, inputs, n)
    return n


@inlined
def deal_outputs(text, position, radius, noise, most, window, apart, stride, outputs, first):
    """Write the outputs of `position` to `outputs` from `first` on; how many are context words.

    Each group begins with its context words, of which two groups have the same number or one more.
    """
    contexts = 2 * GROUP * n_groups(2 * window, most)
    noises = contexts + 2 * window + 1 + SPARE
    n = context_rows(text, position, radius, stride, outputs, contexts)
    groups = n_groups(n, most)
    draw_shared(position, noise, apart, groups * GROUP - n, stride, outputs, noises)
    done = 0
    for g in range(groups):
        end = n * (g + 1) // groups
        place = first + GROUP * g
        for k in range(end - done):
            outputs[place + k] = outputs[contexts + done + k]
        for k in range(end - done, GROUP):
            outputs[place + k] = outputs[noises + GROUP * g - end + k]
        done = end
    return n


@inlined
def _meet(lanes, n_vectors, block, n_blocks, n_words, n, weight, syn1, stride, first, lr, scratch):
    """One step on the hidden vector by `n` outputs, `n_words` of which are to be predicted."""
    outputs, dots, hidden = scratch.rows, scratch.dots, scratch.hidden
    for b in range(n_blocks):
        o, d = first + b * block, b * block
        block_dots(lanes, block, 1, hidden, syn1, SINGLE, 1, outputs, o, n_vectors, dots, d)
    hidden_gradients(lanes, n_words, n, weight, lr, dots, scratch.losses)
    update_with_hidden(lanes, n_vectors, syn1, outputs, first, n, dots, hidden, stride)


@inlined
def shared_step(
    lanes, n_vectors, block, n_outputs, syn0, syn1, stride, here, n_inputs, n, now, lr, scratch
):
    """Skip-gram: `n_inputs` rows of a centre word against its `n` context words, in groups.

    Args:
        block: `padded_outputs`. here: where the inputs begin. now: where the outputs begin.
    """
    inputs, hidden = scratch.inputs, scratch.hidden
    gather_hidden(lanes, n_vectors, syn0, inputs, here, n_inputs, hidden, stride)
    groups, done = n_groups(n, words_in_group(n_outputs)), 0
    for g in range(groups):
        end = n * (g + 1) // groups
        n_words = end - done
        done = end
        weight = np.float32(n_words * (n_outputs - 1)) / np.float32(GROUP - n_words)
        _meet(
            lanes, n_vectors, block, GROUP // block, n_words, GROUP, weight, syn1, stride,
            now + GROUP * g, lr, scratch,
        )  # fmt: skip
    scatter_hidden(lanes, n_vectors, syn0, inputs, here, n_inputs, hidden, stride, np.float32(1.0))


@inlined
def context_step(
    lanes, n_vectors, block, n_outputs, syn0, syn1, stride, n, now, lr, divide, scratch
):
    """CBOW: the mean of `n` rows of context words against 1 + K outputs; args as above."""
    outputs, inputs, hidden = scratch.rows, scratch.inputs, scratch.hidden
    n_blocks = n_groups(n_outputs, block)
    for k in range(n_outputs, n_blocks * block):
        outputs[now + k] = outputs[now]
    gather_hidden(lanes, n_vectors, syn0, inputs, 0, n, hidden, stride)
    one = np.float32(1.0)
    _meet(lanes, n_vectors, block, n_blocks, 1, n_outputs, one, syn1, stride, now, lr, scratch)
    share = one / np.float32(n) if divide else one
    scatter_hidden(lanes, n_vectors, syn0, inputs, 0, n, hidden, stride, share)
