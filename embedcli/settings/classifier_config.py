"""`ClassifierConfig`: the settings of a run that trains a classifier.

Those of `TrainConfig` that mean something there, with fastText's defaults, and a few of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Final, Literal, Self

from embedcli.errors import ConfigError
from embedcli.settings.combinations import check_combination
from embedcli.settings.config import USUAL_EPOCHS, TrainConfig, settings, usable_cores
from embedcli.settings.values import Setting, Value, choice, integer, number

__all__ = ["ClassifierConfig", "classifier_settings", "config_type"]

CLASSIFIER: Final = "classifier"
_LR: Final = 0.1
_OWN: Final = ("loss", "epochs", "lr", "min_count", "word_ngrams")
_SHARED: Final = (
    *("dim", "negative", "min_lr", "schedule", "warmup"),
    *("threads", "seed", "subword", "buckets", "recursive", "valid", "patience", "time_budget"),
    *("metrics", "field", "delimiter", "quote", "bad_records", "tokenizer", "pattern", "normalize"),
    *("lowercase", "digits", "encoding", "as_text"),
)


@dataclass(frozen=True, kw_only=True)
class ClassifierConfig(TrainConfig):
    """Everything that decides what such a run computes, apart from the labelled lines.

    Raises:
        ConfigError: a value of the wrong type or out of range; one line names it and the range.
    """

    arch: Literal["classifier"] = choice(  # type: ignore[assignment]
        CLASSIFIER, (CLASSIFIER,), "A classifier."
    )
    loss: Literal["softmax", "ova", "hs", "ns"] = choice(  # type: ignore[assignment]
        "softmax",
        ("softmax", "ova", "hs", "ns"),
        "One label of all, each label by itself, hierarchical softmax, or negative sampling.",
    )
    epochs: int = integer(USUAL_EPOCHS, 1, 1000, "Passes over the corpus.")
    lr: float | None = number(
        _LR, 0, 10, "Highest learning rate; --schedule lowers it to --min-lr.", open_low=True
    )
    min_count: int = integer(1, 1, 2**31 - 1, "Drop words that occur less often.")
    word_ngrams: int = integer(1, 1, 16, "Longest n-grams of words; 1 for words alone.")

    @property
    def _usual_lr(self) -> float:
        return _LR

    def _check_together(self) -> None:
        self._check_subword()
        check_combination({n: getattr(self, n) for n in settings()}, self.starting_lr)
        if self.subword is not None and self.subword_kind != "ngrams":
            raise ConfigError(
                f"subword is {self.subword}, but a classifier has n-grams of characters: 2:5"
            )

    def resolve(self) -> Self:
        """The same settings with nothing left open."""
        return replace(
            self.settled(prose=False),
            deterministic=True,
            lr=self.starting_lr,
            schedule=self.schedule or "linear",
            threads=self.threads or min(1024, usable_cores()),
        )

    def as_dict(self) -> dict[str, Value]:
        """The settings by name; plain Python values."""
        return {"arch": self.arch} | {name: getattr(self, name) for name in classifier_settings()}


def classifier_settings() -> dict[str, Setting]:
    """The rule of every setting that a classifier has, by name."""
    own = {item.name: item.metadata["setting"] for item in fields(ClassifierConfig)}
    shared = settings()
    first = {name: own[name] for name in _OWN}
    return first | {name: shared[name] for name in _SHARED}


def config_type(saved: Mapping[str, Value]) -> type[TrainConfig]:
    """The class of the settings that a model or checkpoint says it was made with."""
    return ClassifierConfig if saved.get("arch") == CLASSIFIER else TrainConfig
