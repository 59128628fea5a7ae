"""How long each command takes with a million words of 300 components, from start to exit."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from benchmarks.processes import run
from benchmarks.scores import ANALOGIES, SIMILARITY
from benchmarks.session import Session, main, median
from benchmarks.tables import Table
from benchmarks.trainers import EMBED, Settings, train

NAME = "commands"

_QUERIES = 1000
_FEW = 100
_MB = 1e6


class Command(NamedTuple):
    """What is run: as the table tells it, as the shell sees it, with what on stdin, how often."""

    told: str
    arguments: tuple[str | Path, ...]
    stdin: str | Path = os.devnull
    times: int = 1
    leaves: Path | None = None  # what is removed when it has been measured


def measure(session: Session) -> list[Table]:
    """Make the large model, then run each command on it."""
    n_words, dim = (5_000, 20) if session.quick else (1_000_000, 300)
    model = _large_model(session, n_words, dim)
    words = _some_words(session, model, n_words)
    pinned = "both cores, file in the page cache"
    table = Table(
        f"Commands on {n_words:,} words and pairs of words x {dim}, {pinned}",
        {"command": "", "s": ".2f", "peak MB": ",.0f"},
    )
    for command in _commands(session, model, words):
        session.say(command.told)
        runs = [
            session.embed(*command.arguments, stdin=command.stdin)
            for _ in session.times(command.times)
        ]
        seconds, peak = (median(getattr(r, name) for r in runs) for name in ("seconds", "peak"))
        table.add(command.told, seconds, peak / _MB)
        _remove(command.leaves)
    table.notes.append(
        "Memory counts the pages of the model that are mapped, all of them where a command reads "
        "every vector."
    )
    return [_searches(session, model, words), table]


def _searches(session: Session, model: Path, words: Path) -> Table:
    """Exact look-ups beside approximate ones."""
    many = f"{_QUERIES:,} words, s"
    columns = {"index, s": ".1f", "index, MB": ",.0f", "1 word, s": ".2f", many: ".2f"}
    table = Table(
        "embed neighbors on the same model, exact and by an index",
        {"search": "", **columns, "recall %": ".1f"},
    )
    for kind in (None, "ivf"):  # hnsw needs minutes to make
        session.say(f"search: {kind or 'exact'}")
        here = ("-m", model, *(("--index", kind) if kind else ()))
        index = Path(f"{model}.{kind}.faiss")
        index.unlink(missing_ok=True)
        made = session.embed("neighbors", *here).seconds if kind else None
        size = index.stat().st_size / _MB if kind else None
        asked = [session.embed("neighbors", "the", *here, "--json") for _ in session.times(3)]
        times = [
            session.embed("neighbors", "-", *here, stdin=words).seconds for _ in session.times(3)
        ]
        recall = 100 * json.loads(asked[0].stdout)[0].get("recall", 1.0)
        one = median(done.seconds for done in asked)
        table.add(kind or "exact", made, size, one, median(times), recall)
        index.unlink(missing_ok=True)
    table.notes.append("Recall: of the ten nearest neighbours of 1,000 words drawn at random.")
    return table


def _large_model(session: Session, n_words: int, dim: int) -> Path:
    """Made by a child, as 1.2 GB here would show in the peak memory of all later children."""
    target = session.folder / "large.safetensors"
    trained = train(session, EMBED, Settings(epochs=1 if session.quick else 5)).model
    script = Path(__file__).with_name("pair_vectors.py")
    command = [sys.executable, "-P", script, trained, str(n_words), str(dim), target]
    run(command, session.environment)
    return target


def _some_words(session: Session, model: Path, n_words: int) -> Path:
    """A file of words from all over the vocabulary, one a line."""
    listed, chosen = session.folder / "vocab.txt", session.folder / "queries.txt"
    session.embed("export", model, listed, "--format", "vocab")
    step = max(1, n_words // _QUERIES)
    with listed.open(encoding="utf-8") as lines, chosen.open("w", encoding="utf-8") as out:
        for line in islice(lines, 0, step * _QUERIES, step):
            out.write(line.rsplit(" ", 1)[0] + "\n")
    return chosen


def _commands(session: Session, model: Path, words: Path) -> Iterator[Command]:
    """What is run, in this order: later ones read what earlier ones wrote."""
    here = ("-m", model)
    yield Command("embed info", ("info", model), times=3)
    yield Command("embed verify", ("verify", model))
    yield Command("embed neighbors, 1 word", ("neighbors", "the", *here), times=3)
    yield Command("embed analogy", ("analogy", "the", "of", "and", *here), times=3)
    yield Command("embed odd", ("odd", "the", "of", "and", *here), times=3)
    yield Command(f"embed vectors, {_QUERIES:,} words", ("vectors", "-", *here), words, 3)
    lines = f"embed vectors --sentences, {_QUERIES:,} lines"
    yield Command(lines, ("vectors", "--sentences", *here), words, 3)
    yield Command(f"embed shell, {_FEW} questions", ("shell", model), _few(words))
    tests = [session.tests / name for name in (ANALOGIES, *SIMILARITY)]
    yield Command("embed evaluate, all files", ("evaluate", *tests, *here))
    yield Command("embed plot, 20,000 words", ("plot", model, "-o", session.folder / "map.html"))
    yield Command("embed cluster -k 100", ("cluster", "-k", "100", *here))
    yield from _exports(session, model)
    other = session.folder / "int8.safetensors"  # the same space: the work is what is measured
    yield Command("embed diff", ("diff", model, other))
    yield Command("embed align --test", ("align", other, model, "--test", _pairs(words)))


def _exports(session: Session, model: Path) -> Iterator[Command]:
    smaller = "10" if session.quick else "100"
    for name, *options in (
        ("large.bin",),
        ("large.parquet",),
        ("large.sqlite",),
        ("large.model2vec",),
        ("large.npydir",),
        ("int8.safetensors", "--dtype", "int8"),
        ("pq.safetensors", "--pq", smaller),
        ("dim.safetensors", "--dim", smaller),
    ):
        told = " ".join(["embed export", *options, f"to .{name.rsplit('.', 1)[1]}"])
        target = session.folder / name
        leaves = None if name == "int8.safetensors" else target
        yield Command(told, ("export", model, target, *options), leaves=leaves)


def _few(words: Path) -> Path:
    """The first of the words, in a file of their own."""
    target = words.with_name("few.txt")
    target.write_text("".join(words.read_text().splitlines(keepends=True)[:_FEW]))
    return target


def _pairs(words: Path) -> Path:
    """A dictionary of each word and itself."""
    target = words.with_name("pairs.dict")
    lines = words.read_text().split("\n")
    target.write_text("".join(f"{word}\t{word}\n" for word in lines if word))
    return target


def _remove(path: Path | None) -> None:
    if path is not None and path.is_dir():
        shutil.rmtree(path)
    elif path is not None:
        path.unlink()


if __name__ == "__main__":
    sys.exit(main({NAME: measure}))
