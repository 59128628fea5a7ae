"""How training scales: with threads, and with the size of the text in time and in memory."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from statistics import linear_regression

from benchmarks.session import THREADS, Session, main
from benchmarks.tables import Table, goals, ratio
from benchmarks.trainers import EMBED, Run, Settings, middle, train, warm_up

NAME = "scaling"
MILLIONS = (1, 2, 5, 10, 17, 30, 45, 60)
# The same words at every size, so that only the number of tokens changes: a text that is repeated
# gains words that occur often enough.
N_WORDS = 50_000
_SHORT = 5_000_000


def measure(session: Session) -> list[Table]:
    """Threads, then sizes."""
    warm_up(session, EMBED, Settings())
    return [*_threads(session), *_sizes(session)]


def _threads(session: Session) -> tuple[Table, Table]:
    """One thread and several, and as many runs of one thread at once: what the cores can give.

    Virtual cores may be two halves of one real core, and what a second one brings then changes with
    the neighbours' load. Runs that share nothing show how much that is at the moment.
    """
    single, several = replace(Settings(), threads=1), replace(Settings(), threads=THREADS)
    runs: dict[str, list[Run]] = {"1": [], f"{THREADS}": [], f"1, {THREADS} runs at once": []}
    for _ in session.times(3):
        alone, together, apart = runs.values()
        alone.append(train(session, EMBED, single))
        together.append(train(session, EMBED, several))
        with ThreadPoolExecutor(THREADS) as pool:
            names = [f"{EMBED}-{n}" for n in range(THREADS)]
            apart += pool.map(lambda name: train(session, EMBED, single, name=name), names)
    table = Table(
        "Skip-gram, D=100, 5 epochs: threads",
        {"threads": "", "runs": "d", "wall s": ".1f", "training s": ".1f", "M tokens/s": ".2f"},
    )
    for title, made in runs.items():
        loop, rate = middle(made, "training"), ratio(middle(made, "rate"), 1e6)
        table.add(title, len(made), middle(made, "seconds"), loop, rate)
    goal = goals("One thread against two")
    alone_s, together_s, apart_s = (middle(made, "training") for made in runs.values())
    faster = ratio(alone_s, together_s)
    most = ratio(THREADS * (alone_s or 0.0), apart_s)
    goal.add("training loop, times faster", faster, "1.8 or more")
    goal.add("the same work in runs that share nothing, times faster", most, "what the cores give")
    goal.add("share of what the cores give", ratio(faster, most), "")
    return table, goal


def _sizes(session: Session) -> tuple[Table, Table]:
    """Whole runs on texts of different sizes, and the straight line through their times."""
    unit = 100_000 if session.quick else 1_000_000
    sizes = [n * unit for n in (MILLIONS[:3] if session.quick else MILLIONS)]
    runs = [_of_size(session, size) for size in sizes]
    walls = [middle(made, "seconds") or 0.0 for made in runs]
    slope, start = linear_regression(sizes, walls)
    table = Table(
        "Skip-gram, D=100, 5 epochs: size of the text",
        {
            "M tokens": ".1f",
            "V": ",d",
            "runs": "d",
            "wall s": ".2f",
            "the line s": ".2f",
            "off by %": "+.1f",
            "peak MB": ",.0f",
            "allowed MB": ",.0f",
        },
    )
    off = []
    for size, made, wall in zip(sizes, runs, walls, strict=True):
        line = start + slope * size
        off.append(100 * (wall - line) / line)
        peak, bound = max(run.peak for run in made) / 1e6, made[0].memory_bound / 1e6
        table.add(size / 1e6, made[0].n_words, len(made), wall, line, off[-1], peak, bound)
    table.notes.append(f"The line: {start:.2f} s + {slope * 1e6:.3f} s a million tokens.")
    return table, _size_goals([run for made in runs for run in made], off)


def _of_size(session: Session, size: int) -> list[Run]:
    """Runs on the first `size` tokens; three where they are short and hence uncertain."""
    text = session.excerpt(size)
    n_words = N_WORDS // 10 if session.quick else N_WORDS
    settings = replace(Settings(), min_count=1)
    repeats = session.times(3 if size <= _SHORT else 1)
    made = [
        train(session, EMBED, settings, text, more=(f"--max-vocab={n_words}",)) for _ in repeats
    ]
    if text != session.corpus:
        text.unlink()
    return made


def _size_goals(runs: list[Run], off: list[float]) -> Table:
    table = goals("Time and memory against the size of the text")
    table.add("farthest from the line, %", max(off, key=abs), "grows linearly")
    share = max(run.peak / run.memory_bound for run in runs)
    table.add("peak memory, share of 2 V D 4 x 1.15 + 250 MB", share, "1 or less")
    return table


if __name__ == "__main__":
    sys.exit(main({NAME: measure}))
