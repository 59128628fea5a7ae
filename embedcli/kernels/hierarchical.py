"""Skip-gram and CBOW with hierarchical softmax.

The outputs of a centre word are the inner nodes on its path through Huffman's tree (`huffman.py`)
instead of itself and K negatives. With s = 1 where the path takes the first turn at a node and -1
where it takes the second, the probability of the word is the product of all sigma(s x.o); the loss
of a node is -log sigma(s x.o) and its gradient step

    g = lr (label - sigma(x.o)),  label = 1 if s = 1 else 0

which is that of negative sampling with other labels; so all else is as in `skipgram.py` and
`cbow.py`, and blocks do the work. A path has any length: it is cut into blocks of six nodes, and a
rest of 2 or 4 into a smaller one. An odd rest is filled up with a row that is no node's, whose sign
and hence gradient is 0.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from embedcli.kernels.blocks import (
    BLOCK_OUTPUTS,
    DOTS_STRIDE,
    SINGLE,
    LossLanes,
    block_dots,
    block_update,
    take_losses,
)
from embedcli.kernels.cbow import gather_mean, scatter_add, update_outputs
from embedcli.kernels.jit import kernel
from embedcli.kernels.sampling import draw_radius
from embedcli.kernels.simd import I64, Lanes, data_pointer, loop, prefetch
from embedcli.kernels.weights import TALLY, Losses, aligned, dots_of_block, make_losses
from embedcli.kernels.windows import context_rows, room_for_context

__all__ = ["PathScratch", "cbow_hs", "make_path_scratch", "path_gradients", "skipgram_hs"]

_Generated = tuple[Any, Callable[..., ir.Value]]

_STEP = 2  # paths are filled up to a multiple of it


class PathScratch(NamedTuple):
    """What one thread writes between the matrices; as `Scratch`, for paths.

    Attributes:
        rows: int64 (2 * longest,), offsets of the nodes' rows of this position and of the next.
        signs: float32 (2 * blocks * `DOTS_STRIDE`,), block after block the signs of its nodes, once
            for each of two inputs, as the dots are laid.
        inputs, dots, hidden, losses, tally: as in `Scratch`.
    """

    rows: NDArray[np.int64]
    signs: NDArray[np.float32]
    inputs: NDArray[np.int64]
    dots: NDArray[np.float32]
    hidden: NDArray[np.float32]
    losses: Losses
    tally: NDArray[np.float64]


def make_path_scratch(longest: int, window: int, stride: int) -> PathScratch:
    """Fresh scratch for one thread and paths of up to `longest` nodes."""
    n_blocks = -(-longest // BLOCK_OUTPUTS)
    return PathScratch(
        rows=np.zeros(2 * n_blocks * BLOCK_OUTPUTS, np.int64),
        signs=aligned(2 * n_blocks * DOTS_STRIDE),
        inputs=np.zeros(room_for_context(window), np.int64),
        dots=aligned(n_blocks * dots_of_block(window)),
        hidden=aligned(2 * stride),
        losses=make_losses(),
        tally=np.zeros(TALLY, np.float64),
    )


@intrinsic(prefer_literal=True)
def path_gradients(
    typing_context: Any,
    lanes: Any,
    n_outputs: Any,
    together: Any,
    n_inputs: Any,
    dots: Any,
    first_dot: Any,
    signs: Any,
    first_sign: Any,
    lr: Any,
    losses: Any,
) -> _Generated:
    """As `blocks.block_gradients`, with the sign of each output in `signs` from `first_sign` on."""
    n, m, t = lanes.literal_value, n_outputs.literal_value, together.literal_value

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> ir.Value:
        dots_, signs_ = (data_pointer(context, builder, signature.args[i], args[i]) for i in (4, 6))
        count, first, first_sign_, rate = args[3], args[5], args[7], args[8]
        v = Lanes(builder, n)
        vectors = range(-(-t * m // n))
        zero = v.splat(0.0)
        laid = [v.load(signs_, builder.add(first_sign_, I64(i * n))) for i in vectors]

        def first_lanes(n_lanes: int) -> list[ir.Value]:
            """The signs in the first `n_lanes` lanes; 0 in what an earlier path left behind."""
            marks = [[float(i * n + lane < n_lanes) for lane in range(n)] for i in vectors]
            return [
                builder.fmul(sign, v.const(mark)) for sign, mark in zip(laid, marks, strict=True)
            ]

        of_all, of_one = first_lanes(t * m), first_lanes(m)
        rates = v.broadcast(rate)
        hinge = v.variable(zero)
        totals = LossLanes(context, builder, v, signature.args[9], args[9])
        with loop(builder, builder.udiv(builder.add(count, I64(t - 1)), I64(t))) as group:
            is_cut = builder.icmp_signed(
                "<", count, builder.mul(builder.add(group, I64(1)), I64(t))
            )
            row = builder.add(first, builder.mul(group, I64(DOTS_STRIDE)))
            product = totals.product
            for i in vectors:
                at = builder.add(row, I64(i * n))
                dot = v.load(dots_, at)
                sign = builder.select(is_cut, of_one[i], of_all[i])
                counted = builder.fmul(sign, sign)
                label = builder.select(builder.fcmp_ordered(">", sign, zero), sign, zero)
                sigmoid, e = v.sigmoid(dot)
                right = builder.fmul(sign, dot)
                loss = builder.select(
                    builder.fcmp_ordered(">", right, zero), zero, builder.fneg(right)
                )
                builder.store(builder.fadd(loss, builder.load(hinge)), hinge)
                product = builder.fmul(product, v.fma(e, counted, v.splat(1.0)))
                step = builder.fsub(label, builder.fmul(counted, sigmoid))
                v.store(builder.fmul(rates, step), dots_, at)
            totals.multiplied(product)
        totals.add(builder.load(hinge))
        return context.get_dummy_value()

    argument_types = (
        lanes, n_outputs, together, types.int64, dots, types.int64, signs, types.int64,
        types.float32, losses,
    )  # fmt: skip
    return types.void(*argument_types), generate


@numba.njit(inline="always")
def _lay_path(word: Any, tree: Any, nowhere: Any, stride: Any, scratch: Any, half: Any) -> Any:
    """Lay the path to `word` out in the first or second half of the rows and signs.

    Returns:
        How many nodes it has.
    """
    begin = tree.offsets[word]
    n = tree.offsets[word + 1] - begin
    n_filled = n + n % _STEP
    first = half * (scratch.rows.shape[0] // 2)
    first_sign = half * (scratch.signs.shape[0] // 2)
    for k in range(n_filled):
        is_node = k < n
        row, sign = nowhere, np.float32(0)
        if is_node:
            row = np.int64(tree.nodes[begin + k]) * stride
            sign = np.float32(tree.signs[begin + k])
        block = k // BLOCK_OUTPUTS
        size = min(BLOCK_OUTPUTS, n_filled - block * BLOCK_OUTPUTS)
        place = first_sign + block * DOTS_STRIDE + k - block * BLOCK_OUTPUTS
        scratch.rows[first + k] = row
        scratch.signs[place] = sign
        scratch.signs[place + size] = sign
    return n


@cache
def skipgram_hs(lanes: int, n_vectors: int) -> Callable[..., None]:
    """The kernel for `lanes` lanes and rows of `n_vectors` vectors, both constants of it."""
    full = BLOCK_OUTPUTS
    width = n_vectors * lanes

    @kernel
    def train_slice(
        staged: Any,
        start: Any,
        stop: Any,
        weights: Any,
        tree: Any,
        window: Any,
        shrink: Any,
        key: Any,
        lr: Any,
        scratch: Any,
    ) -> None:
        """Train on the centre words ``staged.kept[start:stop]``.

        Args as in `skipgram.train_slice`, with `tree`: `Tree`, in the place of the noise, and
        `scratch`: `PathScratch`. The last row of ``weights.syn1neg`` is no node's.
        """
        kept, syn0, syn1, stride = staged.kept, weights.syn0, weights.syn1neg, weights.stride
        rows, signs, inputs, dots = scratch.rows, scratch.signs, scratch.inputs, scratch.dots
        nowhere = syn1.shape[0] - stride
        half_rows, half_signs = rows.shape[0] // 2, signs.shape[0] // 2
        per_block = window * DOTS_STRIDE
        losses = scratch.losses
        n_pairs, n_trained, n_alone = 0, 0, 0
        half = 0
        n_next = _lay_path(np.int64(kept[start]), tree, nowhere, stride, scratch, half)
        for i in range(start, stop):
            n_nodes = n_next
            now, sign = half * half_rows, half * half_signs
            half = 1 - half
            if i + 1 < stop:
                n_next = _lay_path(np.int64(kept[i + 1]), tree, nowhere, stride, scratch, half)
                for k in range(n_next):
                    prefetch(syn1, rows[half * half_rows + k], width)
                if i + 1 + window < staged.last[i]:
                    prefetch(syn0, np.int64(kept[i + 1 + window]) * stride, width)
            radius = draw_radius(key, i, window) if shrink else window
            n = context_rows(staged, i, radius, stride, inputs, 0)
            if n == 0:
                n_alone += 1
            else:
                n_full = (n_nodes + n_nodes % _STEP) // full
                rest = n_nodes + n_nodes % _STEP - n_full * full
                for b in range(n_full):
                    o, d, s = now + full * b, b * per_block, sign + b * DOTS_STRIDE
                    block_dots(lanes, full, 2, syn0, syn1, inputs, n, rows, o, n_vectors, dots, d)
                    path_gradients(lanes, full, 2, n, dots, d, signs, s, lr, losses)
                o, d, s = now + full * n_full, n_full * per_block, sign + n_full * DOTS_STRIDE
                if rest == 4:
                    block_dots(lanes, 4, 2, syn0, syn1, inputs, n, rows, o, n_vectors, dots, d)
                    path_gradients(lanes, 4, 2, n, dots, d, signs, s, lr, losses)
                elif rest == 2:
                    block_dots(lanes, 2, 2, syn0, syn1, inputs, n, rows, o, n_vectors, dots, d)
                    path_gradients(lanes, 2, 2, n, dots, d, signs, s, lr, losses)
                for b in range(n_full):
                    o, d = now + full * b, b * per_block
                    block_update(lanes, full, syn0, syn1, inputs, n, rows, o, n_vectors, dots, d)
                o, d = now + full * n_full, n_full * per_block
                if rest == 4:
                    block_update(lanes, 4, syn0, syn1, inputs, n, rows, o, n_vectors, dots, d)
                elif rest == 2:
                    block_update(lanes, 2, syn0, syn1, inputs, n, rows, o, n_vectors, dots, d)
                n_pairs += n * n_nodes
                n_trained += 1
        scratch.tally[0] += take_losses(losses)
        scratch.tally[1] += n_pairs
        scratch.tally[2] += n_trained
        scratch.tally[3] += n_alone

    return train_slice


@cache
def cbow_hs(lanes: int, n_vectors: int) -> Callable[..., None]:
    """The kernel for `lanes` lanes and rows of `n_vectors` vectors, both constants of it."""
    full = BLOCK_OUTPUTS
    width = n_vectors * lanes

    @kernel
    def train_slice(
        staged: Any,
        start: Any,
        stop: Any,
        weights: Any,
        tree: Any,
        window: Any,
        shrink: Any,
        key: Any,
        lr: Any,
        divide: Any,
        scratch: Any,
    ) -> None:
        """Train on the centre words ``staged.kept[start:stop]``.

        Args as in `skipgram_hs`, and `divide` as in `cbow.train_slice`.
        """
        kept, syn0, syn1, stride = staged.kept, weights.syn0, weights.syn1neg, weights.stride
        rows, signs, inputs, dots = scratch.rows, scratch.signs, scratch.inputs, scratch.dots
        hidden = scratch.hidden
        nowhere = syn1.shape[0] - stride
        half_rows, half_signs = rows.shape[0] // 2, signs.shape[0] // 2
        losses = scratch.losses
        n_pairs, n_trained, n_alone = 0, 0, 0
        half = 0
        n_next = _lay_path(np.int64(kept[start]), tree, nowhere, stride, scratch, half)
        for i in range(start, stop):
            n_nodes = n_next
            now, sign = half * half_rows, half * half_signs
            half = 1 - half
            if i + 1 < stop:
                n_next = _lay_path(np.int64(kept[i + 1]), tree, nowhere, stride, scratch, half)
                for k in range(n_next):
                    prefetch(syn1, rows[half * half_rows + k], width)
                if i + 1 + window < staged.last[i]:
                    prefetch(syn0, np.int64(kept[i + 1 + window]) * stride, width)
            radius = draw_radius(key, i, window) if shrink else window
            n = context_rows(staged, i, radius, stride, inputs, 0)
            if n == 0:
                n_alone += 1
            else:
                gather_mean(lanes, syn0, inputs, n, n_vectors, hidden)
                n_full = (n_nodes + n_nodes % _STEP) // full
                rest = n_nodes + n_nodes % _STEP - n_full * full
                for b in range(n_full):
                    o, d, s = now + full * b, b * DOTS_STRIDE, sign + b * DOTS_STRIDE
                    block_dots(lanes, full, 1, hidden, syn1, SINGLE, 1, rows, o, n_vectors, dots, d)
                    path_gradients(lanes, full, 1, 1, dots, d, signs, s, lr, losses)
                    update_outputs(
                        lanes, full, syn1, rows, o, n_vectors, dots, d, hidden, stride, b == 0
                    )
                o, d, s = now + full * n_full, n_full * DOTS_STRIDE, sign + n_full * DOTS_STRIDE
                if rest == 4:
                    block_dots(lanes, 4, 1, hidden, syn1, SINGLE, 1, rows, o, n_vectors, dots, d)
                    path_gradients(lanes, 4, 1, 1, dots, d, signs, s, lr, losses)
                    update_outputs(
                        lanes, 4, syn1, rows, o, n_vectors, dots, d, hidden, stride, n_full == 0
                    )
                elif rest == 2:
                    block_dots(lanes, 2, 1, hidden, syn1, SINGLE, 1, rows, o, n_vectors, dots, d)
                    path_gradients(lanes, 2, 1, 1, dots, d, signs, s, lr, losses)
                    update_outputs(
                        lanes, 2, syn1, rows, o, n_vectors, dots, d, hidden, stride, n_full == 0
                    )
                share = np.float32(1.0) / np.float32(n) if divide else np.float32(1.0)
                scatter_add(lanes, syn0, inputs, n, n_vectors, hidden, stride, share)
                n_pairs += n_nodes
                n_trained += 1
        scratch.tally[0] += take_losses(losses)
        scratch.tally[1] += n_pairs
        scratch.tally[2] += n_trained
        scratch.tally[3] += n_alone

    return train_slice
