"""One training run: read the corpus, pass over it epoch by epoch, hand back embeddings."""

from __future__ import annotations

import ctypes
import platform
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from embedcli import __version__
from embedcli.config import TrainConfig
from embedcli.corpus import Corpus, encode_corpus
from embedcli.embeddings import Embeddings
from embedcli.errors import CorpusError
from embedcli.progress import OnProgress, ignore_progress
from embedcli.training.checkpoint import Checkpoint, Checkpoints
from embedcli.training.run import Run, compile_kernels
from embedcli.vocabulary import Vocabulary

__all__ = ["Guard", "Stopped", "train", "versions"]


class Stopped(Exception):
    """Training stopped where it was asked to, and can go on from the checkpoint it left."""


def _never() -> AbstractContextManager[Callable[[], bool]]:
    return nullcontext(lambda: False)


@dataclass(frozen=True)
class Guard:
    """What keeps the work of a run.

    Attributes:
        checkpoints: where to save it.
        resumed: where to go on from; None to begin.
        deferred: a context that training runs in; it yields what is asked about ten times a second
            whether to save and stop.
        before_training: called with the corpus when the text is read; may refuse.
    """

    checkpoints: Checkpoints | None = None
    resumed: Checkpoint | None = None
    deferred: Callable[[], AbstractContextManager[Callable[[], bool]]] = _never
    before_training: Callable[[Corpus], None] = lambda corpus: None


def train(
    paths: Sequence[str | Path],
    config: TrainConfig | None = None,
    *,
    vocabulary: Vocabulary | None = None,
    scratch: str | Path | None = None,
    on_progress: OnProgress = ignore_progress,
    guard: Guard | None = None,
) -> Embeddings:
    """Train word embeddings on text.

    Skip-gram and CBOW with negative sampling (Mikolov et al. 2013), the negatives of a skip-gram
    window shared by its context words (Ji et al. 2016).

    Args:
        paths: files, globs, directories (with ``config.recursive``), ``-`` for standard input.
        config: the settings; the defaults of `TrainConfig` if None.
        vocabulary: words to train, instead of those the corpus holds often enough.
        scratch: a directory for temporary files of about 4 bytes a token; the system's by default.
        on_progress: called with `Progress` reports, about ten times a second.
        guard: where checkpoints go, and which one to go on from.

    Returns:
        Embeddings with float32 (V, D) vectors, the output vectors if ``config.output_vectors``, and
        metadata: settings, seed, versions, corpus, timings in seconds, mean loss of each epoch.

    Raises:
        CorpusError: text that cannot be read, or too little of it, or another than was trained.
        TrainingError: no word had a context to train with, or the numbers diverged.
        Stopped: `guard` asked to stop.
    """
    config = (config or TrainConfig()).resolve()
    guard = guard or Guard()
    began = time.perf_counter()
    compiling = _Background(compile_kernels, config)  # while the text is read
    with encode_corpus(
        [str(path) for path in paths],
        recursive=config.recursive,
        lowercase=config.lowercase,
        min_count=config.min_count,
        max_vocab=config.max_vocab,
        vocabulary=vocabulary,
        threads=config.threads or 1,
        scratch=None if scratch is None else Path(scratch),
        on_progress=on_progress,
    ) as corpus:
        _trim_heap()
        read = time.perf_counter()
        facts = {"sha256": corpus.digest, **asdict(corpus.tally)}
        if guard.resumed is not None:
            facts = _same_corpus(guard.resumed, facts)
        compiling.wait()
        guard.before_training(corpus)
        run = Run(corpus, config)
        if guard.resumed is not None:
            _restore(run, guard.resumed)
        with guard.deferred() as stopping:
            _train(run, guard.checkpoints, facts, on_progress, stopping)
        timings = {"reading": read - began, "training": time.perf_counter() - read}
        return _embeddings(run, facts, timings)


def _train(
    run: Run,
    checkpoints: Checkpoints | None,
    facts: Mapping[str, Any],
    on_progress: OnProgress,
    stopping: Callable[[], bool],
) -> None:
    """Train to the end, with a checkpoint when one is due; or save one and stop when asked to."""

    def wants_pause() -> bool:
        return stopping() or (checkpoints is not None and checkpoints.is_due())

    while not run.train(on_progress, wants_pause):
        run.check()
        stops = stopping()
        if checkpoints is not None:
            save = checkpoints.save if stops else checkpoints.save_if_possible
            save(_embeddings(run, facts, {}, everything=True), run.state())
        if stops:
            raise Stopped


def _same_corpus(resumed: Checkpoint, facts: Mapping[str, Any]) -> dict[str, Any]:
    """What the checkpoint says of the corpus, if this is the corpus it was made with."""
    if resumed.embeddings is None:
        return dict(facts)
    before: dict[str, Any] = resumed.embeddings.metadata["corpus"]
    if before["sha256"] != facts["sha256"]:
        raise CorpusError(
            f"the text is not the one that {resumed.path} was trained on: {before['n_bytes']:,} "
            f"bytes with sha256 {before['sha256'][:12]}, now {facts['n_bytes']:,} with "
            f"{facts['sha256'][:12]}; give that text, or train anew without --resume"
        )
    return before


def _restore(run: Run, resumed: Checkpoint) -> None:
    saved = resumed.embeddings
    if saved is not None and resumed.state is not None and saved.output_vectors is not None:
        run.restore(resumed.state, saved.vectors, saved.output_vectors)


class _Background:
    """A call in a thread of its own, whose error is raised where it is waited for."""

    def __init__(self, function: Callable[[TrainConfig], None], config: TrainConfig) -> None:
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(function, config), daemon=True)
        self._thread.start()

    def wait(self) -> None:
        while self._thread.is_alive():  # with a time-out, so that Ctrl-C is felt
            self._thread.join(0.1)
        if self._error is not None:
            raise self._error

    def _run(self, function: Callable[[TrainConfig], None], config: TrainConfig) -> None:
        try:
            function(config)
        except BaseException as error:  # raised again by `wait`
            self._error = error


def _trim_heap() -> None:
    """Give the memory that counting freed back to the system; only glibc has to be asked."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _embeddings(
    run: Run, facts: Mapping[str, Any], timings: Mapping[str, float], *, everything: bool = False
) -> Embeddings:
    """The matrices as they are, not copied; `everything`: the output vectors in any case."""
    config = run.config
    vectors, output_vectors = run.matrices()
    metadata: dict[str, Any] = {
        "settings": config.as_dict(),
        "seed": config.seed,
        "versions": versions(),
        "corpus": dict(facts),
        "epochs": [asdict(epoch) for epoch in run.epochs],
        "loss": [epoch.loss for epoch in run.epochs],
    }
    if timings:
        metadata["timings"] = {name: round(seconds, 3) for name, seconds in timings.items()}
    kept = output_vectors if config.output_vectors or everything else None
    return Embeddings(run.corpus.vocabulary, vectors, kept, metadata)


def versions() -> dict[str, str]:
    """The versions of what computes: the same ones compute the same bytes."""
    return {
        "embed": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in ("numpy", "numba", "llvmlite")},
    }
