"""`metrics.jsonl`: the metrics of a run as lines of JSON, written during the run.

    {"event": "progress", "epoch": 1, "tokens": 120000, "seconds": 1.0, "lr": 0.049, "loss": 2.1}
    {"event": "epoch", "epoch": 1, "tokens": 1000000, "seconds": 8.2, "lr": 0.04, "loss": 1.9,
     "sample": null, "held_out": 1.95, "score": 41.2}                               (in one line)

``tokens`` are counted over all epochs, ``seconds`` from the beginning of training, pauses between
interrupted sessions left out. A run that is resumed drops the lines behind the checkpoint it goes
on from, so that the file reads as if it had never stopped. It is a log and not a result: it is
appended to and not published, and when it cannot be written any more, training goes on.
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from embedcli.errors import OutputError
from embedcli.progress import OnProgress, Progress
from embedcli.training.run import Run

__all__ = ["Metrics", "check_metrics"]

_SECONDS_BETWEEN_LINES = 1.0
_BEGINNING = b'{"event": "'


def check_metrics(path: str) -> None:
    """Refuse to replace a file that holds something else, whoever named it.

    A configuration or a checkpoint that came with somebody's files may name any file of this user.

    Raises:
        OutputError: it does not begin as metrics do, be they cut short; or the file cannot be read.
    """
    if not Path(path).is_file():
        return
    try:
        with Path(path).open("rb") as file:
            beginning = file.read(len(_BEGINNING))
    except OSError as error:
        raise OutputError(f"{path}: the metrics cannot be written: {error.strerror}") from error
    if not _BEGINNING.startswith(beginning):
        raise OutputError(
            f"{path} holds something else than metrics, and would be replaced: move it away, or "
            "name another file with --metrics"
        )


class Metrics:
    """The file of a run; to be used in a ``with``.

    Args:
        path: where it is; a file that is there is replaced, or continued where the run was resumed
            (`check_metrics` tells what it holds).
        run: the run, standing where it goes on.

    Raises:
        OutputError: it cannot be opened.
    """

    def __init__(self, path: str, run: Run) -> None:
        self._path, self._run = path, run
        self._last: Progress | None = None
        before = _before(Path(path), run) if run.n_done else (0, 0, 0.0)
        n_bytes, self._n_epochs, self._seconds_before = before
        self._began = time.monotonic()
        self._next = 0.0
        self._broken = False
        try:
            self._file = Path(path).open("r+b" if n_bytes else "wb")  # noqa: SIM115 - see __exit__
            if n_bytes:
                self._file.truncate(n_bytes)
                self._file.seek(n_bytes)
        except OSError as error:
            raise OutputError(f"{path}: the metrics cannot be written: {error.strerror}") from error

    def watch(self, on_progress: OnProgress) -> OnProgress:
        """A function that writes what is worth it of each report, and passes it on."""

        def report(progress: Progress) -> None:
            self._last = progress
            self._epochs()
            if (
                progress.finished is None
                and progress.loss is not None
                and time.monotonic() >= self._next
            ):
                self._next = time.monotonic() + _SECONDS_BETWEEN_LINES
                self._write({"event": "progress", **self._place(progress, progress.epoch)})
            on_progress(progress)

        return report

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._epochs()
        try:
            self._file.close()
        except OSError as second:
            self._give_up(second)

    def _epochs(self) -> None:
        """Write the epochs that were finished since the last time."""
        for number in range(self._n_epochs, len(self._run.epochs)):
            epoch = self._run.epochs[number]
            done = (number + 1) * len(self._run.corpus.ids)
            place = self._place(self._last or Progress("training", done), number + 1)
            names = "loss", "sample", "held_out", "score"
            measured = {name: getattr(epoch, name) for name in names}
            self._write({"event": "epoch", **place, **measured})
        self._n_epochs = len(self._run.epochs)

    def _place(self, progress: Progress, epoch: int) -> dict[str, Any]:
        seconds = self._seconds_before + time.monotonic() - self._began
        return {
            "epoch": epoch,
            "tokens": progress.done,
            "seconds": round(seconds, 3),
            "lr": progress.lr,
            "loss": progress.loss,
        }

    def _write(self, record: Mapping[str, Any]) -> None:
        if self._broken:
            return
        try:
            self._file.write(json.dumps(record, allow_nan=False).encode() + b"\n")
            self._file.flush()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        if not self._broken:
            warnings.warn(f"{self._path}: no more metrics: {error.strerror}", stacklevel=2)
        self._broken = True


def _before(path: Path, run: Run) -> tuple[int, int, float]:
    """How much of an earlier session's file tells of what came before the place of the run.

    Returns:
        The bytes of it, the epochs they tell of, and the seconds of the last line.
    """
    n_bytes, n_epochs, seconds = 0, 0, 0.0
    if not path.is_file():
        return n_bytes, n_epochs, seconds
    for line in path.read_bytes().splitlines(keepends=True):
        try:
            record = json.loads(line)
            finished = record["epoch"] - (record["event"] == "progress")
            if finished > len(run.epochs) or record["tokens"] > run.n_done or line[-1:] != b"\n":
                break
            n_epochs, seconds = finished, float(record["seconds"])
        except (ValueError, KeyError, TypeError):
            break
        n_bytes += len(line)
    return n_bytes, n_epochs, seconds
