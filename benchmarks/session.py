"""One run of the benchmarks: its options, its places, and what becomes of its figures."""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.corpora import digest, unpacked, write_tokens
from benchmarks.machine import describe
from benchmarks.options import read_options
from benchmarks.processes import ChildError, Done, pinned, run
from benchmarks.tables import Table

__all__ = ["THREADS", "Claim", "Session", "main", "median"]

THREADS = 2
_QUICK_TOKENS = 300_000


@dataclass(frozen=True)
class Session:
    """What every claim is given.

    Attributes:
        corpus: plain text.
        tests: the directory with questions-words.txt and the similarity files.
        folder: for models and texts that nobody wants afterwards.
        cache: for what the next run may use again: the unpacked corpus, scores of gensim.
        quick: small corpora, one run of everything.
        repeat: runs of each peer.
        seeds: seeds that accuracies are a mean of; None: as many as each claim needs.
        glove: the directory of stanfordnlp's GloVe programs; None where there are none.
        rare: a similarity file of rare words; None where there is none.
    """

    corpus: Path
    tests: Path
    folder: Path
    cache: Path
    quick: bool
    repeat: int
    seeds: int | None
    glove: Path | None = None
    rare: Path | None = None

    @property
    def environment(self) -> dict[str, str]:
        """For all children alike: no settings of the user's, and a kernel cache of our own."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("EMBED_", "_EMBED_"))}
        return kept | {"EMBED_CACHE_DIR": str(self.folder / "kernels"), "NO_COLOR": "1"}

    def times(self, full: int) -> range:
        """Repetitions of something short: `full`, or one in a quick run."""
        return range(1 if self.quick else full)

    def seeds_or(self, usual: int) -> range:
        """The seeds 1, 2, .. that an accuracy is a mean of."""
        return range(1, (self.seeds or usual) + 1)

    def embed(self, *arguments: str | Path, **more: Any) -> Done:
        """Run the ``embed`` command of this environment, as people do."""
        command = Path(sys.executable).with_name("embed")
        return run([command, *arguments], **{"environment": self.environment} | more)

    def excerpt(self, n_tokens: int) -> Path:
        """A file with the first `n_tokens` tokens of the corpus, repeated if it has fewer."""
        target = self.folder / f"{n_tokens}.txt"
        return target if target.exists() else write_tokens(self.corpus, n_tokens, target)

    def say(self, what: str) -> None:
        """Tell on stderr how far the run is."""
        print(f"  {what}", file=sys.stderr, flush=True)


Claim = Callable[[Session], list[Table]]


def median(values: Iterable[float]) -> float:
    """The middle one; benchmarks never report the best of several."""
    return statistics.median(values)


def main(claims: Mapping[str, Claim], argv: Sequence[str] | None = None) -> int:
    """Measure `claims`, print their tables, keep their figures.

    Returns:
        0 whatever the figures are; 1 if something could not be measured.
    """
    options = read_options(argv)
    options.cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="run-", dir=options.cache) as folder, pinned(THREADS):
        session = Session(
            corpus=unpacked(options.corpus, options.cache),
            tests=options.eval,
            folder=Path(folder),
            cache=options.cache,
            quick=options.quick,
            repeat=options.repeat,
            seeds=options.seeds,
            glove=options.glove,
            rare=options.rare,
        )
        if options.quick:
            session = replace(session, corpus=session.excerpt(_QUICK_TOKENS))
        return _measure(claims, session, options.results)


def _measure(claims: Mapping[str, Claim], session: Session, results: Path) -> int:
    machine = describe(session.environment)
    size = session.corpus.stat().st_size
    corpus = {"bytes": size, "sha256": digest(session.corpus)}
    shown = {k: v for k, v in machine.items() if k != "versions"} | machine["versions"]
    print("; ".join(f"{name} {value}" for name, value in shown.items()))
    print(f"corpus: {session.corpus}, {size:,} bytes; {THREADS} threads", flush=True)
    if session.quick:
        print("A quick run: it shows that everything works, and its figures mean nothing.")
    failed = False
    for name, measure in claims.items():
        session.say(f"{name}:")
        try:
            tables = measure(session)
        except ChildError as error:
            print(f"\n{name} could not be measured: {error}", flush=True)
            failed = True
            continue
        for table in tables:
            print(f"\n{table.markdown()}", flush=True)
        entry = {"machine": machine, "corpus": corpus, "tables": [t.as_json() for t in tables]}
        _keep(results, name, entry)
    print(f"\nfigures: {results}")
    return int(failed)


def _keep(results: Path, name: str, entry: Mapping[str, Any]) -> None:
    """Replace the entry of one claim; those of other claims keep the machine and date they have."""
    kept = json.loads(results.read_text()) if results.exists() else {}
    results.write_text(json.dumps(kept | {name: entry}, indent=1) + "\n")
