"""What no writer may write, because no reader could read it back.

Every format refuses components that are not finite, empty words and words that occur twice; the
text formats also refuse the white space that separates their fields.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from embedcli.embeddings import Embeddings
from embedcli.errors import FormatError
from embedcli.vocabulary import Vocabulary

__all__ = ["check_finite", "check_savable", "check_words"]

_BLOCK_BYTES = 1 << 22


def check_savable(embeddings: Embeddings) -> None:
    """Refuse what no format can hold.

    Raises:
        FormatError: names the word and what is wrong with it.
    """
    check_words(embeddings.vocabulary)
    check_finite(embeddings, embeddings.vectors)
    if embeddings.output_vectors is not None:
        check_finite(embeddings, embeddings.output_vectors)


def check_words(vocabulary: Vocabulary) -> None:
    """Refuse empty words and words that occur twice."""
    empty = np.flatnonzero(np.diff(vocabulary.offsets) == 0)
    if len(empty):
        raise FormatError(f"cannot save an empty word (row {empty[0] + 1})")
    words = vocabulary.words
    if len(set(words)) < len(words):
        seen: set[str] = set()
        for row, word in enumerate(words, 1):
            if word in seen:
                raise FormatError(f"cannot save the word {word!r} twice (row {row})")
            seen.add(word)


def check_finite(embeddings: Embeddings, vectors: NDArray[np.float32]) -> None:
    """Refuse NaN and infinity, block by block."""
    rows = max(1, _BLOCK_BYTES // (4 * max(1, vectors.shape[1])))
    for start in range(0, len(vectors), rows):
        finite = np.isfinite(vectors[start : start + rows]).all(axis=1)
        if not finite.all():
            row = start + int(np.argmin(finite))
            word = embeddings.vocabulary[row]
            raise FormatError(f"cannot save {word!r} (row {row + 1}): its vector is not finite")
