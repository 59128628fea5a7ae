"""How long before anything happens: the first run ever, ``--help``, and the reading of text."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks.session import THREADS, Session, main, median
from benchmarks.tables import Table, goals
from benchmarks.trainers import EMBED, Run, Settings, middle, train, warm_up

NAME = "start"
_TOKENS = {False: 17_000_000, True: 300_000}  # by `Session.quick`


def measure(session: Session) -> list[Table]:
    """First runs, help, reading."""
    warm_up(session, EMBED, Settings())
    table = goals("Starting and reading")
    _first_run(session, table)
    _help(session, table)
    _reading(session, table)
    return [table]


def _first_run(session: Session, table: Table) -> None:
    """`embed train` with an empty kernel cache and with a full one, in turns."""
    n_tokens = 100_000 if session.quick else 1_000_000
    text = session.excerpt(n_tokens)
    cold, warm = [], []
    for _ in session.times(3):
        with tempfile.TemporaryDirectory(dir=session.folder) as empty:
            environment = session.environment | {"EMBED_CACHE_DIR": empty}
            made = train(session, EMBED, Settings(), text, environment=environment)
        cold.append(made.seconds)
        warm.append(train(session, EMBED, Settings(), text).seconds)
    table.add(f"first run ever, {n_tokens:,} tokens, s", median(cold), "")
    table.add("later runs, s", median(warm), "")
    table.add("the first one more, s", median(cold) - median(warm), "4 or less")


def _help(session: Session, table: Table) -> None:
    seconds = [session.embed("--help").seconds for _ in session.times(10)]
    table.add("embed --help, s", median(seconds), "0.15 or less")


def _reading(session: Session, table: Table) -> None:
    """Counting as a process of its own, and counting and encoding inside a training run."""
    size = session.corpus.stat().st_size / 1e6
    counts = session.folder / "vocab.txt"
    command = ("vocab", session.corpus, "-o", counts, "--threads", str(THREADS))
    whole = median(session.embed(*command).seconds for _ in session.times(3))
    table.add("embed vocab, whole process, MB/s", size / whole, "")
    text = session.excerpt(_TOKENS[session.quick])
    longer = session.excerpt(3 * _TOKENS[session.quick])
    runs: dict[Path, list[Run]] = {text: [], longer: []}
    for _ in session.times(3):
        for path, made in runs.items():
            made.append(train(session, EMBED, Settings(epochs=1), path))
    (bytes_, seconds), (more_bytes, more_seconds) = (
        (path.stat().st_size / 1e6, middle(made, "reading") or 0.0) for path, made in runs.items()
    )
    rate = (more_bytes - bytes_) / max(1e-3, more_seconds - seconds)
    name = "counting and encoding in embed train"
    table.add(f"{name}, {bytes_:,.0f} MB, MB/s", bytes_ / seconds, "")
    table.add(f"{name}, {more_bytes:,.0f} MB, MB/s", more_bytes / more_seconds, "150 or more")
    table.add(f"{name}, loading of kernels apart, MB/s", rate, "")
    longer.unlink()


if __name__ == "__main__":
    sys.exit(main({NAME: measure}))
