"""Accuracy: every model scored by ``embed evaluate`` under the word2vec protocol, whoever made it.

Scores of gensim take minutes to make and do not depend on our code, so they are remembered beside
the unpacked corpus, under everything they do depend on. Ours are measured anew each time.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.corpora import digest
from benchmarks.machine import now, versions
from benchmarks.session import Session
from benchmarks.trainers import Settings

__all__ = ["SIMILARITY", "Scores", "recall", "remember", "score"]

ANALOGIES = "questions-words.txt"
SIMILARITY = ("EN-WS-353-ALL.txt", "EN-SIMLEX-999.txt", "EN-MTurk-771.txt", "EN-RG-65.txt")


@dataclass(frozen=True)
class Scores:
    """How good vectors are.

    Attributes:
        analogies: percent of the Google analogies answered rightly; None if none could be asked.
        similarity: 100 x the mean of Spearman's rho over the sets of `SIMILARITY`, likewise.
        date: when this was measured.
        semantic: percent of the semantic analogies; None where that was not asked for.
        rare: 100 x Spearman's rho on `Session.rare`; None where there is no such file.
    """

    analogies: float | None
    similarity: float | None
    date: str
    semantic: float | None = None
    rare: float | None = None


def score(session: Session, vectors: Path) -> Scores:
    """Score a file of vectors in any format that embed reads."""
    files = [session.tests / name for name in (ANALOGIES, *SIMILARITY)]
    files += [session.rare] if session.rare else []
    done = session.embed("evaluate", *files, "-m", vectors, "--json", "--bootstrap=0")
    reports = json.loads(done.stdout)
    analogies, *pairs = (report["score"] for report in reports)
    rare = pairs.pop() if session.rare else None
    parts = {part["name"]: part["score"] for part in reports[0]["parts"]}
    mean = None if None in pairs else fmean(pairs)
    return Scores(analogies, mean, now(), parts.get("semantic"), rare)


def remember(session: Session, trainer: str, settings: Settings, scores: Scores) -> None:
    """Keep `scores` for later runs."""
    known = _known(session) | {_key(session, trainer, settings): asdict(scores)}
    _file(session).write_text(json.dumps(known, indent=1) + "\n")


def recall(session: Session, trainer: str, settings: Settings) -> Scores | None:
    """What was remembered of the same text, settings, seed and versions, if anything."""
    found = _known(session).get(_key(session, trainer, settings))
    return Scores(**found) if found else None


def _known(session: Session) -> dict[str, dict[str, Any]]:
    return json.loads(_file(session).read_text()) if _file(session).exists() else {}


def _file(session: Session) -> Path:
    return session.cache / "scores.json"


def _key(session: Session, trainer: str, settings: Settings) -> str:
    """All that decides a score, readable, as one string."""
    decisive = asdict(settings)
    if settings.loss == "ns":
        del decisive["loss"]  # as before there was another
    parts = {
        "trainer": trainer,
        "settings": decisive,
        "corpus": digest(session.corpus),
        "versions": versions(trainer.lower(), "numpy", "scipy"),
    }
    return json.dumps(parts, sort_keys=True)
