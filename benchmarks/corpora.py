"""The text that everything is measured on, and beginnings and repetitions of it.

It is kept unpacked outside the repository, so that no trainer is timed on its gzip reader.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path

__all__ = ["WIKI", "digest", "unpacked", "write_tokens"]

WIKI = Path(__file__).parents[2] / "shared" / "data" / "wiki-17m.txt.gz"

_BLOCK = 1 << 20  # a line longer than this is cut: it would stay in this process's peak memory


def unpacked(source: Path, folder: Path) -> Path:
    """`source` itself if it is plain text, or its unpacked copy, made in `folder` if not there."""
    with source.open("rb") as file:
        if file.read(2) != b"\x1f\x8b":
            return source
        file.seek(-4, os.SEEK_END)
        size = int.from_bytes(file.read(4), "little")  # modulo 2**32, as gzip keeps it
    target = folder / source.stem
    if not target.is_file() or target.stat().st_size % 2**32 != size:
        part = target.with_suffix(".part")
        with gzip.open(source) as packed, part.open("wb") as plain:
            shutil.copyfileobj(packed, plain, _BLOCK)
        part.rename(target)
    return target


def write_tokens(corpus: Path, n_tokens: int, target: Path) -> Path:
    """Write the first `n_tokens` tokens of `corpus`, read over and over if need be, to `target`."""
    left = n_tokens
    with target.open("wb") as out:
        while left:
            before = left
            for line in _lines(corpus):
                tokens = line.split()
                out.write(b" ".join(tokens[:left]) + b"\n")
                left -= min(left, len(tokens))
                if not left:
                    break
            if left == before:
                raise ValueError(f"{corpus} holds no tokens")
    return target


def _lines(corpus: Path) -> Iterator[bytes]:
    with corpus.open("rb") as file:
        while line := file.readline(_BLOCK):
            yield line


@cache
def digest(corpus: Path) -> str:
    """SHA-256 of a file, hex. Reading it also brings it into the page cache, before any clock."""
    with corpus.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
