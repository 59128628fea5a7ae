"""Between two rounds: what was trained, which round is next, and the model as it is saved.

A `State` is the one of checkpoints. `State.chunk` is the number of the next round in its epoch;
``tallies`` and ``subsampled`` are the sums over all shards in the rounds of this epoch before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedcli.cluster.deltas import Change, Matrices, Round
from embedcli.cluster.shards import joint_digest
from embedcli.embeddings import Embeddings
from embedcli.errors import EmbedError
from embedcli.settings.config import TrainConfig
from embedcli.text.corpus import Tally
from embedcli.training.state import Epoch, State, nothing_trained
from embedcli.training.versions import versions
from embedcli.vocabulary import Vocabulary

__all__ = [
    "advance",
    "at_beginning",
    "corpus_facts",
    "loss",
    "next_round",
    "state_arrays",
    "to_embeddings",
]


def at_beginning() -> State:
    """The state before training."""
    return State(0, 0, (), state_arrays(np.zeros((1, 4)), np.zeros(1, np.int64)))


def state_arrays(
    tallies: NDArray[np.float64], subsampled: NDArray[np.int64]
) -> dict[str, NDArray[Any]]:
    """`State.arrays` between two rounds, when no chunk is unfinished."""
    unfinished = np.zeros((0, 2), np.int64)
    return {"tallies": tallies, "subsampled": subsampled, "unfinished": unfinished}


def next_round(state: State, config: TrainConfig) -> Round | None:
    """The next round; None after the last one."""
    if state.epoch >= config.n_epochs:
        return None
    return Round(state.epoch, state.chunk, config.rounds or 1)


def advance(state: State, changes: Sequence[Change], config: TrainConfig, n_tokens: int) -> State:
    """The state after a round.

    Args:
        state: before it.
        changes: of all shards; their deltas are not used.
        config: resolved settings.
        n_tokens: the number of tokens in an epoch.

    Raises:
        TrainingError: an epoch is over and nothing was trained.
    """
    tallies = state.arrays["tallies"] + sum(change.sums for change in changes)
    subsampled = state.arrays["subsampled"] + sum(change.subsampled for change in changes)
    if state.chunk + 1 < (config.rounds or 1):
        return replace(state, chunk=state.chunk + 1, arrays=state_arrays(tallies, subsampled))
    epoch = _epoch(state.epoch, tallies[0].tolist(), int(subsampled[0]), n_tokens)
    return State(state.epoch + 1, 0, (*state.epochs, epoch), at_beginning().arrays)


def loss(state: State) -> float | None:
    """The mean loss of this epoch so far, or of the last epoch; None before the first round."""
    total, pairs = state.arrays["tallies"][0, :2]
    if pairs:
        return float(total / pairs)
    return state.epochs[-1].loss if state.epochs else None


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
    """A model from matrices, which are not copied, with the metadata of any model.

    Args:
        model: float32 (V, D) each.
        vocabulary: V words.
        config: resolved settings.
        state: of the run.
        facts: `corpus_facts`.
        more: further metadata.
        everything: keep the output vectors whatever the settings say.
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
    """The tally of the text for metadata, and the digest of the text if it is known.

    Args:
        tally: of all shards, counted without a vocabulary.
        vocabulary: with the counts of all shards.
        digests: of all shards, in order.
    """
    kept = int(vocabulary.counts.sum()) if vocabulary.counts is not None else 0
    facts = asdict(tally) | {"kept": kept, "oov": tally.read - tally.too_long - kept}
    return {"sha256": joint_digest(digests) if digests else None} | facts


def _epoch(number: int, sums: list[float], subsampled: int, n_tokens: int) -> Epoch:
    total, pairs, trained, alone = sums[0], int(sums[1]), int(sums[2]), int(sums[3])
    if trained + subsampled + alone != n_tokens:
        raise EmbedError(
            f"epoch {number + 1} lost tokens: {n_tokens} read, but {trained} trained + "
            f"{subsampled} subsampled + {alone} without context; please report this"
        )
    if not trained:
        raise nothing_trained(n_tokens, subsampled, alone)
    return Epoch(n_tokens, trained, subsampled, alone, pairs, total / pairs)
