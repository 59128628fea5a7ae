"""Skip-gram whose input is a word made of its subwords, over the words of a slice.

The input is the *centre* word, as in fastText, where plain skip-gram (`skipgram.py`) takes a
context word: so the mean h of its rows is made once for all words of its window, and written back
once. The outputs meet it in groups of `GROUP`: p context words, and the noise words there is then
room for, which they share, each weighing p K / (GROUP - p) (`hidden.py`). With K = 5 these are 2
and 14; h moves on after each group. Fewer noise words would be faster, and cost accuracy
(docs/training.md).

As in `skipgram.py` the rows of the next position are on their way while this one is worked on.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numba
import numpy as np

from embedcli.kernels.blocks import SINGLE, block_dots, take_losses
from embedcli.kernels.hidden import gather_mean, hidden_gradients, scatter_add, update_outputs
from embedcli.kernels.jit import kernel
from embedcli.kernels.parts import append_rows, make_parts_scratch, padded_outputs
from embedcli.kernels.sampling import SPARE, draw_radius, draw_shared
from embedcli.kernels.simd import prefetch
from embedcli.kernels.weights import Scratch
from embedcli.kernels.windows import context_rows, room_for_context

__all__ = [
    "GROUP",
    "n_groups",
    "subword_skipgram",
    "subword_skipgram_scratch",
    "usual_noise",
    "words_in_group",
]

GROUP = 16  # outputs that meet one state of the hidden vector: the lanes of the widest vector


def words_in_group(negative: int) -> int:
    """p, the words to predict in a group at most: those that leave room for K noise words each."""
    return max(1, GROUP // (1 + negative))


def n_groups(n_words: int, most: int) -> int:
    """Groups that so many words are dealt to, at most `most` each."""
    return -(-n_words // most)


@numba.njit(inline="always")
def usual_noise(window: Any, shrink: Any, most: Any) -> Any:
    """Noise words that four windows in five need at most; all, where windows do not shrink."""
    n_words = 2 * ((4 * window + 4) // 5 if shrink else window)
    return GROUP * ((n_words + most - 1) // most) - n_words


def subword_skipgram_scratch(
    lanes: int, negative: int, window: int, most_rows: int, stride: int
) -> Scratch:
    """Fresh scratch for one thread.

    ``rows`` are the outputs of this position and of the next, group after group, and behind them
    the context and the noise words of one, before they are dealt to groups; ``inputs`` are the rows
    of both words, `most_rows` each.
    """
    room = GROUP * n_groups(2 * window, words_in_group(negative))
    n_outputs = 2 * room + room_for_context(window) + room
    return make_parts_scratch(n_outputs, 2 * (most_rows + SPARE), stride)


@numba.njit(inline="always")
def _deal_outputs(
    staged: Any,
    position: Any,
    radius: Any,
    noise: Any,
    most: Any,
    window: Any,
    apart: Any,
    stride: Any,
    outputs: Any,
    first: Any,
) -> Any:
    """Write the outputs of `position` to `outputs` from `first` on; how many are context words.

    Each group begins with its context words, of which two groups have the same number or one more.
    """
    room = GROUP * ((2 * window + most - 1) // most)
    contexts = 2 * room
    noises = contexts + 2 * window + 1 + SPARE
    n = context_rows(staged, position, radius, stride, outputs, contexts)
    groups = (n + most - 1) // most
    draw_shared(position, noise, apart, groups * GROUP - n, stride, outputs, noises)
    done = 0
    for g in range(groups):
        end = n * (g + 1) // groups
        at = first + GROUP * g
        for k in range(end - done):
            outputs[at + k] = outputs[contexts + done + k]
        for k in range(end - done, GROUP):
            outputs[at + k] = outputs[noises + GROUP * g - end + k]
        done = end
    return n


@cache
def subword_skipgram(lanes: int, negative: int, n_vectors: int) -> Callable[..., None]:
    """The kernel for `lanes` lanes, K = `negative`, and rows of `n_vectors` vectors.

    All three are constants to the compiler.
    """
    most = words_in_group(negative)
    block = padded_outputs(lanes)
    width = n_vectors * lanes

    @kernel
    def train_slice(
        staged: Any,
        start: Any,
        stop: Any,
        weights: Any,
        noise: Any,
        window: Any,
        shrink: Any,
        key: Any,
        lr: Any,
        scratch: Any,
        parts: Any,
    ) -> None:
        """Train on the centre words ``staged.kept[start:stop]``.

        Args as in `skipgram.train_slice`; `weights.syn0` has the rows of words and subwords, and

            parts: `Parts`. scratch: `subword_skipgram_scratch`; its tally counts n (1 + K) pairs a
            word, as the loss is that of so many.
        """
        kept, syn0, syn1neg, stride = staged.kept, weights.syn0, weights.syn1neg, weights.stride
        outputs, inputs, dots, hidden = scratch.rows, scratch.inputs, scratch.dots, scratch.hidden
        losses = scratch.losses
        n_pairs, n_trained, n_alone = 0, 0, 0
        now, ahead = 0, GROUP * ((2 * window + most - 1) // most)
        here, there = 0, inputs.shape[0] // 2
        apart = usual_noise(window, shrink, most)
        radius = draw_radius(key, start, window) if shrink else window
        n = _deal_outputs(staged, start, radius, noise, most, window, apart, stride, outputs, now)
        n_inputs = append_rows(parts, kept[start], stride, inputs, here)
        n_next, n_inputs_next = n, n_inputs
        for i in range(start, stop):
            if i + 1 < stop:
                n_inputs_next = append_rows(parts, kept[i + 1], stride, inputs, there)
                for j in range(n_inputs_next):
                    prefetch(syn0, inputs[there + j], width)
                radius = draw_radius(key, i + 1, window) if shrink else window
                n_next = _deal_outputs(
                    staged, i + 1, radius, noise, most, window, apart, stride, outputs, ahead
                )
                for k in range(GROUP * ((n_next + most - 1) // most)):
                    prefetch(syn1neg, outputs[ahead + k], width)
            if n == 0:
                n_alone += 1
            else:
                gather_mean(lanes, n_vectors, syn0, inputs, here, n_inputs, hidden, stride)
                groups, done = (n + most - 1) // most, 0
                for g in range(groups):
                    end = n * (g + 1) // groups
                    at, n_words = now + GROUP * g, end - done
                    done = end
                    for b in range(GROUP // block):
                        o, d = at + b * block, b * block
                        block_dots(
                            lanes, block, 1, hidden, syn1neg, SINGLE, 1, outputs, o, n_vectors,
                            dots, d,
                        )  # fmt: skip
                    weight = np.float32(n_words * negative) / np.float32(GROUP - n_words)
                    hidden_gradients(lanes, n_words, GROUP, weight, lr, dots, losses)
                    update_outputs(
                        lanes, n_vectors, syn1neg, outputs, at, GROUP, dots, hidden, stride
                    )
                share = np.float32(1.0)
                scatter_add(lanes, n_vectors, syn0, inputs, here, n_inputs, hidden, stride, share)
                n_pairs += n * (1 + negative)
                n_trained += 1
            now, ahead = ahead, now
            here, there = there, here
            n, n_inputs = n_next, n_inputs_next
        scratch.tally[0] += take_losses(losses)
        scratch.tally[1] += n_pairs
        scratch.tally[2] += n_trained
        scratch.tally[3] += n_alone

    return train_slice
