"""Finds and reads the columns of a Parquet file that hold words, counts and vectors.

    words      the column that is asked for; else ``word``, else the only one of text, else the
               only one of whole numbers but ``count``; text may be dictionary-encoded
    counts     ``count``, if it holds whole numbers
    vectors    ``vector``, or the only column of lists of floats; else all columns of floats, one
               for each component, in their order

A page of equal values takes a few bytes however many they are, so the sizes that a file states are
held against its own: `_MOST_RATIO` is more than deflate can pack. Text is read as indices into a
dictionary, so that a long word that occurs in every row is in memory once.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from embedcli.embeddings import Embeddings
from embedcli.errors import FormatError
from embedcli.files.parquet_library import chunks_of
from embedcli.formats.row_words import embeddings_of
from embedcli.quoting import quoted
from embedcli.settings.reading import ReadingOptions

__all__ = ["Table"]

_BATCH_CELLS: Final = 1 << 21
_MOST_ROWS: Final = 1 << 14  # of a batch
_MOST_RATIO: Final = 1032
_ALWAYS: Final = 1 << 25  # bytes that are no harm, whatever the size of the file


class Table:
    """A table of words and vectors, its columns chosen.

    Args:
        where: the file.
        file: pyarrow's ParquetFile.
        reading: what becomes of blemishes, how much is read, and which column the words are.

    Attributes:
        texts: the columns that are to be read as dictionaries.

    Raises:
        FormatError: there is no column that is clearly the one, or more in it than the file's size
            can justify.
    """

    def __init__(self, where: str, file: Any, reading: ReadingOptions) -> None:
        self._where, self._reading = where, reading
        self._fields = {field.name: field for field in file.schema_arrow}
        self._names = list(file.schema_arrow.names)
        self._word = self._word_column()
        self._counted = "count" in self._found(_is_integer) and self._word != "count"
        self._vectors = self._vector_columns()
        self._used = [self._word, *(["count"] if self._counted else []), *self._vectors]
        twice = [name for name in self._used if self._names.count(name) > 1]
        if twice:
            n = self._names.count(twice[0])
            raise FormatError(f"{where} has {n} columns called {quoted(twice[0])}")
        self._rows = max(0, file.metadata.num_rows)
        self._cells = self._justified()
        self.texts = [self._word] if _is_text(self._fields[self._word].type) else []

    def read(self, file: Any) -> Embeddings:
        """Read the chosen columns of `file`."""
        wanted = self._reading.until_limit(self._rows)
        per_row = max(1, self._cells // max(1, self._rows))
        step = min(_MOST_ROWS, max(1, _BATCH_CELLS // per_row))
        words: list[bytes] = []
        counts: list[NDArray[np.int64]] = []
        vectors = np.empty((0, 0), np.float32)
        for batch in file.iter_batches(step, columns=self._used):
            first = len(words)
            if batch.num_rows < 0 or first == wanted:
                break
            batch = batch.slice(0, wanted - first)
            if any(batch.column(name).null_count for name in self._used):
                raise FormatError(f"{self._where}, rows from {first + 1}: a cell is empty")
            words += _words(batch.column(self._word))
            rows = self._block(batch, first)
            if not first:
                vectors = np.empty((wanted, rows.shape[1]), np.float32)
            if rows.shape[1] != vectors.shape[1] or len(words) > wanted:
                raise FormatError(f"{self._where}, rows from {first + 1}: another length")
            vectors[first : len(words)] = rows
            if self._counted:
                column = batch.column("count").to_numpy(zero_copy_only=False)
                counts.append(column.astype(np.int64))
        if not words:
            raise FormatError(f"{self._where}: there is not a single row")
        tally = np.concatenate(counts) if self._counted else None
        return embeddings_of(self._where, words, vectors[: len(words)], self._reading, tally)

    def _block(self, batch: Any, first: int) -> NDArray[np.float32]:
        """The vectors of a batch, float32 (n, D)."""
        if not _is_list(self._fields[self._vectors[0]].type):
            columns = [batch.column(name).to_numpy(zero_copy_only=False) for name in self._vectors]
            return np.stack(columns, axis=1).astype(np.float32, copy=False)
        column = batch.column(self._vectors[0])
        flat = column.flatten().to_numpy(zero_copy_only=False).astype(np.float32, copy=False)
        lengths = {len(cell) for cell in column[:: max(1, len(batch) // 64)]}
        if flat.size % len(batch) or lengths != {flat.size // len(batch)} or not flat.size:
            raise FormatError(
                f"{self._where}, rows from {first + 1}: the vectors have different lengths"
            )
        rows: NDArray[np.float32] = flat.reshape(len(batch), -1)
        return rows

    def _word_column(self) -> str:
        asked = self._reading.word_column
        if asked is not None:
            if asked not in self._fields:
                raise FormatError(
                    f"{self._where} has no column {quoted(asked)}; it has {self._held()}"
                )
            kind = self._fields[asked].type
            if not (_is_text(kind) or _is_integer(kind)):
                raise FormatError(f"{self._where}: the column {quoted(asked)} is {kind}, not words")
            return asked
        texts = self._found(_is_text)
        numbers = self._found(_is_integer)
        if "word" in (*texts, *numbers):
            return "word"
        found = texts or [name for name in numbers if name != "count"]
        if len(found) != 1:
            raise FormatError(
                f"{self._where} has no column that is clearly the word; it has {self._held()} "
                "(--word-column NAME chooses)"
            )
        return found[0]

    def _vector_columns(self) -> list[str]:
        lists = self._found(_is_list)
        if "vector" in lists:
            return ["vector"]
        if len(lists) == 1:
            return lists
        floats = self._found(_is_float)
        if lists or not floats:
            raise FormatError(
                f"{self._where} has no column that is clearly the vector; it has {self._held()}"
            )
        return floats

    def _found(self, fits: Callable[[Any], bool]) -> list[str]:
        return [name for name in self._fields if fits(self._fields[name].type)]

    def _held(self) -> str:
        some = list(self._fields.values())[:12]
        more = f" and {len(self._fields) - 12} more" if len(self._fields) > 12 else ""
        return ", ".join(f"{field.name} ({field.type})" for field in some) + more

    def _justified(self) -> int:
        """How many numbers the vectors have; refuses sizes that the file's own does not justify."""
        packed = cells = unpacked = 0
        path = Path(self._where)
        with path.open("rb") as opened:
            groups = chunks_of(opened)
        for chunk in (chunk for group in groups for chunk in group):
            packed += chunk.packed
            if any(f"{chunk.path}.".startswith(f"{name}.") for name in self._used):
                unpacked = max(unpacked, chunk.unpacked)
            if any(f"{chunk.path}.".startswith(f"{name}.") for name in self._vectors):
                cells += chunk.n_values
        most = max(_ALWAYS, _MOST_RATIO * min(packed, path.stat().st_size))
        size = max(4 * cells, unpacked)
        if size > most:
            raise FormatError(
                f"{self._where}: {packed} bytes are said to hold {size}; at most {most} are read"
            )
        return cells


def _words(column: Any) -> list[bytes]:
    """The words of a column; one that occurs again is the same object."""
    import pyarrow as pa

    if not pa.types.is_dictionary(column.type):
        return [str(value).encode() for value in column.to_pylist()]
    indices, places = np.unique(column.indices.to_numpy(), return_inverse=True)
    distinct = column.dictionary.take(pa.array(indices)).to_pylist()
    found = [str(value).encode() for value in distinct]
    return [found[place] for place in places.tolist()]


def _is_text(kind: Any) -> bool:
    from pyarrow import types

    kind = _values_of(kind)
    return bool(types.is_string(kind) or types.is_large_string(kind))


def _is_integer(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_integer(_values_of(kind)))


def _is_float(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_floating(kind))


def _is_list(kind: Any) -> bool:
    from pyarrow import types

    some = (types.is_list, types.is_fixed_size_list, types.is_large_list)
    return any(fits(kind) for fits in some) and _is_float(kind.value_type)


def _values_of(kind: Any) -> Any:
    """The type of the values, where they are numbers of entries in a dictionary."""
    from pyarrow import types

    return kind.value_type if types.is_dictionary(kind) else kind
