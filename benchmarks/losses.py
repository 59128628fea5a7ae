"""Which loss compares from epoch to epoch: while training, of the sample, of held-out text.

``python -m benchmarks.losses`` prints what docs/training.md says of it, on the first million tokens
of `wiki-17m`: means of three seeds. The loss on held-out text is that of runs that leave a fiftieth
of the lines out; the two others are of runs on the whole text. The cost of the sample is a
share of the processor time of training, one thread.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean, median
from typing import Any

from benchmarks.corpora import WIKI, unpacked, write_tokens
from benchmarks.tables import Table
from embedcli import TrainConfig, train
from embedcli.progress import Progress

_TOKENS = 1_000_000
_SEEDS = range(1, 4)
_TURNS = 7
_RUNS: Mapping[str, Mapping[str, Any]] = {
    "skip-gram": {},
    "CBOW": {"arch": "cbow"},
    "skip-gram, without rounds": {"deterministic": False},
    "skip-gram, subwords 3:6": {"subword": "3:6", "deterministic": False},
    "skip-gram, hierarchical softmax": {"loss": "hs", "deterministic": False},
    "skip-gram, 20 epochs": {"epochs": 20},
}


def main() -> None:
    """Print the losses and the cost."""
    with tempfile.TemporaryDirectory() as folder:
        corpus = unpacked(WIKI, Path(folder))
        text = write_tokens(corpus, _TOKENS, Path(folder) / "text")
        print(_losses(text).markdown(), flush=True)
        costs = Table("What measuring the sample costs", {"run": "", "of an epoch, %": ".2f"})
        for name in list(_RUNS)[:-1]:
            costs.add(name, 100 * _cost(text, _RUNS[name]))
        print(f"\n{costs.markdown()}")


def _losses(text: Path) -> Table:
    columns = {"run": "", "epoch": "d", "while training": ".4f", "sample": ".4f", "held out": ".4f"}
    table = Table(f"Losses, {_TOKENS:,} tokens", columns)
    for name, more in _RUNS.items():
        whole = [_epochs(text, more, seed) for seed in _SEEDS]
        parts = [_epochs(text, {**more, "valid_fraction": 0.02}, seed) for seed in _SEEDS]
        n_epochs = len(whole[0])
        shown = range(n_epochs) if n_epochs <= 5 else [0, *range(4, n_epochs, 5)]
        for i in shown:
            trained, sample = (fmean(run[i][what] for run in whole) for what in ("loss", "sample"))
            held_out = fmean(run[i]["held_out"] for run in parts)
            table.add(name if not i else "", i + 1, trained, sample, held_out)
    return table


def _epochs(text: Path, more: Mapping[str, Any], seed: int) -> list[dict[str, Any]]:
    config = TrainConfig(threads=1, seed=seed, **more)
    epochs: list[dict[str, Any]] = train([text], config).metadata["epochs"]
    return epochs


def _cost(text: Path, more: Mapping[str, Any]) -> float:
    """The share of processor time that passes when an epoch's last word is trained already."""
    shares = []
    for _ in range(_TURNS):
        reports: list[tuple[Progress, float]] = []

        def watch(report: Progress, reports: list[tuple[Progress, float]] = reports) -> None:
            reports.append((report, time.process_time()))

        train([text], TrainConfig(threads=1, epochs=3, **more), on_progress=watch)
        training = [(report, at) for report, at in reports if report.phase == "training"]
        measuring = 0.0
        for end in [report.done for report, _ in training if report.finished is not None]:
            times = [at for report, at in training if report.done == end and not report.finished]
            measuring += times[-1] - times[0]
        shares.append(measuring / (training[-1][1] - training[0][1]))
    return median(shares)


if __name__ == "__main__":
    main()
