"""What cutting text into words and lower-casing it gains: the same text trained in four ways.

``python -m benchmarks.preparation`` prints what docs/text.md says of it. Every text is trained at
white space and by `--tokenizer words`, as written and in lower case, with several seeds. Scores:

* *halves*: of a text that was held out, pieces of 400 characters are cut into two halves. A half is
  the SIF mean of its words. The score is the share of first halves whose nearest second half, among
  those of all pieces, is their own. It suits any language, logs and code.
* similarity and analogies for English: Spearman's rho, and the share of all questions that are
  answered rightly. Both count what the vocabulary lacks as wrong: 0 for a pair.

``--text NAME=FILE`` measures a text of one's own beside those in shared/data; ``--men FILE`` adds a
file of pairs to the similarity sets.
"""

from __future__ import annotations

import argparse
import gzip
import re
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

import numpy as np

from benchmarks.corpora import WIKI
from embedcli import Embeddings, TrainConfig, evaluate, train
from embedcli.lookup.exact import unit_rows
from embedcli.spaces.sentences import Averager

_DATA = WIKI.parent
_SIMILARITY = ("EN-WS-353-ALL.txt", "EN-SIMLEX-999.txt", "EN-MTurk-771.txt")
_WAYS = tuple(product(("whitespace", "words"), (False, True)))
_PIECE, _PIECES, _EVERY = 400, 1000, 10  # characters; pieces; one in so many is held out
_MOST = 12_000_000  # bytes
_EPOCHS = 15


def main() -> None:
    """Print a row for each text and way, as means over the seeds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--text", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--men", type=Path, metavar="FILE")
    parser.add_argument("--only", nargs="*", metavar="NAME")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    texts = dict(_texts()) | dict(_named(options.text))
    pairs = [str(_DATA / "eval" / name) for name in _SIMILARITY]
    pairs += [str(options.men)] if options.men else []
    names = " / ".join(Path(path).stem.removeprefix("EN-") for path in pairs)
    print(f"| text | way | halves | {names} | analogies |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, text in texts.items():
            if options.only and name not in options.only:
                continue
            _measure(name, text, pairs, Path(folder), options.seeds, options.threads)


def _measure(
    name: str, text: str, pairs: Sequence[str], folder: Path, n_seeds: int, threads: int
) -> None:
    path = folder / f"{name.replace(' ', '-')}.txt"
    trained, held = _held_out(text)
    path.write_text(trained, encoding="utf-8")
    for tokenizer, lowercase in _WAYS:
        rows = []
        for seed in range(1, n_seeds + 1):
            config = TrainConfig(
                tokenizer=tokenizer, lowercase=lowercase, epochs=_EPOCHS, seed=seed, threads=threads
            )
            model = train([path], config)
            rows.append((_halves(model, held), *_english(name, model, pairs)))
        means = [f"{100 * mean:.1f}" for mean in np.mean(rows, axis=0)]
        spread = f"{100 * np.std([row[0] for row in rows]):.1f}"
        shown = [f"{means[0]} ± {spread}", " / ".join(means[1:-1]), "".join(means[-1:])]
        way = f"{tokenizer}{', lower case' if lowercase else ''}"
        print("|", " | ".join([name, way, *(shown if len(means) > 1 else [shown[0], "", ""])]), "|")
        sys.stdout.flush()


def _held_out(text: str) -> tuple[str, list[tuple[str, str]]]:
    """All lines but one stretch in ten, and of these pieces, each in two halves."""
    if text.count("\n") < _EVERY:
        words = text.split(" ")
        text = "\n".join(" ".join(words[i : i + 50]) for i in range(0, len(words), 50))
    lines = text.splitlines(keepends=True)
    stretch = max(1, len(lines) // 2000)
    is_held = np.arange(len(lines)) // stretch % _EVERY == _EVERY - 1
    rest = "".join(line for line, held in zip(lines, is_held, strict=True) if not held)
    held = "".join(line for line, held in zip(lines, is_held, strict=True) if held)
    joined = " ".join(held.split())
    pieces = [joined[i : i + _PIECE] for i in range(0, len(joined) - _PIECE, _PIECE)][:_PIECES]
    return rest, [_cut(piece) for piece in pieces]


def _cut(piece: str) -> tuple[str, str]:
    """Two halves of a piece, cut at white space where there is some near."""
    middle = len(piece) // 2
    place = piece.find(" ", middle, middle + 40)
    place = middle if place < 0 else place
    return piece[:place], piece[place:]


def _halves(model: Embeddings, held: Sequence[tuple[str, str]]) -> float:
    averager = Averager(model, "sif")
    first, second = (unit_rows(averager.add(list(side))) for side in zip(*held, strict=True))
    found = np.argmax(first @ second.T, axis=1)
    there = first.any(axis=1)
    return float(np.mean((found == np.arange(len(held))) & there))


def _english(name: str, model: Embeddings, pairs: Sequence[str]) -> Iterator[float]:
    if "English" not in name:
        return
    questions = str(_DATA / "eval" / "questions-words.txt")
    *similar, analogies = evaluate(model, [*pairs, questions], bootstrap=0)
    for report in (*similar, analogies):
        whole = report.parts[-1]
        yield (whole.score or 0) / 100 * whole.seen / whole.total


def _texts() -> Iterator[tuple[str, str]]:
    raw = _unpacked("wiki-raw.txt.gz")
    yield "English as written", raw
    yield "English, 300 k words", raw[:1_800_000]
    yield "English, tokens apart", re.sub(r"([^\w\s])", r" \1 ", raw)
    yield "English prepared", _unpacked("wiki-1m.txt.gz")
    both = _unpacked("ko-zh-sample.txt.gz")
    is_korean = re.compile("[가-힣]").search
    lines = both.splitlines(keepends=True)
    yield "Korean", "".join(filter(is_korean, lines))
    yield "Chinese", "".join(line for line in lines if not is_korean(line))
    yield "abstracts, prepared", _unpacked("arxiv-9.txt.gz")
    yield "code", "\n".join(_code())
    yield "ingredients", (_DATA / "tasks" / "cuisines.train.txt").read_text()


def _code() -> Iterator[str]:
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        yield path.read_text(encoding="utf-8")


def _unpacked(name: str) -> str:
    with gzip.open(_DATA / name) as file:
        return file.read(_MOST).decode(errors="ignore")


def _named(given: Sequence[str]) -> Iterator[tuple[str, str]]:
    for each in given:
        name, _, path = each.partition("=")
        with Path(path).open("rb") as file:
            yield name, file.read(_MOST).decode(errors="ignore")


if __name__ == "__main__":
    main()
