"""The one loop that trains: for each word of a text its outputs, its inputs, and a step on them.

Every kernel of skip-gram and CBOW is this loop. What differs is told by constants, for which the
compiler prunes the other branches before it looks at their types:

- *inputs*: the rows of the context words (`CONTEXT_WORDS`), all rows of their subwords
  (`CONTEXT_ROWS`), or the rows of the centre word's subwords (`CENTRE_ROWS`);
- *outputs*: the centre word and K negatives (`NEGATIVES`; `LISTED` where a round has listed them:
  `rounds.py`), the nodes on the path to the centre word (`PATH`: `paths.py`), or the context words
  and the negatives that they share (`SHARED`: `subwords.py`);
- *step*: of each input, or of their mean (`is_cbow`), at once (`steps.py`) or by an optimizer
  (`optimizer.py`).

The rows of a window are scattered over matrices far larger than any cache, and a miss costs as
much as a third of a window's arithmetic. So while a word is trained, the rows of the next one (its
outputs, drawn one position ahead, and the context word that enters) are on their way.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

import numpy as np

from embedcli.kernels.intrinsics.access import prefetch, unsigned
from embedcli.kernels.intrinsics.blocks import BLOCK_OUTPUTS
from embedcli.kernels.jit import called_kernel, inlined, kernel
from embedcli.kernels.losses import take_losses
from embedcli.kernels.optimizer import Features, optimizer_step
from embedcli.kernels.paths import lay_path
from embedcli.kernels.sampling import (
    ROUND_STRETCH,
    draw_in_stretch,
    draw_outputs,
    draw_radius,
    windows_of_stretch,
)
from embedcli.kernels.steps import OF_PATH, window_step
from embedcli.kernels.subwords import (
    GROUP,
    append_rows,
    context_step,
    deal_outputs,
    n_groups,
    padded_outputs,
    rows_of_context,
    shared_step,
    usual_noise,
    words_in_group,
)
from embedcli.kernels.windows import Text, context_rows, inputs_together, next_inputs

__all__ = [
    "CENTRE_ROWS",
    "CONTEXT_ROWS",
    "CONTEXT_WORDS",
    "LISTED",
    "NEGATIVES",
    "PATH",
    "SHARED",
    "train_words",
    "training_kernel",
]

CONTEXT_WORDS, CONTEXT_ROWS, CENTRE_ROWS = 0, 1, 2  # inputs
NEGATIVES, LISTED, PATH, SHARED = 0, 1, 2, 3  # outputs


@cache
def train_words(
    lanes: int,
    n_rest: int,
    *,
    is_cbow: bool,
    kind_of_inputs: int = CONTEXT_WORDS,
    kind_of_outputs: int = NEGATIVES,
    features: Features | None = None,
    sizes: tuple[int, int] = (0, 0),
) -> Callable[..., None]:
    """The loop as a function for kernels to call.

    Args:
        lanes: L.
        n_rest: outputs of the last block, as in `gradients_of_outputs`.
        is_cbow: or skip-gram.
        features: what an optimizer does; None for plain steps.
        sizes: `n_outputs` and `n_vectors`, to be compiled for these alone, some hundredths faster;
            0 for any. Where inputs are rows of subwords, they must be given: h is in registers.
    """
    block, (fixed_outputs, fixed_vectors) = padded_outputs(lanes), sizes
    if features is None:
        step = window_step(lanes, n_rest, is_cbow)
    else:
        step = optimizer_step(lanes, n_rest, is_cbow, features)

    @(called_kernel if kind_of_outputs == LISTED else inlined)
    def train(
        n_outputs, n_vectors, text, start, stop, weights, source, window, shrink, key, lr, divide,
        scratch, more, tally,
    ) -> None:  # fmt: skip
        """Train on the centre words `start` to `stop` of `text`.

        Args:
            n_outputs: 1 + K; of no meaning for paths. n_vectors: vectors of L lanes in a row.
            text: `Text`. weights: `Weights`, updated.
            source: `Noise`; `Tree` for paths; `Noise`, items, spare and stretch (`rounds.py`).
            window: largest radius. shrink: draw radii from 1..window.
            key: uint64, of the chunk. lr: float32.
            divide: whether each input of a mean gets its share of the gradient (`steps.py`).
            scratch: `Scratch`.
            more: as in `optimizer_step`; (`SubwordRows`,) where inputs are rows of subwords.
            tally: float64 (`TALLY`,), gets the summed loss, pairs, centre words trained, and words
                without any context.
        """
        syn0, syn1neg, stride = weights.syn0, weights.syn1neg, weights.stride
        rows, inputs = scratch.rows, scratch.inputs
        if fixed_vectors > 0:
            outputs, vectors = fixed_outputs, fixed_vectors
        else:
            outputs, vectors = n_outputs, n_vectors
        n_words, width = syn1neg.shape[0] // stride, vectors * lanes
        n_pairs, n_trained, n_alone = 0, 0, 0
        n_share = windows_of_stretch(window)
        # Outputs, and the rows of a centre word, lie in halves: those of this word, of the next.
        now, ahead = rows.shape[0] // 2, 0
        here, there = inputs.shape[0] // 2, 0
        if kind_of_outputs == SHARED:
            most = words_in_group(outputs)
            now, apart = GROUP * n_groups(2 * window, most), usual_noise(window, shrink, most)
        n_next, n_inputs_next = 0, 0
        for i in range(start - 1, stop):
            n_now, n_inputs = n_next, n_inputs_next
            now, ahead = ahead, now
            here, there = there, here
            if i + 1 < stop:
                centre = np.int64(text.centres[unsigned(i + 1 - text.begin)])
                if kind_of_outputs == NEGATIVES:
                    draw_outputs(
                        centre, i + 1, source, n_share, outputs, stride, n_words, rows, ahead
                    )
                    n_next = outputs
                elif kind_of_outputs == LISTED:
                    noise, items, spare, stretch = source
                    first = ((i + 1) // ROUND_STRETCH - start // ROUND_STRETCH) * stretch
                    draw_in_stretch(
                        centre,
                        i + 1,
                        noise,
                        n_share,
                        outputs,
                        items,
                        first,
                        spare,
                        stride,
                        rows,
                        ahead,
                    )
                    n_next = outputs
                elif kind_of_outputs == PATH:
                    n_next = lay_path(centre, source, n_words - 1, stride, scratch, ahead)
                else:
                    radius = draw_radius(key, i + 1, window) if shrink else window
                    n_next = deal_outputs(
                        text, i + 1, radius, source, most, window, apart, stride, rows, ahead
                    )
                if kind_of_outputs == SHARED:
                    for k in range(GROUP * n_groups(n_next, most)):
                        prefetch(syn1neg, rows[ahead + k], width)
                else:
                    for k in range(n_next):
                        prefetch(syn1neg, rows[ahead + k], width)
                entering = i + 1 + window
                if kind_of_inputs == CENTRE_ROWS:
                    n_inputs_next = append_rows(more[0], centre, stride, inputs, there)
                    for j in range(n_inputs_next):
                        prefetch(syn0, inputs[there + j], width)
                elif entering < min(np.int64(text.last[unsigned(i + 1)]), text.end):
                    word = np.int64(text.inputs[unsigned(entering - text.begin)])
                    if kind_of_inputs == CONTEXT_WORDS:
                        prefetch(syn0, word * stride, width)
                    else:
                        for j in range(more[0].offsets[word], more[0].offsets[word + 1]):
                            prefetch(syn0, np.int64(more[0].rows[j]) * stride, width)
            if i < start:
                continue
            if kind_of_inputs == CENTRE_ROWS:
                n = n_now
            else:
                radius = draw_radius(key, i, window) if shrink else window
                if kind_of_inputs == CONTEXT_WORDS:
                    n = context_rows(text, i, radius, stride, inputs, 0)
                else:
                    n = rows_of_context(more[0], text, i, radius, stride, inputs)
            if n == 0:
                n_alone += 1
                continue
            n_trained += 1
            if kind_of_inputs == CENTRE_ROWS:
                shared_step(
                    lanes, fixed_vectors, block, fixed_outputs, syn0, syn1neg, stride, here,
                    n_inputs, n, now, lr, scratch,
                )  # fmt: skip
                n_pairs += n * outputs  # the loss is that of so many
            elif kind_of_inputs == CONTEXT_ROWS:
                context_step(
                    lanes, fixed_vectors, block, fixed_outputs, syn0, syn1neg, stride, n, now, lr,
                    divide, scratch,
                )  # fmt: skip
                n_pairs += outputs
            else:
                n_met = n_now if kind_of_outputs == PATH else outputs
                if is_cbow:
                    most, number = n, i
                else:
                    most, number = inputs_together(n), i * 2 * window
                done = 0
                while done < n:
                    size = n if is_cbow else next_inputs(inputs, done, min(most, n - done))
                    step(
                        vectors, number + done, key, weights, inputs, size, now, n_met, window, lr,
                        divide, scratch, more,
                    )  # fmt: skip
                    done += size
                n_pairs += n_met if is_cbow else n * n_met
        tally[0] += take_losses(scratch.losses)
        tally[1] += n_pairs
        tally[2] += n_trained
        tally[3] += n_alone

    return train


def training_kernel(
    lanes: int, n_outputs: int, n_vectors: int, *, is_special: bool = False, **kinds
) -> Callable[..., None]:
    """The kernel that trains a slice of a chunk; args as in `train_words`, 0 outputs for paths.

    The same machine code serves all numbers of components, and all numbers of outputs with the same
    rest, unless it `is_special`. The results are the same to the last bit.
    """
    if is_special or kinds.get("kind_of_inputs", CONTEXT_WORDS) != CONTEXT_WORDS:
        kinds["sizes"] = n_outputs, n_vectors
    n_rest = n_outputs % BLOCK_OUTPUTS if n_outputs else OF_PATH
    return partial(_training_kernel(lanes, n_rest, **kinds), n_outputs, n_vectors)


@cache
def _training_kernel(lanes: int, n_rest: int, **kinds) -> Callable[..., None]:
    train = train_words(lanes, n_rest, **kinds)

    @kernel
    def train_slice(
        n_outputs, n_vectors, staged, start, stop, weights, source, window, shrink, key, lr, divide,
        scratch, more,
    ) -> None:  # fmt: skip
        """Train on the centre words ``staged.kept[start:stop]``; args as in `train_words`."""
        n = staged.first.shape[0]
        text = Text(staged.kept, staged.kept, staged.first, staged.last, 0, n)
        train(
            n_outputs, n_vectors, text, start, stop, weights, source, window, shrink, key, lr,
            divide, scratch, more, scratch.tally,
        )  # fmt: skip

    return train_slice
