"""What `tokenize.py` computes, in plain Python: its specification, and its twin in tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from embedcli.kernels.intrinsics.text_bytes import WHITE_SPACE
from embedcli.kernels.tokenize import MAX_BYTES

__all__ = ["Scan", "mask_non_words", "ranked", "scan"]


@dataclass
class Scan:
    """A text that was read.

    Attributes:
        counts: how often each word occurs, in order of first sight; its place is its id.
        sentences: the ids of each line that has any.
        lines: lines, empty ones too.
        too_long: tokens dropped for their length.
        too_long_bytes: their bytes.
    """

    counts: dict[bytes, int] = field(default_factory=dict)
    sentences: list[list[int]] = field(default_factory=list)
    lines: int = 0
    too_long: int = 0
    too_long_bytes: int = 0


def scan(text: bytes, *, lowercase: bool = False, separator: int = WHITE_SPACE) -> Scan:
    """Split into lines at 0x0A, into tokens at white space or the byte `separator`, and count.

    Malformed bytes are bytes of words like any other here; `lowercase` is for A-Z only.
    """
    done = Scan()
    lines = text.split(b"\n")
    done.lines = len(lines) - (lines[-1] == b"")
    ids: dict[bytes, int] = {}
    for line in lines:
        sentence = []
        for token in _tokens(line) if separator == WHITE_SPACE else _items(line, separator):
            word = token.lower() if lowercase else token  # of bytes: A-Z
            if len(word) > MAX_BYTES:
                done.too_long += 1
                done.too_long_bytes += len(word)
                continue
            sentence.append(ids.setdefault(word, len(ids)))
            done.counts[word] = done.counts.get(word, 0) + 1
        if sentence:
            done.sentences.append(sentence)
    return done


def ranked(counts: dict[bytes, int], min_count: int = 1) -> list[bytes]:
    """Words in the order of their final ids: falling count, then bytes."""
    kept = [word for word, count in counts.items() if count >= min_count]
    return sorted(kept, key=lambda word: (-counts[word], word))


def mask_non_words(
    text: str, is_word: Callable[[str], bool], is_joined: Callable[[str], bool]
) -> str:
    """Spaces in place of characters that are in no word; as many as the character has bytes."""
    kept = ""
    inside = False
    for c in text:
        inside = is_word(c) or (inside and is_joined(c))
        kept += c if inside or c == "\n" else " " * len(c.encode())
    return kept


def _items(line: bytes, separator: int) -> Iterator[bytes]:
    """What stands between separators, NUL and carriage returns."""
    for other in b"\0\r":
        line = line.replace(bytes([other]), bytes([separator]))
    yield from filter(None, line.split(bytes([separator])))


def _tokens(line: bytes) -> Iterator[bytes]:
    """What stands between characters that are white space for `str.isspace`, or NUL."""
    token = ""
    for character in line.decode(errors="surrogateescape") + " ":
        if character.isspace() or character == "\0":
            if token:
                yield token.encode(errors="surrogateescape")
            token = ""
        else:
            token += character
