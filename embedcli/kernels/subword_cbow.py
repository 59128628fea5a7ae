"""CBOW whose inputs are words made of their subwords, over the words of a slice.

As in fastText the hidden vector is the mean of *all* rows of the context words, their own and those
of their subwords, each row counting once; a word of many n-grams counts for more. The outputs are
the centre word and K negatives. Each row gets the whole gradient of the mean, or its share
(`cbow.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from embedcli.kernels.blocks import SINGLE, block_dots, take_losses
from embedcli.kernels.hidden import gather_mean, hidden_gradients, scatter_add, update_outputs
from embedcli.kernels.jit import kernel
from embedcli.kernels.parts import append_rows, make_parts_scratch, padded_outputs
from embedcli.kernels.sampling import draw_outputs, draw_radius
from embedcli.kernels.simd import prefetch
from embedcli.kernels.weights import Scratch

__all__ = ["subword_cbow", "subword_cbow_scratch"]


def subword_cbow_scratch(
    lanes: int, n_outputs: int, window: int, most_rows: int, stride: int
) -> Scratch:
    """Fresh scratch for one thread.

    ``rows`` are the outputs of this position and of the next, filled up to whole blocks; ``inputs``
    the rows of all context words, `most_rows` each.
    """
    block = padded_outputs(lanes)
    return make_parts_scratch(2 * (-(-n_outputs // block) * block), 2 * window * most_rows, stride)


@cache
def subword_cbow(lanes: int, n_outputs: int, n_vectors: int) -> Callable[..., None]:
    """The kernel for `lanes` lanes, 1 + K = `n_outputs`, and rows of `n_vectors` vectors.

    All three are constants to the compiler.
    """
    block = padded_outputs(lanes)
    n_blocks = -(-n_outputs // block)
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
        divide: Any,
        scratch: Any,
        parts: Any,
    ) -> None:
        """Train on the centre words ``staged.kept[start:stop]``.

        Args as in `subword_skipgram.train_slice` and `cbow.train_slice`.
        """
        kept, syn0, syn1neg, stride = staged.kept, weights.syn0, weights.syn1neg, weights.stride
        outputs, inputs, dots, hidden = scratch.rows, scratch.inputs, scratch.dots, scratch.hidden
        n_words = syn1neg.shape[0] // stride
        losses = scratch.losses
        n_pairs, n_trained, n_alone = 0, 0, 0
        now, ahead = 0, n_blocks * block
        draw_outputs(np.int64(kept[start]), start, noise, n_outputs, stride, n_words, outputs, now)
        for i in range(start, stop):
            if i + 1 < stop:
                centre = np.int64(kept[i + 1])
                draw_outputs(centre, i + 1, noise, n_outputs, stride, n_words, outputs, ahead)
                for k in range(n_outputs):
                    prefetch(syn1neg, outputs[ahead + k], width)
                if i + 1 + window < staged.last[i]:
                    word = kept[i + 1 + window]
                    for j in range(parts.offsets[word], parts.offsets[word + 1]):
                        prefetch(syn0, np.int64(parts.rows[j]) * stride, width)
            radius = draw_radius(key, i, window) if shrink else window
            n = 0
            for j in range(max(staged.first[i], i - radius), min(staged.last[i], i + radius + 1)):
                if j != i:
                    n += append_rows(parts, kept[j], stride, inputs, n)
            if n == 0:
                n_alone += 1
            else:
                for k in range(n_outputs, n_blocks * block):
                    outputs[now + k] = outputs[now]
                gather_mean(lanes, n_vectors, syn0, inputs, 0, n, hidden, stride)
                for b in range(n_blocks):
                    o, d = now + b * block, b * block
                    block_dots(
                        lanes, block, 1, hidden, syn1neg, SINGLE, 1, outputs, o, n_vectors, dots, d
                    )
                hidden_gradients(lanes, 1, n_outputs, np.float32(1.0), lr, dots, losses)
                update_outputs(
                    lanes, n_vectors, syn1neg, outputs, now, n_outputs, dots, hidden, stride
                )
                share = np.float32(1.0) / np.float32(n) if divide else np.float32(1.0)
                scatter_add(lanes, n_vectors, syn0, inputs, 0, n, hidden, stride, share)
                n_pairs += n_outputs
                n_trained += 1
            now, ahead = ahead, now
        scratch.tally[0] += take_losses(losses)
        scratch.tally[1] += n_pairs
        scratch.tally[2] += n_trained
        scratch.tally[3] += n_alone

    return train_slice
