"""Fills the cache of kernels by training on a few generated words."""

from __future__ import annotations

import random
import tempfile
from dataclasses import replace
from pathlib import Path

from embedcli.errors import OutputError
from embedcli.kernels.cache import KeptKernels, kept_kernels
from embedcli.progress import OnProgress, ignore_progress
from embedcli.settings.config import TrainConfig
from embedcli.training.trainer import train

__all__ = ["warm"]

_LETTERS = "abcdefghijklmnopqrst"
_LINES, _LINE_WORDS = 200, 12


def warm(config: TrainConfig, on_progress: OnProgress = ignore_progress) -> KeptKernels:
    """Compile, or load from the cache, what a run by `config` needs; what is kept then.

    Raises:
        OutputError: nothing can be kept.
    """
    _kept()  # before the work
    with tempfile.TemporaryDirectory(prefix="embed-warm-") as folder:
        text = Path(folder) / "text.txt"
        text.write_text(_text(2 + config.negative))
        every = replace(config, epochs=1, min_count=1, sample=0.0)
        train([str(text)], every, on_progress=on_progress)
    return _kept()


def _kept() -> KeptKernels:
    kept = kept_kernels()
    if kept is None:
        raise OutputError(
            "compiled kernels cannot be kept: EMBED_CACHE_DIR must name a directory that is yours, "
            "and that nobody else may write in"
        )
    return kept


def _text(n_words: int) -> str:
    """Lines of words that differ enough for so many negatives; the same ones each time."""
    generator = random.Random(1)
    words = [a + b for a in _LETTERS for b in _LETTERS][: max(40, n_words)]
    lines = [" ".join(generator.choices(words, k=_LINE_WORDS)) for _ in range(_LINES)]
    return "\n".join([" ".join(words), *lines]) + "\n"
