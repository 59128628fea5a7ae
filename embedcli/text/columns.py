"""A column of a Parquet file, read in batches of bytes.

How large a batch becomes is told by what a row group says of its column; texts that a dictionary
holds stay in it until their row is asked for, as a few bytes can repeat a long text for every row.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from embedcli.errors import CorpusError
from embedcli.files.parquet_library import Chunk, chunks_of, pyarrow
from embedcli.text.fields import Field

__all__ = ["parquet_texts"]

_BATCH_BYTES = 1 << 22
_READ_BYTES = 1 << 20  # of a column, which else is read as a whole
_MOST_ROWS = 1 << 10  # as rows differ in length
_INDEX = 4  # bytes that stand for a text in a dictionary


def parquet_texts(file: Any, field: Field, title: str) -> Iterator[str]:
    """The texts of a column of a Parquet file.

    Args:
        file: the file, seekable.
        field: the column; or, with dots, a field of structures in it.
        title: the file's name.

    Raises:
        MissingExtraError: pyarrow is not installed.
        CorpusError: it is damaged, or has no such column.
    """
    pa, pq = pyarrow()
    if not file.seekable():
        raise CorpusError(f"{title}: Parquet is read from its end; give a file, not a pipe")
    try:
        metadata = pq.ParquetFile(file).metadata
        if not metadata.num_rows:
            return
        names = metadata.schema.to_arrow_schema().names
        name = _column(names, field, title)
        leaves = [leaf for leaf in range(metadata.num_columns) if _is_below(metadata, leaf, name)]
        texts = [metadata.schema.column(leaf) for leaf in leaves]
        kept = [leaf.path for leaf in texts if leaf.physical_type == "BYTE_ARRAY"]
        groups = _groups(file, title)
        file.seek(0)
        table = pq.ParquetFile(file, read_dictionary=kept, buffer_size=_READ_BYTES)
        number = 0
        for group in range(metadata.num_row_groups):
            columns = [groups[group][leaf] for leaf in leaves if leaf < len(groups[group])]
            n_rows = _batch_rows(columns, metadata.row_group(group).num_rows)
            batches = table.iter_batches(n_rows, row_groups=[group], columns=[name])
            for scalar in (scalar for batch in batches for scalar in batch.column(0)):
                number += 1
                place = f"{title}, row {number}"
                try:
                    value = _value(scalar)
                except (ValueError, OverflowError) as error:  # a date that Python does not have
                    yield field.reject(f"{place}: {error}")
                    continue
                if name != field.name and field.number is None:
                    value = field.within({name: value})
                yield field.text(value, place.__str__)
    except (pa.ArrowException, OSError) as error:
        raise CorpusError(f"{title} is damaged: {error}; is the download complete?") from error


def _value(scalar: Any) -> Any:
    """A cell as Python has it; bytes where it says that it is text and is none."""
    try:
        return scalar.as_py()
    except UnicodeDecodeError:
        text = getattr(scalar, "value", scalar)  # out of its dictionary
        return text.as_buffer().to_pybytes() if hasattr(text, "as_buffer") else str(scalar)


def _groups(file: Any, title: str) -> list[list[Chunk]]:
    try:
        return chunks_of(file)
    except ValueError as error:
        raise CorpusError(f"{title} is damaged: {error}; is the download complete?") from error


def _column(names: list[str], field: Field, title: str) -> str:
    """The column of the table that holds the field."""
    if field.name in names:
        return field.name
    if field.number is not None:
        field.check_number(len(names), title)
        return names[field.number - 1]
    field.check_is_there(names, title, nested=True)
    return field.name.split(".")[0]


def _is_below(metadata: Any, leaf: int, name: str) -> bool:
    path = metadata.schema.column(leaf).path
    return bool(path == name or path.startswith(f"{name}."))


def _batch_rows(columns: list[Chunk], n_rows: int) -> int:
    """How many of `n_rows` rows to read at once."""
    n_bytes = sum(max(each.unpacked, _INDEX * each.n_values) for each in columns)
    return int(max(1, min(_MOST_ROWS, _BATCH_BYTES * n_rows // max(1, n_bytes))))
