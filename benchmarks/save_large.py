"""``save_large.py V D N FOLDER``: N times in turns, a model saved, and as many bytes just written.

Prints JSON: the bytes, and seconds of each ``raw`` write (with fsync) and each ``save``.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import numpy as np

import embedcli

_BLOCK_BYTES = 1 << 24


def measure(n_words: int, dim: int, n_times: int, folder: Path) -> dict[str, object]:
    """Both matrices of `n_words` x `dim` float32, in embed's own format and as plain bytes."""
    generator = np.random.default_rng(1)
    syn0, syn1neg = (generator.standard_normal((n_words, dim), np.float32) for _ in range(2))
    vocabulary = embedcli.Vocabulary.from_words(f"word{i}" for i in range(n_words))
    embeddings = embedcli.Embeddings(vocabulary, syn0, syn1neg)
    raw, saved = [], []
    model, plain = folder / "large.safetensors", folder / "large"
    for _ in range(n_times):
        raw.append(_write(plain, syn0, syn1neg))
        os.sync()
        began = time.perf_counter()
        embedcli.save(embeddings, model)
        saved.append(time.perf_counter() - began)
        os.sync()
    return {"bytes": model.stat().st_size, "raw": raw, "save": saved}


def _write(path: Path, *arrays: np.ndarray) -> float:
    path.unlink(missing_ok=True)
    began = time.perf_counter()
    with path.open("wb", buffering=0) as file:
        for array in arrays:
            view = memoryview(array).cast("B")
            for start in range(0, len(view), _BLOCK_BYTES):
                file.write(view[start : start + _BLOCK_BYTES])
        os.fsync(file.fileno())
    return time.perf_counter() - began


if __name__ == "__main__":
    made = measure(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
    print(json.dumps(made))
