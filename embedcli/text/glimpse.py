"""What the beginning of a text says of all of it, before any of it is read.

A megabyte tells how many tokens and lines a byte is worth. What it tells of words is less: those
that occur often enough in it do so in the whole text, so they are a number that is reached for
sure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from embedcli.rules import TextRules
from embedcli.text.apart import splitter
from embedcli.text.sources import Library, opened

__all__ = ["Glimpse", "glimpse"]

_SAMPLE_BYTES = 1 << 20
_ID, _OFFSET = 4, 8  # bytes


@dataclass(frozen=True)
class Glimpse:
    """What was seen.

    Attributes:
        n_tokens, n_lines: of the text, if all of it is like its beginning.
        words: those that will be in the vocabulary whatever follows, most frequent first.
    """

    n_tokens: int
    n_lines: int
    words: tuple[bytes, ...]

    @property
    def scratch_bytes(self) -> int:
        """What encoding the text takes of the disk for temporary files, about."""
        return self.n_tokens * _ID + self.n_lines * _OFFSET


def glimpse(
    paths: Sequence[str], *, rules: TextRules, recursive: bool, min_count: int
) -> Glimpse | None:
    """Look at the beginning of the first file; None where that would take bytes from a pipe.

    It is looked at by the `rules` that all of the text will be read by.

    Raises:
        CorpusError, UsageError: there are no such files, or the first is no text.
    """
    library = opened(paths, rules, recursive=recursive)
    if not library.n_total:  # nobody knows: a pipe, a URL; or nothing is there
        return None
    try:
        text = _beginning(library)
    finally:
        library.close()
    if not text or not library.n_consumed:
        return None
    counts = Counter(splitter(rules)(text.decode(errors="replace")))
    share = library.n_total / library.n_consumed
    words = tuple(word.encode() for word, n in counts.most_common() if n >= min_count)
    return Glimpse(int(counts.total() * share), int(text.count(b"\n") * share), words)


def _beginning(library: Library) -> bytes:
    """The first megabyte, or the first file if it has less."""
    file = next(library)
    buffer = memoryview(bytearray(_SAMPLE_BYTES))
    size = 0
    while size < len(buffer) and (n := file.readinto(buffer[size:])):
        size += n
    return bytes(buffer[:size])
