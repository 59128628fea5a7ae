"""Databases whose tables compute what they hold, never end, or lie beside a write-ahead log."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random

from torture.manners import harm
from torture.subject import Subject
from torture.trials import Outcome

__all__ = ["trials"]

_LONGEST = 20.0  # seconds
_UNUSABLE = 3
_HARMLESS = "a trigger"
_ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
_CHANGES = {
    "the words are a view that never ends": (
        "ALTER TABLE {table} RENAME TO held; CREATE VIEW {table} AS {endless} SELECT held.* "
        "FROM held, n"
    ),
    "the words are a view that is slow before its first row": (
        "ALTER TABLE {table} RENAME TO held; CREATE VIEW {table} AS {endless} SELECT held.* "
        "FROM held, n WHERE i < 0"
    ),
    "a column is generated": (
        "ALTER TABLE {table} ADD COLUMN more GENERATED ALWAYS AS "
        "(length(zeroblob(900000000))) VIRTUAL"
    ),
    "a row is a gigabyte": "UPDATE {table} SET {column} = zeroblob(900000000) WHERE rowid = 1",
    "all rows are gone": "DELETE FROM {table}",
    "a column is text": "UPDATE {table} SET {column} = 'x' || char(27) || '[31m'",
    "the table is gone": "DROP TABLE {table}",
    _HARMLESS: "CREATE TRIGGER t AFTER INSERT ON {table} BEGIN SELECT load_extension('x'); END",
}  # fmt: skip
_COMMANDS = ("info target.sqlite", "verify target.sqlite", "neighbors w1 -m target.sqlite")


def trials(subject: Subject, n: int, rng: Random) -> Iterator[Outcome]:
    """Each change in turn, read by each command."""
    for number in range(n):
        fault = list(_CHANGES)[number % len(_CHANGES)]
        command = _COMMANDS[number // len(_CHANGES) % len(_COMMANDS)]
        with subject.place() as place:
            target = place.folder / "target.sqlite"
            subject.fork(["export", "-q", "m.vec", "target.sqlite"], place.folder).end()
            _change(target, _CHANGES[fault])
            ended = subject.fork(command.split(), place.folder).end()
            wrong = [harm(ended)]
            if ended.code != (expected := 0 if fault == _HARMLESS else _UNUSABLE):
                wrong.append(f"exit code {ended.code}, not {expected}: {ended.said.strip()[-200:]}")
            if ended.seconds > _LONGEST:
                wrong.append(f"it took {ended.seconds:.0f} s")
            yield Outcome(f"{fault}: {command}", "; ".join(filter(None, wrong)))


def _change(target: Path, statements: str) -> None:
    with closing(sqlite3.connect(target)) as connection:
        (table,) = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' LIMIT 1"
        ).fetchone()
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        connection.executescript(
            statements.format(table=table, column=columns[-1], endless=_ENDLESS)
        )
        connection.commit()
