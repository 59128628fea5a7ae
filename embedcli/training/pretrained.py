"""Pretrained vectors: the start of a run, or a model that continues on another text.

Pretrained words begin with their vectors, and with their output vectors where the file has them;
the others begin with what the subwords of the file make of them, if it has any, or else at random,
as in any run. Pretrained words can be frozen: then their input vectors stay bit for bit, while
their output vectors and all other words learn. At the end it is told how far the pretrained words
have moved: the cosine of a word's vector with the one it began with. There is nothing to align, as
the space is the same one all the time.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedcli.embeddings import Embeddings
from embedcli.errors import ConfigError, InputError
from embedcli.files.source import Source
from embedcli.formats import load
from embedcli.formats.text_rows import text_lines
from embedcli.quoting import quoted
from embedcli.settings.config import TrainConfig
from embedcli.training.huffman import grown
from embedcli.vocabulary import Vocabulary

__all__ = ["Pretrained", "load_pretrained", "match", "movement"]

_BLOCK_ROWS = 1 << 14
_MOST_MOVED = 10
_FREQUENT = 10_000  # the most moved words are told of these: what moves most is what is rare
_ALL = "all"


@dataclass(frozen=True)
class Pretrained:
    """Pretrained vectors, and which words of a run they belong to.

    Attributes:
        path: the file, for messages.
        embeddings: what is in it.
        rows: int64 (n,), rows of `embeddings`;
        words: int64 (n,), the word of the run that each of them belongs to, rising.
        frozen: bool (V,), which words of the run keep their input vectors; None: none.
        made: int64 (m,), further words of the run, which begin as their subwords say;
        spelling: those words.
    """

    path: str
    embeddings: Embeddings
    rows: NDArray[np.int64]
    words: NDArray[np.int64]
    frozen: NDArray[np.bool_] | None
    made: NDArray[np.int64]
    spelling: Sequence[str]

    def copy_to(self, syn0: NDArray[np.float32], syn1neg: NDArray[np.float32] | None) -> None:
        """Put the pretrained vectors into the matrices of a run, float32 (V, D).

        Without `syn1neg`, the output vectors are left.
        """
        for first in range(0, len(self.rows), _BLOCK_ROWS):
            rows, words = (a[first : first + _BLOCK_ROWS] for a in (self.rows, self.words))
            syn0[words] = self.embeddings.vectors[rows]
        if syn1neg is not None:
            self.copy_outputs_to(syn1neg)
        for first in range(0, len(self.made), _BLOCK_ROWS):
            part = slice(first, first + _BLOCK_ROWS)
            syn0[self.made[part]] = self.embeddings.from_subwords(self.spelling[part])[0]

    def copy_outputs_to(self, syn1neg: NDArray[np.float32]) -> None:
        """Put the pretrained output vectors, if any, into those of a run, float32 (V, D)."""
        output = self.embeddings.output_vectors
        if output is None:
            return
        for first in range(0, len(self.rows), _BLOCK_ROWS):
            rows, words = (a[first : first + _BLOCK_ROWS] for a in (self.rows, self.words))
            syn1neg[words] = output[rows]

    def tree_counts(self, counts: NDArray[np.int64]) -> NDArray[np.int64] | None:
        """Those of the pretrained tree with the new words of the run (`huffman.py`).

        None where there is none, or some of its words do not go on.

        Args:
            counts: int64 (V,), of the words of the run.
        """
        before = self.embeddings.tree_counts
        if before is None:
            before = self.embeddings.vocabulary.counts
        if before is None or self.embeddings.output_vectors is None:
            return None
        return grown(before, self.rows, self.words, counts)

    def copy_nodes_to(self, syn1: NDArray[np.float32]) -> None:
        """Put the nodes of the pretrained tree into those of the larger one, float32 (V, D)."""
        n_nodes, output = len(self.embeddings) - 1, self.embeddings.output_vectors
        if output is not None:
            syn1[:n_nodes] = output[:n_nodes]

    def copy_parts_to(self, rows: NDArray[np.float32], ids: NDArray[np.int32]) -> None:
        """Put the pretrained rows of words and of their parts into those of a run.

        Args:
            rows: float32 (V + U, D), the words' own rows, then those of parts.
            ids: int32 (U,), the parts.
        """
        subwords = self.embeddings.subwords
        if subwords is None:
            return
        rows[self.words] = subwords.word_rows[self.rows]
        places = subwords.places(ids)
        parts = rows[len(rows) - len(ids) :]
        for first in range(0, len(ids), _BLOCK_ROWS):
            found = first + np.flatnonzero(places[first : first + _BLOCK_ROWS] >= 0)
            parts[found] = subwords.rows[places[found]]

    def facts(self, vocabulary: Vocabulary) -> dict[str, Any]:
        """What the model says of it: how much of the file and of the text it covers."""
        counts = vocabulary.counts
        covered = 0 if counts is None else int(counts[self.words].sum())
        return {
            "file": self.path,
            "words": len(self.embeddings),
            "found": len(self.words),
            "by_subwords": len(self.made),
            "share_of_tokens": covered / max(1, 0 if counts is None else int(counts.sum())),
            "output_vectors": self.embeddings.output_vectors is not None,
            "frozen": 0 if self.frozen is None else int(self.frozen.sum()),
        }


def load_pretrained(config: TrainConfig, pretrained: Embeddings | None = None) -> Embeddings | None:
    """The vectors that `config` begins with; None if it begins with none.

    Args:
        config: names their file.
        pretrained: what is in it, where it has been read already.

    Raises:
        ConfigError: they have another dimension than ``config.dim``.
        InputError: the file cannot be read, is no file of vectors, or holds what is not finite.
    """
    path = config.init or config.continue_from
    if path is None:
        return None
    embeddings = load(path) if pretrained is None else pretrained
    if embeddings.dim != config.dim:
        raise ConfigError(
            f"{path} has {embeddings.dim} dimensions, but dim is {config.dim}: give --dim "
            f"{embeddings.dim}, or make it smaller with embed export --dim"
        )
    if config.continue_from and embeddings.subwords is not None and config.subword is None:
        warnings.warn(
            f"{path} has {embeddings.subwords.units}, whose rows are left behind: words stay whole",
            stacklevel=2,
        )
    goes_on = bool(config.continue_from) and config.loss == "hs"  # with a tree
    if embeddings.outputs_are_nodes != goes_on:
        return replace(embeddings, output_vectors=None)  # of a tree's nodes, or of words
    return embeddings


def match(config: TrainConfig, embeddings: Embeddings, vocabulary: Vocabulary) -> Pretrained:
    """Find the words of a run among the pretrained ones, and which are frozen.

    Raises:
        InputError: none of the words is among them, one of their vectors is not finite, or the file
            of ``config.freeze`` cannot be read or names none of them.
    """
    path = str(config.init or config.continue_from)
    found = embeddings.vocabulary.find(vocabulary.words)
    words = np.array([i for i, row in enumerate(found) if row is not None], np.int64)
    rows = np.array([row for row in found if row is not None], np.int64)
    if not len(words):
        raise InputError(
            f"{path}: none of its {len(embeddings):,} words is among the {len(vocabulary):,} of "
            "the text; is one of them in lower case and the other not?"
        )
    for first in range(0, len(rows), _BLOCK_ROWS):
        block = embeddings.vectors[rows[first : first + _BLOCK_ROWS]]
        if not np.isfinite(block).all():
            row = first + int(np.argmin(np.isfinite(block).all(axis=1)))
            raise InputError(
                f"{path}: the vector of {quoted(vocabulary[words[row]])} is not finite"
            )
    if config.loss == "hs" and len(words) < len(embeddings):
        embeddings = replace(
            embeddings, output_vectors=None
        )  # of a tree of words that are left out
    frozen = _frozen(config.freeze, vocabulary, words)
    made = _made(embeddings, vocabulary, [i for i, row in enumerate(found) if row is None])
    spelling = [vocabulary[i] for i in made.tolist()]
    return Pretrained(path, embeddings, rows, words, frozen, made, spelling)


def _made(
    embeddings: Embeddings, vocabulary: Vocabulary, others: Sequence[int]
) -> NDArray[np.int64]:
    """Which of these words have a vector by their subwords; int64."""
    if embeddings.subwords is None:
        return np.zeros(0, np.int64)
    known = [
        embeddings.from_subwords([vocabulary[i] for i in others[first : first + _BLOCK_ROWS]])[1]
        for first in range(0, len(others), _BLOCK_ROWS)
    ]
    return np.array(others, np.int64)[np.concatenate(known)] if known else np.zeros(0, np.int64)


def _frozen(
    freeze: str | None, vocabulary: Vocabulary, words: NDArray[np.int64]
) -> NDArray[np.bool_] | None:
    if freeze is None:
        return None
    marks = np.zeros(len(vocabulary), np.bool_)
    if freeze == _ALL:
        marks[words] = True
        return marks
    listed = [i for i in vocabulary.find(_listed(freeze)) if i is not None]
    marks[np.intersect1d(listed, words).astype(np.int64)] = True
    if not marks.any():
        raise InputError(f"{freeze}: none of its words is among the {len(words):,} given ones")
    return marks


def _listed(path: str) -> Sequence[str]:
    """The first word of every line."""
    words = []
    with Source(path) as source:
        for lines in text_lines(source):
            words += [line.split()[0].decode("utf-8", "replace") for line in lines if line.split()]
    return words


def movement(
    pretrained: Pretrained, vectors: NDArray[np.float32], vocabulary: Vocabulary
) -> Mapping[str, Any]:
    """How far the pretrained words are from where they began; plain values of JSON.

    Args:
        pretrained: where they began.
        vectors: float32 (V, D), where they are.
        vocabulary: the V words of the run.

    Returns:
        ``words`` that moved at all, and of these: ``cosine``, the 10th, 50th and 90th percentile of
        the cosines with where they began; ``most``, the words among the 10,000 most frequent that
        moved most, each with its cosine.
    """
    cosines = np.ones(len(pretrained.words))
    moved = np.zeros(len(pretrained.words), np.bool_)
    for first in range(0, len(pretrained.rows), _BLOCK_ROWS):
        part = slice(first, first + _BLOCK_ROWS)
        before = pretrained.embeddings.vectors[pretrained.rows[part]].astype(np.float64)
        after = vectors[pretrained.words[part]].astype(np.float64)
        moved[part] = (before != after).any(axis=1)
        norms = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
        dots = np.einsum("ij,ij->i", before, after)
        cosines[part] = np.divide(dots, norms, out=np.zeros_like(dots), where=norms > 0)
    if not moved.any():
        return {"words": 0}
    low, middle, high = np.percentile(cosines[moved], (10, 50, 90)).tolist()
    frequent = np.flatnonzero(moved & (pretrained.words < _FREQUENT))
    most = frequent[np.argsort(cosines[frequent], kind="stable")][:_MOST_MOVED]
    return {
        "words": int(moved.sum()),
        "cosine": {"p10": low, "p50": middle, "p90": high},
        "most": [[vocabulary[int(pretrained.words[i])], float(cosines[i])] for i in most],
    }
