"""``parquet``: one table, for pyarrow, polars, DuckDB, Spark, LanceDB, Hugging Face datasets.

    word      string
    count     int64, where the counts are known
    vector    fixed_size_list<float>[D], or <halffloat> for float16

Needs pyarrow (``pip install 'embedcli[interchange]'``). Rows are written in groups, so no second
copy of the vectors is in memory. Any word may be written. Output vectors and metadata are not kept.
Reading takes a plain (unpacked, seekable) file with other columns too (`parquet_columns.py`).
"""

from __future__ import annotations

import os
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from embedcli.embeddings import Embeddings
from embedcli.errors import FormatError
from embedcli.files.parquet_library import pyarrow
from embedcli.files.publish import Sink
from embedcli.files.source import Source
from embedcli.formats.checks import check_savable
from embedcli.formats.narrow import to_float16
from embedcli.formats.parquet_columns import Table
from embedcli.settings.reading import ReadingOptions

__all__ = ["read", "write", "write_narrow"]

_ROWS: Final = 1 << 14  # of a row group


class _Output:
    """A Sink as pyarrow wants its files: with `closed` and `close`."""

    closed = False

    def __init__(self, sink: Sink) -> None:
        self.write, self.tell, self.flush = sink.write, sink.tell, sink.flush

    def close(self) -> None:
        self.closed = True


def write(embeddings: Embeddings, sink: Sink) -> None:
    """Write the table with float32 vectors.

    Raises:
        FormatError: a number that is not finite, or a word that is empty or occurs twice.
        MissingExtraError: pyarrow is not installed.
    """
    check_savable(embeddings)
    _write(embeddings, embeddings.vectors, sink)


def write_narrow(embeddings: Embeddings, sink: Sink, dtype: str) -> None:
    """Write the table with float16 vectors; `dtype` says so."""
    check_savable(embeddings)
    _write(embeddings, to_float16(embeddings), sink)


def _write(embeddings: Embeddings, vectors: NDArray[Any], sink: Sink) -> None:
    pa, pq = pyarrow()
    number = pa.float16() if vectors.dtype == np.float16 else pa.float32()
    columns = [pa.field("word", pa.string(), nullable=False)]
    if embeddings.vocabulary.counts is not None:
        columns.append(pa.field("count", pa.int64()))
    columns.append(pa.field("vector", pa.list_(number, embeddings.dim)))
    schema = pa.schema(columns)
    with pq.ParquetWriter(_Output(sink), schema, use_dictionary=False) as writer:
        for start in range(0, len(embeddings), _ROWS):
            rows = slice(start, start + _ROWS)
            flat = pa.array(np.ascontiguousarray(vectors[rows]).reshape(-1), number)
            arrays = [pa.array(embeddings.vocabulary.words[rows], pa.string())]
            if embeddings.vocabulary.counts is not None:
                arrays.append(pa.array(embeddings.vocabulary.counts[rows], pa.int64()))
            arrays.append(pa.FixedSizeListArray.from_arrays(flat, embeddings.dim))
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema), row_group_size=_ROWS)


def read(source: Source, reading: ReadingOptions) -> Embeddings:
    """Read words, counts and vectors.

    Raises:
        FormatError: damaged, packed, or without such columns.
        MissingExtraError: pyarrow is not installed.
    """
    pa, pq = pyarrow()
    source.plain_size("a Parquet file")
    try:
        path = os.fsencode(source.path)  # what stands for bytes that are not UTF-8 is refused
        with pa.OSFile(path) as opened, pq.ParquetFile(opened) as file:
            table = Table(source.path, file, reading)
        with (
            pa.OSFile(path) as opened,
            pq.ParquetFile(opened, read_dictionary=table.texts) as file,
        ):
            return table.read(file)
    except (pa.ArrowException, OSError, ValueError) as error:
        what = " ".join(str(error).split())
        raise FormatError(f"{source.path} is a damaged Parquet file: {what}") from error
