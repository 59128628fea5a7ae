"""``python -m benchmarks.classify DATA FASTTEXT``: classifiers, embed beside fastText.

DATA holds ``tasks/`` as ../shared/data does; FASTTEXT is a Python that imports ``fasttext`` (0.9.2
or later, `pip install fasttext-wheel`). Both sides train on the same lines with the same settings
and two threads, each run a process of its own, in turns; times are processor seconds of the whole
process, user and system. Accuracy is the share of test lines whose best label is right. With
``--ftz FILE`` the lines of the languages test, ten times over, are also labelled by that file.
"""

from __future__ import annotations

import argparse
import gzip
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev

_TASKS = {
    "languages": ["--subword", "2:5"],
    "cuisines": [],
    "spam": [],
    "sentiment": [],
}
_SETTINGS = {"softmax": "--lr 0.1", "ova": "--lr 0.5 --loss ova"}
_TRAIN = """
import fasttext, sys
train, model, dim, seed, lr, loss, subword = sys.argv[1:]
low, high = map(int, subword.split(":"))
fasttext.FastText.eprint = lambda *a: None
m = fasttext.train_supervised(train, dim=int(dim), seed=int(seed), lr=float(lr), loss=loss,
    minn=low, maxn=high, thread=2, verbose=0)
m.save_model(model)
"""
_PREDICT = """
import fasttext, sys
fasttext.FastText.eprint = lambda *a: None
model, text, out = sys.argv[1:]
m = fasttext.load_model(model)
with open(text) as lines, open(out, "w") as labels:
    for line in lines:
        found = m.f.predict(line, 1, 0.0, "strict")
        labels.write(f"{found[0][1]}\\t{found[0][0]:.6g}\\n" if found else "\\n")
"""


def timed(command: Sequence[str]) -> tuple[float, float]:
    """Processor and wall seconds of a process that has to end well."""
    began, before = time.perf_counter(), os.times()
    subprocess.run(command, check=True, capture_output=True)
    after = os.times()
    used = after.children_user + after.children_system
    return used - before.children_user - before.children_system, time.perf_counter() - began


def prepared(data: Path, task: str, folder: Path) -> tuple[Path, Path]:
    """Training and test lines of a task as fastText reads them."""
    paths = []
    for part in ("train", "test"):
        (source,) = (data / "tasks").glob(f"{task}.{part}.*")
        opened = gzip.open if source.suffix == ".gz" else open
        with opened(source, "rt", encoding="utf-8") as file:
            lines = file.readlines()
        if source.suffix == ".tsv":
            lines = ["__label__{} {}".format(*line.split("\t", 1)) for line in lines]
        path = folder / f"{task}.{part}.txt"
        path.write_text("".join(lines), encoding="utf-8")
        paths.append(path)
    return paths[0], paths[1]


def accuracy(labels: Path, test: Path) -> float:
    """Percent of the lines of `test` whose label the same line of `labels` begins with."""
    with labels.open(encoding="utf-8") as found, test.open(encoding="utf-8") as lines:
        pairs = list(zip(found, lines, strict=True))
    right = sum(one.split("\t")[0].strip() in line.split() for one, line in pairs)
    return 100 * right / len(pairs)


def compare(
    data: Path, fasttext: str, tasks: Sequence[str], dims: Sequence[int], seeds: int, folder: Path
) -> None:
    """Train and score both sides, and print a row for each task, dimension and setting."""
    columns = "accuracy embed", "fastText", "difference", "train, CPU s: embed", "fastText", "ratio"
    print(f"| task | D | settings | {' | '.join(columns)} |")
    print("|---" * (3 + len(columns)) + "|")
    model, other, labels = (folder / name for name in ("m.safetensors", "m.bin", "labels"))
    for task in tasks:
        train, test = prepared(data, task, folder)
        for dim in dims:
            for loss, settings in _SETTINGS.items():
                scores: tuple[list[float], list[float]] = [], []
                times: tuple[list[float], list[float]] = [], []
                for seed in range(1, seeds + 1):
                    model.unlink(missing_ok=True)
                    ours = [*_embed("classify", str(train), "-o", str(model), "--threads", "2"),
                            "--dim", str(dim), "--seed", str(seed), *settings.split(),
                            *_TASKS[task]]  # fmt: skip
                    subword = _TASKS[task][1] if _TASKS[task] else "0:0"
                    lr = settings.split()[1]
                    theirs = [fasttext, "-c", _TRAIN, str(train), str(other), str(dim), str(seed),
                              lr, loss, subword]  # fmt: skip
                    for side, command, file in ((0, ours, model), (1, theirs, other)):
                        times[side].append(timed(command)[0])
                        timed(_embed("predict", str(test), "-m", str(file), "-o", str(labels)))
                        scores[side].append(accuracy(labels, test))
                one, two = map(mean, scores)
                fast, slow = map(mean, times)
                spread = max(stdev(each) if seeds > 1 else 0.0 for each in scores)
                print(
                    f"| {task} | {dim} | {settings} | {one:.2f} | {two:.2f} | {one - two:+.2f} "
                    f"(±{spread:.2f}) | {fast:.2f} | {slow:.2f} | {slow / fast:.2f} |",
                    flush=True,
                )


def predictions(data: Path, fasttext: str, ftz: str, folder: Path) -> None:
    """Label lines by a quantised file, one thread each, and print the times."""
    _, test = prepared(data, "languages", folder)
    text = folder / "lines.txt"
    text.write_text(test.read_text(encoding="utf-8") * 10, encoding="utf-8")
    ours = _embed("predict", str(text), "-m", ftz, "--prob", "--threads", "1", "-o")
    theirs = [fasttext, "-c", _PREDICT, ftz, str(text)]
    times: tuple[list[float], list[float]] = [], []
    for _ in range(3):
        times[0].append(timed([*ours, str(folder / "a")])[0])
        times[1].append(timed([*theirs, str(folder / "b")])[0])
    fast, slow = min(times[0]), min(times[1])
    print(f"\npredict: embed {fast:.2f} s, fastText {slow:.2f} s, ratio {slow / fast:.2f}")


def _embed(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "embedcli", *arguments]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("fasttext")
    parser.add_argument("--tasks", nargs="+", default=list(_TASKS), choices=list(_TASKS))
    parser.add_argument("--dims", nargs="+", type=int, default=[16])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--ftz")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        if options.ftz:
            predictions(options.data, options.fasttext, options.ftz, Path(directory))
        compare(
            options.data,
            options.fasttext,
            options.tasks,
            options.dims,
            options.seeds,
            Path(directory),
        )
