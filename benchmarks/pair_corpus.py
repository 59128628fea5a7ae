"""``pair_corpus.py TEXT OUT``: each line with every pair of adjacent words after its first word.

A text of 17 million tokens holds a million different words and pairs, which trained vectors then
belong to: their neighbourhoods are those of real data, as random vectors' are not.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

_BLOCK = 1 << 20  # a line longer than this is cut


def write(text: str, target: str) -> None:
    """Write ``a b c`` as ``a a_b b b_c c``."""
    with Path(text).open("rb") as source, Path(target).open("wb") as out:
        while line := source.readline(_BLOCK):
            out.write(b" ".join(_with_pairs(line.split())) + b"\n")


def _with_pairs(words: list[bytes]) -> Iterator[bytes]:
    yield from words[:1]
    for first, second in pairwise(words):
        yield first + b"_" + second
        yield second


if __name__ == "__main__":
    write(sys.argv[1], sys.argv[2])
