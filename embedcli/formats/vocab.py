r"""``vocab``: words and counts, as word2vec ``-save-vocab`` and GloVe ``vocab_count`` write them.

    word count\n              one line per word; most frequent first
    some item\tcount\n        with a tab where a word holds a space, as items may
    word\n                    without counts, in every line: a list of words, as people make them

Read in the order of the file. Reading takes tabs for the space, runs of them, a carriage return at
the end, and a UTF-8 byte order mark; counts are plain ASCII digits. What stands before a single tab
and a count is a word as it stands, if there are spaces in it.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator
from typing import Final

import numpy as np

from embedcli.errors import FormatError
from embedcli.files.publish import Sink, publish
from embedcli.files.source import Source
from embedcli.formats.checks import check_spaceless, check_words
from embedcli.formats.row_words import vocabulary_of
from embedcli.formats.rows import BOM
from embedcli.formats.text_rows import text_lines
from embedcli.quoting import quoted_bytes
from embedcli.settings.reading import STRICT, ReadingOptions
from embedcli.vocabulary import Vocabulary, counts_fault

__all__ = ["check", "is_vocab_line", "read", "read_vocab", "read_words", "write", "write_vocab"]

_LINE: Final = re.compile(rb"([^ \t\r\n\v\f]+)[ \t]+([0-9]{1,19})[ \t]*\r?")
_SPACED: Final = re.compile(rb"(?=[^\t]* )([^\t\r\n\v\f]+)\t([0-9]{1,19})\r?")
_LARGEST_COUNT: Final = 2**63 - 1
_WHITE: Final = b" \t\r\v\f"
_BLOCK_WORDS: Final = 1 << 16


def read_vocab(path: str | os.PathLike[str], reading: ReadingOptions = STRICT) -> Vocabulary:
    """Read a vocabulary file.

    Raises:
        FormatError: a line is not a word and a count, or a word occurs twice; names the line.
    """
    with Source(path) as source:
        return read(source, reading)


def read_words(path: str | os.PathLike[str], *, spaced: bool = False) -> Vocabulary:
    """Read a vocabulary file, or a list of words, a line each, whose counts are not known.

    It is a list if no line is a word and a count. White space at the ends of its lines is not of
    the words; empty lines say nothing.

    Args:
        path: the file.
        spaced: whether words of a list may hold spaces, as items do.

    Raises:
        FormatError: a line is neither, or a word occurs twice; names the line.
    """
    with Source(path) as source:
        lines = source.head.removeprefix(BOM).split(b"\n")
        whole = lines if source.is_whole else lines[:-1]
        if any(map(is_vocab_line, whole)) or not any(map(bytes.strip, whole)):
            return read(source, STRICT)
        words = list(_listed(source, spaced=spaced))
        return vocabulary_of(source.path, words, None, STRICT)


def _listed(source: Source, *, spaced: bool) -> Iterator[bytes]:
    """The words of a list."""
    numbered = enumerate(itertools.chain.from_iterable(text_lines(source)), 1)
    for number, line in numbered:
        word = (line.removeprefix(BOM) if number == 1 else line).strip(_WHITE)
        if not word:
            continue
        if is_vocab_line(line) or (not spaced and len(word.split()) > 1):
            raise FormatError(
                f"{source.path}, line {number}: a word expected, as in the lines before, but it is "
                f"{quoted_bytes(line)}"
            )
        yield word


def write_vocab(vocabulary: Vocabulary, path: str | os.PathLike[str]) -> None:
    """Publish a vocabulary file; ``-`` is standard output.

    Raises:
        FormatError: there are no counts, or a word holds white space.
        OutputError: the file cannot be written.
    """
    with publish(path, stdout=True) as sink:
        write(vocabulary, sink)


def read(source: Source, reading: ReadingOptions) -> Vocabulary:
    """Read the lines of `source`."""
    words: list[bytes] = []
    counts: list[int] = []
    for lines in text_lines(source):
        if not words:
            lines[0] = lines[0].removeprefix(BOM)
        if len(words) == reading.limit:
            break
        for line in lines[: reading.until_limit(len(words) + len(lines)) - len(words)]:
            match = _SPACED.fullmatch(line) or _LINE.fullmatch(line)
            if match is None or int(match[2]) > _LARGEST_COUNT:
                raise FormatError(
                    f"{source.path}, line {len(words) + 1}: a word and its count expected, but it "
                    f"is {quoted_bytes(line)}"
                )
            words.append(match[1])
            counts.append(int(match[2]))
    if not words:
        raise FormatError(f"{source.path}: there is not a single word")
    tally = np.array(counts, np.int64)
    if (fault := counts_fault(tally)) is not None:
        raise FormatError(f"{source.path} has {fault}")
    return vocabulary_of(source.path, words, tally, reading)


def check(vocabulary: Vocabulary) -> None:
    """Refuse words that could not be read back: `write` would."""
    check_words(vocabulary)
    check_spaceless(vocabulary, "vocab", allowed=" ")
    if vocabulary[0].encode().startswith(BOM):
        raise FormatError("cannot save as vocab: the first word begins with a byte order mark")


def write(vocabulary: Vocabulary, sink: Sink) -> None:
    """Write the lines of a vocabulary file."""
    check(vocabulary)
    if vocabulary.counts is None:
        raise FormatError("cannot save as vocab: the counts of the words are not known")
    between = "\t" if " " in "".join(vocabulary.words) else " "
    lines = zip(vocabulary.words, vocabulary.counts.tolist(), strict=True)
    block = [f"{word}{between}{count}\n" for word, count in lines]
    for start in range(0, len(block), _BLOCK_WORDS):
        sink.write("".join(block[start : start + _BLOCK_WORDS]).encode())


def is_vocab_line(line: bytes) -> bool:
    """Tell whether `line` is a word and a whole number."""
    return (_SPACED.fullmatch(line) or _LINE.fullmatch(line)) is not None
