"""Small files that ask for much: numbers in a header, text that packs well, slow patterns.

A command may take a fixed amount of memory beside what a file holds. It must end in seconds, with
an error in one line or with a result.
"""

from __future__ import annotations

import gzip
import io
import json
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

from torture.manners import harm
from torture.mutants import resident
from torture.subject import Subject
from torture.trials import Outcome

__all__ = ["trials"]

_ROOM = 384 << 20  # bytes beside what the process has: the libraries, the buffers, the kernels
_LIMIT = 6 << 30  # bytes of address space, for the sake of this machine
_LONGEST = 45.0  # seconds, on a busy machine
_MB = 1 << 20
_QUICK = "--dim 16 --min-count 1 --epochs 1 --threads 1 --sample 0 -o one.vec"


def trials(subject: Subject, n: int, rng: Random) -> Iterator[Outcome]:
    """Each file once, and then again with other numbers."""
    names = list(_BOMBS)
    rng.shuffle(names)
    for number in range(n):
        name = names[number % len(names)]
        command, make = _BOMBS[name]
        with subject.place() as place:
            make(place.folder, rng)
            ended = subject.fork(command.split(), place.folder, memory=_LIMIT).end()
            wrong = [harm(ended)]
            if (taken := ended.peak - resident()) > _ROOM:
                wrong.append(f"it took {taken / _MB:.0f} MB")
            if ended.seconds > _LONGEST:
                wrong.append(f"it took {ended.seconds:.0f} s")
            yield Outcome(name, "; ".join(filter(None, wrong)))


def _header_only(folder: Path, rng: Random) -> None:
    words, dim = rng.choice([(10**9, 300), (10**12, 1), (1, 10**9), (2**31, 2**31)])
    (folder / "b.bin").write_bytes(f"{words} {dim}\n".encode() + bytes(5000))


def _fasttext(folder: Path, rng: Random) -> None:
    """A sound model of fastText but for one number, which asks for more than the file holds."""
    n_words, n_buckets, dim = 300, 100, 10
    numbers = [dim, 5, 5, 1, 5, 1, 2, 1, n_buckets, 3, 6, 100]  # dim .. lrUpdateRate
    field = rng.choice(["dim", "bucket", "minn", "maxn", "maxn", "maxn"])
    at = {"dim": 0, "bucket": 8, "minn": 9, "maxn": 10}[field]
    numbers[at] = rng.choice([1024, 10**6, 2**31 - 1])
    words = [f"{i:04}".encode() * 250 for i in range(n_words)]
    parts = [
        struct.pack("<ii12id", 793712314, 12, *numbers, 1e-4),
        struct.pack("<iiiqq", n_words, n_words, 0, 100 * n_words, -1),
        *(word + b"\0" + struct.pack("<qb", 100, 0) for word in words),
        *(
            struct.pack("<?qq", False, rows, dim) + bytes(4 * rows * dim)
            for rows in (n_words + n_buckets, n_words)
        ),
    ]
    (folder / "b.fasttext.bin").write_bytes(b"".join(parts))


def _safetensors(folder: Path, rng: Random) -> None:
    size = rng.choice([1 << 34, 1 << 50, 1 << 62])
    tensor = {"dtype": "F32", "shape": [size >> 4, 4], "data_offsets": [0, size]}
    header = json.dumps({"vectors": tensor}).encode()
    (folder / "b.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(99))


def _parquet_vectors(folder: Path, rng: Random) -> None:
    """Vectors of zeros, of which Parquet keeps one."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    dim, rows, groups = rng.choice([(4000, 4000, 20), (40_000, 400, 20)])
    zeros = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(rows * dim, np.float32)), dim)
    names = [[f"w{group}x{i}" for i in range(rows)] for group in range(groups)]
    tables = [pa.table({"word": words, "vector": zeros}) for words in names]
    with pq.ParquetWriter(folder / "b.parquet", tables[0].schema, compression="zstd") as writer:
        for table in tables:
            writer.write_table(table)


def _parquet_text(folder: Path, rng: Random) -> None:
    """One text of 16 MB many times, of which Parquet keeps one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    text = rng.choice(["a b ", "ab"]) * (4 * _MB)
    column = pa.DictionaryArray.from_arrays(pa.array([0] * 32, pa.int32()), [text])
    table = pa.table({"text": column})
    pq.write_table(table, folder / "b.parquet", compression="zstd", store_schema=False)


def _long_line(folder: Path, rng: Random) -> None:
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=9) as packed:
        packed.write(b'{"text": "')
        for _ in range(1024):
            packed.write(rng.choice((b"a", b"a ")) * (_MB // 2))
    (folder / "b.jsonl.gz").write_bytes(out.getvalue())


def _counts(folder: Path, rng: Random) -> None:
    (folder / "b.counts").write_bytes(b"\xff" * rng.choice([8, 100, 5000]))


def _slow_pattern(folder: Path, rng: Random) -> None:
    line = "a" * rng.choice([40, 4000]) + "!\n"
    (folder / "text").write_text(line * 50)


_BOMBS: dict[str, tuple[str, Callable[[Path, Random], None]]] = {
    "a binary header of word2vec": ("verify b.bin", _header_only),
    "a header of fastText": ("neighbors x -m b.fasttext.bin", _fasttext),
    "a header of safetensors": ("info b.safetensors", _safetensors),
    "Parquet of zeros as vectors": ("verify b.parquet", _parquet_vectors),
    "Parquet of one text as text": ("vocab b.parquet --field text -o words", _parquet_text),
    "a record without an end": (f"train b.jsonl.gz --field text {_QUICK}", _long_line),
    "counts of 0xff": ("combine b.counts -o c.counts", _counts),
    "a pattern that backtracks": (
        f"train text --tokenizer pattern --pattern (a+)+$ {_QUICK}", _slow_pattern
    ),
}  # fmt: skip
