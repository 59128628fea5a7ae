"""The encoded corpus: a text as numbers, as a rule memory-mapped from unnamed scratch files."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from embedcli.errors import CorpusError
from embedcli.settings.text_rules import TextRules
from embedcli.vocabulary import Vocabulary

__all__ = ["Corpus", "Tally", "ids_fault"]

CHECKED_AT_ONCE = 1 << 22  # ids or offsets looked at together


@dataclass(frozen=True)
class Tally:
    """What became of everything that was read: ``read == kept + oov + too_long``.

    Attributes:
        read: tokens in the text.
        kept: tokens whose word is in the vocabulary.
        oov: tokens whose word is not.
        too_long: tokens of more than 256 bytes, which were dropped.
        lines: lines, empty ones too.
        n_bytes: bytes of text, decompressed.
        invalid: malformed UTF-8 sequences that were replaced by U+FFFD.
        too_long_bytes: the bytes of the dropped tokens.
        unknown: of those kept, tokens that are `UNKNOWN`, as their word is not in the vocabulary;
            they are not in `oov`.
        pruned_bound: how often a word that the memory had no room for occurred at most; 0: no such.
    """

    read: int
    kept: int
    oov: int
    too_long: int
    lines: int
    n_bytes: int
    invalid: int
    pruned_bound: int = 0
    unknown: int = 0
    too_long_bytes: int = 0


class Corpus:
    """A text as numbers. Close it, or use it in a ``with``, to give the disk space back.

    Attributes:
        vocabulary: V words with their counts.
        ids: int32 (N,), the text without what is not in the vocabulary; as a rule mapped from disk.
        offsets: int64 (S + 1,), sentence s is ``ids[offsets[s]:offsets[s + 1]]``; none is empty.
        tally: what was read, and what became of it.
        digest: sha256 of the text's bytes, decompressed, in order; hexadecimal.
        remarks: what is worth a warning.
        rules: how the text was cut into tokens; nothing in them is left open.

    Raises:
        CorpusError: an id is not one of `vocabulary`, or `offsets` do not cut `ids` into sentences:
            kernels check neither.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        ids: NDArray[np.int32],
        offsets: NDArray[np.int64],
        tally: Tally,
        digest: str,
        mappings: Sequence[mmap.mmap] = (),
        remarks: Sequence[str] = (),
        rules: TextRules | None = None,
    ) -> None:
        self.vocabulary = vocabulary
        self.ids = ids
        self.offsets = offsets
        self.tally = tally
        self.digest = digest
        self.remarks = tuple(remarks)
        self.rules = rules or TextRules().settled(prose=False)
        self._mappings = list(mappings)
        if (fault := ids_fault(ids, offsets, len(vocabulary), self.release)) is not None:
            raise CorpusError(f"the encoded text is not sound: {fault}")

    @property
    def longest_line(self) -> int:
        """Words in the longest sentence."""
        return int(np.diff(self.offsets).max(initial=0))

    def release(self) -> None:
        """Let the pages that were touched go from this process's memory; they stay on disk."""
        for mapping in self._mappings:
            mapping.madvise(mmap.MADV_DONTNEED)

    def close(self) -> None:
        """Give memory and disk space back, once nobody holds the arrays any more."""
        self._mappings.clear()
        self.ids = np.empty(0, np.int32)
        self.offsets = np.zeros(1, np.int64)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def ids_fault(
    ids: NDArray[np.int32],
    offsets: NDArray[np.int64],
    n_words: int,
    release: Callable[[], None] = lambda: None,
) -> str | None:
    """What in an encoded text a kernel would go wrong by; None if nothing is.

    Args:
        ids: as in `Corpus`.
        offsets: likewise.
        n_words: all ids are below it.
        release: called after each block that was looked at.
    """
    if not len(offsets) or offsets[0] != 0 or offsets[-1] != len(ids):
        return f"its lines do not go from 0 to {len(ids)}, where its words end"
    for start in range(0, len(offsets) - 1, CHECKED_AT_ONCE):
        block = offsets[start : start + CHECKED_AT_ONCE + 1]
        if not (block[1:] > block[:-1]).all():
            return "its lines do not follow each other"
    for start in range(0, len(ids), CHECKED_AT_ONCE):
        words = ids[start : start + CHECKED_AT_ONCE]
        low, high = int(words.min()), int(words.max())
        if low < 0 or high >= n_words:
            return f"word {low if low < 0 else high} is none of a vocabulary of {n_words}"
        release()
    return None
