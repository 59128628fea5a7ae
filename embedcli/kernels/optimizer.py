"""What a variant of a kernel does with a gradient before it reaches a row.

A plain kernel adds ``lr g`` to a row as it goes. A variant takes one step on a whole window: the
dots of copies of the input rows (with dropout, of masked copies), then the gradients of all its
rows from the rows as they were, and then each row by a optimizer::

    e_j = m_j * sum_k g_jk o_k      d_k = sum_j g_jk (m_j * x_j)      g = label - sigma(dot)

    r = e - l2 x                            of an input row x; of an output row, r = d - l2 o
    rate = lr                               SGD
    G += mean(r^2), rate = lr / (sqrt(G) + 1e-8)       row-wise AdaGrad: one number G for each row
    x += rate r
    x *= min(1, max_norm / |x|)             where the norm is limited
    x stays as it is                        where it is a frozen input row

AdaGrad (Duchi, Hazan & Singer 2011) keeps a sum of squares for each component; one for each row is
what embedding tables of recommenders use (FBGEMM's ``rowwise_adagrad``), and takes 4 bytes a row
instead of 4 D. The mask m is that of inverted dropout (Srivastava et al. 2014): each component is 0
with probability p, else 1 / (1 - p).

Which of this a kernel does is compiled in (`Features`); the numbers are given at run time
(`Optimizer`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numpy.typing import NDArray

from embedcli.kernels.alignment import aligned
from embedcli.kernels.intrinsics.blocks import BLOCK_OUTPUTS, DOTS_STRIDE, block_errors
from embedcli.kernels.intrinsics.matrix_rows import copy_row, multiply_row
from embedcli.kernels.intrinsics.means import gather_mean
from embedcli.kernels.intrinsics.updates import update_row
from embedcli.kernels.jit import inlined
from embedcli.kernels.sampling import GOLDEN, mix
from embedcli.kernels.steps import gradients_of_outputs

__all__ = [
    "DROPOUT",
    "Features",
    "Optimizer",
    "OptimizerScratch",
    "draw_mask",
    "make_optimizer",
    "make_optimizer_scratch",
    "optimizer_step",
]

DROPOUT = np.uint64(0x8CB92BA72F3D8DD7)  # separates the stream of masks from that of windows

_Generated = tuple[Any, Callable[..., ir.Value]]


class Features(NamedTuple):
    """What a kernel does, as constants to the compiler; l2 costs nothing and is always there.

    Attributes:
        adagrad: rates by row-wise AdaGrad, not the same one for every row.
        dropout: input vectors lose components at random.
        max_norm: rows are not longer than ``Optimizer.max_norm``.
        frozen: the rows of syn0 that ``Optimizer.frozen`` marks stay bit for bit.
    """

    adagrad: int = 0
    dropout: int = 0
    max_norm: int = 0
    frozen: int = 0


class Optimizer(NamedTuple):
    """The numbers of a optimizer, and what it keeps for each row.

    Attributes:
        squares0, squares1: float32 (V,), AdaGrad's G of the rows of syn0 and syn1neg; (1,) without.
        frozen: uint8 (V,), 1 where a row of syn0 stays; (1,) where none does.
        l2: float32.
        dropout: float32, the probability p of a component to be 0.
        max_norm: float32.
    """

    squares0: NDArray[np.float32]
    squares1: NDArray[np.float32]
    frozen: NDArray[np.uint8]
    l2: np.float32
    dropout: np.float32
    max_norm: np.float32


class OptimizerScratch(NamedTuple):
    """What one thread writes on the way; rows of `stride` floats.

    Attributes:
        places: int64 (2 * window + 1,), offsets of the rows in the next three.
        hidden: float32, the copies of the input rows.
        masks: float32, what they are multiplied by.
        errors: float32, the gradients of the input rows.
        deltas: float32, the gradients of the 1 + K output rows.
    """

    places: NDArray[np.int64]
    hidden: NDArray[np.float32]
    masks: NDArray[np.float32]
    errors: NDArray[np.float32]
    deltas: NDArray[np.float32]


def make_optimizer(
    n_words: int,
    features: Features,
    *,
    l2: float = 0.0,
    dropout: float = 0.0,
    max_norm: float = 0.0,
    frozen: NDArray[np.bool_] | None = None,
) -> Optimizer:
    """The optimizer of a run on `n_words` words, at its beginning; `frozen`: bool (V,), or None."""
    n_squares = n_words if features.adagrad else 1
    marks = np.zeros(n_words if features.frozen else 1, np.uint8)
    if features.frozen and frozen is not None:
        marks[:] = frozen
    return Optimizer(
        np.zeros(n_squares, np.float32),
        np.zeros(n_squares, np.float32),
        marks,
        np.float32(l2),
        np.float32(dropout),
        np.float32(max_norm),
    )


def make_optimizer_scratch(n_outputs: int, window: int, stride: int) -> OptimizerScratch:
    """Fresh scratch for one thread; `n_outputs` is 1 + K."""
    n_inputs = 2 * window + 1
    return OptimizerScratch(
        np.arange(n_inputs, dtype=np.int64) * stride,
        aligned(n_inputs * stride),
        aligned(n_inputs * stride),
        aligned(n_inputs * stride),
        aligned(n_outputs * stride),
    )


@inlined
def draw_mask(key, number, dim, dropout, masks, at) -> None:
    """Write the mask of one input row to ``masks[at:at + dim]``: 0, or 1 / (1 - dropout).

    Args:
        key: uint64, of the chunk. number: int64, another for each row that the chunk masks.
        dim: int64. dropout: float32, taken to the next 1/65536. masks: float32. at: int64.
    """
    limit = np.uint64(dropout * np.float32(65536.0))
    kept = np.float32(1.0) / (np.float32(1.0) - dropout)
    counter = mix(key + DROPOUT) + np.uint64(number) * np.uint64((dim + 3) // 4) * GOLDEN
    bits = np.uint64(0)
    for c in range(dim):
        if c % 4 == 0:
            counter += GOLDEN
            bits = mix(counter)
        masks[at + c] = np.float32(0.0) if (bits & np.uint64(0xFFFF)) < limit else kept
        bits >>= np.uint64(16)


@cache
def optimizer_step(
    lanes: int, n_rest: int, is_cbow: bool, features: Features
) -> Callable[..., None]:
    """The step on one window that an optimizer takes; args as in `window_step`."""
    adagrad, dropout, max_norm, frozen = features
    together = 1 if is_cbow else 2
    gradients = gradients_of_outputs(lanes, n_rest, together)

    @inlined
    def step(
        n_vectors, number, key, weights, inputs, n, now, n_outputs, window, lr, divide, scratch,
        more,
    ):  # fmt: skip
        """Train `n` input rows against the outputs whose offsets begin at `now`.

        Args:
            number: of the first row that is masked. key: of the chunk.
            more: components of a row, `Optimizer` (its squares are updated), `OptimizerScratch`.
        """
        dim, optimizer, rows_of = more
        syn0, syn1, stride = weights.syn0, weights.syn1neg, weights.stride
        rows, dots, places, hidden = scratch.rows, scratch.dots, rows_of.places, rows_of.hidden
        masks, errors, deltas = rows_of.masks, rows_of.errors, rows_of.deltas
        one, n_full = np.float32(1.0), n_outputs // BLOCK_OUTPUTS
        if is_cbow:
            n_hidden, per_block = 1, DOTS_STRIDE
            gather_mean(lanes, syn0, inputs, n, n_vectors, hidden)
            if dropout:
                draw_mask(key, np.int64(number), dim, optimizer.dropout, masks, 0)
                multiply_row(lanes, hidden, masks, 0, n_vectors)
            gradients(n_vectors, n_outputs, per_block, hidden, places, 1, syn1, now, one, scratch)
        else:
            n_hidden, per_block = n, window * DOTS_STRIDE
            for j in range(n):
                copy_row(lanes, n_vectors, syn0, inputs[j], hidden, j * stride)
                if dropout:
                    draw_mask(key, np.int64(number + j), dim, optimizer.dropout, masks, j * stride)
                    multiply_row(lanes, hidden, masks, j * stride, n_vectors)
            places[n] = places[n - 1]  # an odd number is filled up to pairs
            gradients(n_vectors, n_outputs, per_block, hidden, places, n, syn1, now, one, scratch)
            places[n] = n * stride
        for b in range(n_full):
            block_errors(
                lanes, BLOCK_OUTPUTS, together, syn1, rows, now + BLOCK_OUTPUTS * b, n_vectors,
                places, n_hidden, stride, hidden, dots, b * per_block, errors, deltas,
                BLOCK_OUTPUTS * b * stride, b == 0,
            )  # fmt: skip
        if n_rest:
            block_errors(
                lanes, n_rest, together, syn1, rows, now + BLOCK_OUTPUTS * n_full, n_vectors,
                places, n_hidden, stride, hidden, dots, n_full * per_block, errors, deltas,
                BLOCK_OUTPUTS * n_full * stride, n_full == 0,
            )  # fmt: skip
        if is_cbow and dropout:
            multiply_row(lanes, errors, masks, 0, n_vectors)
        share = one / np.float32(n) if is_cbow and divide else one
        for j in range(n):
            word, place = inputs[j] // stride, 0 if is_cbow else j * stride
            if frozen and optimizer.frozen[word]:
                continue
            if dropout and not is_cbow:
                multiply_row(lanes, errors, masks, place, n_vectors)
            update_row(
                lanes, adagrad, max_norm, syn0, inputs[j], n_vectors, dim, errors, place, share, lr,
                optimizer.l2, optimizer.squares0, word, optimizer.max_norm,
            )  # fmt: skip
        for k in range(n_outputs):
            offset = rows[now + k]
            update_row(
                lanes, adagrad, max_norm, syn1, offset, n_vectors, dim, deltas, k * stride, one, lr,
                optimizer.l2, optimizer.squares1, offset // stride, optimizer.max_norm,
            )  # fmt: skip

    return step
