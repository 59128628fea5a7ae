"""What a run on a cluster costs: a model fitted to what `benchmarks.cluster` measured, and plots.

    python -m benchmarks.cost

No run is made: it reads benchmarks/results.json, prints tables and draws docs/cluster-*.svg
(matplotlib, extra `viz`). With T tokens, V words, D dimensions, E epochs, W workers of c cores,
lines of B bytes a second, and R rounds in an epoch:

    model      M = 8 V D bytes              levels  L = log2 W, rounded up
    reading    2 x text / (W c r)           counted once, encoded once
    training   E T / (W c t(D))
    exchange   E R (a + M (b (1 + L) + 2 L / B))
    traffic    E R 2 (W - 1) M bytes
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.tables import Table

_RESULTS = Path(__file__).parent / "results.json"
_DOCS = Path(__file__).parent.parent / "docs"
_BYTES_A_TOKEN = 5.9  # wiki-17m


@dataclass(frozen=True)
class Rates:
    """What was measured, on a core of the machine that the figures are from.

    Attributes:
        reading: bytes of text a second.
        training: tokens a second by dimension.
        start: seconds that a round takes whatever it exchanges (a).
        handling: seconds for each byte of the model and level (b).
    """

    reading: float
    training: Mapping[int, float]
    start: float
    handling: float

    def tokens(self, dim: int) -> float:
        """Tokens a second at any dimension, as if time grew in a straight line between two."""
        low, high = min(self.training), max(self.training)
        seconds = {d: 1 / rate for d, rate in self.training.items()}
        slope = (seconds[high] - seconds[low]) / (high - low)
        return 1 / (seconds[low] + slope * (dim - low))


@dataclass(frozen=True)
class Job:
    """A run.

    Attributes:
        text: bytes.
        words, dim, epochs: V, D, E.
        workers, cores: W, c.
        line: bytes a second (B).
        rounds: in an epoch (R).
    """

    text: float
    words: int
    dim: int
    workers: int
    epochs: int = 5
    cores: int = 16
    line: float = 1.25e9
    rounds: int = 1

    @property
    def model(self) -> float:
        """Bytes of both matrices."""
        return 8.0 * self.words * self.dim

    @property
    def levels(self) -> int:
        """Of a tree over the workers."""
        return math.ceil(math.log2(self.workers)) if self.workers > 1 else 0

    def reading(self, rates: Rates) -> float:
        """Seconds to count and to encode."""
        return 2 * self.text / (self.workers * self.cores * rates.reading)

    def training(self, rates: Rates) -> float:
        """Seconds in kernels."""
        tokens = self.epochs * self.text / _BYTES_A_TOKEN
        return tokens / (self.workers * self.cores * rates.tokens(self.dim))

    def exchange(self, rates: Rates) -> float:
        """Seconds between rounds."""
        handled = rates.handling * (1 + self.levels) + 2 * self.levels / self.line
        return self.epochs * self.rounds * (rates.start + self.model * handled)

    def traffic(self) -> float:
        """Bytes sent in the whole run."""
        return self.epochs * self.rounds * 2.0 * (self.workers - 1) * self.model

    def seconds(self, rates: Rates) -> float:
        """All of it."""
        return self.reading(rates) + self.training(rates) + self.exchange(rates)


def table(rates: Rates, text: float, words: int, dim: int) -> Table:
    """Time and traffic against the number of workers."""
    columns = {
        "workers": "d",
        "reading h": ".2f",
        "training h": ".2f",
        "exchange h": ".2f",
        "in all h": ".2f",
        "traffic TB": ".1f",
        "GB a worker": ".0f",
    }
    title = f"{text / 1e12:g} TB of text, {words / 1e6:g} M words x {dim}, 16 cores a worker"
    made = Table(f"{title}, 10 Gbit/s, 5 epochs of one round", columns)
    for workers in (1, 2, 4, 8, 16, 32, 64):
        job = Job(text, words, dim, workers)
        parts = job.reading(rates), job.training(rates), job.exchange(rates) * (workers > 1)
        hours = [part / 3600 for part in (*parts, sum(parts))]
        made.add(workers, *hours, job.traffic() / 1e12, 4 * job.model / 1e9)
    return made


def read_rates(results: Mapping[str, Any]) -> Rates:
    """The rates from benchmarks/results.json."""
    tables = {table["title"]: table["rows"] for table in results["cluster"]["tables"]}
    found = {(row["rate"], row["D"]): float(row["value"]) for row in tables["Rates"]}
    training = {dim: v for (name, dim), v in found.items() if name.startswith("tokens")}
    return Rates(
        found["bytes read a second and core", None],
        training,
        found["seconds of a round", None],
        found["seconds a byte of the model and level", None],
    )


def main() -> int:
    """Print the tables and draw the plots."""
    rates = read_rates(json.loads(_RESULTS.read_text()))
    for words, dim in ((10_000_000, 300), (10_000_000, 100), (1_000_000, 300)):
        print(f"\n{table(rates, 1e12, words, dim).markdown()}")
    draw(rates)
    return 0


def draw(rates: Rates) -> None:
    """docs/cluster-cost.svg: hours against workers."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 3.6), layout="constrained")
    counts = [1, 2, 4, 8, 16, 32, 64]
    for words, dim in ((10_000_000, 300), (10_000_000, 100), (1_000_000, 300)):
        jobs = [Job(1e12, words, dim, workers) for workers in counts]
        hours = [
            (job.reading(rates) + job.training(rates) + job.exchange(rates) * (job.workers > 1))
            / 3600
            for job in jobs
        ]
        axes.loglog(counts, hours, marker="o", label=f"{words / 1e6:g} M words x {dim}")
    axes.loglog(counts, [hours[0] / n for n in counts], ":", color="grey", label="no exchange")
    axes.set_xticks(counts, [str(n) for n in counts])
    axes.set_xlabel("workers of 16 cores")
    axes.set_ylabel("hours")
    axes.set_title("1 TB of text, 5 epochs of one round, 10 Gbit/s (model)", fontsize=10)
    axes.legend(fontsize=8)
    figure.savefig(_DOCS / "cluster-cost.svg", metadata={"Date": None})
    pyplot.close(figure)


if __name__ == "__main__":
    sys.exit(main())
