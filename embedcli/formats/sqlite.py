"""``sqlite``: a database of one table, as sqlite-vec searches it and any SQLite opens it.

    CREATE TABLE words (id INTEGER PRIMARY KEY, word TEXT UNIQUE NOT NULL, count INTEGER,
                        vector BLOB NOT NULL)

`vector` is D little-endian float32, the layout of sqlite-vec's functions (``vec_distance_cosine``
and the rest), which therefore need no second table; docs/formats.md has the query. Written with
Python's own sqlite3: nothing has to be installed. Output vectors and metadata are not kept.

Read is a plain table with these columns, what a write-ahead log says of it included. Views, virtual
tables and computed columns are programs in the file and are refused.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import numpy as np

from embedcli.embeddings import Embeddings
from embedcli.errors import FormatError, InputError, OutputError
from embedcli.files.publish import Sink
from embedcli.files.source import Source
from embedcli.files.targets import real_path
from embedcli.formats.checks import check_savable
from embedcli.formats.row_words import embeddings_of
from embedcli.quoting import quoted
from embedcli.settings.reading import ReadingOptions

__all__ = ["read", "write"]

_SCHEMA: Final = (
    "CREATE TABLE words (id INTEGER PRIMARY KEY, word TEXT UNIQUE NOT NULL, count INTEGER, "
    "vector BLOB NOT NULL)"
)
_COPY_BYTES: Final = 1 << 20
_STEPS: Final = 1000  # of SQLite's machine between two calls of the handler; a row takes about ten
_LONGEST_VALUE: Final = 1 << 30  # bytes; SQLite's own limit


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
        InputError: another program is writing it, or its write-ahead log cannot be read.
    """
    held = source.plain_size("a database")
    path = str(real_path(source.path))
    log, journal = _size_of(f"{path}-wal"), _size_of(f"{path}-journal")
    # Without a log nothing is locked, and nothing is written beside the file.
    mode = "mode=ro" if log or journal else "mode=ro&immutable=1"
    size = held + log
    try:
        connection = sqlite3.connect(f"file:{quote(os.fsencode(path))}?{mode}", uri=True)
        try:
            _restrain(connection, size)
            _check_table(source.path, connection)
            return _table(source.path, connection, size, reading)
        finally:
            connection.close()
    except sqlite3.OperationalError as error:
        raise _explained(source.path, error) from error
    except (sqlite3.Error, UnicodeDecodeError) as error:  # its messages quote what is damaged
        raise FormatError(f"{source.path} holds no table of words and vectors: {error}") from error


def _size_of(path: str) -> int:
    """Bytes of a file beside the database; 0 where there is none."""
    return Path(path).stat().st_size if Path(path).exists() else 0


def _restrain(connection: sqlite3.Connection, size: int) -> None:
    """Let nothing that the file says take more time or memory than its `size` in bytes justifies.

    The handler that counts steps is no Python function: a signal that came inside one would be
    lost, while those that come between two rows are not.
    """
    connection.text_factory = bytes
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, min(size, _LONGEST_VALUE))
    connection.set_progress_handler(repeat(0, 10 + size // _STEPS).__next__, _STEPS)
    for pragma in ("trusted_schema = OFF", "query_only = ON", "temp_store = MEMORY"):
        connection.execute(f"PRAGMA {pragma}")


def _check_table(where: str, connection: sqlite3.Connection) -> None:
    """Only a plain table has rows that are in the file: others are computed, and may never end."""
    found = connection.execute(
        "SELECT type, rootpage FROM sqlite_master WHERE lower(name) = 'words'"
    ).fetchall()
    if not found:
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' LIMIT 8")
        held = ", ".join(quoted(name.decode(errors="replace")) for (name,) in names) or "none"
        if "'magnitude'" in held:
            raise FormatError(
                f"{where} is a Magnitude file, whose numbers are packed in its own way: write its "
                "words and vectors as text by pymagnitude"
            )
        raise FormatError(f"{where} is a database without a table `words` (tables: {held})")
    kind, page = found[0]
    if kind != b"table" or not page:
        what = "a virtual table" if kind == b"table" else f"a {kind.decode(errors='replace')}"
        raise FormatError(f"{where}: `words` is {what}; a plain table is read")
    columns = {
        name.decode(errors="replace").lower(): (declared.upper(), key, hidden)
        for _, name, declared, _, _, key, hidden in connection.execute("PRAGMA table_xinfo(words)")
    }
    missing = [name for name in ("id", "word", "count", "vector") if name not in columns]
    if missing:
        held = ", ".join(map(quoted, columns))
        raise FormatError(
            f"{where}: the table `words` has no column `{missing[0]}` (it has {held})"
        )
    computed = [name for name, (_, _, hidden) in columns.items() if hidden]
    if computed:
        raise FormatError(f"{where}: the column {quoted(computed[0])} is computed, not stored")
    if columns["id"][:2] != (b"INTEGER", 1) or sum(key > 0 for _, key, _ in columns.values()) > 1:
        raise FormatError(f"{where}: the column `id` is not INTEGER PRIMARY KEY")


def _table(
    where: str, connection: sqlite3.Connection, size: int, reading: ReadingOptions
) -> Embeddings:
    words: list[bytes] = []
    blob = bytearray()
    counts: list[Any] = []
    n_bytes = taken = 0
    last: Any = None
    for row, word, count, vector in connection.execute(
        "SELECT id, word, count, vector FROM words NOT INDEXED ORDER BY id LIMIT ?",
        [reading.limit or -1],
    ):
        place = f"{where}, row {len(words) + 1}"
        if not isinstance(word, bytes) or not isinstance(vector, bytes):
            raise FormatError(f"{place}: not a text and a blob")
        n_bytes = n_bytes or len(vector)
        if len(vector) != n_bytes or n_bytes % 4 or not n_bytes:
            raise FormatError(f"{place}: a vector of {len(vector)} bytes, expected {n_bytes}")
        taken += len(word) + n_bytes
        if taken > size or (last is not None and row <= last):  # pages that are read twice
            raise FormatError(f"{place}: the database is damaged: its pages go in a circle")
        last = row
        words.append(word)
        counts.append(count)
        blob += vector
    if not words:
        raise FormatError(f"{where}: there is not a single row")
    known = all(isinstance(count, int) for count in counts)
    tally = np.array(counts, np.int64) if known else None
    vectors = np.frombuffer(blob, "<f4").reshape(len(words), -1)
    return embeddings_of(where, words, vectors, reading, tally)


def _explained(where: str, error: sqlite3.OperationalError) -> InputError:
    """What SQLite could not do, and what helps."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return InputError(f"{where}: another program is writing this database: wait for it")
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
        return InputError(
            f"{where}: its write-ahead log or journal cannot be read ({error}): may you write in "
            "its directory? `sqlite3 FILE 'PRAGMA wal_checkpoint'` puts the log into the file"
        )
    if code == sqlite3.SQLITE_INTERRUPT:
        return FormatError(f"{where}: reading takes more steps than a file of its size can need")
    return FormatError(f"{where} holds no table of words and vectors: {error}")
