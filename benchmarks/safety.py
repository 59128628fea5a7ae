"""What safety costs: checkpoints while training, and a save that syncs, digests and reads back."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from benchmarks.processes import run
from benchmarks.session import Session, main, median
from benchmarks.tables import Table, goals
from benchmarks.trainers import EMBED, Settings, train, warm_up

NAME = "safety"
_OFTEN = 2.0  # seconds between checkpoints where their cost is to be seen
_USUAL = 600.0  # by default
_SETTINGS = Settings(epochs=3)


def measure(session: Session) -> list[Table]:
    """Training with and without checkpoints, then saving a large model."""
    return [_training(session), _saving(session)]


def _training(session: Session) -> Table:
    """Three runs in turns: what differs is how often the state is saved."""
    warm_up(session, EMBED, _SETTINGS)
    ways = {"never": "never", "10m, the default": "10m", f"{_OFTEN:.0f}s": f"{_OFTEN:.0f}s"}
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in session.times(5):
        for way, every in ways.items():
            made = train(session, EMBED, _SETTINGS, more=("--checkpoint-every", every))
            seconds[way].append(made.training or 0.0)
    never, usual, often = (median(taken) for taken in seconds.values())
    each = max(0.0, (often - never) / max(1, often // _OFTEN))
    table = goals(f"Training with checkpoints, {len(seconds['never'])} runs of each in turns")
    for way, taken in seconds.items():
        table.add(f"--checkpoint-every {way}: training, s", median(taken), "")
    table.add("default against never, % more", 100 * (usual / never - 1), "2 or less")
    table.add("one checkpoint, s", each, "")
    table.add("one every ten minutes, % of the time", 100 * each / _USUAL, "2 or less")
    return table


def _saving(session: Session) -> Table:
    """A model and as many plain bytes, written to the same disk in turns."""
    n_words = 10_000 if session.quick else 1_250_000
    script = Path(__file__).with_name("save_large.py")
    arguments = (str(n_words), "100", str(len(session.times(3))), session.folder)
    done = run([sys.executable, "-P", script, *arguments], session.environment)
    found = json.loads(done.stdout)
    raw, saved = median(found["raw"]), median(found["save"])
    table = goals(f"Saving {found['bytes'] / 1e9:.2f} GB, {len(found['raw'])} times in turns")
    table.add("write and fsync of as many bytes, s", raw, "")
    table.add("embedcli.save, s", saved, "")
    table.add("more, s", saved - raw, "3 or less")
    return table


if __name__ == "__main__":
    sys.exit(main({NAME: measure}))
