"""Cutting a text into shards of about equal size, each a list of stretches of files.

A cut lies where a line begins, so that every line belongs to one shard. If no line begins for a
megabyte (text8 is one line), the cut lies between two words, unless the line is a record or a list
of items. Compressed files, UTF-16 and tables cannot be read from the middle and stay whole.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embedcli.errors import CorpusError, UsageError
from embedcli.files.compression import compression_of
from embedcli.files.opening import STDIN, open_source, reason
from embedcli.files.plain import is_file
from embedcli.files.spans import Span
from embedcli.files.urls import is_url, url_size
from embedcli.settings.text_rules import TextRules
from embedcli.text.corpus_reader import digest_corpus
from embedcli.text.encodings import can_be_cut
from embedcli.text.places import find_sources
from embedcli.text.records import is_json_lines
from embedcli.text.separators import SPACE

__all__ = ["Shard", "cut", "digest_shards", "joint_digest", "text_size"]

_HEAD = 4096
LONGEST_LINE = 1 << 20  # bytes that are searched for the beginning of a line
BLOCK_BYTES = 1 << 16
_UNPACKED = 3  # bytes of text for a byte of a compressed file, about


@dataclass(frozen=True, slots=True)
class Shard:
    """One part of a text.

    Attributes:
        number: which one, from 0.
        spans: its stretches of files, in the order of the text.
    """

    number: int
    spans: tuple[Span, ...]

    def __str__(self) -> str:
        more = f" and {len(self.spans) - 1} more" if len(self.spans) > 1 else ""
        return f"shard {self.number}: {self.spans[0]}{more}"


def cut(
    paths: Sequence[str],
    n_shards: int,
    *,
    rules: TextRules | None = None,
    recursive: bool = False,
) -> list[Shard]:
    """Cut a text into `n_shards` parts of about equal size, or fewer if it has fewer places to cut.

    Args:
        paths: files, globs, directories (with `recursive`), URLs.
        n_shards: how many are wanted.
        rules: how text becomes tokens; white space separates them if None.
        recursive: read directories and everything below them.

    Raises:
        CorpusError: a file cannot be read, or all are empty.
        UsageError: standard input or a pipe is among them.
    """
    rules = rules or TextRules()
    sources = [_Source(str(path), rules) for path in find_sources(paths, recursive=recursive)]
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


def digest_shards(shards: Sequence[Shard], rules: TextRules) -> str:
    """Read a text in shards; its digest.

    Raises:
        CorpusError: some of it cannot be read.
    """
    return joint_digest([digest_corpus(shard.spans, rules=rules) for shard in shards])


def joint_digest(digests: Sequence[str]) -> str:
    """The digest of a text in shards: the SHA-256 of the digests of the shards, one a line."""
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def text_size(shards: Sequence[Shard]) -> int:
    """About how many bytes of text there are; for compressed files it is a guess."""
    spans = [span for shard in shards for span in shard.spans]
    return sum(
        _UNPACKED * _size(span.source) if span.end is None else span.end - span.begin
        for span in spans
    )


class _Source:
    """A file that is to be cut."""

    def __init__(self, name: str, rules: TextRules) -> None:
        if name == STDIN:
            raise UsageError("standard input (-) cannot be cut into shards: give files")
        self._name = name
        is_utf8 = rules.encoding is None
        self._within_lines = not rules.items and rules.field is None and is_utf8
        try:
            self.size = _size(name)
            self._can_cut = self.size > 0 and self._is_plain(rules)
        except OSError as error:
            raise self._unreadable(error) from error

    def cut(self, goals: Sequence[int]) -> list[tuple[int, Span]]:
        """The number and span of each stretch between `goals`, bytes in the file."""
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

    def _is_plain(self, rules: TextRules) -> bool:
        """Whether it can be read from the beginning of any line."""
        with open_source(self._name) as file:
            head = file.read(_HEAD)
            is_cut = can_be_cut(head, rules.encoding)
            has_lines = rules.field is None or is_json_lines(head)
            return compression_of(head) is None and is_cut and has_lines

    def _beginning(self, file: Any, goal: int) -> int:
        """Where the first line from `goal` on begins, or the first word of a very long line."""
        if goal <= 0 or goal >= self.size:
            return min(max(goal, 0), self.size)
        file.seek(goal - 1)
        at, line = goal - 1, bytearray()
        while len(line) < LONGEST_LINE:
            block = file.read(BLOCK_BYTES)
            if not block:
                return self.size
            if (found := int(block.find(b"\n"))) >= 0:
                return at + found + 1
            at += len(block)
            if self._within_lines:
                line += block
        space = SPACE.search(line)
        return goal - 1 + space.end() if space else self.size

    def _unreadable(self, error: OSError) -> CorpusError:
        return CorpusError(f"{self._name} cannot be read: {reason(error)}")


def _size(name: str) -> int:
    """Bytes of a file or of what a URL names.

    Raises:
        UsageError: it has no size.
        OSError: it does not exist.
    """
    if is_url(name):
        size = url_size(name)
        if size is None:
            raise UsageError(f"{name} does not tell its size, so it cannot be cut")
        return size
    if not is_file(name):
        raise UsageError(f"{name} is no plain file, so it cannot be cut into shards")
    return Path(name).stat().st_size
