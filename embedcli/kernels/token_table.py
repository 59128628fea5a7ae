"""Lines to ids of their tokens, for a classifier: as `line_features.py` cuts them, none too long.

A table like `Dictionary` grows while the text is read: whoever calls makes room before each block.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from embedcli.kernels.jit import kernel
from embedcli.kernels.line_features import (
    begins_as_label,
    find_entry,
    is_end,
    is_space,
    token_end,
)

__all__ = ["Tokens", "number_tokens"]


class Tokens(NamedTuple):
    """The distinct tokens so far, with room for more.

    Attributes:
        slots: int32 (a power of two,), token + 1, 0 is empty.
        hashes: uint32. offsets: int64, token i is ``blob[offsets[i]:offsets[i + 1]]``. blob: uint8.
        size: int64 (1,), how many there are. Token 0 is ``</s>``.
    """

    slots: NDArray[np.int32]
    hashes: NDArray[np.uint32]
    offsets: NDArray[np.int64]
    blob: NDArray[np.uint8]
    size: NDArray[np.int64]


@kernel
def number_tokens(text, begins, ends, prefix, tokens, ids, line_ends) -> int:
    """Write the ids of the tokens of lines, each with ``</s>`` at its end; how many these are.

    Args:
        text: uint8. begins, ends: int64 (n,), of the lines.
        prefix: uint8, what labels begin with, which are left out.
        tokens: `Tokens` with room for all that may be new.
        ids: int32, with room. line_ends: int64 (n,), gets where the ids of each line end.
    """
    n = 0
    mask = len(tokens.slots) - 1
    for line in range(len(begins)):
        at = begins[line]
        while True:
            while at < ends[line] and is_space(text[at]):
                at += 1
            begin = at
            at, h = token_end(text, begin, ends[line])
            if is_end(text, begin, at):
                break
            if begins_as_label(text, begin, at, prefix):
                continue
            found = np.int64(find_entry(tokens, text, begin, at, h))
            if found < 0:
                found = tokens.size[0]
                start = tokens.offsets[found]
                for i in range(at - begin):
                    tokens.blob[start + i] = text[begin + i]
                tokens.offsets[found + 1] = start + at - begin
                tokens.hashes[found] = h
                slot = np.int64(h) & mask
                while tokens.slots[slot]:
                    slot = (slot + 1) & mask
                tokens.slots[slot] = found + 1
                tokens.size[0] = found + 1
            ids[n] = found
            n += 1
        ids[n] = 0
        n += 1
        line_ends[line] = n
    return n
