"""Estimates a text from the beginnings of its largest files, before all of it is read.

A megabyte tells how many tokens and lines a byte is worth. What it tells of words is less: those
that occur often enough in it do so in the whole text, so they are a number that is reached for
sure. What a packed byte is worth differs by a thousand within one file: to refuse a text for its
size, no more is taken for sure than packed prose holds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from embedcli.files.spans import Span
from embedcli.settings.text_rules import TextRules
from embedcli.text.fields import Field
from embedcli.text.prose import settle
from embedcli.text.sources import Library, opened
from embedcli.text.splitting_process import splitter

__all__ = ["TextEstimate", "estimate_text"]

_SAMPLE_BYTES = 1 << 20
_MOST_FILES = 8
_BLOCK = 1 << 16
_PACKED_WORTH = 4  # bytes of text for a packed one, that prose has as a rule
_ID, _OFFSET = 4, 8  # bytes


@dataclass(frozen=True)
class TextEstimate:
    """What was seen.

    Attributes:
        n_tokens, n_lines: of the text, if all of it is like its beginning.
        words: those that will be in the vocabulary whatever follows, most frequent first.
        sure_share: which part of it is likely even if what is packed is no more than prose.
    """

    n_tokens: int
    n_lines: int
    words: tuple[bytes, ...]
    sure_share: float = 1.0

    @property
    def scratch_bytes(self) -> int:
        """What encoding the text takes of the disk for temporary files, about."""
        return self.n_tokens * _ID + self.n_lines * _OFFSET


def estimate_text(
    paths: Sequence[str], *, rules: TextRules, recursive: bool, min_count: int
) -> TextEstimate | None:
    """Look at the beginnings of the largest files; None where that would take bytes from a pipe.

    They are looked at by the `rules` that all of the text will be read by, settled by it.

    Raises:
        CorpusError, UsageError: there are no such files, or one of those is no text.
    """
    library = opened(paths, rules, recursive=recursive)
    if not library.n_total:  # nobody knows: a pipe, a URL; or nothing is there
        return None
    largest = sorted(library.sources, key=_size, reverse=True)[:_MOST_FILES]
    split = splitter(settle(library))
    seen = [_look(source, library, split, _SAMPLE_BYTES // len(largest)) for source in largest]
    counts: Counter[str] = Counter()
    for each in seen:
        counts.update(each.counts)
    looked_at = sum(each.size for each in seen)
    if not looked_at:
        return None
    share = library.n_total / looked_at
    n_tokens = sum(each.n_tokens for each in seen)
    n_sure = sum(min(each.n_tokens, each.most_tokens) for each in seen)
    words = tuple(word.encode() for word, n in counts.most_common() if n >= min_count)
    n_lines = sum(each.n_lines for each in seen)
    sure_share = n_sure / n_tokens if n_tokens else 1.0
    return TextEstimate(int(n_tokens * share), int(n_lines * share), words, sure_share)


@dataclass(frozen=True)
class _Seen:
    """What one file is by its beginning: its size on disk, its words so far, and all of it."""

    size: int
    counts: Counter[str]
    n_tokens: float
    n_lines: float
    most_tokens: float  # that it has if it is packed prose, and did not end


def _size(source: str | Span) -> int:
    return Path(source.source if isinstance(source, Span) else source).stat().st_size


def _look(
    source: str | Span, whole: Library, split: Callable[[str], list[str]], most: int
) -> _Seen:
    library = Library([source], Field.named_by(whole.rules), whole.rules)
    try:
        text, ended = _beginning(library, most)
    finally:
        library.close()
    size = _size(source)
    counts = Counter(split(text.decode(errors="replace")))
    n_tokens, n_lines = counts.total(), text.count(b"\n")
    if ended or not library.n_consumed:
        return _Seen(size, counts, n_tokens, n_lines, n_tokens)
    share = size / library.n_consumed
    prose = n_tokens * size * _PACKED_WORTH / max(1, len(text))
    return _Seen(size, counts, n_tokens * share, n_lines * share, max(n_tokens, prose))


def _beginning(library: Library, most: int) -> tuple[bytes, bool]:
    """The first `most` bytes of the first file, and whether it has no more."""
    file = next(library)
    buffer = memoryview(bytearray(most))
    size = 0
    while size < most:
        n = file.readinto(buffer[size : size + _BLOCK])
        if n == 0:
            return bytes(buffer[:size]), True
        size += n
    return bytes(buffer), False
