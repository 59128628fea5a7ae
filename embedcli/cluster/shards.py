"""Shards: a text cut into parts of about equal size, each a few stretches of files.

A cut lies where a line begins, so that a line belongs to one shard. Only where no line begins for a
megabyte (text8 is one line) is it put between two words. Packed files and UTF-16 cannot be entered
in the middle and stay whole.
"""

from __future__ import annotations

import codecs
import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embedcli.corpus import digest_corpus
from embedcli.errors import CorpusError, UsageError
from embedcli.text.compression import decompressed
from embedcli.text.separators import SPACE
from embedcli.text.sources import STDIN, find_sources, open_source
from embedcli.text.spans import Span

__all__ = ["Shard", "cut", "digest_shards", "joint_digest", "text_size"]

_HEAD = 4096
_LONGEST_LINE = 1 << 20  # bytes that are searched for the beginning of a line
_BLOCK = 1 << 16
_UNPACKED = 3  # bytes of text for one of a packed file, about


@dataclass(frozen=True, slots=True)
class Shard:
    """One part of a text.

    Attributes:
        number: which one, from 0.
        spans: what it is made of, in the order of the text.
    """

    number: int
    spans: tuple[Span, ...]

    def __str__(self) -> str:
        more = f" and {len(self.spans) - 1} more" if len(self.spans) > 1 else ""
        return f"shard {self.number}: {self.spans[0]}{more}"


def cut(paths: Sequence[str], n_shards: int, *, recursive: bool = False) -> list[Shard]:
    """Cut a text into `n_shards` parts of about equal size, or as many as it can be cut into.

    Args:
        paths: files, globs, directories (with `recursive`), URLs.
        n_shards: how many are wanted.
        recursive: whether directories are read, with all that is below them.

    Raises:
        CorpusError: a file cannot be read, or all are empty.
        UsageError: standard input or a pipe is among them.
    """
    sources = [_Source(str(path)) for path in find_sources(paths, recursive=recursive)]
    total = sum(source.size for source in sources)
    if not total:
        raise CorpusError(f"{', '.join(paths)}: no text to cut into shards")
    spans: list[list[Span]] = [[] for _ in range(n_shards)]
    begin = 0
    for source in sources:
        goals = [total * k // n_shards - begin for k in range(n_shards + 1)]
        for number, span in source.cut(goals):
            spans[number].append(span)
        begin += source.size
    return [Shard(number, tuple(part)) for number, part in enumerate(filter(None, spans))]


def digest_shards(shards: Sequence[Shard]) -> str:
    """The digest of a text in shards, read here and now.

    Raises:
        CorpusError: something of it cannot be read.
    """
    return joint_digest([digest_corpus(shard.spans) for shard in shards])


def joint_digest(digests: Sequence[str]) -> str:
    """The SHA-256 of the shards' own, one a line: the text's, as several machines can make it."""
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def text_size(shards: Sequence[Shard]) -> int:
    """About how many bytes of text; that of packed files is guessed."""
    spans = [span for shard in shards for span in shard.spans]
    return sum(
        _UNPACKED * _Source(span.source).size if span.end is None else span.end - span.begin
        for span in spans
    )


class _Source:
    """A file to be cut."""

    def __init__(self, name: str) -> None:
        if name == STDIN:
            raise UsageError("standard input (-) cannot be cut into shards: give files")
        self._name = name
        try:
            self.size = self._size()
            self._can_cut = self.size > 0 and self._is_plain()
        except OSError as error:
            raise self._unreadable(error) from error

    def cut(self, goals: Sequence[int]) -> list[tuple[int, Span]]:
        """The stretches between `goals`, bytes from this file's beginning, and which each is."""
        if not self._can_cut:
            middle = self.size / 2
            number = max(k for k, goal in enumerate(goals[:-1]) if goal <= middle)
            return [(number, Span(self._name))] * (self.size > 0)
        try:
            with open_source(self._name) as file:
                places = [self._beginning(file, goal) for goal in goals]
        except OSError as error:
            raise self._unreadable(error) from error
        stretches = enumerate(itertools.pairwise(places))
        return [(k, Span(self._name, begin, end)) for k, (begin, end) in stretches if begin < end]

    def _size(self) -> int:
        if "://" in self._name:
            import fsspec  # takes 0.1 s, and few need it

            filesystem, path = fsspec.core.url_to_fs(self._name)
            size = filesystem.info(path)["size"]
            if size is None:
                raise UsageError(f"{self._name} does not tell its size, so it cannot be cut")
            return int(size)
        if not Path(self._name).is_file():
            raise UsageError(f"{self._name} is no plain file, so it cannot be cut into shards")
        return Path(self._name).stat().st_size

    def _is_plain(self) -> bool:
        with open_source(self._name) as file:
            head = file.read(_HEAD)
            is_utf16 = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
            return decompressed(file, head) is file and not is_utf16

    def _beginning(self, file: Any, goal: int) -> int:
        """The first place from `goal` on where a line begins, or at least a word."""
        if goal <= 0 or goal >= self.size:
            return min(max(goal, 0), self.size)
        file.seek(goal - 1)
        seen = b""
        while len(seen) < _LONGEST_LINE and (block := file.read(_BLOCK)):
            if (at := block.find(b"\n")) >= 0:
                return goal + len(seen) + int(at)
            seen += block
        if goal - 1 + len(seen) == self.size:
            return self.size
        space = SPACE.search(seen)
        return goal - 1 + int(space.end()) if space else self.size

    def _unreadable(self, error: OSError) -> CorpusError:
        return CorpusError(f"{self._name} cannot be read: {error.strerror or error}")
