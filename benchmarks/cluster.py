"""Training on a Dask cluster over real network stacks: bytes and seconds of a round, and a model.

Scheduler and driver run at the switch of a `Network`, each worker on a host of its own with one
thread: processes in network namespaces, whose lines are counted by the kernel and slowed down by
`tc`. The hosts share this machine's cores, so what is measured of rounds are texts so small that a
round is mostly exchange; how fast a core trains is measured beside it.

Needs root. ``python -m benchmarks.cluster``.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.network import Network
from benchmarks.session import Session, main
from benchmarks.tables import Table

NAME = "cluster"
ROUNDS = 12
_PORT = 8786
_EXCERPT = 200_000  # tokens


@dataclass(frozen=True)
class Exchange:
    """One run, most of whose time is exchange.

    Attributes:
        workers: how many, each with one thread.
        words, dim: V and D.
        seconds: of a round.
        sent: bytes over all workers' lines in a round, each counted where it is received and sent.
        bandwidth: bytes a second of each line and direction; None: as fast as the kernel copies.
    """

    workers: int
    words: int
    dim: int
    seconds: float
    sent: float
    bandwidth: float | None

    @property
    def model(self) -> int:
        """Bytes of both matrices."""
        return 2 * 4 * self.words * self.dim

    @property
    def levels(self) -> int:
        """Steps of a tree over the workers."""
        return math.ceil(math.log2(self.workers))


LINES: dict[str, tuple[dict[str, object], float | None]] = {
    "unlimited": ({}, None),
    "1 Gbit/s": ({"rate": "1gbit"}, 125e6),
    "100 Mbit/s": ({"rate": "100mbit"}, 12.5e6),
}


def measure(session: Session) -> list[Table]:
    """Exchange over lines of different rates, then the line through the figures."""
    table = Table(
        f"Exchange: {ROUNDS} rounds of {_EXCERPT:,} tokens in all, one thread a worker",
        {
            "line": "",
            "workers": "d",
            "V": ",d",
            "D": "d",
            "deltas": "",
            "s a round": ".3f",
            "MB a round": ".1f",
            "models": ".2f",
        },
    )
    text = session.excerpt(_EXCERPT)
    found = []
    for line, (options, bandwidth) in LINES.items():
        for workers in (2, 4):
            with cluster(session, workers, **options) as (network, address):
                for dim, deltas in ((50, "float32"), (200, "float32"), (200, "float16")):
                    one = exchange(session, network, address, text, dim, deltas, bandwidth)
                    row = (one.seconds, one.sent / 1e6, one.sent / one.model)
                    table.add(line, workers, one.words, dim, deltas, *row)
                    session.say(f"{line}, {workers} workers, D={dim}: {one.seconds:.3f} s a round")
                    if deltas == "float32":
                        found.append(one)
    table.notes.append("MB are what all workers' lines carried, both ways; models: in sizes of it.")
    return [table, fit(found)]


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
            options = ["--nthreads", 1, "--no-dashboard", "--local-directory", session.folder]
            network.start(network.host(number), [*command, *options], **more)
        time.sleep(3)
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
    places = [f"--shards={network.n_hosts}", f"--deltas={deltas}", "--checkpoint-every=never"]
    child = network.start(
        network.switch,
        [*command, *places, *more],
        stdout=subprocess.PIPE,
        env=session.environment,
    )
    told = json.loads(child.communicate(timeout=300)[0])
    facts = json.loads(session.embed("info", model, "--json").stdout)
    return {**told, "words": facts["words"]}


def fit(found: Sequence[Exchange]) -> Table:
    """Seconds of a round as a + b x bytes handled + levels x 2 x model / bandwidth."""
    table = Table(
        "seconds a round = a + model bytes x (b + levels x (c + 2 / bandwidth))",
        {"a s": ".3f", "b s/GB": ".2f"},
    )
    rows = [(one, one.seconds - _on_the_line(one)) for one in found]
    xs = [one.model / 1e9 * (1 + one.levels) for one, _ in rows]
    ys = [rest for _, rest in rows]
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / sum(
        (x - mean_x) ** 2 for x in xs
    )
    table.add(mean_y - slope * mean_x, slope)
    return table


def _on_the_line(one: Exchange) -> float:
    return 0.0 if one.bandwidth is None else 2 * one.levels * one.model / one.bandwidth


if __name__ == "__main__":
    sys.exit(main({NAME: measure}))
