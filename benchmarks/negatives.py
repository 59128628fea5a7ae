"""How large the pool of negatives has to be: shares of words in it, time, and scores.

``python -m benchmarks.negatives`` prints what docs/training.md says of it. Speed and scores are
those of the same text with a pool of 4,194,304 words and with a larger one, in turns; time is
processor time of training.
"""

from __future__ import annotations

import gzip
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.corpora import WIKI
from embedcli import TrainConfig, Vocabulary, evaluate, train
from embedcli.kernels.sampling import fill_pool
from embedcli.progress import ignore_progress
from embedcli.text.corpus import Corpus, Tally
from embedcli.training import worker
from embedcli.training.architectures import prepared
from embedcli.training.sampling import noise_distribution, pool_size

_SMALL = 1 << 22
_WORDS = 2_000_000
_TOKENS = 6_000_000
_TURNS = 5
_SEEDS = range(1, 7)
_EVALUATION = ("EN-WS-353-ALL.txt", "EN-MTurk-771.txt", "EN-SIMLEX-999.txt")


def main() -> None:
    """Print all of it."""
    for n_words in (300_000, _WORDS, 5_000_000):
        for size in (_SMALL, pool_size(10**9, 5, n_words)):
            print(_shares(n_words, size))
    print(_speed())
    print(_scores())


def _counts(n_words: int) -> NDArray[np.int64]:
    """Counts by Zipf's and Mandelbrot's law, the rarest word 5 times."""
    falling = (np.arange(n_words) + 2.7) ** -1.07
    return np.floor(5 * falling / falling[-1]).astype(np.int64)


def _shares(n_words: int, size: int) -> str:
    counts = _counts(n_words)
    noise = noise_distribution(counts, 0.75)
    pool = np.empty(size, np.int32)
    began = time.process_time()
    fill_pool(noise, 0.5, np.uint64(1), pool)
    seconds = time.process_time() - began
    shares = np.bincount(pool, minlength=n_words) / size
    off = np.abs(shares / np.diff(noise, prepend=0) - 1)
    return (
        f"{n_words:,} words, {size:,} in the pool: {np.mean(shares == 0):.1%} never, "
        f"{np.mean(off > 0.25):.1%} off by more than a quarter, {off.max():.2f} at most; "
        f"{seconds:.2f} s to fill"
    )


def _speed() -> str:
    counts = _counts(_WORDS)
    ids = np.random.default_rng(1).choice(_WORDS, _TOKENS, p=counts / counts.sum())
    text = ids.astype(np.int32), np.arange(0, _TOKENS + 1, 20)
    vocabulary = Vocabulary.from_words(map(str, range(_WORDS)), counts.tolist())
    tally = Tally(_TOKENS, _TOKENS, 0, 0, 0, 0, 0)
    config = TrainConfig(dim=100, epochs=1, threads=1).resolve()
    seconds: dict[int, list[float]] = {_SMALL: [], pool_size(10**9, 5, _WORDS): []}
    for _ in range(_TURNS):
        for size, taken in seconds.items():
            _use(size)
            with prepared(Corpus(vocabulary, *text, tally, ""), config) as run:
                began = time.process_time()
                run.train(ignore_progress)
                taken.append(time.process_time() - began)
    small, large = seconds.values()
    ratio = np.median(np.array(large) / small)
    return f"{_WORDS:,} words: {min(small):.2f} s and {min(large):.2f} s, ratio {ratio:.3f}"


def _scores() -> str:
    folder = WIKI.parent
    files = [str(folder / "eval" / name) for name in _EVALUATION]
    scores: dict[int, list[float]] = {_SMALL: [], 1 << 25: []}
    with tempfile.TemporaryDirectory() as temporary:
        text = Path(temporary) / "text"
        text.write_bytes(gzip.decompress((folder / "wiki-1m.txt.gz").read_bytes()))
        for seed in _SEEDS:
            for size, found in scores.items():
                _use(size)
                model = train([text], TrainConfig(seed=seed, threads=2))
                reports = evaluate(model, files, bootstrap=0)
                found.append(float(np.mean([report.score or 0 for report in reports])))
    listed = [f"{np.mean(found):.2f} +- {np.std(found):.2f}" for found in scores.values()]
    return f"similarity, wiki-1m, {len(_SEEDS)} seeds: {listed[0]} and {listed[1]}"


def _use(size: int) -> None:
    worker.pool_size = lambda n_tokens, negative, n_words: size


if __name__ == "__main__":
    main()
