"""Training on a Dask cluster over real network stacks: bytes and seconds of a round, and a model.

Scheduler and driver run at the switch of a `Network`, each worker on a host of its own with one
thread: processes in network namespaces, whose lines are counted by the kernel and slowed down by
`tc`. The hosts share this machine's cores, so what is measured of rounds are texts so small that a
round is mostly exchange; how fast a core trains is measured beside it.

Needs root. ``python -m benchmarks.cluster``.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.corpora import digest
from benchmarks.network import Network
from benchmarks.session import THREADS, Session, main
from benchmarks.tables import Table
from benchmarks.trainers import EMBED, Settings
from benchmarks.trainers import train as train_here
from embedcli.cluster.deltas import row_parts

NAME = "cluster"
ROUNDS = 4
_PORT = 8786
_EXCERPT = 200_000  # tokens
_TRAINED = 2_000_000
_KILL_AFTER = 6.0  # seconds


@dataclass(frozen=True)
class Exchange:
    """One run, most of whose time is exchange.

    Attributes:
        workers: how many, each with one thread.
        words, dim: V and D.
        seconds: of a round.
        sent: bytes over all workers' lines in a round, each counted where it is received and sent.
        bandwidth: bytes a second of each line and direction; None: as fast as the kernel copies.
        deltas: their numbers.
    """

    workers: int
    words: int
    dim: int
    seconds: float
    sent: float
    bandwidth: float | None
    deltas: str

    @property
    def line(self) -> str:
        """The line in words."""
        return "unlimited" if self.bandwidth is None else f"{self.bandwidth * 8 / 1e6:,.0f} Mbit/s"

    @property
    def model(self) -> int:
        """Bytes of both matrices."""
        return 2 * 4 * self.words * self.dim

    @property
    def pieces(self) -> int:
        """What workers send each other in a round, to be combined."""
        return self.workers * len(row_parts(self.words, self.workers))

    @property
    def handled(self) -> float:
        """Bytes of the models of all workers, for each core there is."""
        return self.model * self.workers / THREADS

    @property
    def on_the_line(self) -> float:
        """Seconds for what one worker's line carried one way, if it is the same for all."""
        return 0.0 if self.bandwidth is None else self.sent / (2 * self.workers) / self.bandwidth


# The rate of a line, bytes a second of it, and what is tried over it: workers, dimensions, deltas.
LINES: tuple[tuple[str | None, float | None, tuple[tuple[int, int, str], ...]], ...] = (
    (None, None, ((2, 200, "float32"), (4, 50, "float32"), (4, 200, "float32"))),
    ("1gbit", 125e6, ((2, 200, "float32"), (4, 200, "float32"), (4, 200, "float16"))),
    ("100mbit", 12.5e6, ((2, 50, "float32"), (4, 50, "float32"), (4, 50, "float16"))),
    ("100mbit", 12.5e6, ((8, 50, "float32"),)),
)


def measure(session: Session) -> list[Table]:
    """Exchange over lines of different rates, the line through the figures, and faults."""
    found = exchanges(session)
    table = Table(
        f"Exchange: rounds of {_EXCERPT // (1 + ROUNDS):,} tokens in all, one thread a worker",
        {
            "line": "",
            "workers": "d",
            "V": ",d",
            "D": "d",
            "deltas": "",
            "s a round": ".3f",
            "MB a round": ".1f",
            "models a worker": ".2f",
            "by the line s": ".3f",
        },
    )
    line = fit([one for one in found if one.deltas == "float32"])
    for one in found:
        models = one.sent / one.model / one.workers
        figures = one.seconds, one.sent / 1e6, models, line(one)
        table.add(one.line, one.workers, one.words, one.dim, one.deltas, *figures)
    table.notes.append(
        "MB are what all workers' lines carried, both ways; models: in sizes of the model, "
        "for each worker."
    )
    table.notes.append(line.told)
    return [table, rates(session, line), faults(session)]


def rates(session: Session, line: Line) -> Table:
    """What `benchmarks.cost` needs: how fast a core reads and trains, and what a round costs."""
    text = session.excerpt(_TRAINED)
    size = text.stat().st_size
    table = Table("Rates", {"rate": "", "D": "d", "value": ".4g"})
    for dim in (100, 300):
        settings = Settings(dim=dim, epochs=1, threads=1, lr=None)
        train_here(session, EMBED, settings, session.excerpt(_EXCERPT))  # compiles
        made = train_here(session, EMBED, settings, text)
        table.add("tokens a second and core", dim, made.rate)
    table.add("bytes read a second and core", None, size / (made.reading or 1))
    table.add("seconds of a round", None, line.start)
    table.add("seconds of a core for a piece", None, THREADS * line.piece)
    table.add("seconds of a core for a byte of the model", None, line.handling)
    return table


def exchanges(session: Session) -> list[Exchange]:
    """What a round costs, over each line."""
    text = session.excerpt(_EXCERPT)
    for dim in (50, 200):  # workers find the kernels compiled
        train_here(session, EMBED, Settings(dim=dim, epochs=1), text)
    found = []
    for rate, bandwidth, cases in LINES:
        for workers in sorted({case[0] for case in cases}):
            with cluster(session, workers, rate=rate) as (network, address):
                for _, dim, deltas in (case for case in cases if case[0] == workers):
                    one = exchange(session, network, address, text, dim, deltas, bandwidth)
                    found.append(one)
                    session.say(f"{one.line}, {workers} workers, D={dim}: {one.seconds:.3f} s")
    return found


def faults(session: Session) -> Table:
    """The same run over good and bad lines, and with a worker that is killed."""
    text = session.excerpt(5 * _EXCERPT)
    table = Table(
        "Four workers, 2 epochs of 8 rounds: the same model, whatever happens",
        {"what": "", "line": "", "seconds": ".1f", "sha256": "", "same": ""},
    )
    digests: list[str] = []
    for what, options in (
        ("nothing happens", {}),
        ("5 ms one way, 0.1 % of the frames lost", {"delay": 5.0, "loss": 0.001}),
        ("a worker is killed with SIGKILL in mid-run", {}),
    ):
        with cluster(session, 4, **options) as (network, address):
            timer = threading.Timer(0, lambda: None)
            if "killed" in what:
                timer = threading.Timer(_KILL_AFTER, network.kill, (network.host(1),))
            timer.start()
            began = time.perf_counter()
            train(session, network, address, text, 50, 8, "float32", ("--epochs=2",))
            seconds = time.perf_counter() - began
            timer.join()
        digests.append(digest(session.folder / "c.safetensors"))
        how = "relay" if network.by_relay else "veth"
        same = "yes" if digests[-1] == digests[0] else "no"
        table.add(what, how, seconds, digests[-1][:12], same)
        session.say(f"{what}: {seconds:.1f} s, the same: {same}")
    return table


@contextmanager
def cluster(session: Session, workers: int, **line: object) -> Iterator[tuple[Network, str]]:
    """A scheduler at the switch and a worker on each host; the network and the address."""
    dask = Path(sys.executable).with_name("dask")
    with Network(workers, **line) as network:  # type: ignore[arg-type]
        address = f"tcp://{network.switch_address}:{_PORT}"
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        more = {"env": session.environment, "cwd": session.folder, **quiet}
        command = [dask, "scheduler", "--host", network.switch_address, "--port", _PORT]
        network.start(network.switch, [*command, "--no-dashboard"], **more)
        for number in range(workers):
            command = [dask, "worker", address, "--host", network.address(number)]
            options = ["--nthreads", 1, "--no-dashboard", "--no-nanny"]
            options += ["--local-directory", session.folder]
            network.start(network.host(number), [*command, *options], **more)
        code = f"import distributed; distributed.Client({address!r}).wait_for_workers({workers})"
        network.start(network.switch, [sys.executable, "-c", code], **more).wait(120)
        yield network, address


def exchange(
    session: Session,
    network: Network,
    address: str,
    text: Path,
    dim: int,
    deltas: str,
    bandwidth: float | None,
) -> Exchange:
    """Train with few and with many rounds: the difference is what a round costs."""
    figures = []
    for rounds in (1, 1 + ROUNDS):
        before = [network.transferred(number) for number in range(network.n_hosts)]
        meta = train(session, network, address, text, dim, rounds, deltas)
        after = [network.transferred(number) for number in range(network.n_hosts)]
        figures.append((meta["timings"]["training"], sum(after) - sum(before), meta))
    (one, few, _), (other, many, meta) = figures
    return Exchange(
        network.n_hosts,
        int(meta["words"]),
        dim,
        (other - one) / ROUNDS,
        (many - few) / ROUNDS,
        bandwidth,
        deltas,
    )


def train(
    session: Session,
    network: Network,
    address: str,
    text: Path,
    dim: int,
    rounds: int,
    deltas: str,
    more: Sequence[str] = (),
) -> dict[str, object]:
    """One ``embed train --cluster`` from the switch; what it says of itself."""
    embed, model = Path(sys.executable).with_name("embed"), session.folder / "c.safetensors"
    settings = [f"--dim={dim}", "--epochs=1", "--min-count=1", f"--rounds={rounds}"]
    command = [embed, "train", text, "-o", model, "--cluster", address, "--json", *settings]
    places = [f"--shards={network.n_hosts}", f"--deltas={deltas}", "--checkpoint-every=never", "-q"]
    child = network.start(
        network.switch,
        [*command, *places, *more],
        stdout=subprocess.PIPE,
        env=session.environment,
    )
    told = json.loads(child.communicate(timeout=300)[0])
    facts = json.loads(session.embed("info", model, "--json").stdout)
    return {**told, "words": facts["words"]}


@dataclass(frozen=True)
class Line:
    """Seconds of a round = start + pieces x piece + handled x handling + what the line takes.

    Attributes:
        start: seconds.
        piece: seconds for each of the pieces that are sent to be combined, workers x parts, where
            scheduler and workers share this machine's cores.
        handling: seconds of a core for a byte of the model, in each worker.
    """

    start: float
    piece: float
    handling: float

    @property
    def told(self) -> str:
        """The same in words."""
        return (
            f"The line: {self.start:.3f} s + {self.piece:.4f} s x workers x parts + model GB x "
            f"{1e9 * self.handling:.2f} s x workers / {THREADS} cores + what a line carried one "
            "way / its rate."
        )

    def __call__(self, one: Exchange) -> float:
        """What it says of a round."""
        known = np.array([1.0, one.pieces, one.handled])
        return float(known @ (self.start, self.piece, self.handling)) + one.on_the_line


def fit(found: Sequence[Exchange]) -> Line:
    """The line through the figures, by least squares."""
    known = np.array([[1.0, one.pieces, one.handled] for one in found])
    seconds = np.array([one.seconds - one.on_the_line for one in found])
    (start, piece, handling), *_ = np.linalg.lstsq(known, seconds)
    return Line(float(start), float(piece), float(handling))


if __name__ == "__main__":
    sys.exit(main({NAME: measure}))
