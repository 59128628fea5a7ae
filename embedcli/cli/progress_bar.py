"""Progress on a terminal, which can never end the run it shows.

tqdm raises when stderr is closed, full or a terminal that hung up; a run must not die of that, so
the first failure switches the display off for good. Where stderr is no terminal there is no bar;
`-v` then says a line every ten seconds, for logs.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from embedcli.cli.output import discard, talk, verbosity
from embedcli.progress import OnProgress, Progress, ignore_progress

if TYPE_CHECKING:
    from tqdm import tqdm

__all__ = ["show_progress", "shown_losses"]

_UNITS = {
    "reading": "B",
    "counting": " words",
    "merging": " pairs",
    "training": " words",
    "writing": " rows",
    "indexing": " rows",
}
_SECONDS_BETWEEN_LINES = 10.0


@contextmanager
def show_progress() -> Iterator[OnProgress]:
    """Yield the function that shows each report it is called with, as the verbosity asks."""
    level = verbosity()
    if level.quiet:
        yield ignore_progress
    elif sys.stderr.isatty():
        bar = _Bar()
        try:
            yield bar.show
        finally:
            bar.close()
    elif level.verbose:
        yield _Lines().show
    else:
        yield ignore_progress


class _Bar:
    """One tqdm bar for each phase: percent, rate, time left, and while training loss and rate."""

    def __init__(self) -> None:
        self._phase = ""
        self._bar: tqdm[Any] | None = None
        self._dead = False

    def show(self, progress: Progress) -> None:
        if self._dead:
            return
        try:
            if progress.phase != self._phase:
                self._begin(progress)
            self._advance(progress)
        except (OSError, ValueError, AttributeError):  # all seen from tqdm over a lost stderr
            self._die()

    def close(self) -> None:
        if self._bar is not None and not self._dead:
            try:
                self._bar.close()
            except (OSError, ValueError, AttributeError):
                self._die()
        self._bar = None

    def _begin(self, progress: Progress) -> None:
        from tqdm import tqdm

        self.close()
        tqdm.monitor_interval = 0  # no thread of its own
        tqdm.set_lock(threading.RLock())  # and no multiprocessing
        self._phase = progress.phase
        self._bar = tqdm(
            desc=progress.phase,
            total=progress.total,
            unit=_UNITS.get(progress.phase, ""),
            unit_scale=True,
            leave=False,
            dynamic_ncols=True,
        )

    def _advance(self, progress: Progress) -> None:
        if self._bar is None:
            return
        self._bar.total = progress.total
        self._bar.set_postfix_str(_details(progress), refresh=False)
        self._bar.update(progress.done - self._bar.n)

    def _die(self) -> None:
        self._dead = True
        discard(sys.stderr)


class _Lines:
    """A line for each phase, and then one every ten seconds."""

    def __init__(self) -> None:
        self._phase = ""
        self._next = 0.0

    def show(self, progress: Progress) -> None:
        now = time.monotonic()
        if progress.phase == self._phase and now < self._next:
            return
        self._phase = progress.phase
        self._next = now + _SECONDS_BETWEEN_LINES
        share = f" {progress.done / progress.total:.0%}" if progress.total else ""
        details = _details(progress)
        talk(f"{progress.phase}{share}{', ' if details else ''}{details}", at=1)


def shown_losses(trained: float, held_out: float | None, sample: float | None) -> str:
    """The loss that compares from epoch to epoch, where it is known, and that of training."""
    while_training = f"{trained:.4f} while training"
    if held_out is not None:
        return f"held-out loss {held_out:.4f} ({while_training})"
    return f"loss {while_training}" if sample is None else f"loss {sample:.4f} ({while_training})"


def _details(progress: Progress) -> str:
    parts = []
    if progress.epoch:
        parts.append(f"epoch {progress.epoch}")
    if progress.loss is not None:
        parts.append(shown_losses(progress.loss, progress.held_out, progress.sample))
    if progress.lr is not None:
        parts.append(f"lr {progress.lr:.4f}")
    return ", ".join(parts)
