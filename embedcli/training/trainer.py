"""One training run: read the corpus, pass over it epoch by epoch, hand back embeddings."""

from __future__ import annotations

import ctypes
import platform
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedcli import __version__
from embedcli.config import TrainConfig
from embedcli.corpus import Corpus, encode_corpus
from embedcli.embeddings import Embeddings
from embedcli.errors import TrainingError
from embedcli.progress import OnProgress, ignore_progress
from embedcli.training.run import Run, compile_kernels
from embedcli.vocabulary import Vocabulary

__all__ = ["train"]


def train(
    paths: Sequence[str | Path],
    config: TrainConfig | None = None,
    *,
    vocabulary: Vocabulary | None = None,
    scratch: str | Path | None = None,
    on_progress: OnProgress = ignore_progress,
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

    Returns:
        Embeddings with float32 (V, D) vectors, the output vectors if ``config.output_vectors``, and
        metadata: settings, seed, versions, corpus, timings in seconds, mean loss of each epoch.

    Raises:
        CorpusError: text that cannot be read, or too little of it.
        TrainingError: no word had a context to train with, or the numbers diverged.
    """
    config = (config or TrainConfig()).resolve()
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
        compiling.wait()
        run = Run(corpus, config)
        for epoch in range(config.epochs):
            run.epoch(epoch, on_progress)
        trained = time.perf_counter()
        timings = {"reading": read - began, "training": trained - read}
        return _embeddings(run, corpus, config, timings)


class _Background:
    """A call in a thread of its own, whose error is raised where it is waited for."""

    def __init__(self, function: Callable[[TrainConfig], None], config: TrainConfig) -> None:
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(function, config), daemon=True)
        self._thread.start()

    def wait(self) -> None:
        self._thread.join()
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
    run: Run, corpus: Corpus, config: TrainConfig, timings: Mapping[str, float]
) -> Embeddings:
    vectors, output_vectors = run.matrices()
    _check_finite(vectors, "syn0", config)
    _check_finite(output_vectors, "syn1neg", config)
    settings = config.as_dict()
    metadata: dict[str, Any] = {
        "settings": settings,
        "seed": config.seed,
        "versions": {
            "embed": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in ("numpy", "numba", "llvmlite")},
        },
        "corpus": {"sha256": corpus.digest, **asdict(corpus.tally)},
        "epochs": [asdict(epoch) for epoch in run.epochs],
        "loss": [epoch.loss for epoch in run.epochs],
        "timings": {name: round(seconds, 3) for name, seconds in timings.items()},
    }
    kept = output_vectors if config.output_vectors else None
    return Embeddings(corpus.vocabulary, vectors, kept, metadata)


def _check_finite(matrix: NDArray[np.float32], name: str, config: TrainConfig) -> None:
    """A sum is finite if and only if (short of 1e38) all its terms are, and needs no copy."""
    for start in range(0, len(matrix), 1 << 14):
        block = matrix[start : start + (1 << 14)]
        with np.errstate(over="ignore", invalid="ignore"):
            bad = np.flatnonzero(~np.isfinite(block.sum(axis=1)))
        if len(bad):
            raise TrainingError(
                f"training diverged: row {start + int(bad[0])} of {name} is not finite at lr "
                f"{config.lr}; nothing was written; try --lr {(config.lr or 0.05) / 4:g}"
            )
