"""The settings of `--continue`: those of the model, except settings that are given.

A model says how it was trained and how its text was read. Another text that is read by other rules,
or trained by another architecture, makes another kind of vectors of the same words; so what nobody
chose is as the model says. What is not of the model but of a run is not taken from it: which files
and how much is measured, threads, seed, and ``max_vocab``, which would drop words of the model.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from embedcli.embeddings import Embeddings
from embedcli.errors import ConfigError, UsageError
from embedcli.formats import load
from embedcli.settings.compatibility import used_by
from embedcli.settings.config import NGRAMS, TrainConfig, settings
from embedcli.settings.reading import ReadingOptions
from embedcli.settings.text_rules import REWRITING
from embedcli.settings.values import Value
from embedcli.subwords.ngrams import NGrams
from embedcli.subwords.pieces import Pieces
from embedcli.subwords.table import Subwords
from embedcli.training.epochs import epochs_for

__all__ = ["Difference", "continued", "differences", "kept_subwords", "read_pretrained"]

_AUTOMATIC = ("window", "lr", "schedule", "sample")  # stored with nothing left open
# What fastText calls them in its files, and what its numbers mean.
_OF_FASTTEXT = {"ws": "window", "neg": "negative", "minCount": "min_count", "t": "sample"}
_FASTTEXT_ARCH = {1: "cbow", 2: "skipgram"}
_FASTTEXT_LOSS = {1: "hs"}


@dataclass(frozen=True)
class Difference:
    """A setting that a run does not take from the model it goes on with."""

    name: str
    here: Value
    there: Value


def read_pretrained(
    config: TrainConfig, chosen: Mapping[str, Value], reading: ReadingOptions
) -> tuple[TrainConfig, Embeddings | None]:
    """The settings of a run and the vectors it begins with, if any.

    Where nobody chose them, --dim is that of the vectors, and with --continue all that is of the
    model is as it says.
    """
    path = config.init or config.continue_from
    if path is None:
        return config, None
    pretrained = load(path, reading=reading)
    if config.continue_from:
        return continued(path, pretrained, config, chosen), pretrained
    return (config if "dim" in chosen else replace(config, dim=pretrained.dim)), pretrained


def continued(
    path: str, embeddings: Embeddings, config: TrainConfig, chosen: Mapping[str, Value]
) -> TrainConfig:
    """`config` with what nobody chose as the model says.

    Args:
        path: the model's file, for messages.
        embeddings: what is in it.
        config: the settings of the run, not resolved.
        chosen: those of them that somebody chose, None for what is left to be automatic.

    Raises:
        UsageError: the model is GloVe's, which cannot go on.
        ConfigError: what was chosen does not go with the model's settings or n-grams.
    """
    try:
        said = _said(embeddings)
    except ConfigError as error:
        raise ConfigError(f"{path} cannot go on: its {error}") from error
    if said.get("arch") == "glove" and chosen.get("arch") in (None, "glove"):
        raise UsageError(
            f"{path} was trained with --arch glove, which cannot go on with another text: give "
            "--arch skipgram or cbow, which begins with its vectors, or train anew"
        )
    taken = {name: value for name, value in said.items() if name not in chosen}
    for name in _AUTOMATIC:
        if name in taken and taken[name] == _automatic(said, name):
            taken[name] = None
    if taken.get("epochs") == _automatic_epochs(embeddings):
        taken["epochs"] = None
    for name in _without(chosen):
        taken.pop(name, None)
    if "dim" not in chosen:
        taken["dim"] = embeddings.dim
    taken |= _subword(path, embeddings.subwords, chosen)
    try:
        return replace(config, **taken)
    except ConfigError as error:
        raise ConfigError(f"{error} (what no option says is as in {path})") from error


def differences(embeddings: Embeddings, config: TrainConfig) -> list[Difference]:
    """How the settings of a run, resolved, differ from what the model says of itself."""
    said, here = _said(embeddings), config.resolve().as_dict()
    if embeddings.subwords is not None:
        said |= _described(embeddings.subwords, said.get("subword"))
    return [
        Difference(name, here[name], said[name])
        for name in used_by("model")
        if name in said and here[name] != said[name] and name not in config.unused
    ]


def kept_subwords(pretrained: Embeddings | None, config: TrainConfig) -> Subwords | None:
    """The n-grams or pieces that a run goes on with."""
    if pretrained is None or not config.continue_from or config.subword is None:
        return None
    return pretrained.subwords


def _said(embeddings: Embeddings) -> dict[str, Any]:
    """What a model says of its settings, as far as they are of a model and known to this embed."""
    said = embeddings.metadata.get("settings")
    if isinstance(said, Mapping):
        rules = settings()
        return {
            name: rules[name].check(name, said[name]) for name in used_by("model") if name in said
        }
    arguments = embeddings.metadata.get("fasttext")
    if not isinstance(arguments, Mapping):
        return {}
    found = {ours: arguments[theirs] for theirs, ours in _OF_FASTTEXT.items()}
    found["arch"] = _FASTTEXT_ARCH.get(arguments["model"], "skipgram")
    found["loss"] = _FASTTEXT_LOSS.get(arguments["loss"], "ns")
    rules = settings()
    return {name: rules[name].check(name, value) for name, value in found.items()}


def _automatic(said: Mapping[str, Any], name: str) -> Value:
    """What a setting is where it is left open, with the others as the model says."""
    others = {each: said[each] for each in ("arch", "optimizer", "items") if each in said}
    try:
        return TrainConfig(**others).resolve().as_dict()[name]
    except ConfigError:
        return None


def _automatic_epochs(embeddings: Embeddings) -> int | None:
    """How many epochs the text of a model gives; None where it does not say its size."""
    corpus = embeddings.metadata.get("corpus")
    n_tokens = corpus.get("kept") if isinstance(corpus, Mapping) else None
    return epochs_for(n_tokens) if isinstance(n_tokens, int) else None


def _without(chosen: Mapping[str, Value]) -> list[str]:
    """Settings of the model that would contradict a chosen one, and say nothing beside it."""
    left = []
    if chosen.get("tokenizer", "pattern") != "pattern":
        left.append("pattern")
    if chosen.get("field", "") is None:
        left += ["delimiter", "quote"]
    if chosen.get("items") is False:
        left.append("separator")
    if chosen.get("items"):
        left += REWRITING
    return left


def _subword(path: str, subwords: Subwords | None, chosen: Mapping[str, Value]) -> dict[str, Any]:
    """The settings that say how words are cut."""
    asked = chosen.get("subword")
    if subwords is None:
        if asked is not None:
            raise ConfigError(
                f"--subword is {asked}, but {path} has no rows of parts of words to go on with: "
                "leave it out, or train anew"
            )
        return {"subword": None}
    if "subword" in chosen and asked is None:
        return {}  # they are left behind, as somebody wants it
    own = _described(subwords, None)
    if isinstance(asked, str) and isinstance(subwords.units, Pieces):
        other = None if re.fullmatch(NGRAMS, asked) else Pieces.read(asked)
        if other is not None and other.model == subwords.units.model:
            own = {"subword": asked}
    for name, value in chosen.items():
        if name in own and value is not None and value != own[name]:
            raise ConfigError(
                f"--{name} is {value}, but {path} has {own[name]}, whose rows go on: leave it out"
            )
    return own


def _described(subwords: Subwords, name: Any) -> dict[str, Any]:
    """The settings of rows of subwords; `name` is the file of pieces, if that is known."""
    units = subwords.units
    if isinstance(units, NGrams):
        return {"subword": f"{units.shortest}:{units.longest}", "buckets": units.buckets}
    return {"subword": name or "sentencepiece"}
