"""Random small models in every format: each file is told to be what it is, by its content alone.

Small ones, because it is there that little tells floats from text: a byte of a float may be a
newline, words may be numbers, and a few rows of three-figure numbers fit as binary rows, too.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from torture.subject import Subject
from torture.trials import Outcome, in_child

if TYPE_CHECKING:
    from embedcli.embeddings import Embeddings

__all__ = ["check", "trials"]

_BARE = "word2vec-bin without newlines"  # as gensim and the GoogleNews file have it
_SLOW = {"parquet", "sqlite"}  # a library of their own and a first line that is a signature
_SHARE = 100
_CHARACTERS = (
    "abcdefghijklmnopqrstuvwxyz", "0123456789", "0123456789.-e", "{}[]<>\"'=+,;#%", "éüß東京にほ",
    "\x01\x1b\x1c\x7f", "\u00a0\u200b\u2028\ufeff",
)  # fmt: skip


def trials(subject: Subject, n: int, rng: Random) -> Iterator[Outcome]:
    """`n` models, each in every format; an outcome a format, and one for each that fails."""
    seed = rng.random()
    with subject.place() as place:
        yield from in_child(place.folder, f"seed {seed}", check, place.folder, n, Random(seed))


def check(folder: Path, n: int, rng: Random) -> Iterator[Outcome]:
    """Write `n` random models into `folder`, in every format that is a file, and detect each."""
    from embedcli.errors import FormatError
    from embedcli.formats import FORMATS, WRITTEN, Format

    names = [name for name in WRITTEN if isinstance(FORMATS[name], Format)] + [_BARE]
    target = folder / "detected"
    for name in names:
        tried, refused = max(1, n // _SHARE if name in _SLOW else n), 0
        for _ in range(tried):
            model = _model(rng)
            try:
                content = _written(name, model)
            except FormatError:
                refused += 1
                continue
            target.write_bytes(content)
            wrong = _wrong(target, name)
            if wrong:
                yield Outcome(f"{name}: {content[:200]!r}", wrong)
        wrong = f"{refused} refused" if 4 * refused > 3 * tried else ""
        yield Outcome(f"{name}: {tried} models", wrong)


def _model(rng: Random) -> Embeddings:
    import numpy as np

    from embedcli.embeddings import Embeddings
    from embedcli.vocabulary import Vocabulary

    words = list(dict.fromkeys(_word(rng) for _ in range(rng.randint(1, 4))))
    dim = rng.choice((1, 1, 2, 3, 8))
    kind = rng.randrange(5)
    vectors = np.array([[_number(kind, rng) for _ in range(dim)] for _ in words], np.float32)
    counts = sorted((rng.randint(1, 10 ** rng.randint(1, 7)) for _ in words), reverse=True)
    return Embeddings(Vocabulary.from_words(words, counts), vectors)


def _number(kind: int, rng: Random) -> float:
    if kind == 0:
        return rng.gauss(0, 1)
    if kind == 1:
        return rng.gauss(0, 1) * float(10 ** rng.uniform(-6, 3))
    if kind == 2:
        return rng.randint(-3, 3)
    return rng.randint(0, 99) / 10 if kind == 3 else round(rng.gauss(0, 1), 3)


def _word(rng: Random) -> str:
    characters = rng.choice(_CHARACTERS[:2] if rng.random() < 0.5 else _CHARACTERS)
    return "".join(rng.choices(characters, k=rng.randint(1, 9)))


def _written(name: str, model: Embeddings) -> bytes:
    from embedcli.files.publish import Sink
    from embedcli.formats import FORMATS, Format

    if name == _BARE:
        parts = [b"%d %d\n" % (len(model), model.dim)]
        for word, vector in zip(model.vocabulary.words, model.vectors, strict=True):
            parts.append(word.encode() + b" " + vector.astype("<f4").tobytes())
        return b"".join(parts)
    entry = FORMATS[name]
    if not isinstance(entry, Format) or entry.write is None:
        raise AssertionError(name)
    memory = io.BytesIO()
    sink = Sink(memory.write)
    entry.write(model, sink)
    sink.flush()
    return memory.getvalue()


def _wrong(target: Path, name: str) -> str:
    from embedcli import formats
    from embedcli.errors import EmbedError

    try:
        found = formats.detect(target)
    except EmbedError as refusal:
        return f"refused: {refusal}"
    return "" if found == name.partition(" ")[0] else f"taken for {found}"
