"""How long before anything happens: the first run ever, ``--help``, and the reading of text."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
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
    for lanes in ("", "8"):
        _first_run(session, table, lanes)
    _help(session, table)
    _reading(session, table)
    return [table]


def _first_run(session: Session, table: Table, lanes: str) -> None:
    """`embed train` with an empty kernel cache, then with a full one, then with other sizes.

    `lanes` of float32 that the kernels work on at once: 8, as without AVX-512, or the processor's.
    """
    n_tokens = 100_000 if session.quick else 1_000_000
    text = session.excerpt(n_tokens)
    first = Settings()
    others = {
        "another --dim": replace(first, dim=first.dim // 2),
        "another --negative": replace(first, negative=2 * first.negative + 1),
    }
    seconds: dict[str, list[float]] = {}
    cpu: dict[str, list[float]] = {}
    for _ in session.times(3):
        with tempfile.TemporaryDirectory(dir=session.folder) as empty:
            environment = session.environment | {"EMBED_CACHE_DIR": empty, "EMBED_LANES": lanes}
            runs = {"first": first, "later": first}
            runs |= {f"first, {name}": settings for name, settings in others.items()}
            runs |= {f"later, {name}": settings for name, settings in others.items()}
            for name, settings in runs.items():
                made = train(session, EMBED, settings, text, environment=environment)
                seconds.setdefault(name, []).append(made.seconds)
                cpu.setdefault(name, []).append(made.cpu)
    which = f"{lanes or 'all'} lanes"
    table.add(f"first run ever, {n_tokens:,} tokens, {which}, s", median(seconds["first"]), "")
    table.add(f"later runs, {which}, s", median(seconds["later"]), "")
    more = median(seconds["first"]) - median(seconds["later"])
    table.add(f"the first one more, {which}, s", more, "5 or less")
    more = median(cpu["first"]) - median(cpu["later"])
    table.add(f"the first one more, {which}, s of all cores", more, "")
    for name in others:
        more = median(cpu[f"first, {name}"]) - median(cpu[f"later, {name}"])
        table.add(f"the first with {name} more, {which}, s of all cores", more, "0.5 or less")


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
