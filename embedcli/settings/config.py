"""`TrainConfig`: the settings of a training run, a frozen dataclass.

Where several sources set the same thing, a flag wins over an environment variable, that over the
file, that over the default; `cli/options.py` does the merging.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Literal

from embedcli.errors import ConfigError
from embedcli.settings.combinations import check_architecture, check_combination, not_in_rounds
from embedcli.settings.compatibility import without_effect
from embedcli.settings.text_rules import TextRules, text_settings
from embedcli.settings.values import (
    Setting,
    Value,
    choice,
    file,
    integer,
    n_bytes,
    number,
    seconds,
    switch,
    text,
)

__all__ = [
    "ADAGRAD_LR",
    "DEFAULT_LR",
    "LINE",
    "MOST_EPOCHS",
    "NGRAMS",
    "USUAL_EPOCHS",
    "TrainConfig",
    "settings",
    "usable_cores",
]

LINE: Literal["line"] = "line"  # the window that is as wide as each line

# The learning rate for each architecture where none is given.
DEFAULT_LR: Mapping[str, float] = {"skipgram": 0.05, "cbow": 0.075, "glove": 0.05}
ADAGRAD_LR: Mapping[str, float] = {"skipgram": 0.2, "cbow": 0.3}

NGRAMS = "([0-9]{1,4}):([0-9]{1,4})"  # how `subword` says the lengths of n-grams
_LONGEST_NGRAM = 100

# For much text, and where the size of the text does not decide; and for very little text.
USUAL_EPOCHS, MOST_EPOCHS = 5, 40

# For words, and for items: there order says little, and frequent ones mean as much as rare ones.
_WINDOW: tuple[int, Literal["line"]] = (5, LINE)
_SAMPLE = (1e-4, 0.0)


@dataclass(frozen=True, kw_only=True)
class TrainConfig(TextRules):
    """The settings of a training run: everything that decides its result, except the text.

    The object is immutable, and every value is checked when it is made. NumPy scalars become Python
    numbers. The fields are the options of ``embed train``, with ``_`` for ``-``; docs/cli.md lists
    them with their ranges and defaults. None stands for a default that depends on other settings.

    Raises:
        ConfigError: a value has the wrong type or is out of range. The message names both.

    Example:
        >>> config = embedcli.TrainConfig(arch="cbow", dim=50)
        >>> config.dim, config.negative, config.lr
        (50, 5, None)
        >>> embedcli.TrainConfig(dim=0)
        Traceback (most recent call last):
        embedcli.errors.ConfigError: dim is 0, but must be an integer from 1 to 4096
    """

    arch: Literal["skipgram", "cbow", "glove"] = choice(
        "skipgram",
        ("skipgram", "cbow", "glove"),
        "Skip-gram, CBOW or GloVe.",
    )
    dim: int = integer(100, 1, 4096, "Dimensions of a vector.")
    window: int | Literal["line"] | None = integer(
        None,
        1,
        100,
        "Most context words on each side; `line` takes the whole line.",
        choices=(LINE,),
        automatic=f"{_WINDOW[0]}; {_WINDOW[1]} with --items",
    )
    loss: Literal["ns", "hs"] = choice(
        "ns", ("ns", "hs"), "Negative sampling, or hierarchical softmax."
    )
    negative: int = integer(5, 1, 64, "Negative samples per positive one.")
    epochs: int | None = integer(
        None,
        1,
        1000,
        "Passes over the corpus.",
        automatic=f"{USUAL_EPOCHS} to {MOST_EPOCHS}, more for less text",
    )
    lr: float | None = number(
        None,
        0,
        10,
        "Highest learning rate; --schedule lowers it to --min-lr.",
        open_low=True,
        automatic="; ".join(
            ", ".join(f"{rate} for {arch}" for arch, rate in rates.items()) + place
            for rates, place in ((DEFAULT_LR, ""), (ADAGRAD_LR, " with adagrad"))
        ),
    )
    min_lr: float = number(1e-4, 0, 10, "Learning rate at the end; at most --lr.")
    schedule: Literal["linear", "constant", "cosine"] | None = choice(
        None,
        ("linear", "constant", "cosine"),
        "How the learning rate falls.",
        automatic="linear, constant for glove",
    )
    warmup: float = number(
        0, 0, 1, "Share of the run in which the learning rate rises from --min-lr."
    )
    optimizer: Literal["sgd", "adagrad"] = choice(
        "sgd", ("sgd", "adagrad"), "Plain SGD, or row-wise AdaGrad."
    )
    dropout: float = number(
        0, 0, 0.9, "Probability that a component of an input vector is set to 0."
    )
    l2: float = number(0, 0, 1, "L2 penalty on each vector whenever it is trained.")
    max_norm: float | None = number(
        None,
        0,
        1000,
        "Upper bound for the length of a vector.",
        open_low=True,
        automatic="no limit",
    )
    min_count: int = integer(5, 1, 2**31 - 1, "Drop words that occur less often.")
    max_vocab: int | None = integer(
        None, 1, 2**31 - 1, "Keep the N most frequent words.", automatic="all"
    )
    unk: bool = switch(False, "Replace dropped words by <unk>, and train a vector for it.")
    sample: float | None = number(
        None,
        0,
        1,
        "Subsample words whose share of the text is above this; 0 keeps all.",
        automatic=f"{_SAMPLE[0]}; {_SAMPLE[1]:g} with --items",
    )
    ns_exponent: float = number(0.75, -5, 5, "Draw negatives in proportion to count ** X.")
    shrink_window: bool = switch(True, "Draw the window of each word from 1 to --window.")
    cbow_gradient: Literal["whole", "divided"] = choice(
        "whole",
        ("whole", "divided"),
        "CBOW: each context word gets the whole gradient, or the gradient divided by their number.",
    )
    x_max: float = number(
        10, 0, 1e9, "GloVe: count from which on all pairs have weight 1.", open_low=True
    )
    alpha: float = number(
        0.75, 0, 5, "GloVe: pairs below --x-max have weight (count / x-max) ** alpha."
    )
    symmetric: bool = switch(
        True,
        "GloVe: count the context on both sides, or to the left only.",
        opposite="asymmetric",
    )
    distance_weighting: bool = switch(True, "GloVe: a pair at distance d counts 1/d, or 1.")
    count_memory: str | None = text(
        "GloVe: memory for counting pairs; the rest goes to disk.",
        kind="size",
        automatic="an eighth of the memory, at most 2G",
    )
    deterministic: bool | None = switch(
        None,
        "Train in rounds: the same bytes for any number of threads (8 at most are used). "
        "--hogwild trains without locks: a little faster, not repeatable.",
        automatic="in rounds where possible",
        opposite="hogwild",
    )
    threads: int | None = integer(
        None, 1, 1024, "Threads to train with.", automatic="the cores this process may use"
    )
    seed: int = integer(1, 0, 2**63 - 1, "Seed of all random choices.")
    subword: str | None = file(
        "Train subword vectors: n-grams of N to M characters, or the pieces of a sentencepiece "
        "model.",
        metavar="N:M|FILE",
    )
    buckets: int = integer(
        2_000_000, 1, 2**31 - 1, "--subword N:M: buckets that the n-grams are hashed to."
    )
    shuffle: bool = switch(False, "Shuffle the words of each line in every epoch.")
    recursive: bool = switch(False, "Read directories and everything below them.")
    output_vectors: bool = switch(True, "Write the output vectors (syn1neg) too.")
    init: str | None = file("Start from the vectors in this file, in any format that embed reads.")
    continue_from: str | None = file(
        "Continue training this model on another text. It keeps its words and settings, except "
        "settings that are given; new words are added.",
        alias="--continue",
    )
    freeze: str | None = file(
        "Do not train these given vectors: all, or those of the words in FILE.",
        metavar="all|FILE",
    )
    valid: str | None = file("Held-out text; its loss is measured after every epoch.")
    valid_fraction: float = number(
        0, 0, 0.5, "Share of the text to hold out and measure the loss on."
    )
    evaluate: str | None = file("Analogy or similarity file to score on during training.")
    evaluate_every: int = integer(1, 1, 1000, "Epochs between two scores of --evaluate.")
    patience: int | None = integer(
        None, 1, 1000, "Stop after N measurements without improvement.", automatic="never"
    )
    time_budget: str | None = text(
        "End training within this time; the learning rate falls accordingly.",
        kind="duration",
        automatic="no limit",
    )
    metrics: str | None = file(
        "Write loss, learning rate and scores to this file, one JSON object a line."
    )
    shards: int | None = integer(
        None, 1, 100_000, "--cluster: number of shards of the text.", automatic="one per worker"
    )
    rounds: int | None = integer(
        None,
        1,
        1_000_000,
        "--cluster: synchronisations per epoch.",
        automatic="from --sync-every, at least 40 in a run",
    )
    deltas: Literal["float32", "float16"] = choice(
        "float32", ("float32", "float16"), "--cluster: type of the numbers that workers exchange."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_together()

    def _check_together(self) -> None:
        """Refuse values that contradict each other."""
        values = self.as_dict()
        check_architecture(values, _defaults())
        self._check_subword()
        check_combination(values, self.starting_lr)

    def _check_subword(self) -> None:
        """Refuse lengths of n-grams that are none; a file is read when it is needed."""
        match = re.fullmatch(NGRAMS, self.subword or "")
        if match and not 1 <= int(match[1]) <= int(match[2]) <= _LONGEST_NGRAM:
            raise ConfigError(
                f"subword is {self.subword}, but n-grams have from 1 to {_LONGEST_NGRAM} "
                "characters, the shortest first: 3:6"
            )

    @property
    def subword_kind(self) -> str | None:
        """``ngrams``, ``sentencepiece``, or None for words that are not cut."""
        if not self.subword:
            return None
        return "ngrams" if re.fullmatch(NGRAMS, self.subword) else "sentencepiece"

    @property
    def starting_lr(self) -> float:
        """The highest learning rate: `lr`, or the default of the architecture and optimiser."""
        return self._usual_lr if self.lr is None else self.lr

    @property
    def lower_lr(self) -> float:
        """A rate to try where this one was too high: a quarter, or the default if that is lower."""
        return min(self.starting_lr / 4, self._usual_lr)

    @property
    def _usual_lr(self) -> float:
        return (ADAGRAD_LR if self.optimizer == "adagrad" else DEFAULT_LR)[self.arch]

    @property
    def n_epochs(self) -> int:
        """`epochs`, where it is a number.

        Raises:
            ValueError: it is not yet, as the text has not been counted.
        """
        if self.epochs is None:
            raise ValueError("the number of epochs depends on the text")
        return self.epochs

    @property
    def fits_epochs(self) -> bool:
        """Whether the size of the text decides the epochs, where nobody chose them.

        GloVe passes over counts, and what begins with vectors has learnt most already.
        """
        return self.arch != "glove" and not (self.init or self.continue_from)

    @property
    def unused(self) -> dict[str, str]:
        """The settings that decide nothing in this combination, and why; as flags say it."""
        return without_effect(
            {
                "glove": self.arch == "glove",
                "not glove": self.arch != "glove",
                "hs": self.loss == "hs",
                "not cbow": self.arch != "cbow",
                "not subword N:M": self.subword_kind != "ngrams",
                "not evaluate": not self.evaluate,
            }
        )

    @property
    def budget_seconds(self) -> float | None:
        """`time_budget` in seconds."""
        return seconds(self.time_budget) if self.time_budget else None

    @property
    def count_bytes(self) -> int | None:
        """`count_memory` in bytes."""
        return n_bytes(self.count_memory) if self.count_memory else None

    @property
    def subsampling(self) -> float:
        """`sample`, or the default for words or items."""
        return _SAMPLE[self.items] if self.sample is None else self.sample

    @property
    def shrinks(self) -> bool:
        """Whether windows have radii up to `window`; the whole line is always the whole line."""
        return self.shrink_window and self.window != LINE

    def widest_window(self, longest_line: int) -> int:
        """Words of context on each side, at most, in a text whose longest line has so many."""
        window = _WINDOW[self.items] if self.window is None else self.window
        return max(1, longest_line - 1) if window == LINE else window

    def resolve(self) -> TrainConfig:
        """The same settings with nothing left open but what the size of the text decides.

        That is `epochs`, where nobody chose them (`training/epochs.py`).
        """
        in_rounds = not_in_rounds(self.as_dict(), _defaults()) is None
        return replace(
            self,
            epochs=self.epochs or (None if self.fits_epochs else USUAL_EPOCHS),
            deterministic=in_rounds if self.deterministic is None else self.deterministic,
            lr=self.starting_lr,
            window=_WINDOW[self.items] if self.window is None else self.window,
            sample=self.subsampling,
            schedule=self.schedule or ("constant" if self.arch == "glove" else "linear"),
            threads=self.threads or min(1024, usable_cores()),
        )

    def with_settings(self, chosen: Mapping[str, Value]) -> TrainConfig:
        """The same settings but for those `chosen`, by name.

        Raises:
            ConfigError: a value out of range.
        """
        return replace(self, **chosen)  # type: ignore[arg-type]  # checked when it is made

    def as_dict(self) -> dict[str, Value]:
        """The settings by name, in the order of `settings`; plain Python values."""
        return {name: getattr(self, name) for name in settings()}


def _defaults() -> dict[str, Value]:
    return {name: getattr(TrainConfig, name) for name in settings()}


def settings() -> dict[str, Setting]:
    """The rule of every setting of `TrainConfig` by name; those of the text are the last."""
    rules = {item.name: item.metadata["setting"] for item in fields(TrainConfig)}
    of_text = text_settings()
    return {name: rule for name, rule in rules.items() if name not in of_text} | of_text


def usable_cores() -> int:
    """The cores this process may run on, which in a container or under taskset are not all."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
