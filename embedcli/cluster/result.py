"""The model of a run in rounds, at its end or between two rounds, and what it says of itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from embedcli.cluster.shards import joint_digest
from embedcli.cluster.training import Matrices
from embedcli.corpus import Tally
from embedcli.embeddings import Embeddings
from embedcli.settings.config import TrainConfig
from embedcli.training.state import State
from embedcli.training.versions import versions
from embedcli.vocabulary import Vocabulary

__all__ = ["corpus_facts", "to_embeddings"]


def to_embeddings(
    model: Matrices,
    vocabulary: Vocabulary,
    config: TrainConfig,
    state: State,
    facts: Mapping[str, Any],
    more: Mapping[str, Any],
    *,
    everything: bool = True,
) -> Embeddings:
    """The matrices as they are, not copied, with the metadata of any model.

    Args:
        model: float32 (V, D) each.
        vocabulary: V words.
        config: resolved settings.
        state: how far the run is.
        facts: `corpus_facts`.
        more: further metadata.
        everything: the output vectors in any case.
    """
    metadata = {
        "settings": config.as_dict(),
        "seed": config.seed,
        "versions": versions(config),
        "corpus": dict(facts),
        "epochs": [asdict(epoch) for epoch in state.epochs],
        "loss": [epoch.loss for epoch in state.epochs],
        **more,
    }
    kept = model.syn1neg if config.output_vectors or everything else None
    return Embeddings(vocabulary, model.syn0, kept, metadata)


def corpus_facts(
    tally: Tally, vocabulary: Vocabulary, digests: Sequence[str] = ()
) -> dict[str, Any]:
    """What became of everything that was read, and the digest of the text once it is known.

    Args:
        tally: the sum of the shards', counted without a vocabulary.
        vocabulary: with the counts of all shards.
        digests: of all shards, in order.
    """
    kept = int(vocabulary.counts.sum()) if vocabulary.counts is not None else 0
    facts = asdict(tally) | {"kept": kept, "oov": tally.read - tally.too_long - kept}
    return {"sha256": joint_digest(digests) if digests else None} | facts
