"""The command line that all benchmarks share."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import platformdirs

from benchmarks.corpora import WIKI

__all__ = ["read_options"]

_RESULTS = Path(__file__).parent / "results.json"
_CACHE = Path(platformdirs.user_cache_dir("embed-benchmarks"))


def read_options(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse `argv` (default: the process's arguments); ends with 2 where something is missing."""
    parser = _parser()
    options = parser.parse_args(argv)
    if not options.corpus.is_file():
        parser.error(f"there is no corpus {options.corpus}: name a text with --corpus FILE")
    if not (options.eval / "questions-words.txt").is_file():
        parser.error(f"no questions-words.txt in {options.eval}: name its directory with --eval")
    if not Path(sys.executable).with_name("embed").is_file():
        parser.error(f"no `embed` beside {sys.executable}: pip install -e '.[bench]'")
    if options.glove is not None and not (options.glove / "cooccur").is_file():
        parser.error(f"no program `cooccur` in {options.glove}: run `make` there")
    if options.rare is not None and not options.rare.is_file():
        parser.error(f"there is no file {options.rare}: name pairs of rare words with --rare FILE")
    if options.quick:
        options.seeds = 1
    if options.results is None:
        options.results = options.cache / "quick-results.json" if options.quick else _RESULTS
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure what embed claims, beside its peers; docs/benchmarks.md tells more.",
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="a small corpus: does everything work?")
    add("--corpus", type=Path, default=WIKI, metavar="FILE", help="text, plain or gzip")
    add("--eval", type=Path, default=WIKI.parent / "eval", metavar="DIR", help="evaluation files")
    add("--repeat", type=_count, default=1, metavar="N", help="runs of each peer (1)")
    add("--seeds", type=_count, metavar="N", help="seeds an accuracy is a mean of (3 or 6)")
    add("--glove", type=Path, metavar="DIR", help="where stanfordnlp's GloVe programs are")
    add("--rare", type=Path, metavar="FILE", help="similarity of rare words, for `subwords`")
    add("--cache", type=Path, default=_CACHE, metavar="DIR", help="what the next run uses again")
    add("--results", type=Path, metavar="FILE", help="JSON (benchmarks/results.json)")
    return parser


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number
