"""The interface between a training session and its caller."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from embedcli.embeddings import Embeddings
from embedcli.errors import UsageError
from embedcli.progress import OnProgress, ignore_progress
from embedcli.settings.config import TrainConfig
from embedcli.settings.values import Value
from embedcli.subwords.table import Subwords
from embedcli.text.corpus import Corpus
from embedcli.training import trainer
from embedcli.training.checkpoint import Checkpoint
from embedcli.training.outputs import Target
from embedcli.training.resuming import Digest, digest_text
from embedcli.training.trainer import RunControl
from embedcli.vocabulary import Vocabulary

__all__ = ["Callbacks", "LocalTrainer", "Setup", "Trainer"]


@dataclass(frozen=True)
class Setup:
    """What a session is about to train.

    Attributes:
        sources: the text.
        config: resolved settings.
        vocabulary: the words, where they are known before the text is read.
        subwords: how words are cut, if not by what ``config.subword`` names.
        targets: the outputs that are files or directories.
        checkpoints: whether there are checkpoints.
        scratch: the directory for temporary files; None: the system's.
    """

    sources: Sequence[str]
    config: TrainConfig
    vocabulary: Vocabulary | None
    subwords: Subwords | None
    targets: Sequence[Target]
    checkpoints: bool
    scratch: Path | None


def _ignore(*_: Any) -> None:
    """Nobody asked."""


def _warn(message: str) -> None:
    warnings.warn(message, stacklevel=3)


def _show_nothing() -> AbstractContextManager[OnProgress]:
    return nullcontext(ignore_progress)


def python_line(sources: Sequence[str], outputs: Sequence[str]) -> str:
    """How a run goes on in Python."""
    return f"embedcli.train({list(sources)!r}, output={list(outputs)!r}, resume=True)"


@dataclass(frozen=True)
class Callbacks:
    """What a session tells its caller, and asks of it.

    Attributes:
        say: called with lines on what goes on.
        warn: called with lines on what may be wrong.
        show_progress: a context for the training, which yields what is called with `Progress`.
        before_reading: called before the text is read; may refuse.
        before_training: called before the first epoch with the text and with what is known of the
            pretrained vectors, if there are any; may refuse.
        deferred: see `RunControl`; None: interrupts are not deferred, but raised where they happen.
        raise_deferred: raises what came meanwhile.
        interrupted: called when an interrupt or an error has been caught.
        resume_line: how to go on, from the sources and the outputs.
        digest: of a text, as a run has digested it that is complete.
    """

    say: Callable[[str], None] = _ignore
    warn: Callable[[str], None] = _warn
    show_progress: Callable[[], AbstractContextManager[OnProgress]] = _show_nothing
    before_reading: Callable[[Setup], None] = _ignore
    before_training: Callable[[Setup, Corpus, Mapping[str, Any] | None], None] = _ignore
    deferred: Callable[[], AbstractContextManager[Callable[[], bool]]] | None = None
    raise_deferred: Callable[[], None] = _ignore
    interrupted: Callable[[], None] = _ignore
    resume_line: Callable[[Sequence[str], Sequence[str]], str] = python_line
    digest: Digest = digest_text


class Trainer(Protocol):
    """Where a run is trained: on this machine, or on a cluster."""

    def resolve(self, config: TrainConfig, chosen: Mapping[str, Value]) -> TrainConfig:
        """The settings with nothing left open that is to be decided here."""
        ...

    def check_resumed(self, resumed: Checkpoint) -> None:
        """Refuse a checkpoint that this cannot go on from."""
        ...

    def train(
        self,
        paths: Sequence[str],
        config: TrainConfig,
        *,
        vocabulary: Vocabulary | None,
        pretrained: Embeddings | None,
        scratch: str | None,
        on_progress: OnProgress,
        control: RunControl,
    ) -> Embeddings:
        """Do what `trainer.train` does."""
        ...


class LocalTrainer:
    """This machine."""

    train = staticmethod(trainer.train)

    def resolve(self, config: TrainConfig, chosen: Mapping[str, Value]) -> TrainConfig:
        """As in `Trainer`."""
        return config.resolve()

    def check_resumed(self, resumed: Checkpoint) -> None:
        """As in `Trainer`."""
        if "shards" in resumed.arguments:
            raise UsageError(f"{resumed.path} is of a run on a cluster: give --cluster too")
