"""Skip-gram with negative sampling, as one compiled loop over the words of a slice.

As in word2vec.c, the input is the row of a *context* word and the outputs are the centre word and
K negatives. Here the context words of a window share the negatives of its centre: one block of
(n inputs) x (1 + K outputs) instead of n small steps (`blocks.py`; the twin in `reference.py`).

The rows of a window are scattered over matrices far larger than any cache, and a miss costs as
much as a third of a window's arithmetic. So while a window is worked on, the rows of the next one
(its outputs, drawn one position ahead, and the context word that enters) are on their way.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from embedcli.kernels.blocks import (
    BLOCK_OUTPUTS,
    DOTS_STRIDE,
    block_dots,
    block_gradients,
    block_update,
    take_losses,
)
from embedcli.kernels.jit import kernel
from embedcli.kernels.sampling import draw_outputs, draw_radius
from embedcli.kernels.simd import prefetch
from embedcli.kernels.windows import context_rows

__all__ = ["skipgram"]


@cache
def skipgram(lanes: int, n_outputs: int, n_vectors: int) -> Callable[..., None]:
    """The kernel for `lanes` lanes, 1 + K = `n_outputs`, and rows of `n_vectors` vectors.

    All three are constants to the compiler, which unrolls by them: about a tenth of the time.
    """
    full = BLOCK_OUTPUTS
    n_full, n_rest = divmod(n_outputs, full)
    rest = n_rest or full  # never zero: the branch below is compiled even if it is never taken
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
    ) -> None:
        """Train on the centre words ``staged.kept[start:stop]``.

        Args:
            staged: `Staged`. weights: `Weights`, updated. noise: `Noise`.
            window: largest radius. shrink: draw radii from 1..window.
            key: uint64, of the chunk. lr: float32. scratch: `Scratch`; its tally gets the summed
            loss [0], pairs [1], centre words trained [2], and words without any context [3].
        """
        kept, syn0, syn1neg, stride = staged.kept, weights.syn0, weights.syn1neg, weights.stride
        rows, inputs, dots = scratch.rows, scratch.inputs, scratch.dots
        n_words = syn1neg.shape[0] // stride
        per_block = window * DOTS_STRIDE
        losses = scratch.losses
        n_pairs, n_trained, n_alone = 0, 0, 0
        now, ahead = 0, n_outputs
        draw_outputs(np.int64(kept[start]), start, noise, n_outputs, stride, n_words, rows, now)
        for i in range(start, stop):
            if i + 1 < stop:
                centre = np.int64(kept[i + 1])
                draw_outputs(centre, i + 1, noise, n_outputs, stride, n_words, rows, ahead)
                for k in range(n_outputs):
                    prefetch(syn1neg, rows[ahead + k], width)
                if i + 1 + window < staged.last[i]:
                    prefetch(syn0, np.int64(kept[i + 1 + window]) * stride, width)
            radius = draw_radius(key, i, window) if shrink else window
            n = context_rows(staged, i, radius, stride, inputs, 0)
            if n == 0:
                n_alone += 1
            else:
                for b in range(n_full):
                    o, d = now + full * b, b * per_block
                    block_dots(
                        lanes, full, 2, syn0, syn1neg, inputs, n, rows, o, n_vectors, dots, d
                    )
                    has_centre = np.int64(b == 0)
                    block_gradients(lanes, full, 2, n, dots, d, has_centre, lr, losses)
                if n_rest:
                    o, d = now + full * n_full, n_full * per_block
                    block_dots(
                        lanes, rest, 2, syn0, syn1neg, inputs, n, rows, o, n_vectors, dots, d
                    )
                    has_centre = np.int64(n_full == 0)
                    block_gradients(lanes, rest, 2, n, dots, d, has_centre, lr, losses)
                for b in range(n_full):
                    o, d = now + full * b, b * per_block
                    block_update(lanes, full, syn0, syn1neg, inputs, n, rows, o, n_vectors, dots, d)
                if n_rest:
                    o, d = now + full * n_full, n_full * per_block
                    block_update(lanes, rest, syn0, syn1neg, inputs, n, rows, o, n_vectors, dots, d)
                n_pairs += n * n_outputs
                n_trained += 1
            now, ahead = ahead, now
        scratch.tally[0] += take_losses(losses)
        scratch.tally[1] += n_pairs
        scratch.tally[2] += n_trained
        scratch.tally[3] += n_alone

    return train_slice
