"""What rounds cost beside ``--hogwild``, and whether they keep what they promise."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from statistics import fmean

from benchmarks.corpora import digest
from benchmarks.scores import score
from benchmarks.session import THREADS, Session, main
from benchmarks.tables import Table, goals, ratio
from benchmarks.trainers import EMBED, Run, Settings, middle, readable, train, warm_up

NAME = "determinism"
ALLOWED = {100: 25, 300: 10}  # percent of time that determinism may cost at a number of dimensions
UNFAIR = 1.3  # times what fair sharing would take
MANY = 8  # threads, on however few cores there are
WAYS = ("--hogwild", "--deterministic")
_DETERMINISTIC = WAYS[1:]
_TOKENS = {False: 1_000_000, True: 100_000}  # by `Session.quick`


def measure(session: Session) -> list[Table]:
    """Time in turns, scores, scarce cores, and digests for several numbers of threads."""
    epoch = replace(Settings(), epochs=1)
    frequent = replace(Settings(), lr=None, dim=50, epochs=10, sample=0)
    text = session.excerpt(_TOKENS[session.quick])
    return [
        *_cost(session, epoch),
        _scores(session, "Skip-gram, D=100, 5 epochs, own lr", replace(Settings(), lr=None)),
        _scores(session, "A million tokens, not subsampled, D=50, 10 epochs", frequent, text),
        *_scarce(session, epoch),
    ]


def _cost(session: Session, epoch: Settings) -> tuple[Table, Table]:
    """Seconds of training in one epoch, in turns."""
    columns = {"": "", "D": "d", "runs": "d", "training s": ".2f"}
    table = Table(f"Skip-gram, 1 epoch, {THREADS} threads: hogwild and deterministic", columns)
    goal = goals("Determinism: time more than hogwild, percent")
    for dim, allowed in ALLOWED.items():
        settings = replace(epoch, dim=dim)
        made: dict[str, list[Run]] = {way: [] for way in WAYS}
        for way in WAYS:
            warm_up(session, EMBED, settings, more=(way,))
        for _ in session.times(5):
            for way, runs in made.items():
                runs.append(train(session, EMBED, settings, more=(way,)))
        for way, runs in made.items():
            table.add(way, dim, len(runs), middle(runs, "training"))
        share = ratio(*(middle(made[way], "training") for way in reversed(WAYS)))
        more = None if share is None else 100 * (share - 1)
        goal.add(f"D = {dim}", more, f"{allowed} or less")
    return table, goal


def _scores(session: Session, title: str, settings: Settings, text: Path | None = None) -> Table:
    """The scores both ways, mean of seeds."""
    columns = {"": "", "seeds": "d", "analogies": ".2f", "similarity": ".2f"}
    table = Table(f"{title}: scores, mean of seeds", columns)
    for way in WAYS:
        made = [
            score(session, readable(session, train(session, EMBED, one, text, more=(way,))))
            for one in (replace(settings, seed=seed) for seed in session.seeds_or(6))
        ]
        told = [one for one in made if one.analogies is not None and one.similarity is not None]
        analogies = fmean(one.analogies or 0.0 for one in told) if told else None
        similarity = fmean(one.similarity or 0.0 for one in told) if told else None
        table.add(way, len(made), analogies, similarity)
    return table


def _scarce(session: Session, epoch: Settings) -> tuple[Table, Table]:
    """More threads than cores, two runs at once; and whether all of them made the same vectors."""
    table = Table(
        "Skip-gram, D=100, 1 epoch, deterministic: scarce cores",
        {"": "", "training s": ".2f", "fair s": ".2f", "vectors' sha256": ""},
    )
    goal = goals("Determinism where cores are scarce")

    def one(threads: int, name: str = EMBED) -> tuple[float, str]:
        settings = replace(epoch, threads=threads)
        made = train(session, EMBED, settings, more=_DETERMINISTIC, name=name)
        vectors = session.folder / f"{name}.bin"
        session.embed("export", made.model, vectors)
        return made.training or 0.0, digest(vectors)

    alone, _ = first = min(one(THREADS) for _ in session.times(3))
    single = one(1)
    many = one(MANY)
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda name: one(THREADS, name), (f"{EMBED}-1", f"{EMBED}-2")))
    rows = [(f"{THREADS} threads", first, None), ("1 thread", single, None)]
    rows += [(f"{MANY} threads", many, alone)]
    rows += [(f"{THREADS} threads, two runs at once", made, 2 * alone) for made in both]
    for title, (seconds, of_vectors), fair in rows:
        table.add(title, seconds, fair, of_vectors[:16])
    allowed = f"{UNFAIR} or less"
    goal.add(f"{MANY} threads on the same cores, times fair", ratio(many[0], alone), allowed)
    slower = max(seconds for seconds, _ in both)
    goal.add("two runs at once, times fair", ratio(slower, 2 * alone), allowed)
    different = len({of_vectors for _, (_, of_vectors), _ in rows})
    goal.add("different vectors among all these", float(different), "1")
    return table, goal


if __name__ == "__main__":
    sys.exit(main({NAME: measure}))
