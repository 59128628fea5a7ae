"""Mutated files of every format: refused by an error of ours, or read as sound finite vectors.

Memory is limited to what a file of that size can justify, so that a count in a header that is
believed ends in a MemoryError, which is no error of ours.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Final

from torture.damage import damaged
from torture.subject import Subject
from torture.trials import Outcome, in_child

if TYPE_CHECKING:
    from embedcli.embeddings import Embeddings

__all__ = ["limit_memory", "resident", "trials", "tried"]

_ROOM = 96 << 20  # bytes above what the process has taken: two block buffers and the libraries' own
_LONGEST = 5.0  # seconds for a file of a few kilobytes
_NUMBERS = (
    b"0",
    b"-1",
    b"7",
    b"65536",
    b"999999999",
    b"9000000000",
    b"1e400",
    b"nan",
    b"inf",
    b"x",
)


def trials(subject: Subject, n: int, rng: Random) -> Iterator[Outcome]:
    """About as many files of each format."""
    from embedcli.formats import WRITTEN

    names = (*WRITTEN, *_ONLY_READ)
    each = max(1, n // len(names))
    for name in names:
        seed = rng.random()
        with subject.place() as place:
            folder = place.folder / "mutants"
            folder.mkdir()
            what = f"{name}, seed {seed}"
            yield from in_child(folder, what, _read, folder, name, each, Random(seed))


def _read(folder: Path, name: str, n: int, rng: Random) -> Iterator[Outcome]:
    from embedcli import formats
    from torture.samples import embeddings

    target = folder / "target"
    if name in _ONLY_READ:
        _ONLY_READ[name](target, embeddings(1))
    else:
        formats.save(embeddings(1), target, name)
    files = sorted(target.iterdir()) if target.is_dir() else [target]
    sound = {path: path.read_bytes() for path in files}
    tried(target, name)  # what is loaded once, is loaded before memory is limited
    limit_memory()
    for _ in range(n):
        path = rng.choice(files)
        fault, content = _mutated(sound[path], rng)
        path.write_bytes(content)
        yield Outcome(f"{name}, {path.name}: {fault}", tried(target, name))
        path.write_bytes(sound[path])


def _csv(target: Path, made: Embeddings) -> None:
    rows = zip(made.vocabulary.words, made.vectors.tolist(), strict=True)
    header = ",".join(["word", *(f"d{i}" for i in range(made.dim))])
    lines = [header, *(f'"{word}",' + ",".join(map(str, numbers)) for word, numbers in rows)]
    target.write_text("\n".join(lines) + "\n")


def _npz(target: Path, made: Embeddings) -> None:
    import numpy as np

    with target.open("wb") as file:
        np.savez(file, words=np.array(made.vocabulary.words), vectors=made.vectors)


_ONLY_READ: Final[dict[str, Callable[[Path, Embeddings], None]]] = {"csv": _csv, "npz": _npz}


def limit_memory(more: int = 0) -> None:
    """Let this process take no more than what reading a small file justifies, and `more` bytes."""
    limit = _address_space() + _ROOM + more
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def tried(target: Path, name: str) -> str:
    """What is wrong with how a file of the format `name` was read; empty where all was well."""
    import numpy as np

    from embedcli import formats
    from embedcli.errors import EmbedError
    from embedcli.files.source import Source
    from embedcli.formats.vocab import read_vocab

    began = time.perf_counter()
    try:
        if name == "vocab":
            read_vocab(target)
        else:
            read = formats.load(target, name)
            if name == "safetensors":  # mapped and not looked at, until it is verified
                with Source(target) as source:
                    formats.native.verify(source)
            if not np.isfinite(read.vectors).all():
                return "a number that is not finite was let in"
            if len(set(read.vocabulary.words)) < len(read):
                return "a word was let in twice"
    except EmbedError as refusal:
        if "\n" in str(refusal):
            return f"a message of several lines: {refusal}"
    except BaseException as problem:
        return f"{type(problem).__name__}: {problem}"
    seconds = time.perf_counter() - began
    return f"it took {seconds:.1f} s" if seconds > _LONGEST else ""


def _mutated(whole: bytes, rng: Random) -> tuple[str, bytes]:
    if rng.random() < 0.4:
        return damaged(whole, rng)
    at, to = sorted(rng.choices(range(len(whole) + 1), k=2))
    if rng.random() < 0.4:
        at = min(at, 40)  # where headers are
        to = at + rng.randint(0, 8)
    way = rng.randrange(4)
    if way == 0:
        return f"bytes {at} to {to} taken out", whole[:at] + whole[to:]
    if way == 1:
        return f"bytes {at} to {to} twice", whole[:to] + whole[at:]
    number = rng.choice(_NUMBERS)
    if way == 2:
        return f"{number!r} for bytes {at} to {to}", whole[:at] + number + whole[to:]
    end = rng.choice((16, 4096))  # half of them in the first line, where counts are
    digits = [i for i, byte in enumerate(whole[:end]) if chr(byte).isdigit()]
    at = rng.choice(digits or [0])
    return f"{number!r} for the digit at byte {at}", whole[:at] + number + whole[at + 1 :]


def _address_space() -> int:
    return _pages(0)


def resident() -> int:
    """Bytes of memory that this process holds now."""
    return _pages(1)


def _pages(field: int) -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[field])
    return pages * os.sysconf("SC_PAGE_SIZE")
