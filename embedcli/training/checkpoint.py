"""Checkpoints: everything a run needs to go on exactly where it stood, in files that verify.

A checkpoint is a model in embed's own format (`formats/native.py`), so that it can be looked at,
scored and exported like any other, with more arrays and one more piece of metadata:

    tallies      F64 [T, 4]   what each thread has summed up in the unfinished epoch
    subsampled   I64 [T]      and how many words it has dropped
    measured     F64 [T, 4]   what it has summed up of the held-out text, where there is one
    squares0     F32 [V]      sums of squares of row-wise AdaGrad, of the rows of syn0
    squares1     F32 [V]      and of syn1neg; with --optimizer adagrad only
    unfinished   I64 [U, 2]   chunks that were begun: number, words trained
    glove_...    F32 [V, D+2] of GloVe, its four matrices (`glove_run.py`): biases, sums of squares
    checkpoint                JSON: sequence, epoch, chunk, clock, what the command was given

Random numbers need no state (`training/sampling.py`). Before training has begun there is nothing to
save but what the command was given: then the file holds no arrays at all, and stands for the
beginning of the run.

Two files are kept, written in turn, each published whole; the one with the higher sequence number
whose digest is right is the newest. The text is not kept: resuming reads it again and compares its
digest, which takes a second for each 150 MB of text, where keeping it would take 4 bytes a token of
disk for the whole run and would have to be checksummed as well.
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedcli.embeddings import Embeddings
from embedcli.errors import EmbedError, FormatError, OutputError
from embedcli.files import safetensors
from embedcli.files.folder import make_directory
from embedcli.files.publish import check_writable, publish
from embedcli.files.targets import real_path
from embedcli.formats import load, native
from embedcli.quoting import json_text
from embedcli.training.glove_run import GLOVE_ARRAYS
from embedcli.training.state import Epoch, State

__all__ = ["Checkpoint", "Checkpoints", "checkpoint_directory", "completed", "read_checkpoint"]

_VERSION = 3  # 1 had no `unfinished`, 2 had another one
_SUFFIX = ".checkpoint"
_TEMPORARY = ".[12].safetensors.*.tmp"  # `publish`'s, of a process that was killed
_ARRAYS = (
    "tallies",
    "subsampled",
    "measured",
    "squares0",
    "squares1",
    "unfinished",
    *GLOVE_ARRAYS,
)


def checkpoint_directory(output: str | Path) -> Path:
    """Where the checkpoints of a run that writes `output` are: beside it, links followed."""
    real = real_path(output)
    return real.with_name(real.name + _SUFFIX)


@dataclass(frozen=True)
class Checkpoint:
    """One checkpoint, read and verified.

    Attributes:
        path: its file.
        sequence: higher is newer.
        arguments: of the command: ``settings``, ``sources``, and whatever else it needs.
        embeddings: both matrices, mapped, and the metadata so far; None before training began.
        state: where the run stood; None before training began.
    """

    path: Path
    sequence: int
    arguments: Mapping[str, Any]
    embeddings: Embeddings | None = None
    state: State | None = None

    @property
    def settings(self) -> Mapping[str, Any]:
        """Those of the run, with what the text has decided when it began to train."""
        given: Mapping[str, Any] = self.arguments["settings"]
        if self.embeddings is None or given["epochs"] is not None:
            return given
        return {**given, "epochs": self.embeddings.metadata["settings"]["epochs"]}

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left to train."""
        if self.state is None:
            return False
        return self.state.is_complete or self.state.epoch == self.settings["epochs"]

    @property
    def place(self) -> str:
        """Where the run stood, in words."""
        if self.state is None:
            return "before training"
        if self.is_complete:
            return "when training was complete"
        return f"in epoch {self.state.epoch + 1} of {self.settings['epochs']}"


class Checkpoints:
    """The two checkpoints of one output.

    Args:
        directory: where they are (`checkpoint_directory`); made when the first one is written.
        every: seconds between two of them; None for none but the last.
        arguments: what the command was given; the plain values of JSON.
    """

    def __init__(self, directory: Path, every: float | None, arguments: Mapping[str, Any]) -> None:
        self.directory = directory
        self.arguments = arguments
        self._every = every
        self._saved_at = time.monotonic()
        self._files = [directory / f"{number}.safetensors" for number in (1, 2)]
        self._sequences: dict[Path, int] | None = None  # of those that verify; 0 for the others
        self._saved: tuple[int, int, bytes] | None = None

    def check(self) -> None:
        """Find out before the work whether they can be kept, and that nothing else is there.

        Raises:
            OutputError: a link or a file has the name of the directory, or of one of them; or a
                model that is no checkpoint, which would be overwritten; or the name is too long.
        """
        try:
            for path in (self.directory, *self._files):
                if not path.is_symlink() and (not path.exists() or _may_be_ours(path)):
                    continue
                raise OutputError(
                    f"cannot keep checkpoints in {self.directory}: {path} is a link, or something "
                    "else than a checkpoint; move it away, or name another output"
                )
            if not self.directory.exists():
                check_writable(self.directory)
        except OSError as error:
            raise OutputError(
                f"cannot keep checkpoints in {self.directory}: {error.strerror or error}"
            ) from error

    def is_due(self) -> bool:
        """Whether it is time for the next one."""
        return self._every is not None and time.monotonic() - self._saved_at >= self._every

    def are_there(self) -> bool:
        """Whether there are files, sound or not."""
        return any(path.exists() for path in self._files)

    def has_any(self) -> bool:
        """Whether there is one to go on from."""
        if self._sequences is None:
            self.newest()
        return any((self._sequences or {}).values())

    def newest(self) -> Checkpoint | None:
        """The newest one that verifies, with a warning of any that does not; None if none does."""
        self.check()
        found = []
        self._sequences = dict.fromkeys(self._files, 0)
        for path in self._files:
            if path.exists():
                try:
                    found.append(read_checkpoint(path))
                    self._sequences[path] = found[-1].sequence
                except (EmbedError, OSError) as error:
                    warnings.warn(f"a checkpoint is left out: {error}", stacklevel=2)
        return max(found, key=lambda checkpoint: checkpoint.sequence, default=None)

    def newest_file(self) -> Path:
        """The file that was written last."""
        sequences = self._sequences or {}
        return max(self._files, key=lambda path: sequences.get(path, 0))

    def save(self, embeddings: Embeddings | None = None, state: State | None = None) -> None:
        """Write one in the place of the older of the two; without arguments, of the beginning.

        Raises:
            OutputError: it cannot be written; those that were there still are.
        """
        place = (-1, 0, b"")
        if state is not None:
            place = (state.epoch, state.chunk, state.arrays["unfinished"].tobytes())
        if place == self._saved:
            return
        if self._sequences is None:
            self.newest()
        sequences = self._sequences or {}
        path = min(self._files, key=sequences.__getitem__)
        sequence = max(sequences.values()) + 1
        make_directory(self.directory, beside=str(self.directory).removesuffix(_SUFFIX))
        self.check()
        facts = {"version": _VERSION, "sequence": sequence, **_position(state)}
        text = json_text(facts | {"given": dict(self.arguments)})
        arrays, metadata = _contents(embeddings, state)
        metadata["checkpoint"] = text
        with publish(path, size=safetensors.size(arrays, metadata)) as sink:
            safetensors.write(sink, arrays, metadata)
            sink.flush()
            if sink.path is not None:
                _check_read_back(Path(sink.path), path)
        sequences[path] = sequence
        self._saved = place
        self._saved_at = time.monotonic()

    def save_if_possible(self, embeddings: Embeddings, state: State) -> None:
        """Save; where that fails, warn: training goes on, and the next one may work."""
        try:
            self.save(embeddings, state)
        except OutputError as error:
            self._saved_at = time.monotonic()
            warnings.warn(f"no checkpoint this time: {error}", stacklevel=2)

    def remove(self) -> None:
        """Remove both, what killed runs left of them, and the directory if it is then empty.

        The older one goes first: whenever this ends, what is left is the newest. To be called by
        whoever holds the lock of the output. What cannot be removed is warned of.
        """
        sequences = self._sequences or {}
        try:
            self.check()  # somebody may have put something else there meanwhile
            for path in sorted(self._files, key=lambda path: sequences.get(path, 0)):
                path.unlink(missing_ok=True)
            for path in self.directory.glob(_TEMPORARY):
                path.unlink(missing_ok=True)
            if self.directory.is_dir() and not any(self.directory.iterdir()):
                self.directory.rmdir()
        except (OSError, OutputError) as error:
            warnings.warn(
                f"the checkpoints in {self.directory} are no longer needed, but cannot be removed: "
                f"{getattr(error, 'strerror', error)}",
                stacklevel=2,
            )


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint, every byte of it.

    Raises:
        FormatError: it is damaged, or no checkpoint.
    """
    header = safetensors.read_header(path)
    if "checkpoint" not in header.metadata:
        raise FormatError(f"{path} is not a checkpoint")
    if not safetensors.check_digest(path, header):
        raise FormatError(f"{path} is damaged: a checkpoint has a digest at its end")
    return _read(path, header)


def _check_read_back(written: Path, path: Path) -> None:
    """Read what was written before it takes the place of `path`; its bytes are compared later.

    Raises:
        OutputError: no run could go on from it.
    """
    try:
        _read(written, safetensors.read_header(written))
    except FormatError as error:
        what = str(error).replace(str(written), "it")
        raise OutputError(f"cannot write {path}: it does not read back ({what})") from error


def _read(path: Path, header: safetensors.Header) -> Checkpoint:
    facts = json.loads(header.metadata["checkpoint"])
    if facts["version"] != _VERSION:
        raise FormatError(
            f"{path} is a checkpoint of version {facts['version']}, this embed reads {_VERSION}: "
            "resume with the embed that wrote it"
        )
    if facts["epoch"] is None:
        return Checkpoint(path, facts["sequence"], facts["given"])
    arrays = safetensors.map_tensors(path, header)
    epochs = tuple(Epoch(**epoch) for epoch in facts["epochs"])
    saved = {name: np.array(arrays[name]) for name in _ARRAYS if name in arrays}
    clock = facts.get("clock")
    state = State(
        facts["epoch"],
        facts["chunk"],
        epochs,
        saved,
        facts.get("n_chunks"),
        None if clock is None else (clock[0], clock[1]),
        facts.get("is_complete", False),
    )
    return Checkpoint(path, facts["sequence"], facts["given"], load(path, "safetensors"), state)


def _may_be_ours(path: Path) -> bool:
    """Whether it is a directory of checkpoints, or one of them, be it damaged."""
    if not path.name.endswith(".safetensors"):
        return path.is_dir()
    try:
        return path.is_file() and "checkpoint" in safetensors.read_header(path).metadata
    except FormatError:
        return True


def completed(embeddings: Embeddings) -> State:
    """The state of a run that has nothing left to train."""
    finished = tuple(Epoch(**epoch) for epoch in embeddings.metadata["epochs"])
    nothing = {"tallies": np.zeros((1, 4)), "subsampled": np.zeros(1, "i8")}
    nothing |= {"unfinished": np.zeros((0, 2), "i8")}
    return State(len(finished), 0, finished, nothing, is_complete=True)


def _contents(
    embeddings: Embeddings | None, state: State | None
) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    if embeddings is None or state is None:
        return {}, {"format": "embed-checkpoint"}
    return native.tensors(embeddings, state.arrays), native.metadata(embeddings)


def _position(state: State | None) -> dict[str, Any]:
    if state is None:
        return {"epoch": None}
    epochs = [asdict(epoch) for epoch in state.epochs]
    return {
        "epoch": state.epoch,
        "chunk": state.chunk,
        "epochs": epochs,
        "n_chunks": state.n_chunks,
        "clock": state.clock,
        "is_complete": state.is_complete,
    }
