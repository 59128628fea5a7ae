"""The interface between the loop over epochs (`run.py`) and what is trained in it.

A run is composed of a loop, a `Work` and perhaps a held-out text. The work says what an epoch
passes over (`Parts`), how a thread does one chunk of it (`Job`), and what is trained (`Model`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from embedcli.embeddings import Embeddings
from embedcli.errors import EmbedError, TrainingError
from embedcli.quoting import quoted
from embedcli.subwords.table import Subwords
from embedcli.text.corpus import Corpus
from embedcli.training.state import Epoch, nothing_trained
from embedcli.vocabulary import Vocabulary

__all__ = [
    "Counts",
    "Job",
    "Model",
    "Parts",
    "Step",
    "Work",
    "account_words",
    "mean_loss",
    "word_counts",
]

Matrix = NDArray[np.float32]


class Step(NamedTuple):
    """One chunk to be trained or measured.

    Attributes:
        epoch: counted from 0.
        chunk: its number among the chunks that are trained, or among those that are measured.
        position: how many of its words were done before it was left.
        lr: the learning rate at a token of the epoch.
        wants_stop: asked between two slices whether to leave it.
    """

    epoch: int
    chunk: int
    position: int
    lr: Callable[[int], float]
    wants_stop: Callable[[], bool]


# What one thread calls for each of its chunks: returns where it was left, None when it is done.
Job = Callable[[Step], int | None]


class Parts(Protocol):
    """What an epoch passes over, in chunks; measured in tokens of the text (`chunks.Chunks`)."""

    def __len__(self) -> int: ...

    def begin(self, chunk: int) -> int:
        """Where a chunk begins; of the one behind the last, the end."""
        ...

    def n_tokens(self, n_chunks: int) -> int:
        """How many tokens the first `n_chunks` hold."""
        ...


class Counts(Protocol):
    """What a thread has summed up in an epoch: losses, pairs, words (`kernels.weights.TALLY`)."""

    subsampled: int

    @property
    def tally(self) -> NDArray[np.float64]:
        """The sums, float64 (`TALLY`,)."""
        ...

    def forget(self) -> None:
        """Begin to count anew."""
        ...


class Model(Protocol):
    """The matrices that are trained.

    Attributes:
        tree_counts: of a tree that goes on (`huffman.py`), int64.
        labels: of a classifier.
    """

    tree_counts: NDArray[np.int64] | None
    labels: Vocabulary | None

    def matrices(self) -> tuple[Matrix, Matrix]:
        """Input and output vectors, float32 (V, D)."""
        ...

    def rows(self) -> tuple[Matrix, Matrix]:
        """The same, or the rows that they are made of; views."""
        ...

    def subwords(self) -> Subwords | None:
        """What the input vectors are made of, where they are made of subwords."""
        ...

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What a checkpoint has to hold beside the matrices."""
        ...

    def restore(self, saved: Embeddings, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Copy what a checkpoint holds."""
        ...


class Work(Protocol):
    """What the threads of a run do."""

    @property
    def parts(self) -> Parts:
        """What an epoch passes over."""
        ...

    @property
    def model(self) -> Model:
        """What is trained."""
        ...

    @property
    def jobs(self) -> Sequence[Job]:
        """One for each thread."""
        ...

    @property
    def counts(self) -> Sequence[Counts]:
        """What they sum up."""
        ...

    def account(self, number: int, n_chunks: int) -> Epoch:
        """What became of the first `n_chunks` chunks of an epoch.

        Raises:
            TrainingError: nothing could be trained.
        """
        ...

    def facts(self) -> dict[str, Any]:
        """What the model will say of it."""
        ...

    def release(self) -> None:
        """Let pages go that were read; called about ten times a second."""
        ...


def word_counts(corpus: Corpus) -> NDArray[np.int64]:
    """The counts of the words of a corpus, int64 (V,).

    Raises:
        TrainingError: there is only one word.
    """
    counts = corpus.vocabulary.counts
    if counts is None:
        raise ValueError("an encoded corpus has counts")
    if len(counts) < 2:
        raise TrainingError(
            f"the vocabulary is the single word {quoted(corpus.vocabulary[0])}: with no other "
            "word there is nothing to predict; lower --min-count or give more text"
        )
    return counts


def account_words(counts: Sequence[Counts], number: int, n_tokens: int) -> Epoch:
    """What became of the tokens of an epoch: each is trained, subsampled or alone in its line.

    Raises:
        TrainingError: nothing could be trained.
    """
    tally = np.asarray(sum(each.tally for each in counts))
    pairs, trained, alone = (int(value) for value in tally[1:4])
    subsampled = sum(each.subsampled for each in counts)
    if trained + subsampled + alone != n_tokens:
        raise EmbedError(
            f"epoch {number + 1} lost tokens: {n_tokens} read, but {trained} trained + "
            f"{subsampled} subsampled + {alone} without context; please report this"
        )
    if not trained:
        raise nothing_trained(n_tokens, subsampled, alone)
    return Epoch(n_tokens, trained, subsampled, alone, pairs, mean_loss(counts) or 0.0)


def mean_loss(counts: Sequence[Counts]) -> float | None:
    """The mean loss of a pair that the threads have seen; None before the first."""
    loss = sum(float(each.tally[0]) for each in counts)
    pairs = sum(float(each.tally[1]) for each in counts)
    return loss / pairs if pairs else None
