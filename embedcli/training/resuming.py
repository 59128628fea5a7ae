"""Finds the checkpoint that a run resumes from, and checks the settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from embedcli.embeddings import Embeddings
from embedcli.errors import ConfigError, CorpusError, FormatError, UsageError
from embedcli.formats import load
from embedcli.settings.classifier_config import config_type
from embedcli.settings.compatibility import used_by
from embedcli.settings.config import TrainConfig
from embedcli.settings.text_rules import TextRules
from embedcli.settings.values import Value
from embedcli.text.corpus_reader import digest_corpus
from embedcli.training.checkpoint import Checkpoint, Checkpoints
from embedcli.vocabulary import Vocabulary

__all__ = [
    "Digest",
    "arguments_of",
    "check_complete",
    "digest_text",
    "find_checkpoint",
    "settings_of",
]

# The digest of a text, as the run that made a model (its metadata) has digested it.
Digest = Callable[[Sequence[str], Mapping[str, Any]], str]


def find_checkpoint(
    checkpoints: Checkpoints,
    *,
    resume: bool,
    say: Callable[[str], None],
    warn: Callable[[str], None],
) -> Checkpoint | None:
    """The checkpoint to go on from, if that is asked for and there is one.

    `say` is told where the run begins, `warn` of a checkpoint that will be replaced.

    Raises:
        FormatError: there are some, but none verifies.
    """
    newest = checkpoints.newest()
    if newest is None and resume and checkpoints.are_there():
        raise FormatError(
            f"none of the checkpoints in {checkpoints.directory} is sound; remove the directory to "
            "train anew"
        )
    if newest is None:
        if resume:
            say(f"no checkpoint in {checkpoints.directory}: beginning")
        return None
    if not resume:
        warn(
            f"{newest.path} was saved {newest.place}; --resume would go on from there, this run "
            "begins anew and will replace it"
        )
        return None
    say(f"going on from {newest.path}, saved {newest.place}")
    return newest


def digest_text(sources: Sequence[str], metadata: Mapping[str, Any]) -> str:
    """The digest of a text, read by the rules that a model says it was read by."""
    settings = metadata["settings"]
    rules = TextRules.from_settings(settings)
    return digest_corpus(sources, rules=rules, recursive=bool(settings["recursive"]))


def check_complete(
    model: str, chosen: Mapping[str, Value], sources: Sequence[str], digest: Digest = digest_text
) -> Embeddings:
    """The model of a run that is complete.

    Raises:
        ConfigError: it was made with other settings than those chosen; names one.
        CorpusError: it was made from another text, where one is given.
    """
    embeddings = load(model)
    meta = embeddings.metadata
    _merged(model, meta.get("settings", {}), chosen)
    if sources:
        now = digest(sources, meta)
        if now != meta["corpus"]["sha256"]:
            raise CorpusError(
                f"the text is not the one that {model} was trained on: it had sha256 "
                f"{meta['corpus']['sha256'][:12]}, this one has {now[:12]}; train anew without "
                "--resume"
            )
    return embeddings


def settings_of(
    checkpoint: Checkpoint, chosen: Mapping[str, Value], vocabulary: Vocabulary | None
) -> TrainConfig:
    """The settings to go on with: those of the checkpoint.

    Raises:
        ConfigError: something was chosen that the checkpoint contradicts; names it.
    """
    saved = _merged(str(checkpoint.path), checkpoint.settings, chosen)
    words = checkpoint.embeddings.vocabulary if checkpoint.embeddings else None
    if vocabulary is not None and words is not None and vocabulary != words:
        raise ConfigError(
            f"--vocab holds {len(vocabulary)} words, which are not the {len(words)} that "
            f"{checkpoint.path} was made with: leave it out, or train anew without --resume"
        )
    made = config_type(saved)
    known = {item.name for item in fields(made)}
    unknown = sorted(set(saved) - known)
    if unknown:
        raise UsageError(
            f"{checkpoint.path} has the setting {unknown[0]}, which this embed does not know: "
            "resume with the embed that wrote it"
        )
    return made(**saved).resolve()  # type: ignore[arg-type]


def _merged(made: str, saved: Mapping[str, Value], chosen: Mapping[str, Value]) -> dict[str, Value]:
    """The settings that `made` was made with, and of those chosen the ones that may differ."""
    merged = dict(saved)
    for name, value in chosen.items():
        if name in used_by("resume"):
            merged[name] = value
        elif value is not None and value != saved.get(name):
            raise ConfigError(
                f"--{name.replace('_', '-')} is {value}, but {made} was made with "
                f"{saved.get(name)}: leave it out, or train anew without --resume"
            )
    return merged


def arguments_of(
    config: TrainConfig, sources: Sequence[str], vocab_file: str | None
) -> dict[str, Any]:
    """What a checkpoint keeps of the command."""
    return {"settings": config.as_dict(), "sources": list(sources), "vocab_file": vocab_file}
