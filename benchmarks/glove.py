"""GloVe: `embed train --arch glove` beside the programs of stanfordnlp/GloVe, step by step.

They are C and have no package: ``--glove DIR`` names the directory that their Makefile builds them
in. An iteration of theirs takes most of a minute, so they make a few, and what they would take for
as many as one uses is worked out: all iterations are alike. Scores are those of equal iterations.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import Done, run
from benchmarks.scores import Scores, score
from benchmarks.session import THREADS, Session, main, median
from benchmarks.tables import Table, goals, ratio

NAME = "glove"

_DIM, _WINDOW, _X_MAX, _MIN_COUNT = 100, 10, 10, 5
_WANTED = 15  # iterations, as in GloVe's demo
_MEASURED = 2  # of the peer's
_TARGET = "3 or more"


@dataclass(frozen=True)
class Steps:
    """One training, step by step.

    Attributes:
        trainer: who.
        epochs: iterations made.
        reading, counting, shuffling, training: seconds of each; None for what there is not.
        wall: of everything.
        cpu: seconds of processors, of all threads together.
        peak: its most resident memory, in bytes.
        model: what it wrote.
    """

    trainer: str
    epochs: int
    reading: float
    counting: float
    shuffling: float | None
    training: float
    wall: float
    cpu: float
    peak: int
    model: Path

    def wall_of(self, epochs: int) -> float:
        """The seconds that so many iterations would take."""
        return self.wall + self.training * (epochs - self.epochs) / self.epochs


def measure(session: Session) -> list[Table]:
    """Ours in turns with the peer where it is; then embed alone with all iterations."""
    few = 1 if session.quick else _MEASURED
    _embed(session, 1, session.excerpt(20_000))  # compile
    ours, theirs = [], []
    for turn in range(max(session.repeat, len(session.times(3)))):
        ours.append(_embed(session, few, session.corpus))
        if session.glove is not None and turn < session.repeat:
            theirs.append(_peer(session, session.glove, few))
    scored = [(ours, score(session, ours[-1].model))]
    if theirs:
        scored.append((theirs, score(session, theirs[-1].model)))
    whole = [_embed(session, _WANTED, session.corpus)]
    scored.append((whole, score(session, whole[0].model)))
    tables = [_figures(scored)]
    if theirs:
        tables.append(_ratios(whole, theirs))
    else:
        tables[0].notes.append("Without stanfordnlp's programs: --glove DIR was not given.")
    return tables


def _embed(session: Session, epochs: int, corpus: Path) -> Steps:
    model = session.folder / f"embed-glove-{epochs}.safetensors"
    done = session.embed(
        "train", corpus, "-o", model, "--arch=glove", f"--dim={_DIM}", f"--window={_WINDOW}",
        f"--x-max={_X_MAX}", f"--min-count={_MIN_COUNT}", f"--epochs={epochs}",
        f"--threads={THREADS}", "--json",
    )  # fmt: skip
    timings = json.loads(done.stdout)["timings"]
    counting = timings["counting"]
    session.say(f"embed, {epochs} iterations: {done.seconds:.1f} s")
    return Steps(
        "embed", epochs, timings["reading"], counting, None, timings["training"] - counting,
        done.seconds, done.cpu, done.peak, model,
    )  # fmt: skip


def _peer(session: Session, programs: Path, epochs: int) -> Steps:
    folder = session.folder
    vocabulary, counts, shuffled = (folder / name for name in ("vocab", "counts", "shuffled"))
    words = ["-vocab-file", str(vocabulary)]

    def step(name: str, source: Path, target: Path, *arguments: str) -> Done:
        program = [str(programs / name), *arguments, "-verbose", "0"]
        line = ["sh", "-c", 'target=$1; shift; exec "$@" > "$target"', "sh", str(target), *program]
        return run(line, session.environment, source)

    steps = [
        step("vocab_count", session.corpus, vocabulary, "-min-count", str(_MIN_COUNT)),
        step(
            "cooccur", session.corpus, counts, *words, "-window-size", str(_WINDOW),
            "-memory", "4", "-overflow-file", str(folder / "overflow"),
        ),
        step("shuffle", counts, shuffled, "-memory", "4", "-temp-file", str(folder / "temporary")),
        step(
            "glove", session.corpus, folder / "told", *words, "-input-file", str(shuffled),
            "-save-file", str(folder / "glove"), "-threads", str(THREADS), "-x-max", str(_X_MAX),
            "-iter", str(epochs), "-vector-size", str(_DIM), "-binary", "0",
        ),
    ]  # fmt: skip
    counts.unlink()
    shuffled.unlink()
    seconds = [done.seconds for done in steps]
    session.say(f"GloVe, {epochs} iterations: {sum(seconds):.1f} s")
    peak = max(done.peak for done in steps)
    cpu = sum(done.cpu for done in steps)
    return Steps("GloVe", epochs, *seconds, sum(seconds), cpu, peak, folder / "glove.txt")


def _figures(scored: list[tuple[list[Steps], Scores]]) -> Table:
    columns = {
        "trainer": "",
        "iterations": "d",
        "runs": "d",
        "vocabulary s": ".1f",
        "counting s": ".1f",
        "shuffling s": ".1f",
        "training s": ".1f",
        "wall s": ".1f",
        "CPU s": ".1f",
        "peak MB": ",.0f",
        "analogies": ".1f",
        "semantic": ".1f",
        "similarity": ".1f",
    }
    title = f"GloVe, D={_DIM}, window {_WINDOW}, x-max {_X_MAX}, {THREADS} threads"
    table = Table(title, columns)
    for made, scores in scored:
        shuffling = [one.shuffling for one in made if one.shuffling is not None]
        table.add(
            made[0].trainer,
            made[0].epochs,
            len(made),
            median(one.reading for one in made),
            median(one.counting for one in made),
            median(shuffling) if shuffling else None,
            median(one.training for one in made),
            median(one.wall for one in made),
            median(one.cpu for one in made),
            max(one.peak for one in made) / 1e6,
            scores.analogies,
            scores.semantic,
            scores.similarity,
        )
    return table


def _ratios(ours: list[Steps], theirs: list[Steps]) -> Table:
    table = goals("GloVe: embed against stanfordnlp's programs")
    whole = median(one.wall_of(_WANTED) for one in theirs)
    mine = median(one.wall for one in ours)
    table.add(f"end to end, {_WANTED} iterations, times faster", ratio(whole, mine), _TARGET)
    before = median(one.wall - one.training for one in theirs)
    table.add(
        "up to training, times faster",
        ratio(before, median(one.wall - one.training for one in ours)),
        "",
    )
    loop = median(one.training / one.epochs for one in theirs)
    mine = median(one.training / one.epochs for one in ours)
    table.add("an iteration, times faster", ratio(loop, mine), "")
    table.notes.append(
        f"Theirs of {_WANTED} iterations is worked out from {theirs[0].epochs}: {whole:.0f} s."
    )
    return table


if __name__ == "__main__":
    sys.exit(main({NAME: measure}))
