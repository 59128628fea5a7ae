# ruff: noqa: E501, S608
# (a table is read line by line, and nothing in it comes from outside)
"""Databases that are not what they seem, or that are being written while they are read."""

from __future__ import annotations

import sqlite3
import struct
from contextlib import closing

import numpy as np
import pytest

from embedcli import formats
from embedcli.embeddings import Embeddings
from embedcli.errors import FormatError, InputError
from embedcli.vocabulary import Vocabulary

TABLE = "CREATE TABLE words (id INTEGER PRIMARY KEY, word TEXT, count INTEGER, vector BLOB)"
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"


def database(path, *statements):
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()
    return path


def insert(connection, row, word, *numbers):
    vector = struct.pack(f"<{len(numbers)}f", *numbers)
    connection.execute("INSERT INTO words VALUES (?, ?, ?, ?)", (row, word, 1, vector))


COMPUTED = {
    "a view that never ends": (
        [f"CREATE VIEW words AS {ENDLESS} SELECT i AS id, 'w' || i AS word, 1 AS count, x'00000000' AS vector FROM n"],
        "`words` is a view; a plain table is read",
    ),
    "a virtual table": (["CREATE VIRTUAL TABLE words USING fts5(id, word, count, vector)"], "`words` is a virtual table"),
    "a computed column": (
        ["CREATE TABLE words (id INTEGER PRIMARY KEY, word TEXT, count INTEGER, vector BLOB AS (zeroblob(1000000000)))"],
        "the column 'vector' is computed, not stored",
    ),
    "a stored computed column": (
        ["CREATE TABLE words (id INTEGER PRIMARY KEY, word TEXT AS (hex(id)) STORED, count INTEGER, vector BLOB)"],
        "the column 'word' is computed",
    ),
    "no table": (["CREATE TABLE vectors (a)"], r"without a table `words` \(tables: 'vectors'\)"),
    "no vectors": (["CREATE TABLE words (id INTEGER PRIMARY KEY, word, count)"], "has no column `vector`"),
    "ids that are no ids": (
        ["CREATE TABLE words (id TEXT, word TEXT, count INTEGER, vector BLOB)"],
        "the column `id` is not INTEGER PRIMARY KEY",
    ),
    "a table without a row": ([TABLE], "not a single row"),
}  # fmt: skip


@pytest.mark.parametrize("name", COMPUTED)
def test_only_rows_that_are_in_the_file(tmp_path, name):
    statements, message = COMPUTED[name]
    with pytest.raises(FormatError, match=message):
        formats.load(database(tmp_path / "x", *statements))


def test_what_its_log_says_is_read(tmp_path):
    path = database(tmp_path / "x", "PRAGMA journal_mode = WAL", TABLE)
    (tmp_path / "link").symlink_to(path)
    with closing(sqlite3.connect(path)) as writer:
        insert(writer, 1, "old", 1, 2)
        writer.commit()
        writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        insert(writer, 2, "new", 3, 4)
        writer.commit()
        for name in ("x", "link"):
            read = formats.load(tmp_path / name)
            assert (["old", "new"], [[1, 2], [3, 4]]) == (
                read.vocabulary.words,
                read.vectors.tolist(),
            )
        insert(writer, 3, "not committed", 3, 4)
        assert 2 == len(formats.load(path))
    assert ["link", "x"] == sorted(entry.name for entry in tmp_path.iterdir())


def test_nothing_is_written_beside_a_database_at_rest(tmp_path):
    path = database(tmp_path / "x", "PRAGMA journal_mode = WAL", TABLE)
    with closing(sqlite3.connect(path)) as writer:
        insert(writer, 1, "a", 1, 2)
        writer.commit()
    before = path.read_bytes()
    assert 1 == len(formats.load(path))
    assert [path] == list(tmp_path.iterdir())
    assert before == path.read_bytes()


def test_a_database_that_is_being_written_is_waited_for(tmp_path, monkeypatch):
    path = database(tmp_path / "x", TABLE)
    original = sqlite3.connect
    with closing(original(path, isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        insert(writer, 1, "a", 1, 2)
        monkeypatch.setattr(
            sqlite3, "connect", lambda *args, **more: original(*args, timeout=0.01, **more)
        )
        with pytest.raises(InputError, match="another program is writing this database"):
            formats.load(path)
        writer.execute("COMMIT")
    assert 1 == len(formats.load(path))


def wide(path, n_rows):
    """A database whose table has pages below its first one, and the pages of four kilobytes."""
    vectors = np.random.default_rng(1).normal(size=(n_rows, 64)).astype(np.float32)
    words = Vocabulary.from_words([f"w{i}" for i in range(n_rows)], [1] * n_rows)
    formats.save(Embeddings(words, vectors), path, "sqlite")
    return bytearray(path.read_bytes())


def test_pages_in_a_circle_are_not_read_for_ever(tmp_path):
    path = tmp_path / "x"
    content = wide(path, 200)
    page = 4096 * (struct.unpack(">B", content[100:101])[0] == 13)  # the table's root is page 2
    assert 5 == content[page], "an inner page of a table"
    (n_cells,) = struct.unpack(">H", content[page + 3 : page + 5])
    cells = struct.unpack(f">{n_cells}H", content[page + 12 : page + 12 + 2 * n_cells])
    first = content[page + cells[0] : page + cells[0] + 4]
    for cell in cells:
        content[page + cell : page + cell + 4] = first
    path.write_bytes(content)
    with pytest.raises(FormatError, match=r"row [0-9]+: the database is damaged: its pages go in"):
        formats.load(path)


def test_damage_anywhere_is_one_line_and_no_other_error(tmp_path):
    path = tmp_path / "x"
    sound = wide(path, 40)
    rng = np.random.default_rng(2)
    n_refused = 0
    for _ in range(400):
        content = bytearray(sound)
        page = 4096 * int(rng.integers(len(sound) // 4096))
        for _ in range(int(rng.integers(1, 4))):
            content[page + int(rng.integers(0, 200))] = int(rng.integers(256))
        path.write_bytes(content)
        try:
            read = formats.load(path, "sqlite")
            assert len(read) == len(set(read.vocabulary.words))
        except InputError as refusal:
            n_refused += 1
            assert "\n" not in str(refusal)
    assert n_refused > 50
