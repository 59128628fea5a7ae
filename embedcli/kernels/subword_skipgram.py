"""Skip-gram whose input is a word made of its subwords, over the words of a slice.

The input is the *centre* word, as in fastText, where plain skip-gram (`skipgram.py`) takes a
context word: so the mean of its rows is made once for all words of its window. It meets the n
context words and M noise words, which they share, each weighing n K / M (`hidden.py`).

As in `skipgram.py` the rows of the next position are on their way while this one is worked on.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from embedcli.kernels.blocks import block_dots, take_losses
from embedcli.kernels.hidden import gather_mean, hidden_gradients, scatter_add, update_outputs
from embedcli.kernels.jit import kernel
from embedcli.kernels.parts import append_rows, make_parts_scratch, padded_outputs
from embedcli.kernels.sampling import SPARE, draw_radius, draw_shared
from embedcli.kernels.simd import prefetch
from embedcli.kernels.weights import Scratch
from embedcli.kernels.windows import context_rows, room_for_context

__all__ = ["subword_skipgram", "subword_skipgram_scratch"]


def subword_skipgram_scratch(
    lanes: int, n_shared: int, window: int, most_rows: int, stride: int
) -> Scratch:
    """Fresh scratch for one thread.

    ``rows`` are the outputs of a position, filled up to whole blocks, and behind them the negatives
    of this position and of the next; ``inputs`` the rows of both words, `most_rows` each.
    """
    block = padded_outputs(lanes)
    n_outputs = max(2 * window + n_shared, room_for_context(window))
    n_padded = -(-n_outputs // block) * block
    return make_parts_scratch(n_padded + 2 * n_shared, 2 * (most_rows + SPARE), stride)


@cache
def subword_skipgram(lanes: int, n_shared: int, n_vectors: int) -> Callable[..., None]:
    """The kernel for `lanes` lanes, M = `n_shared`, and rows of `n_vectors` vectors.

    All three are constants to the compiler.
    """
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
        negative: Any,
    ) -> None:
        """Train on the centre words ``staged.kept[start:stop]``.

        Args as in `skipgram.train_slice`; `weights.syn0` has the rows of words and subwords, and

            parts: `Parts`. negative: K. scratch: `subword_skipgram_scratch`; its tally counts
            n (1 + K) pairs a word, as the loss is that of so many.
        """
        kept, syn0, syn1neg, stride = staged.kept, weights.syn0, weights.syn1neg, weights.stride
        outputs, inputs, dots, hidden = scratch.rows, scratch.inputs, scratch.dots, scratch.hidden
        only = np.zeros(1, np.int64)  # the one "input row" of a block is `hidden` at offset 0
        losses = scratch.losses
        n_pairs, n_trained, n_alone = 0, 0, 0
        now, ahead = outputs.shape[0] - 2 * n_shared, outputs.shape[0] - n_shared
        here, there = 0, inputs.shape[0] // 2
        draw_shared(start, noise, n_shared, stride, outputs, now)
        n_inputs = append_rows(parts, kept[start], stride, inputs, here)
        n_next = n_inputs
        for i in range(start, stop):
            if i + 1 < stop:
                n_next = append_rows(parts, kept[i + 1], stride, inputs, there)
                for j in range(n_next):
                    prefetch(syn0, inputs[there + j], width)
                draw_shared(i + 1, noise, n_shared, stride, outputs, ahead)
                for k in range(n_shared):
                    prefetch(syn1neg, outputs[ahead + k], width)
                if i + 1 + window < staged.last[i]:
                    prefetch(syn1neg, np.int64(kept[i + 1 + window]) * stride, width)
            radius = draw_radius(key, i, window) if shrink else window
            n = context_rows(staged, i, radius, stride, outputs, 0)
            if n == 0:
                n_alone += 1
            else:
                n_outputs = n + n_shared
                for k in range(n_shared):
                    outputs[n + k] = outputs[now + k]
                n_blocks = (n_outputs + block - 1) // block
                for k in range(n_outputs, n_blocks * block):
                    outputs[k] = outputs[0]
                gather_mean(lanes, n_vectors, syn0, inputs, here, n_inputs, hidden)
                for b in range(n_blocks):
                    at = b * block
                    block_dots(
                        lanes, block, 1, hidden, syn1neg, only, 1, outputs, at, n_vectors, dots, at
                    )
                weight = np.float32(n * negative) / np.float32(n_shared)
                hidden_gradients(lanes, n, n_outputs, weight, lr, dots, losses)
                update_outputs(
                    lanes, n_vectors, syn1neg, outputs, 0, n_outputs, dots, hidden, stride
                )
                scatter_add(
                    lanes, n_vectors, syn0, inputs, here, n_inputs, hidden, stride, np.float32(1.0)
                )
                n_pairs += n * (1 + negative)
                n_trained += 1
            now, ahead = ahead, now
            here, there = there, here
            n_inputs = n_next
        scratch.tally[0] += take_losses(losses)
        scratch.tally[1] += n_pairs
        scratch.tally[2] += n_trained
        scratch.tally[3] += n_alone

    return train_slice
