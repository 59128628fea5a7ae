"""Refuses what no reader could read back.

Every format refuses components that are not finite, empty, overlong or repeated words,
and embeddings without a word; the line formats also refuse white space in words.
"""

from __future__ import annotations

import re
from typing import Final

import numpy as np
from numpy.typing import NDArray

from embedcli.embeddings import Embeddings
from embedcli.errors import FormatError
from embedcli.formats.narrow import row_blocks
from embedcli.formats.row_words import LONGEST_WORD, is_utf8
from embedcli.quoting import quoted, quoted_bytes
from embedcli.vocabulary import Vocabulary

__all__ = ["check_finite", "check_savable", "check_spaceless", "check_subwords", "check_words"]

_WHITE_SPACE: Final = re.compile(r"[ \t\n\v\f\r]")


def check_savable(embeddings: Embeddings, *, any_bytes: bool = False) -> None:
    """Refuse what no format can hold, and words that are not UTF-8 unless it holds `any_bytes`.

    Raises:
        FormatError: names the word and what is wrong with it.
    """
    check_words(embeddings.vocabulary, any_bytes=any_bytes)
    if embeddings.dim < 1:
        raise FormatError("cannot save vectors of 0 dimensions")
    check_finite(embeddings, embeddings.vectors)
    if embeddings.output_vectors is not None:
        check_finite(embeddings, embeddings.output_vectors)


def check_subwords(embeddings: Embeddings) -> None:
    """Refuse rows of subwords that are not finite, in the formats that keep them.

    Raises:
        FormatError: names the word, or the part of words by its id.
    """
    subwords = embeddings.subwords
    if subwords is None:
        return
    check_finite(embeddings, subwords.word_rows)
    for rows in row_blocks(subwords.rows):
        finite = np.isfinite(subwords.rows[rows]).all(axis=1)
        if not finite.all():
            part = int(subwords.ids[rows.start + int(np.argmin(finite))])
            raise FormatError(f"cannot save the row of subword {part}: it is not finite")


def check_words(vocabulary: Vocabulary, *, any_bytes: bool = False) -> None:
    """Refuse no words at all, empty or overlong words and words that occur twice or are no text."""
    lengths = np.diff(vocabulary.offsets)
    if not len(lengths):
        raise FormatError("cannot save embeddings without a single word")
    if not lengths.all():
        raise FormatError(f"cannot save an empty word (row {int(np.argmin(lengths)) + 1})")
    if lengths.max() > LONGEST_WORD:
        row = int(np.argmax(lengths))
        raise FormatError(
            f"cannot save a word of {lengths[row]} bytes (row {row + 1}); at most {LONGEST_WORD}"
        )
    if not (any_bytes or vocabulary.is_utf8):
        _refuse_bytes(vocabulary)
    words = vocabulary.words
    if len(set(words)) < len(words):
        seen: set[str] = set()
        for row, word in enumerate(words, 1):
            if word in seen:
                raise FormatError(f"cannot save the word {quoted(word)} twice (row {row})")
            seen.add(word)


def _refuse_bytes(vocabulary: Vocabulary) -> None:
    for row, word in enumerate(vocabulary.words, 1):
        held = word.encode(errors="surrogateescape")
        if not is_utf8(held):
            raise FormatError(
                f"cannot save the word {quoted_bytes(held)} (row {row}): it is not UTF-8, and only "
                "safetensors and fasttext hold words of any bytes (--decode-errors replace mends "
                "it)"
            )


def check_spaceless(vocabulary: Vocabulary, format_name: str, allowed: str = "") -> None:
    """Refuse words that the white space of a line-oriented format would cut in two.

    `allowed` is what does not.
    """
    if set(_WHITE_SPACE.findall("".join(vocabulary.words))) - set(allowed):
        for row, word in enumerate(vocabulary.words, 1):
            if set(_WHITE_SPACE.findall(word)) - set(allowed):
                raise FormatError(
                    f"cannot save {quoted(word)} (row {row}) as {format_name}: a word with white "
                    f"space could not be read back (safetensors keeps it)"
                )


def check_finite(embeddings: Embeddings, vectors: NDArray[np.float32]) -> None:
    """Refuse NaN and infinity, block by block."""
    for rows in row_blocks(vectors):
        finite = np.isfinite(vectors[rows])
        if not finite.all():
            row = rows.start + int(np.argmin(finite.all(axis=1)))
            word = embeddings.vocabulary[row]
            raise FormatError(
                f"cannot save {quoted(word)} (row {row + 1}): its vector is not finite"
            )
