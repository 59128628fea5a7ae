"""Files that fit a format and are something else: said, and refused.

Nothing here is certain, so ``--from`` (or `format`) reads such a file all the same; and what would
be taken for garbage when read is refused when written.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from embedcli.formats.decimals import is_number
from embedcli.formats.row_words import is_utf8
from embedcli.quoting import quoted_bytes

__all__ = ["binary_garbage", "matrix_without_words"]

_NUMBERS: Final = 1 << 14  # of a file, its first
_LEAST, _MOST = 1e-8, 1e5  # what a component of a model is, if it is not 0
_FEW: Final = 4
_SMALLEST_NORMAL: Final = float(np.finfo(np.float32).tiny)
_REST_OF_WORD: Final = re.compile(rb"(?:[\x21-\x7e]|[\xc2-\xf4][\x80-\xbf]+)+ ")


def matrix_without_words(words: Sequence[bytes]) -> bool:
    """Whether what stands in the place of words are the first numbers of rows that have none.

    Ids of items are numbers, too, but whole ones; among components few are.
    """
    if not all(map(is_number, words)):
        return False
    return 2 * sum(not word.isdigit() for word in words) > len(words)


def binary_garbage(words: Sequence[bytes], vectors: NDArray[np.float32]) -> str | None:
    """What is wrong with rows that were read from a word2vec-bin file; None for nothing.

    Args:
        words: as they stand in the file.
        vectors: float32 (n, D), theirs.
    """
    joined = b"\n".join(words)
    suspect = b"\0" in joined or not is_utf8(joined)  # as a rule nothing is, and that is quick
    for row, word in enumerate(words if suspect else ()):
        is_cut = b"\0" in word or (not is_utf8(word) and _after_rest_of_word(vectors, row))
        if is_cut:
            before = f" ({quoted_bytes(words[row - 1])}, row {row})" if row else ""
            return (
                f"the word of row {row + 1} is {quoted_bytes(word)}, which holds bytes of a "
                f"number: the word before it{before} probably has a space in it, which this format "
                "cannot tell from its end"
            )
    if _is_big_endian(vectors):
        return (
            "its numbers make sense only with their bytes in the opposite order (big-endian, as "
            "Java and NumPy's '>f4' write them), and this format is little-endian"
        )
    return None


def _after_rest_of_word(vectors: NDArray[np.float32], row: int) -> bool:
    """Whether the vector before begins with what looks like the rest of a word, and its space."""
    return row > 0 and _REST_OF_WORD.match(vectors[row - 1].astype("<f4").tobytes()) is not None


def _is_big_endian(vectors: NDArray[np.float32]) -> bool:
    """Whether the numbers are far from what components are, and are near it with bytes swapped."""
    numbers = vectors[: 1 + _NUMBERS // vectors.shape[1]].reshape(-1)[:_NUMBERS]
    numbers = numbers[numbers != 0]
    if len(numbers) < 2:
        return False
    swapped = np.abs(numbers.byteswap())
    if ((swapped > _LEAST) & (swapped < _MOST)).mean() < 0.99:
        return False
    sizes = np.abs(numbers)
    odd = (sizes < _LEAST**2) | (sizes > _MOST**2)
    return bool((sizes < _SMALLEST_NORMAL).all() or (len(numbers) >= _FEW and odd.mean() > 0.25))
