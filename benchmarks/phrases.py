"""Phrases, beside gensim: the same text in, the same text with the same phrases out."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from benchmarks.corpora import digest
from benchmarks.processes import Done, run
from benchmarks.session import Session, main, median
from benchmarks.tables import Table, goals, ratio

NAME = "phrases"

_MEGA = 1e6


def measure(session: Session) -> list[Table]:
    """Whole commands in turns, and whether what they write is the same."""
    table = Table(
        "Phrases by gensim's score, threshold 10, min-count 5, one pass",
        {"program": "", "runs": "d", "wall s": ".1f", "MB/s": ".1f", "peak MB": ".0f"}
        | {"phrases": ",d"},
    )
    written = [session.folder / f"phrases-{name}.txt" for name in ("embed", "gensim")]
    _embed(session, session.excerpt(1000), written[0])  # compiles the kernels
    ours, theirs = [_embed(session, session.corpus, written[0])], []
    for _ in range(session.repeat):
        theirs.append(_gensim(session, written[1]))
        ours.append(_embed(session, session.corpus, written[0]))
    size = session.corpus.stat().st_size
    listed = session.embed("phrases", session.corpus, *_OPTIONS, "--json", "-q").stdout
    counts = len(json.loads(listed)), json.loads(theirs[0].stdout)["phrases"]
    for name, runs, count in zip(("embed", "gensim"), (ours, theirs), counts, strict=True):
        seconds, peak = median(d.seconds for d in runs), median(d.peak for d in runs)
        table.add(name, len(runs), seconds, size / seconds / _MEGA, peak / _MEGA, count)
    same = digest(written[0]) == digest(written[1])
    table.notes.append(
        f"The two texts are {'the same, byte for byte' if same else 'not the same'}."
    )
    summary = goals("Phrases: embed against gensim")
    fold = ratio(*(median(d.seconds for d in runs) for runs in (theirs, ours)))
    summary.add("whole command, times faster", fold, "10 or more")
    return [table, summary]


_OPTIONS = ("--score", "gensim", "--threads", "2")


def _embed(session: Session, corpus: Path, output: Path) -> Done:
    return session.embed("phrases", corpus, *_OPTIONS, "-q", "-o", output)


def _gensim(session: Session, output: Path) -> Done:
    script = Path(__file__).with_name("gensim_phrases.py")
    return run([sys.executable, "-P", script, session.corpus, output], session.environment)


if __name__ == "__main__":
    sys.exit(main({NAME: measure}))
