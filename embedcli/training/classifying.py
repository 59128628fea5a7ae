"""Where a classifier is trained: from labelled lines to `Embeddings` with labels."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

from embedcli.classification.examples import Examples, labelled_blocks, read_examples
from embedcli.embeddings import Embeddings
from embedcli.errors import CorpusError, UsageError
from embedcli.progress import OnProgress
from embedcli.settings.classifier_config import ClassifierConfig
from embedcli.settings.config import TrainConfig
from embedcli.settings.text_rules import TextRules
from embedcli.settings.values import Value
from embedcli.training.checkpoint import Checkpoint
from embedcli.training.classifier import classifier_run
from embedcli.training.trainer import (
    RunControl,
    deadline_of,
    embeddings_of,
    same_texts,
    train_to_end,
)
from embedcli.vocabulary import Vocabulary

__all__ = ["ClassifierTrainer", "digest_examples"]


class ClassifierTrainer:
    """Trains classifiers on this machine: a `session.Trainer`."""

    def resolve(self, config: TrainConfig, chosen: Mapping[str, Value]) -> TrainConfig:
        """As in `Trainer`."""
        return config.resolve()

    def check_resumed(self, resumed: Checkpoint) -> None:
        """Refuse a checkpoint that is not of a classifier."""
        arch = resumed.arguments["settings"].get("arch")
        if arch != ClassifierConfig.arch:
            raise UsageError(f"{resumed.path} is of a run of `embed train`: go on with that")

    def train(
        self,
        paths: Sequence[str],
        config: TrainConfig,
        *,
        vocabulary: Vocabulary | None,
        pretrained: Embeddings | None,
        scratch: str | None,
        on_progress: OnProgress,
        control: RunControl,
    ) -> Embeddings:
        """Do what `trainer.train` does, for a classifier."""
        if not isinstance(config, ClassifierConfig):
            raise TypeError("a classifier is trained by a ClassifierConfig")
        began = time.perf_counter()
        rules = TextRules.from_settings(config.as_dict())
        examples = read_examples(
            paths, rules, recursive=config.recursive, min_count=config.min_count
        )
        facts: dict[str, Any] = {"corpus": _facts(examples)}
        valid = None
        if config.valid:
            valid = read_examples([config.valid], rules, like=examples)
            if not len(valid):
                raise CorpusError(
                    f"no line of {config.valid} has a label that {', '.join(paths)} has"
                )
            facts["held_out"] = _facts(valid)
        if control.resumed is not None:
            facts = same_texts(control.resumed, facts)
        elapsed = time.perf_counter() - began
        before = began - control.began if control.began is not None else 0.0
        deadline = deadline_of(config, control.resumed, before + elapsed)
        run = classifier_run(examples, config, valid=valid, deadline=deadline)
        control.before_training(run.corpus, None)
        train_to_end(run, control, facts, on_progress, elapsed)
        timings = {"reading": elapsed, "training": time.perf_counter() - began - elapsed}
        return embeddings_of(run, facts, timings, everything=True)


def _facts(examples: Examples) -> dict[str, Any]:
    """What the model will say of labelled lines."""
    n = len(examples.tokens)
    kept = int((examples.tokens < examples.n_words).sum())
    return {
        "sha256": examples.digest,
        "read": n,
        "kept": kept,
        "oov": n - kept,
        "too_long": 0,
        "lines": len(examples),
        "n_bytes": examples.n_bytes,
        "without_label": examples.without,
        "unknown_label": examples.unknown,
        "labels": len(examples.labels),
    }


def digest_examples(sources: Sequence[str], metadata: Mapping[str, Any]) -> str:
    """The digest of labelled lines, read by the rules that a classifier says."""
    settings = metadata["settings"]
    rules = TextRules.from_settings(settings)
    digest = hashlib.sha256()
    recursive = bool(settings["recursive"])
    for block, _ in labelled_blocks(sources, rules, recursive=recursive):
        digest.update(block.raw)
    return digest.hexdigest()
