"""Looking words up among a million vectors of 300 components, and scoring a model."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from benchmarks.processes import pinned, run
from benchmarks.scores import ANALOGIES
from benchmarks.session import THREADS, Session, main, median
from benchmarks.tables import Table, goals
from benchmarks.trainers import EMBED, Settings, train

NAME = "lookup"
N_QUERIES = 1000


def measure(session: Session) -> list[Table]:
    """Look-ups, then the time of an evaluation."""
    n_words, dim = (20_000, 50) if session.quick else (1_000_000, 300)
    table = goals(f"Look-ups among {n_words:,} x {dim} vectors, file in the page cache")
    vectors = _random_vectors(session, n_words, dim)
    words = session.folder / "queries.txt"
    step = n_words // N_QUERIES
    words.write_text("".join(f"word{step * i}\n" for i in range(N_QUERIES)))
    many = f"{N_QUERIES:,} queries in one call"
    _look_up(session, vectors, "-", words)  # brings the file into the page cache
    for name, n_cores, query, stdin, target in (
        ("1 query, one core", 1, "word1000", os.devnull, "0.8 or less"),
        (f"{many}, one core", 1, "-", words, "5 or less"),
        (f"{many}, two cores", THREADS, "-", words, "5 or less"),
    ):
        with pinned(n_cores):
            seconds = [_look_up(session, vectors, query, stdin) for _ in session.times(5)]
        table.add(f"embed neighbors, {name}, s", median(seconds), target)
    vectors.unlink()
    return [table, _evaluation(session)]


def _look_up(session: Session, vectors: Path, query: str, stdin: str | Path) -> float:
    return session.embed("neighbors", query, "-m", vectors, stdin=stdin).seconds


def _random_vectors(session: Session, n_words: int, dim: int) -> Path:
    """Made by a child, as 1.2 GB here would show in the peak memory of all later children."""
    target = session.folder / "random.safetensors"
    script = Path(__file__).with_name("random_vectors.py")
    run([sys.executable, "-P", script, str(n_words), str(dim), target], session.environment)
    return target


def _evaluation(session: Session) -> Table:
    made = train(session, EMBED, Settings(epochs=1))
    command = ("evaluate", session.tests / ANALOGIES, "-m", made.model)
    seconds = median(session.embed(*command).seconds for _ in session.times(3))
    table = goals(f"Scoring a model of {made.n_words:,} words x {made.dim}, both cores")
    table.add(f"embed evaluate {ANALOGIES}, s", seconds, "")
    return table


if __name__ == "__main__":
    sys.exit(main({NAME: measure}))
