"""Which defaults fit a text of which size: a grid of settings, trained on the text's beginnings.

Every combination of ``--sizes``, ``--try`` and the seeds is one run of `embedcli.train` on one
thread. Its scores and its processor time are a line of ``defaults.jsonl`` in ``--results``; a run
that has its line there is not trained again, so that a measurement may be interrupted and
continued::

    python -m benchmarks.defaults --sizes 100k,300k,1M --try epochs=5,10,20,40 --try range=1,8

``range`` is no setting: how many times as wide as word2vec.c's the first vectors are spread. All
others are those of `TrainConfig`, and what is not named has its default.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import platformdirs

import embedcli
from benchmarks.corpora import WIKI, digest, unpacked, write_tokens
from benchmarks.scores import ANALOGIES, SIMILARITY
from benchmarks.tables import Table
from embedcli.evaluation import evaluate
from embedcli.settings.config import settings
from embedcli.training import initial_weights

RANGE = "range"
_UNITS = {"k": 1_000, "M": 1_000_000}
_WARM_UP_TOKENS = 5_000
# A column of the table: the mean over these files, as far as they are there.
_COLUMNS = {
    "similarity": SIMILARITY,
    "MEN": ("EN-MEN-TR-3k.txt",),
    "SimLex": ("EN-SIMLEX-999.txt",),
    "rare": ("EN-RW-STANFORD.txt",),
    "verbs": ("EN-SimVerb-3500.txt", "EN-VERB-143.txt"),
    "analogies": (ANALOGIES,),
}

Values = dict[str, str]  # of settings, as they are written


@dataclass(frozen=True)
class Grid:
    """What is measured, and where the figures are kept.

    Attributes:
        corpus: plain text.
        tests: similarity files and analogies.
        results: the file of figures.
        seeds: how many.
        fixed: settings of all runs.
        tried: the values of each setting that is tried.
    """

    corpus: Path
    tests: Path
    results: Path
    seeds: int
    fixed: Values
    tried: Mapping[str, Sequence[str]]

    @property
    def combinations(self) -> Iterator[Values]:
        """The settings of each line of the table."""
        for values in itertools.product(*self.tried.values()):
            yield self.fixed | dict(zip(self.tried, values, strict=True))

    def key(self, text: Path, values: Values, seed: int) -> dict[str, Any]:
        """What tells a run from all others."""
        return {"text": digest(text)[:12], "values": dict(sorted(values.items())), "seed": seed}


def table_of(grid: Grid, size: str, text: Path) -> Table:
    """The scores of each combination on a text, means over the seeds."""
    columns = {"settings": "", "CPU s": ".1f", **dict.fromkeys(_COLUMNS, ".1f"), "epochs": ""}
    table = Table(f"{size}, mean of {grid.seeds} seeds", columns)
    for values in grid.combinations:
        runs = [_run(grid, text, values, seed) for seed in range(1, grid.seeds + 1)]
        told = [values[name] for name in grid.tried]
        shown = ", ".join(f"{name} {value}" for name, value in zip(grid.tried, told, strict=True))
        means = [_mean(run["scores"].get(name) for run in runs) for name in _COLUMNS]
        table.add(shown or "(as is)", _mean(run["cpu"] for run in runs), *means,
                  str(runs[0]["epochs"]))  # fmt: skip
        print(f"  {size}: {shown}", file=sys.stderr, flush=True)
    return table


def _run(grid: Grid, text: Path, values: Values, seed: int) -> dict[str, Any]:
    """What is known of a run, or what it gives now."""
    key = grid.key(text, values, seed)
    if grid.results.exists():
        for line in grid.results.read_text().splitlines():
            known: dict[str, Any] = json.loads(line)
            if all(known[name] == value for name, value in key.items()):
                return known
    measured = key | _measure(grid, text, values, seed)
    with grid.results.open("a") as file:
        file.write(json.dumps(measured) + "\n")
    return measured


def _measure(grid: Grid, text: Path, values: Values, seed: int) -> dict[str, Any]:
    rules, chosen = settings(), dict(values)
    times = chosen.pop(RANGE, None)
    before = dict(initial_weights.WIDTHS)
    parsed = {name: rules[name].parse(name, value) for name, value in chosen.items()}
    parsed |= {"seed": seed, "threads": 1}
    if times is not None:
        width = float(times) * 0.5 / math.sqrt(int(chosen.get("dim", embedcli.TrainConfig.dim)))
        initial_weights.WIDTHS.update(dict.fromkeys(before, width))
    try:
        config = embedcli.TrainConfig(**parsed)
        _compile(config, text)
        began = time.process_time()
        try:
            model = embedcli.train([text], config)
        except embedcli.errors.TrainingError as error:  # diverged: a line without scores
            return {"cpu": None, "scores": {}, "epochs": 0, "error": str(error)}
        cpu = time.process_time() - began
    finally:
        initial_weights.WIDTHS.update(before)
    return {
        "cpu": cpu,
        "scores": dict(_scores(model, grid.tests)),
        "words": len(model),
        "epochs": len(model.metadata["epochs"]),
        "loss": model.metadata["loss"][-1],
    }


def _compile(config: embedcli.TrainConfig, text: Path) -> None:
    """Train the beginning of a text once: what is compiled on first use is not timed."""
    with tempfile.TemporaryDirectory() as folder:
        beginning = write_tokens(text, _WARM_UP_TOKENS, Path(folder) / "text.txt")
        embedcli.train([beginning], config.with_settings({"epochs": 1, "min_count": 1}))


def _scores(model: embedcli.Embeddings, tests: Path) -> Iterator[tuple[str, float | None]]:
    for name, files in _COLUMNS.items():
        there = [tests / file for file in files if (tests / file).is_file()]
        if there:
            told = [report.score for report in evaluate(model, there, bootstrap=0)]
            yield name, _mean(score for score in told if score is not None)


def _mean(values: Iterable[float | None]) -> float | None:
    told = list(values)
    return None if not told or None in told else fmean(told)  # type: ignore[type-var]


def _n_tokens(size: str) -> int:
    number, unit = (size[:-1], _UNITS[size[-1]]) if size[-1] in _UNITS else (size, 1)
    return int(float(number) * unit)


def _pairs(options: Sequence[str]) -> Values:
    return dict(option.split("=", 1) for option in options)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what is not known yet, and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.defaults", description=__doc__)
    add = parser.add_argument
    cache = Path(platformdirs.user_cache_dir("embed-benchmarks"))
    add("--corpus", type=Path, default=WIKI, metavar="FILE", help="text, plain or gzip")
    add("--eval", type=Path, default=WIKI.parent / "eval", metavar="DIR", help="evaluation files")
    add("--sizes", default="all", help="beginnings: 100k,1M; all: the whole text")
    add("--seeds", type=int, default=3, metavar="N")
    add("--try", dest="tried", action="append", default=[], metavar="NAME=V,V")
    add("--set", dest="fixed", action="append", default=[], metavar="NAME=V")
    add("--results", type=Path, default=cache, metavar="DIR")
    options = parser.parse_args(argv)
    options.results.mkdir(parents=True, exist_ok=True)
    cache.mkdir(parents=True, exist_ok=True)
    corpus = unpacked(options.corpus, cache)
    tried = {name: values.split(",") for name, values in _pairs(options.tried).items()}
    results = options.results / "defaults.jsonl"
    grid = Grid(corpus, options.eval, results, options.seeds, _pairs(options.fixed), tried)
    with tempfile.TemporaryDirectory() as folder:
        for size in options.sizes.split(","):
            text = corpus
            if size != "all":
                text = write_tokens(corpus, _n_tokens(size), Path(folder) / f"{size}.txt")
            print(f"\n{table_of(grid, size, text).markdown()}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
