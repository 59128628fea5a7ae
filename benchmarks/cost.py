"""What a run on a cluster costs: a model whose constants are measured, tables, and a plot.

    python -m benchmarks.cost

How fast a core reads and trains is taken from benchmarks/results.json (`benchmarks.peers`), and so
is what Dask takes for a round and a piece (`benchmarks.cluster`). What a round costs beside that is
measured here, in seconds of a core for each byte of the model, by the functions that workers call;
`benchmarks.cluster` measures the same in real rounds. With W workers of c cores, lines of B bytes a
second, E epochs of R rounds, T tokens, V words and D dimensions:

    model      M = 8 V D bytes
    reading    2 x text / (W c r)           counted once, encoded once
    training   E T / (W c t(D))
    exchange   E R (a + s W P + b P + M (copy + difference + 2 send + add + combine / (W c)
                                         + 2 (1 - 1 / W) / B))
    traffic    E R 2 (W - 1) M bytes, 2 (1 - 1 / W) M a round to and from each worker

A model is combined in P parts, as many as there are workers, but 8 to 32 (`row_parts`): each worker
gets what all others changed in its part, and sends that part of the next model to all. a is
what Dask takes for a round, s what its scheduler takes for each of the pieces, and b what the
worker takes. Combining is spread over all workers and their cores, the rest is one core's in each
worker.
"""

from __future__ import annotations

import json
import pickle
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np

from benchmarks.tables import Table
from embedcli.cluster.combination import after, bases, moments
from embedcli.cluster.deltas import difference, row_parts, total

_ROOT = Path(__file__).parent.parent
_ROWS, _DIM = 200_000, 100
_SCHEDULED = 0.001  # s, seconds: not told apart from b where all share two cores; Dask's own figure
_WORKERS = (1, 2, 4, 8, 16, 32, 64)
JOBS = ((10_000_000, 300), (10_000_000, 100), (1_000_000, 300))


@dataclass(frozen=True)
class Rates:
    """What was measured.

    Attributes:
        reading: bytes of text a second and core.
        token: bytes of text.
        training: seconds of a core for a token, by dimension.
        start: seconds of a round.
        piece: seconds of a core for a piece, the scheduler's included.
        parts: seconds of a core for a byte of the model: copy, difference, send, add, combine.
    """

    reading: float
    token: float
    training: Mapping[int, float]
    start: float
    piece: float
    parts: Mapping[str, float]

    def seconds(self, dim: int) -> float:
        """Seconds of a core for a token at any dimension, on a straight line."""
        (low, fast), (high, slow) = sorted(self.training.items())
        return fast + (slow - fast) * (dim - low) / (high - low)


@dataclass(frozen=True)
class Job:
    """A run: W, V, D, text in bytes, E, c, B in bytes a second, R."""

    workers: int
    words: int
    dim: int
    text: float = 1e12
    epochs: int = 5
    cores: int = 16
    line: float = 1.25e9
    rounds: int = 8

    @property
    def model(self) -> float:
        """Bytes of both matrices."""
        return 8.0 * self.words * self.dim

    def reading(self, rates: Rates) -> float:
        """Seconds to count and to encode."""
        return 2 * self.text / (self.workers * self.cores * rates.reading)

    def training(self, rates: Rates) -> float:
        """Seconds in kernels."""
        tokens = self.epochs * self.text / rates.token
        return tokens * rates.seconds(self.dim) / (self.workers * self.cores)

    def exchange(self, rates: Rates) -> float:
        """Seconds between rounds; one worker has nobody to exchange with."""
        if self.workers == 1:
            return 0.0
        part, n_parts = rates.parts, len(row_parts(self.words, self.workers))
        handling = part["copy"] + part["difference"] + 2 * part["send"] + part["add"]
        handling += part["combine"] / (self.workers * self.cores)
        wire = 2 * (1 - 1 / self.workers) / self.line
        start = rates.start + _SCHEDULED * self.workers * n_parts
        start += max(0.0, rates.piece - _SCHEDULED) * n_parts
        return self.epochs * self.rounds * (start + self.model * (handling + wire))

    def traffic(self) -> float:
        """Bytes sent in the whole run."""
        return self.epochs * self.rounds * 2.0 * (self.workers - 1) * self.model

    def hours(self, rates: Rates) -> tuple[float, float, float]:
        """Reading, training, exchange."""
        parts = self.reading(rates), self.training(rates), self.exchange(rates)
        return parts[0] / 3600, parts[1] / 3600, parts[2] / 3600


def measure_parts() -> dict[str, float]:
    """Seconds of a core for a byte of the model; CPU time, so that other processes do not show."""
    before = np.random.default_rng(0).random((_ROWS, _DIM), dtype=np.float32)
    trained = before * np.float32(1.01)
    steps = (1000 / np.arange(1, _ROWS + 1)).astype(np.float32)
    delta = difference(before, trained, steps)
    both = total([delta, delta])

    def combine() -> object:
        return after([before], [both], bases([moments([before], [both])]))

    return {
        "copy": _cpu(lambda: np.array(before)) / before.nbytes,
        "difference": _cpu(lambda: difference(before, trained, steps)) / before.nbytes,
        "send": _cpu(lambda: pickle.dumps(delta, protocol=5)) / before.nbytes,
        "add": _cpu(lambda: total([delta, delta])) / (2 * before.nbytes),
        "combine": _cpu(combine) / before.nbytes,
    }


def _cpu(call: Callable[[], object]) -> float:
    """Seconds of CPU, the median of three calls."""
    seconds = []
    for _ in range(3):
        began = time.process_time()
        call()
        seconds.append(time.process_time() - began)
    return median(seconds)


def read_rates(results: Mapping[str, Any], parts: Mapping[str, float]) -> Rates:
    """The rates from benchmarks/results.json: two threads' figures, halved."""
    tables = {table["title"]: table["rows"][0] for table in results["peers"]["tables"]}
    rows = {dim: _row(tables, f"Skip-gram, D={dim}, ") for dim in (100, 300)}
    training = {dim: 2 / (row["M tokens/s"] * 1e6) for dim, row in rows.items()}
    n_bytes = results["peers"]["corpus"]["bytes"]
    n_tokens = rows[300]["M tokens/s"] * 1e6 * rows[300]["training s"]  # one epoch
    cluster = next(t for t in results["cluster"]["tables"] if t["title"] == "Rates")["rows"]
    told = {row["rate"]: row["value"] for row in cluster}
    return Rates(
        n_bytes / rows[100]["reading s"] / 2,
        n_bytes / n_tokens,
        training,
        told["seconds of a round"],
        told["seconds of a core for a piece"],
        parts,
    )


def _row(tables: Mapping[str, Any], title: str) -> Mapping[str, Any]:
    return next(row for name, row in tables.items() if name.startswith(title) and "trainer" in row)


def table(rates: Rates, words: int, dim: int) -> Table:
    """Time and traffic against the number of workers."""
    columns = {
        "workers": "d",
        "reading h": ".2f",
        "training h": ".2f",
        "exchange h": ".2f",
        "in all h": ".2f",
        "traffic TB": ".2f",
        "memory a worker GB": ".0f",
    }
    title = f"1 TB of text, {words / 1e6:g} M words x {dim}, 5 epochs of 8 rounds"
    made = Table(title, columns)
    for workers in _WORKERS:
        job = Job(workers, words, dim)
        hours = job.hours(rates)
        made.add(workers, *hours, sum(hours), job.traffic() / 1e12, 4 * job.model / 1e9)
    return made


def main() -> int:
    """Print the tables and draw the plot."""
    results = json.loads((Path(__file__).parent / "results.json").read_text())
    rates = read_rates(results, measure_parts())
    parts = ", ".join(f"{name} {1e9 * value:.2f}" for name, value in rates.parts.items())
    print(
        f"A core reads {rates.reading / 1e6:.0f} MB/s and trains {1e-6 / rates.seconds(100):.2f} M "
        f"tokens/s at D = 100, {1e-6 / rates.seconds(300):.2f} M at 300; {rates.token:.1f} bytes a "
        f"token. A round takes {rates.start:.3f} s, a piece {1e3 * rates.piece:.1f} ms of a core. "
        f"Seconds for a GB of the model: {parts}."
    )
    for job in JOBS:
        print(f"\n{table(rates, *job).markdown()}")
    draw(rates)
    draw_accuracy(results)
    return 0


def draw(rates: Rates) -> None:
    """docs/cluster-cost.svg: hours against workers."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    matplotlib.rcParams["svg.hashsalt"] = "embed"
    figure, axes = pyplot.subplots(figsize=(6, 3.6), layout="constrained")
    for words, dim in JOBS:
        hours = [sum(Job(n, words, dim).hours(rates)) for n in _WORKERS]
        (line,) = axes.loglog(_WORKERS, hours, marker="o", label=f"{words / 1e6:g} M x {dim}")
        axes.loglog(_WORKERS, [hours[0] / n for n in _WORKERS], ":", color=line.get_color())
    axes.set_xticks(_WORKERS, [str(n) for n in _WORKERS])
    axes.set_xlabel("workers of 16 cores")
    axes.set_ylabel("hours")
    axes.set_title("1 TB of text, 5 epochs of 8 rounds; dotted: no exchange", fontsize=10)
    axes.legend(fontsize=8, title="words x dimensions", title_fontsize=8)
    figure.savefig(_ROOT / "docs" / "cluster-cost.svg", metadata={"Date": None})
    pyplot.close(figure)


def draw_accuracy(results: Mapping[str, Any]) -> None:
    """docs/cluster-accuracy.svg: scores against workers by rule, within a point of one machine."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    matplotlib.rcParams["svg.hashsalt"] = "embed"
    alone, rules = (table["rows"] for table in results["combination"]["tables"])
    figure, both = pyplot.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
    for axes, score in zip(both, ("analogies", "similarity"), strict=True):
        mean = fmean(row[score] for row in alone)
        axes.axhspan(mean - 1, mean + 1, color="0.85", label="one machine, a point around it")
        for rule in dict.fromkeys(row["rule"] for row in rules):
            rows = [row for row in rules if row["rule"] == rule and row[score] is not None]
            if rows:
                points = [(row["workers"], row[score]) for row in rows]
                axes.plot(*zip(*points, strict=True), marker="o", label=rule)
        axes.set_xscale("log", base=2)
        axes.set_xticks([2, 4, 8, 16], ["2", "4", "8", "16"])
        axes.set_xlabel("simulated workers")
        axes.set_ylabel(f"{score}, %")
    both[0].legend(fontsize=7)
    figure.suptitle("wiki-17m, 5 epochs of 8 rounds", fontsize=10)
    figure.savefig(_ROOT / "docs" / "cluster-accuracy.svg", metadata={"Date": None})
    pyplot.close(figure)


if __name__ == "__main__":
    sys.exit(main())
