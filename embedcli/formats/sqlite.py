"""``sqlite``: a database of one table, as sqlite-vec searches it and any SQLite opens it.

    CREATE TABLE words (id INTEGER PRIMARY KEY, word TEXT UNIQUE NOT NULL, count INTEGER,
                        vector BLOB NOT NULL)

`vector` is D little-endian float32, the layout of sqlite-vec's functions (``vec_distance_cosine``
and the rest), which therefore need no second table; docs/formats.md has the query. Written with
Python's own sqlite3: nothing has to be installed. Output vectors and metadata are not kept.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import numpy as np

from embedcli.embeddings import Embeddings
from embedcli.errors import FormatError, OutputError
from embedcli.formats.checks import check_savable
from embedcli.formats.rows import embeddings_of
from embedcli.formats.source import Source
from embedcli.reading import ReadingOptions
from embedcli.storage.publish import Sink

__all__ = ["read", "write"]

_SCHEMA: Final = (
    "CREATE TABLE words (id INTEGER PRIMARY KEY, word TEXT UNIQUE NOT NULL, count INTEGER, "
    "vector BLOB NOT NULL)"
)
_COPY_BYTES: Final = 1 << 20


def write(embeddings: Embeddings, sink: Sink) -> None:
    """Write the database, made in the directory for temporary files (TMPDIR) and then copied.

    Its file there has no name while it is filled, so that nothing is left of it after a kill.

    Raises:
        FormatError: a number that is not finite; a word that is empty, occurs twice.
    """
    check_savable(embeddings)
    try:
        descriptor, name = tempfile.mkstemp(prefix="embed-")
    except OSError as error:
        raise OutputError(f"cannot make the database: {error}") from error
    with open(descriptor, "rb") as file:  # noqa: PTH123 (it is open)
        try:
            _fill(name, embeddings)
        except (sqlite3.Error, OSError) as error:
            where = tempfile.gettempdir()
            raise OutputError(f"cannot make the database in {where}: {error}") from error
        while block := file.read(_COPY_BYTES):
            sink.write(block)


def _fill(name: str, embeddings: Embeddings) -> None:
    """Fill the empty file `name`, which has no name any more when SQLite has opened it."""
    try:
        connection = sqlite3.connect(name)
        connection.execute("PRAGMA journal_mode = OFF")  # a journal would go by the name
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA schema_version").fetchone()  # opens the file
    finally:
        Path(name).unlink()
    try:
        connection.execute(_SCHEMA)
        connection.executemany("INSERT INTO words VALUES (?, ?, ?, ?)", _records(embeddings))
        connection.commit()
    finally:
        connection.close()


def _records(embeddings: Embeddings) -> Iterator[tuple[int, str, int | None, bytes]]:
    counts = embeddings.vocabulary.counts
    tally = [None] * len(embeddings) if counts is None else counts.tolist()
    for row, (word, count) in enumerate(zip(embeddings.vocabulary.words, tally, strict=True)):
        yield row, word, count, np.ascontiguousarray(embeddings.vectors[row], "<f4").tobytes()


def read(source: Source, reading: ReadingOptions) -> Embeddings:
    """Read the table `words`, in the order of its ids.

    Raises:
        FormatError: damaged, packed, or without such a table.
    """
    if source.size is None:
        kind = f"packed with {source.compression}" if source.compression else "a pipe"
        raise FormatError(f"{source.path} is {kind}: a database must be a plain file")
    uri = f"file:{quote(str(Path(source.path).absolute()))}?mode=ro&immutable=1"
    try:
        connection = sqlite3.connect(uri, uri=True)
        try:
            return _table(source, connection, reading)
        finally:
            connection.close()
    except (sqlite3.Error, UnicodeDecodeError) as error:  # its messages quote what is damaged
        raise FormatError(f"{source.path} holds no table of words and vectors: {error}") from error


def _table(source: Source, connection: sqlite3.Connection, reading: ReadingOptions) -> Embeddings:
    connection.text_factory = bytes
    words: list[bytes] = []
    blob = bytearray()
    counts: list[Any] = []
    n_bytes = 0
    for word, count, vector in connection.execute(
        "SELECT word, count, vector FROM words ORDER BY id LIMIT ?", [reading.limit or -1]
    ):
        if not isinstance(word, bytes) or not isinstance(vector, bytes):
            raise FormatError(f"{source.path}, row {len(words) + 1}: not a text and a blob")
        n_bytes = n_bytes or len(vector)
        if len(vector) != n_bytes or n_bytes % 4 or not n_bytes:
            raise FormatError(
                f"{source.path}, row {len(words) + 1}: a vector of {len(vector)} bytes, "
                f"expected {n_bytes}"
            )
        words.append(word)
        counts.append(count)
        blob += vector
    if not words:
        raise FormatError(f"{source.path}: there is not a single row")
    known = all(isinstance(count, int) for count in counts)
    tally = np.array(counts, np.int64) if known else None
    vectors = np.frombuffer(blob, "<f4").reshape(len(words), -1)
    return embeddings_of(source.path, words, vectors, reading, tally)
