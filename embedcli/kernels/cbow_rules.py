"""CBOW with negative sampling whose rows are updated by a rule: AdaGrad, dropout, norms.

The windows, negatives and the loss are those of `cbow.py`; what happens with the gradients is said
in `rules.py`. Dropout masks the mean of the context words, which is the input here; the gradient of
each of them is that of the mean, or its share.
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
    take_losses,
)
from embedcli.kernels.cbow import gather_mean
from embedcli.kernels.jit import kernel
from embedcli.kernels.rules import Features, block_errors, draw_mask, multiply_row, update_row
from embedcli.kernels.sampling import draw_outputs, draw_radius
from embedcli.kernels.simd import prefetch
from embedcli.kernels.windows import context_rows

__all__ = ["cbow_by_rule"]


@cache
def cbow_by_rule(
    lanes: int, n_outputs: int, n_vectors: int, features: Features
) -> Callable[..., None]:
    """The kernel for the sizes of `cbow.cbow` and what `features` says, all constants."""
    adagrad, dropout, max_norm, frozen = features
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
        divide: Any,
        scratch: Any,
        dim: Any,
        rule: Any,
        rows_of: Any,
    ) -> None:
        """Train on the centre words ``staged.kept[start:stop]``.

        Args as in `cbow.train_slice` and `skipgram_rules.train_slice`.
        """
        kept, syn0, syn1neg, stride = staged.kept, weights.syn0, weights.syn1neg, weights.stride
        rows, inputs, dots = scratch.rows, scratch.inputs, scratch.dots
        places, hidden, masks = rows_of.places, rows_of.hidden, rows_of.masks
        errors, deltas = rows_of.errors, rows_of.deltas
        n_words = syn1neg.shape[0] // stride
        losses = scratch.losses
        one = np.float32(1.0)
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
                gather_mean(lanes, syn0, inputs, n, n_vectors, hidden)
                if dropout:
                    draw_mask(key, np.int64(i), dim, rule.dropout, masks, 0)
                    multiply_row(lanes, hidden, masks, 0, n_vectors)
                for b in range(n_full):
                    o, d, has_centre = now + full * b, DOTS_STRIDE * b, np.int64(b == 0)
                    block_dots(
                        lanes, full, 1, hidden, syn1neg, places, 1, rows, o, n_vectors, dots, d
                    )
                    block_gradients(lanes, full, 1, 1, dots, d, has_centre, one, losses)
                if n_rest:
                    o, d = now + full * n_full, DOTS_STRIDE * n_full
                    has_centre = np.int64(n_full == 0)
                    block_dots(
                        lanes, rest, 1, hidden, syn1neg, places, 1, rows, o, n_vectors, dots, d
                    )
                    block_gradients(lanes, rest, 1, 1, dots, d, has_centre, one, losses)
                for b in range(n_full):
                    block_errors(
                        lanes, full, 1, syn1neg, rows, now + full * b, n_vectors, places, 1,
                        stride, hidden, dots, DOTS_STRIDE * b, errors, deltas, full * b * stride,
                        b == 0,
                    )  # fmt: skip
                if n_rest:
                    block_errors(
                        lanes, rest, 1, syn1neg, rows, now + full * n_full, n_vectors, places, 1,
                        stride, hidden, dots, DOTS_STRIDE * n_full, errors, deltas,
                        full * n_full * stride, n_full == 0,
                    )  # fmt: skip
                if dropout:
                    multiply_row(lanes, errors, masks, 0, n_vectors)
                share = one / np.float32(n) if divide else one
                for j in range(n):
                    word = inputs[j] // stride
                    if frozen and rule.frozen[word]:
                        continue
                    update_row(
                        lanes, adagrad, max_norm, syn0, inputs[j], n_vectors, dim, errors, 0,
                        share, lr, rule.l2, rule.squares0, word, rule.max_norm,
                    )  # fmt: skip
                for k in range(n_outputs):
                    offset = rows[now + k]
                    update_row(
                        lanes, adagrad, max_norm, syn1neg, offset, n_vectors, dim, deltas,
                        k * stride, one, lr, rule.l2, rule.squares1, offset // stride,
                        rule.max_norm,
                    )  # fmt: skip
                n_pairs += n_outputs
                n_trained += 1
            now, ahead = ahead, now
        scratch.tally[0] += take_losses(losses)
        scratch.tally[1] += n_pairs
        scratch.tally[2] += n_trained
        scratch.tally[3] += n_alone

    return train_slice
