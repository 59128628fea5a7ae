"""``parquet``: one table, for pyarrow, polars, DuckDB, Spark, LanceDB, Hugging Face datasets.

    word      string
    count     int64, where the counts are known
    vector    fixed_size_list<float>[D], or <halffloat> for float16

Needs pyarrow (``pip install 'embedcli[interchange]'``). Rows are written in groups, so no second
copy of the vectors is in memory. Any word may be written. Output vectors and metadata are not kept.
Reading takes a plain (unpacked, seekable) file with a column of text, called ``word`` if there are
several, and one of lists of numbers of equal length, called ``vector`` if there are several.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from embedcli.embeddings import Embeddings
from embedcli.errors import FormatError, MissingExtraError
from embedcli.formats.checks import check_savable
from embedcli.formats.narrow import to_float16
from embedcli.formats.rows import embeddings_of
from embedcli.formats.source import Source
from embedcli.reading import ReadingOptions
from embedcli.storage.publish import Sink

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["library", "read", "write", "write_narrow"]

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
    pa, pq = library()
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
    pa, pq = library()
    if source.size is None:
        kind = f"packed with {source.compression}" if source.compression else "a pipe"
        raise FormatError(f"{source.path} is {kind}: a Parquet file must be a plain file")
    try:
        with pq.ParquetFile(source.path) as file:
            return _read(source.path, file, pa, reading)
    except (pa.ArrowException, OSError, ValueError) as error:
        what = " ".join(str(error).split())
        raise FormatError(f"{source.path} is a damaged Parquet file: {what}") from error


def _read(where: str, file: Any, pa: Any, reading: ReadingOptions) -> Embeddings:
    schema = file.schema_arrow
    types = pa.types
    word = _column(where, schema, "word", lambda t: types.is_string(t) or types.is_large_string(t))
    vector = _column(
        where,
        schema,
        "vector",
        lambda t: (
            (types.is_list(t) or types.is_fixed_size_list(t) or types.is_large_list(t))
            and types.is_floating(t.value_type)
        ),
    )
    counted = "count" in schema.names and types.is_integer(schema.field("count").type)
    names = [word, vector, *(["count"] if counted else [])]
    words: list[bytes] = []
    blocks: list[NDArray[np.float32]] = []
    counts: list[NDArray[np.int64]] = []
    for batch in file.iter_batches(_ROWS, columns=names):
        if len(words) == reading.limit:
            break
        batch = batch.slice(0, reading.until_limit(len(words) + len(batch)) - len(words))
        if any(batch.column(name).null_count for name in names):
            raise FormatError(f"{where}, rows from {len(words) + 1}: a cell is empty")
        words += [text.encode() for text in batch.column(word).to_pylist()]
        blocks.append(_rows(where, batch.column(vector), len(words) - len(batch), len(batch)))
        if blocks[-1].shape[1] != blocks[0].shape[1]:
            raise FormatError(f"{where}, rows from {len(words) - len(batch) + 1}: another length")
        if counted:
            counts.append(batch.column("count").to_numpy(zero_copy_only=False).astype(np.int64))
    if not words:
        raise FormatError(f"{where}: there is not a single row")
    tally = np.concatenate(counts) if counted else None
    return embeddings_of(where, words, np.concatenate(blocks), reading, tally)


def _column(where: str, schema: Any, name: str, fits: Any) -> str:
    """The column called `name`, or the only one whose type fits."""
    found = [field.name for field in schema if fits(field.type)]
    if name in found:
        return name
    if len(found) != 1:
        held = ", ".join(f"{field.name} ({field.type})" for field in schema)
        raise FormatError(f"{where} has no column that is clearly the {name}; it has {held}")
    return cast(str, found[0])


def _rows(where: str, column: pa.Array, first: int, n_rows: int) -> NDArray[np.float32]:
    flat = column.flatten().to_numpy(zero_copy_only=False).astype(np.float32, copy=False)
    if flat.size % n_rows or flat.size == 0:
        raise FormatError(f"{where}, rows from {first + 1}: the vectors have different lengths")
    lengths = {len(cell) for cell in column[:: max(1, n_rows // 64)]}
    rows: NDArray[np.float32] = flat.reshape(n_rows, -1)
    if lengths != {rows.shape[1]}:
        raise FormatError(f"{where}, rows from {first + 1}: the vectors have different lengths")
    return rows


def library() -> tuple[Any, Any]:
    """Pyarrow and its Parquet module.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingExtraError("Parquet", "pyarrow", "interchange") from error
    return pa, pq
