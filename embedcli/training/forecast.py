"""The memory, disk and time that a run needs, before it trains.

Memory and disk are sums of what is known to be made, from the settings and the size of the
vocabulary: the one that was counted, or before that the words that the first megabyte of the text
already makes certain, so that a run that cannot fit is refused before the text is read. Time is
measured by training a second of the run and throwing it away. Nothing here refuses a run for being
long.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from embedcli.cooccurrence.cells import CELL_BYTES
from embedcli.cooccurrence.counting import counting_memory, expected_cells
from embedcli.cooccurrence.runs import RUN_BYTES
from embedcli.errors import ResourceError
from embedcli.files.memory import available_memory
from embedcli.files.targets import free_space, readable_size, real_path
from embedcli.kernels.alignment import row_stride
from embedcli.kernels.streams import STREAMS, rows_for_copies
from embedcli.progress import ignore_progress
from embedcli.settings.config import TrainConfig
from embedcli.subwords.table import Subwords
from embedcli.text.corpus import Corpus
from embedcli.text.estimate import TextEstimate
from embedcli.training.architectures import compile_architecture, prepared
from embedcli.training.sampling import pool_size
from embedcli.training.word_parts import WordParts, units_of
from embedcli.training.worker import features_of
from embedcli.vocabulary import Vocabulary

__all__ = [
    "Forecast",
    "check_resources",
    "check_scratch",
    "forecast",
    "measure_seconds",
    "sure_vocabulary",
]

_BASE_BYTES = 160 << 20  # Python, NumPy, Numba and the kernels, whatever the text
_THREAD_BYTES = 1 << 20  # staged chunks and scratch of one thread
_GLOVE_THREAD_BYTES = 4 << 20  # a chunk of cells, once in order and once shuffled
_WORD_BYTES = (
    180  # offsets, counts, probabilities, norms; and Python's words while a file is written
)
_PATH_BYTES = 200  # of a word's path through the tree, and of making it
_MARK_BYTES = 8  # what a thread of a deterministic run marks a word with
_NUMBER_BYTES = 4
_PART_BYTES = 24  # an n-gram of a word: its id, its row, and what sorting them takes
_DECIMAL_BYTES = 12  # of a number in a text format, with its space
_ASSUMED_LINE = 32  # words
_CHECKPOINTS = 3  # two kept, one being written
SAMPLE_SECONDS = 1.0
_SPARE = 0.1  # of what there is, left over by options that are recommended
_ROUND_DIM = 16
_SCRATCH_SURE = 0.5  # of the estimate: a text may be unlike its first megabyte


@dataclass(frozen=True)
class Forecast:
    """What a run needs and what there is, in bytes; `seconds` is None where it was not measured.

    Attributes:
        memory: the most the process will take, in all.
        memory_left: what it may take, in all.
        disk: what models and checkpoints will take of the disk that has the least to spare.
        disk_free: what is free there.
        seconds: of training.
    """

    memory: int
    memory_left: int
    disk: int
    disk_free: int
    seconds: float | None = None

    def fits(self, spare: float = 0.0) -> bool:
        """Whether all that is needed is there, and of memory and disk this share is left over."""
        room = self.memory_left - _BASE_BYTES, self.disk_free
        needs = self.memory - _BASE_BYTES, self.disk
        return all(n <= (1 - spare) * left for n, left in zip(needs, room, strict=True))


Again = Callable[[Vocabulary, TrainConfig], Forecast]


def forecast(
    vocabulary: Vocabulary,
    config: TrainConfig,
    n_tokens: int,
    outputs: Sequence[tuple[str, str]],
    *,
    checkpoints: bool,
    subwords: Subwords | None = None,
) -> Forecast:
    """What training takes once the text is counted.

    Args:
        vocabulary: the words that will be trained.
        config: resolved settings.
        n_tokens: of the text, in the vocabulary.
        outputs: each plain file to be written and its format.
        checkpoints: whether any are kept.
        subwords: how words are cut, if not by what ``config.subword`` names (`subword_run`).
    """
    n_words, parts = len(vocabulary), _count_parts(vocabulary, config, subwords)
    files = [(path, _file_bytes(name, vocabulary, config, parts)) for path, name in outputs]
    if checkpoints and outputs:
        each = _file_bytes("safetensors", vocabulary, _with_output_vectors(config), parts)
        files.append((outputs[0][0], _CHECKPOINTS * (each + n_words * _row_bytes(config))))
    if config.arch == "glove" and outputs and vocabulary.counts is not None:
        n_cells = expected_cells(
            vocabulary.counts, _window(config) * n_tokens, symmetric=config.symmetric
        )
        files.append((outputs[0][0], (RUN_BYTES + CELL_BYTES) * n_cells))
    disk, disk_free = _tightest_disk(files)
    return Forecast(
        memory=_BASE_BYTES + _trainer_bytes(n_words, n_tokens, config, parts),
        memory_left=_BASE_BYTES + available_memory(),  # the base has been taken already
        disk=disk,
        disk_free=disk_free,
    )


def _tightest_disk(files: Sequence[tuple[str, int]]) -> tuple[int, int]:
    """Bytes needed and bytes free, of the disk that has the least to spare for these files."""
    needs: dict[int, int] = {}
    free: dict[int, int] = {}
    for path, n_bytes in files:
        directory = real_path(path).parent
        disk = directory.stat().st_dev
        needs[disk] = needs.get(disk, 0) + n_bytes
        free[disk] = free_space(str(directory))
    if not needs:
        return 0, free_space(".")
    tightest = min(needs, key=lambda disk: free[disk] - needs[disk])
    return needs[tightest], free[tightest]


def _with_output_vectors(config: TrainConfig) -> TrainConfig:
    """A checkpoint holds the output vectors in any case."""
    return replace(config, output_vectors=True)


def check_resources(
    found: Forecast,
    vocabulary: Vocabulary,
    config: TrainConfig,
    again: Again,
    *,
    is_given: bool = False,
) -> None:
    """Refuse what cannot end well.

    Args:
        found: what is needed.
        vocabulary: for these words.
        config: and these settings.
        again: what others would need, to find those that fit.
        is_given: whether the words are those of ``--vocab``, which ``--max-vocab`` does not cut.

    Raises:
        ResourceError: names what is missing, and the option that would fit.
    """
    if found.fits():
        return
    options = _fitting(vocabulary, config, again, "a --vocab of" if is_given else "--max-vocab")
    what = f"{len(vocabulary):,} words x {config.dim}"
    if found.memory > found.memory_left:
        raise ResourceError(
            f"training {what} needs {readable_size(found.memory)} of memory, but "
            f"{readable_size(found.memory_left)} are left for it; {options}"
        )
    raise ResourceError(
        f"the outputs and checkpoints of {what} need {readable_size(found.disk)} of disk, but "
        f"{readable_size(found.disk_free)} are free; make room, or {options}"
    )


def sure_vocabulary(seen: TextEstimate, config: TrainConfig) -> Vocabulary:
    """The words that will be trained for sure, after what was seen of the text."""
    words = seen.words[: config.max_vocab]
    offsets = np.zeros(len(words) + 1, np.int64)
    np.cumsum([len(word) for word in words], out=offsets[1:])
    return Vocabulary(np.frombuffer(b"".join(words), np.uint8), offsets)


def check_scratch(seen: TextEstimate, directory: Path) -> None:
    """Refuse a text that does not fit, encoded, on the disk for temporary files.

    The text is not read yet: only what is missing by far is refused.

    Raises:
        ResourceError: with both numbers.
    """
    free = free_space(str(directory))
    if seen.scratch_bytes * seen.sure_share * _SCRATCH_SURE > free:
        raise ResourceError(
            f"encoding about {seen.n_tokens:,} tokens takes about "
            f"{readable_size(seen.scratch_bytes)} of disk, but {readable_size(free)} are free in "
            f"{directory}; make room, or name another directory in TMPDIR"
        )


def measure_seconds(
    corpus: Corpus,
    config: TrainConfig,
    scratch: Path | None = None,
    subwords: Subwords | None = None,
) -> float:
    """How long training will take, from a second of it; nothing is kept.

    What comes before, counting co-occurrences in `scratch`, is done in full. `subwords` are as in
    `forecast`.
    """
    # A kernel is made for as many negatives as the words leave.
    negative = max(1, min(config.negative, len(corpus.vocabulary) - 1))
    compile_architecture(replace(config, negative=negative))
    began = time.perf_counter()
    with prepared(corpus, config, scratch=scratch, subwords=subwords) as run:
        ready = time.perf_counter()
        run.train(ignore_progress, lambda: time.perf_counter() - ready >= SAMPLE_SECONDS)
        training = (time.perf_counter() - ready) / max(run.share_done, 1e-9)
    return ready - began + training


def _fitting(vocabulary: Vocabulary, config: TrainConfig, again: Again, words: str) -> str:
    """The options that would fit, with a tenth to spare; found by trying, as not all shrinks."""

    def takes_words(n: int) -> bool:
        return again(vocabulary.head(n), config).fits(_SPARE)

    def takes_dim(dim: int) -> bool:
        return again(vocabulary, replace(config, dim=dim)).fits(_SPARE)

    options = []
    n_words = _most(len(vocabulary), takes_words)
    if n_words > 1:
        options.append(f"{words} {n_words}")
    dim = 0 if config.init or config.continue_from else _most(config.dim, takes_dim)
    if dim:
        options.append(f"--dim {dim - dim % _ROUND_DIM or dim}")
    return f"try {' or '.join(options)}" if options else f"no {words} or --dim would fit"


def _most(end: int, fits: Callable[[int], bool]) -> int:
    """The largest number below `end` that fits, where all smaller ones do too; 0 if none does."""
    return bisect_left(range(1, end), True, key=lambda n: not fits(n))


class _Counted(NamedTuple):
    """How many rows the parts of words have, how often words have them, and their ids."""

    n_rows: int = 0
    n_uses: int = 0
    n_ids: int = 0


def _count_parts(
    vocabulary: Vocabulary, config: TrainConfig, subwords: Subwords | None
) -> _Counted:
    """Cut all words: no guess says how many n-grams they share."""
    if config.subword is None:
        return _Counted()
    units, kept = (units_of(config), None) if subwords is None else (subwords.units, subwords.ids)
    words = WordParts.of(vocabulary, units, kept)
    return _Counted(len(words.ids), len(words.rows.rows), words.units.count)


def _trainer_bytes(n_words: int, n_tokens: int, config: TrainConfig, parts: _Counted) -> int:
    if config.arch == "glove":
        matrices = 5 * n_words * row_stride(config.dim + 2) * _NUMBER_BYTES  # and their sum
        training = matrices + n_words * _WORD_BYTES + (config.threads or 1) * _GLOVE_THREAD_BYTES
        n_pairs = _window(config) * n_tokens
        counting = counting_memory(config.count_bytes, n_pairs, config.threads or 1)
        return max(training, counting)
    matrices = 2 * n_words * row_stride(config.dim) * _NUMBER_BYTES
    if config.loss == "hs":
        outputs = n_words * _PATH_BYTES
    else:
        outputs = pool_size(n_tokens, config.negative, n_words) * _NUMBER_BYTES
    words = n_words * (_WORD_BYTES + _row_bytes(config))
    if parts.n_rows:
        # Their rows, and the vectors that they make of the words when they are written.
        matrices += (parts.n_rows + n_words) * row_stride(config.dim) * _NUMBER_BYTES
        words += parts.n_uses * _PART_BYTES
    threads = (config.threads or 1) * (_THREAD_BYTES + _rule_bytes(config))
    if config.deterministic:
        words += (config.threads or 1) * n_words * _MARK_BYTES
        copies = STREAMS * rows_for_copies(_window(config), 1 + config.negative)
        matrices += 2 * copies * row_stride(config.dim) * _NUMBER_BYTES
    return matrices + outputs + words + threads


def _row_bytes(config: TrainConfig) -> int:
    """What is kept for each word beside its rows: AdaGrad's sums, the mark of a frozen one."""
    if config.arch == "glove":
        return 4 * (config.dim + 2) * _NUMBER_BYTES
    return 2 * _NUMBER_BYTES * (config.optimizer == "adagrad") + (config.freeze is not None)


def _rule_bytes(config: TrainConfig) -> int:
    """The copies of a window's rows in each thread, where rows are updated by a rule."""
    if features_of(config) is None:
        return 0
    n_rows = 3 * (2 * _window(config) + 1) + 1 + config.negative
    return n_rows * row_stride(config.dim) * _NUMBER_BYTES


def _window(config: TrainConfig) -> int:
    """Words on each side; a line, where that is the window, is taken to hold 32."""
    return config.widest_window(_ASSUMED_LINE)


def _file_bytes(name: str, vocabulary: Vocabulary, config: TrainConfig, parts: _Counted) -> int:
    n_words = len(vocabulary)
    words = len(vocabulary.blob) + 24 * n_words
    row = config.dim * _NUMBER_BYTES
    matrix = n_words * row
    rows = matrix + parts.n_rows * (row + _NUMBER_BYTES) if parts.n_rows else 0
    sizes: Mapping[str, int] = {
        "safetensors": words + matrix * (1 + config.output_vectors) + rows,
        "fasttext": words + 2 * matrix + parts.n_ids * row,
        "word2vec-bin": words + matrix,
        "vocab": words,
    }
    return sizes.get(name, words + n_words * config.dim * _DECIMAL_BYTES)
