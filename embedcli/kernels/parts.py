"""The rows that make up each word, and the small arrays of a thread that works on them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from embedcli.kernels.sampling import SPARE
from embedcli.kernels.weights import TALLY, Scratch, aligned, make_losses
from embedcli.kernels.windows import rows_of_words

__all__ = ["Parts", "append_rows", "make_parts_scratch", "padded_outputs"]

_DOTS_ALIGNMENT = 16


class Parts(NamedTuple):
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


def make_parts_scratch(n_outputs: int, n_inputs: int, stride: int) -> Scratch:
    """Scratch with room for so many offsets of output and input rows."""
    return Scratch(
        rows=np.zeros(n_outputs, np.int64),
        inputs=np.zeros(n_inputs + SPARE, np.int64),
        dots=aligned(-(-n_outputs // _DOTS_ALIGNMENT) * _DOTS_ALIGNMENT),
        hidden=aligned(2 * stride),
        losses=make_losses(),
        tally=np.zeros(TALLY, np.float64),
    )


@numba.njit(inline="always")
def append_rows(parts: Any, word: Any, stride: Any, inputs: Any, first: Any) -> Any:
    """Write the offsets of the rows of `word` to `inputs` from `first` on; how many there are.

    Up to `SPARE` - 1 more are written behind them.
    """
    begin = parts.offsets[word]
    n = parts.offsets[word + 1] - begin
    rows_of_words(parts.rows, begin, n, stride, inputs, first)
    return n
