"""From words as they were counted to words in clean UTF-8.

Malformed sequences, normal forms, lower case, digits.

Malformed sequences and letters beyond ASCII are seen to in the *distinct words*, after counting:
a text of a billion tokens has them in a few million words, and neither a word's lower case nor its
normal form depends on anything outside of it (white space combines with nothing, and the one rule
of lower case with context, the final sigma, ends there).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from embedcli.kernels.tokenize import MAX_BYTES
from embedcli.settings.text_rules import TextRules
from embedcli.text.tokens import rewriter, without_digits
from embedcli.text.words import SPARE, Words

__all__ = ["Marks", "normalise"]

_BATCH_WORDS = 1 << 16
_REPLACEMENT = "\ufffd".encode()
_BOM = "\ufeff".encode()


@dataclass
class Marks:
    """What was found wrong in a text, in tokens and in sequences.

    Attributes:
        nuls: NUL bytes taken for white space.
        malformed_tokens: tokens with at least one malformed UTF-8 sequence.
        invalid: malformed sequences replaced by U+FFFD.
        boms: tokens that hold a byte order mark.
        too_long: tokens that are too long once decoded.
        too_long_bytes: their bytes before.
    """

    nuls: int = 0
    malformed_tokens: int = 0
    invalid: int = 0
    boms: int = 0
    too_long: int = 0
    too_long_bytes: int = 0

    def __iadd__(self, other: Marks) -> Self:
        self.nuls += other.nuls
        self.malformed_tokens += other.malformed_tokens
        self.invalid += other.invalid
        self.boms += other.boms
        self.too_long += other.too_long
        self.too_long_bytes += other.too_long_bytes
        return self


def normalise(words: Words, rules: TextRules, marks: Marks) -> Words:
    """The same words in the same order, valid UTF-8, and rewritten as `rules` ask (`tokens.py`).

    What was distinct may be equal afterwards; a word that became too long is empty. Malformed
    sequences are replaced by one U+FFFD per maximal subpart (Unicode 16, section 3.9), as Python's
    decoder does. `marks` is added to.
    """
    pieces: list[NDArray[np.uint8]] = []
    lengths: list[NDArray[np.int64]] = []
    changed = False
    rewrite = _Rewriter(rules)
    for row in range(0, len(words), _BATCH_WORDS):
        batch = _Batch(words, row, rewrite, marks)
        changed |= batch.changed
        pieces.append(batch.blob)
        lengths.append(batch.lengths)
    if not changed:
        return words
    offsets = np.zeros(len(words) + 1, np.int64)
    np.cumsum(np.concatenate(lengths), out=offsets[1:])
    return Words(np.concatenate([*pieces, np.zeros(SPARE, np.uint8)]), offsets, words.counts)


class _Rewriter:
    """Rewrites words, a line each.

    Attributes:
        for_ascii: whether ASCII words can change (the kernel has put A-Z in lower case).
    """

    def __init__(self, rules: TextRules) -> None:
        self._steps = [step for step in (rewriter(rules), without_digits(rules)) if step]
        self.for_ascii = rules.digits != "keep" or isinstance(rules.lowercase, str)

    def __call__(self, lines: str) -> str:
        for step in self._steps:
            lines = step(lines)
        return lines


class _Batch:
    """Some words, normalised: `blob`, `lengths`, and whether they differ from what they were."""

    def __init__(self, words: Words, row: int, rewrite: _Rewriter, marks: Marks) -> None:
        ends = words.offsets[row : row + _BATCH_WORDS + 1]
        self.blob = words.blob[ends[0] : ends[-1]]
        self.lengths = np.diff(ends)
        self.changed = False
        if len(self.blob) and (rewrite.for_ascii or self.blob.max() >= 0x80):
            self._decode(words.counts[row : row + _BATCH_WORDS], rewrite, marks)

    def _decode(self, counts: NDArray[np.int64], rewrite: _Rewriter, marks: Marks) -> None:
        # One line a word: decoding stays inside words, and lower case does.
        lines = np.insert(self.blob, np.cumsum(self.lengths), ord("\n")).tobytes()
        before = _occurrences(lines, _REPLACEMENT)
        marks.boms += int(counts[_occurrences(lines, _BOM) > 0].sum())
        clean = rewrite(lines.decode(errors="replace")).encode()
        if clean == lines:
            return
        self.changed = True
        malformed = _occurrences(clean, _REPLACEMENT) - before
        marks.invalid += int((malformed * counts).sum())
        marks.malformed_tokens += int(counts[malformed > 0].sum())
        blob = np.frombuffer(clean, np.uint8)
        ends = np.flatnonzero(blob == ord("\n"))
        lengths = np.diff(ends, prepend=-1) - 1
        long = lengths > MAX_BYTES
        marks.too_long += int(counts[long].sum())
        marks.too_long_bytes += int((counts * self.lengths)[long].sum())
        kept = np.repeat(~long, lengths + 1)
        kept[ends] = False
        self.blob = blob[kept]
        self.lengths = np.where(long, 0, lengths)


def _occurrences(lines: bytes, wanted: bytes) -> NDArray[np.int64]:
    """How often `wanted`, three bytes, occurs in each line, int64 (n_lines,)."""
    n_lines = lines.count(b"\n")
    if wanted not in lines:
        return np.zeros(n_lines, np.int64)
    data = np.frombuffer(lines, np.uint8)
    ends = np.flatnonzero(data == ord("\n"))
    hit = (data[:-2] == wanted[0]) & (data[1:-1] == wanted[1]) & (data[2:] == wanted[2])
    return np.bincount(np.searchsorted(ends, np.flatnonzero(hit)), minlength=n_lines)
