"""Skip-gram with negative sampling whose rows are updated by a rule: AdaGrad, dropout, norms.

The windows, negatives and the loss are those of `skipgram.py`; what happens with the gradients is
said in `rules.py`. All gradients of a window are taken from its rows as they were, which the plain
kernel does block by block only.
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
from embedcli.kernels.jit import kernel
from embedcli.kernels.rules import (
    Features,
    block_errors,
    copy_row,
    draw_mask,
    multiply_row,
    update_row,
)
from embedcli.kernels.sampling import draw_outputs, draw_radius
from embedcli.kernels.simd import prefetch
from embedcli.kernels.windows import context_rows

__all__ = ["skipgram_by_rule"]


@cache
def skipgram_by_rule(
    lanes: int, n_outputs: int, n_vectors: int, features: Features
) -> Callable[..., None]:
    """The kernel for the sizes of `skipgram.skipgram` and what `features` says, all constants."""
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
        scratch: Any,
        dim: Any,
        rule: Any,
        rows_of: Any,
    ) -> None:
        """Train on the centre words ``staged.kept[start:stop]``.

        Args as in `skipgram.train_slice`, and `dim`: components of a row. rule: `Rule`, whose
        squares are updated. rows_of: `RuleScratch`.
        """
        kept, syn0, syn1neg, stride = staged.kept, weights.syn0, weights.syn1neg, weights.stride
        rows, inputs, dots = scratch.rows, scratch.inputs, scratch.dots
        places, hidden, masks = rows_of.places, rows_of.hidden, rows_of.masks
        errors, deltas = rows_of.errors, rows_of.deltas
        n_words = syn1neg.shape[0] // stride
        per_block = window * DOTS_STRIDE
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
                for j in range(n):
                    copy_row(lanes, syn0, inputs[j], n_vectors, hidden, j * stride)
                    if dropout:
                        number = np.int64(i) * 2 * window + j
                        draw_mask(key, number, dim, rule.dropout, masks, j * stride)
                        multiply_row(lanes, hidden, masks, j * stride, n_vectors)
                places[n] = places[n - 1]  # an odd number is filled up to pairs
                for b in range(n_full):
                    o, d = now + full * b, b * per_block
                    block_dots(
                        lanes, full, 2, hidden, syn1neg, places, n, rows, o, n_vectors, dots, d
                    )
                    has_centre = np.int64(b == 0)
                    block_gradients(lanes, full, 2, n, dots, d, has_centre, one, losses)
                if n_rest:
                    o, d = now + full * n_full, n_full * per_block
                    block_dots(
                        lanes, rest, 2, hidden, syn1neg, places, n, rows, o, n_vectors, dots, d
                    )
                    has_centre = np.int64(n_full == 0)
                    block_gradients(lanes, rest, 2, n, dots, d, has_centre, one, losses)
                places[n] = n * stride
                for b in range(n_full):
                    block_errors(
                        lanes, full, 2, syn1neg, rows, now + full * b, n_vectors, places, n,
                        stride, hidden, dots, b * per_block, errors, deltas, full * b * stride,
                        b == 0,
                    )  # fmt: skip
                if n_rest:
                    block_errors(
                        lanes, rest, 2, syn1neg, rows, now + full * n_full, n_vectors, places, n,
                        stride, hidden, dots, n_full * per_block, errors, deltas,
                        full * n_full * stride, n_full == 0,
                    )  # fmt: skip
                for j in range(n):
                    word, at = inputs[j] // stride, j * stride
                    if frozen and rule.frozen[word]:
                        continue
                    if dropout:
                        multiply_row(lanes, errors, masks, at, n_vectors)
                    update_row(
                        lanes, adagrad, max_norm, syn0, inputs[j], n_vectors, dim, errors, at,
                        one, lr, rule.l2, rule.squares0, word, rule.max_norm,
                    )  # fmt: skip
                for k in range(n_outputs):
                    offset = rows[now + k]
                    update_row(
                        lanes, adagrad, max_norm, syn1neg, offset, n_vectors, dim, deltas,
                        k * stride, one, lr, rule.l2, rule.squares1, offset // stride,
                        rule.max_norm,
                    )  # fmt: skip
                n_pairs += n * n_outputs
                n_trained += 1
            now, ahead = ahead, now
        scratch.tally[0] += take_losses(losses)
        scratch.tally[1] += n_pairs
        scratch.tally[2] += n_trained
        scratch.tally[3] += n_alone

    return train_slice
