"""Extreme settings on small texts: vectors that are finite, or exit code 6; never NaN and 0."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from torture.subject import Subject
from torture.trials import Outcome, in_child

__all__ = ["trials"]

_RATES = (1e-8, 0.05, 5.0, 10.0)
_FULL = {
    "arch": ("skipgram", "cbow"), "dim": (1, 2, 10, 300), "negative": (1, 5, 64),
    "window": (1, 100), "lr": _RATES, "words": (2, 3, 400), "ns_exponent": (0.75, -5.0, 5.0),
}  # fmt: skip
_SHORT = _FULL | {"dim": (16,), "negative": (5,), "words": (7, 400)}  # two kernels to compile
_SHORT_TRIALS = 100


def trials(subject: Subject, n: int, rng: Random) -> Iterator[Outcome]:
    """A sample of the grid of everything that is extreme."""
    grid = _SHORT if n < _SHORT_TRIALS else _FULL
    points = [dict(zip(grid, point, strict=True)) for point in itertools.product(*grid.values())]
    points = rng.sample(points, min(n, len(points)))
    with subject.place() as place:
        yield from in_child(place.folder, "training", _train_all, place.folder, points)


def _train_all(folder: Path, points: list[dict[str, Any]]) -> Iterator[Outcome]:
    for point in points:
        fault = ", ".join(f"{name} {value}" for name, value in point.items())
        n_words = point.pop("words")
        text = folder / f"{n_words}"
        text.write_text(_text(n_words))
        yield Outcome(f"{n_words} words, {fault}", _train(text, point))


def _train(text: Path, settings: dict[str, Any]) -> str:
    import numpy as np

    from embedcli import TrainConfig, train
    from embedcli.errors import TrainingError

    config = TrainConfig(min_count=1, epochs=3, sample=0, min_lr=0, threads=1, **settings)
    try:
        embeddings = train([text], config)
    except TrainingError as refusal:
        return "" if "\n" not in str(refusal) else "a message of several lines"
    except Exception as problem:
        return f"{type(problem).__name__}: {problem}"
    matrices = embeddings.vectors, embeddings.output_vectors
    if not all(np.isfinite(matrix).all() for matrix in matrices if matrix is not None):
        return "numbers that are not finite, and no error"
    return "" if np.isfinite(embeddings.metadata["loss"]).all() else "a loss that is not finite"


def _text(n_words: int) -> str:
    generator = Random(n_words)
    words = [f"w{i}" for i in range(n_words)]
    return "\n".join(" ".join(generator.choices(words, k=20)) for _ in range(50)) + "\n"
