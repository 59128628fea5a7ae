"""Files one of whose numbers asks for memory that their size does not justify; writers that fail.

A mutated file of a few kilobytes seldom holds such a number where it matters, so these are made:
long words under n-grams of any length, quantised vectors of any width, packed rows without end.
Memory is limited as for mutants. And where a writer writes what cannot be read, the old file stays.
"""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, cast

from torture.mutants import limit_memory, tried
from torture.subject import Subject
from torture.trials import Outcome, in_child
from torture.writes import content

if TYPE_CHECKING:
    from embedcli.embeddings import Embeddings

__all__ = ["trials", "writer_trials"]

_CLAIMS = (0, 1, 7, 100, 101, 1024, 65_536, 10_000_000, 2**30, -1)
_WIDTHS = (10, 100, 1000, 2000)
_N_WORDS = 100_000
_JUSTIFIED = 100  # times its size, a file may ask for
_FASTTEXT = {"dim": 8, "bucket": 40, "minn": 44, "maxn": 48}  # where they are, in bytes


def trials(subject: Subject, n: int, rng: Random) -> Iterator[Outcome]:
    """One number of one file after the other."""
    cases: list[tuple[str, Callable[..., Any], tuple[Any, ...]]] = [
        ("fasttext", _ngrams, (field, claim)) for field in _FASTTEXT for claim in _CLAIMS
    ]
    cases += [("safetensors", _product, (width,)) for width in _WIDTHS]
    cases += [("model2vec", _mapping, (width,)) for width in _WIDTHS]
    cases += [("word2vec-bin", _packed, (claim,)) for claim in _CLAIMS]
    for name, make, numbers in rng.sample(cases, min(n, len(cases))):
        with subject.place() as place:
            what = f"{name}, {make.__name__[1:]} {numbers}"
            target = place.folder / "target"
            yield from in_child(place.folder, what, _read, target, name, make, numbers, what)


def _read(
    target: Path, name: str, make: Callable[..., Any], numbers: tuple[Any, ...], what: str
) -> Iterator[Outcome]:
    make(target, *numbers)
    limit_memory(_JUSTIFIED * sum(map(len, content(target).values())))
    yield Outcome(what, tried(target, name))


def _ngrams(target: Path, field: str, claim: int) -> None:
    """Long words, and one number of fastText's header."""
    import numpy as np

    from embedcli import formats
    from embedcli.embeddings import Embeddings
    from embedcli.subwords.ngrams import NGrams
    from embedcli.subwords.table import Subwords
    from embedcli.vocabulary import Vocabulary

    words = Vocabulary.from_words([f"{i}{'x' * 4000}" for i in range(20)])
    rows = np.ones((20, 1), np.float32)
    subwords = Subwords(NGrams(3, 6, 20), rows, np.arange(20, dtype=np.int32), rows)
    formats.save(Embeddings(words, rows, subwords=subwords), target, "fasttext")
    data = bytearray(target.read_bytes())
    struct.pack_into("<i", data, _FASTTEXT[field], claim)
    target.write_bytes(data)


def _product(target: Path, width: int) -> None:
    """A hundred thousand words of a byte, which stands for a part of so many numbers."""
    import numpy as np

    from embedcli.files import safetensors
    from embedcli.files.publish import publish
    from embedcli.formats import native

    model = _words(_N_WORDS)
    arrays = native.tensors(model)
    words = arrays.pop("words")
    del arrays["syn0"]
    arrays |= {
        "centres": np.zeros((1, 256, width), np.float32),
        "scales": np.ones(_N_WORDS, np.float32),
        "codes": np.zeros((_N_WORDS, 1), np.uint8),
    }
    with publish(target) as sink:
        safetensors.write(
            sink, arrays | {"words": words}, native.metadata(model) | {"version": "pq"}
        )


def _mapping(target: Path, width: int) -> None:
    """A hundred thousand tokens that share one row of so many numbers."""
    import numpy as np

    from embedcli import formats
    from embedcli.files import safetensors
    from embedcli.files.publish import publish

    formats.save(_words(_N_WORDS), target, "model2vec")
    arrays: dict[str, Any] = {
        "embeddings": np.zeros((1, width), np.float32),
        "mapping": np.zeros(_N_WORDS + 1, np.uint8),
    }
    with publish(target / "model.safetensors") as sink:
        safetensors.write(sink, arrays, {})


def _packed(target: Path, dim: int) -> None:
    """A packed row of zeros under a header with such a dimension."""
    rows = b"1 %d\nword " % dim + bytes(128 << 20)
    target.write_bytes(gzip.compress(rows, 1))


def _words(n_words: int) -> Embeddings:
    import numpy as np

    from embedcli.embeddings import Embeddings
    from embedcli.vocabulary import Vocabulary

    words = Vocabulary.from_words([f"w{i}" for i in range(n_words)])
    return Embeddings(words, np.ones((n_words, 1), np.float32))


def writer_trials(subject: Subject, n: int, rng: Random) -> Iterator[Outcome]:
    """In every format a writer that leaves out a row, or writes a number that is another."""
    from embedcli.formats import WRITTEN

    cases = [(name, fault) for name in WRITTEN for fault in ("a row left out", "another number")]
    for name, fault in rng.sample(cases, min(n, len(cases))):
        with subject.place() as place:
            folder = place.folder / "written"
            folder.mkdir()
            what = f"{name}: {fault}"
            yield from in_child(folder, what, _write_wrong, folder / "target", name, fault, what)


def _write_wrong(target: Path, name: str, fault: str, what: str) -> Iterator[Outcome]:
    from embedcli import formats
    from embedcli.errors import OutputError
    from embedcli.formats.registry import FORMATS
    from torture.samples import embeddings

    formats.save(embeddings(1), target, name)
    old, entry = content(target), FORMATS[name]

    def write(model: Embeddings, *told: Any) -> None:
        import numpy as np

        model = model.head(len(model) - 1 if fault == "a row left out" or name == "vocab" else 99)
        other = np.array(model.vectors)
        other[3, 2] = -other[3, 2]
        cast(Any, entry).write(replace(model, vectors=other), *told)

    cast(dict[str, Any], FORMATS)[name] = replace(cast(Any, entry), write=write)
    wrong = "what is not what was to be written took its place"
    try:
        formats.save(embeddings(2), target, name)
    except OutputError:
        wrong = "" if content(target) == old else "the old file is gone"
    yield Outcome(what, wrong)
