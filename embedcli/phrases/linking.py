"""Connector words: they may stand inside a phrase, not at its ends (`bank of england`).

As in gensim, a word is a neighbour of the next one that is no connector, whatever connectors stand
between them: ``bank`` of ``england`` by way of ``of``. So a text becomes two, without connectors:
the words, and what each is to the word before it: itself, or, behind connectors, a node of a tree
whose branches are these connectors and the word. Pairs are then counted as in any text.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embedcli.errors import FormatError, UsageError
from embedcli.files.scratch import ScratchFile
from embedcli.kernels import phrases as kernels
from embedcli.vocabulary import Vocabulary

__all__ = ["ENGLISH", "Linked", "Tree", "link", "marked", "read_words", "table"]

# Articles, conjunctions and prepositions: those of gensim's ENGLISH_CONNECTOR_WORDS.
ENGLISH = frozenset(re.findall(r"\w+", "a an and at by for from in of on or the to with without"))
FIRST_SLOTS = 1 << 12
IDS_AT_ONCE = 1 << 20  # of lines that are linked together
_ID = 4  # bytes

Ids = NDArray[np.int32]


@dataclass(frozen=True)
class Tree:
    """Connectors, and the words behind them.

    Attributes:
        n_words: V; nodes have the ids from V on.
        parents: int64 (n,), the node before each, or `kernels.ROOT`.
        words: int64 (n,), the word of each.
    """

    n_words: int
    parents: NDArray[np.int64]
    words: NDArray[np.int64]

    def path(self, node: int) -> list[int]:
        """The words from the root to a node; an id below V is a word by itself."""
        path: list[int] = []
        while node >= self.n_words and node != kernels.ROOT:
            path.append(int(self.words[node - self.n_words]))
            node = int(self.parents[node - self.n_words])
        return path[::-1] or [node]


@dataclass(frozen=True)
class Linked:
    """A text whose words are neighbours by way of connectors.

    Attributes:
        firsts: int32 (M,), its words, without connectors.
        seconds: int32 (M,), each as the neighbour of the one before it: a word or a node.
        offsets: int64 (S + 1,), the lines.
        tree: what the nodes are.
    """

    firsts: Ids
    seconds: Ids
    offsets: NDArray[np.int64]
    tree: Tree


def table(n_slots: int) -> NDArray[np.uint64]:
    """An empty table of `n_slots`, a power of two."""
    return np.zeros(2 * n_slots, np.uint64)


def marked(vocabulary: Vocabulary, words: Collection[str]) -> NDArray[np.uint8]:
    """Which words of a vocabulary are among `words`, uint8 (V,)."""
    marks = np.zeros(len(vocabulary), np.uint8)
    marks[[place for place in vocabulary.find(sorted(words)) if place is not None]] = 1
    return marks


def link(ids: Ids, offsets: NDArray[np.int64], connects: NDArray[np.uint8]) -> Linked:
    """Link the words of a text.

    Args:
        ids: int32 (N,).
        offsets: int64 (S + 1,), the lines.
        connects: uint8 (V,), which words are connectors.
    """
    n_words = len(connects)
    tree, state = table(FIRST_SLOTS), np.zeros(3, np.int64)
    if not connects.any():
        return Linked(ids, ids, offsets, _tree(tree, n_words, 0))
    ends = [np.zeros(1, np.int64)]
    begin = n = 0
    with ScratchFile(None) as firsts, ScratchFile(None) as seconds:
        while begin < len(offsets) - 1:
            limit = offsets[begin] + IDS_AT_ONCE
            end = max(begin + 1, int(np.searchsorted(offsets, limit, side="right")) - 1)
            lines = offsets[begin : end + 1]
            first, second = (np.empty(lines[-1] - lines[0], np.int32) for _ in range(2))
            new_lines = np.empty(len(lines), np.int64)
            state[:2] = 0
            out = first, second, new_lines
            while not kernels.link_words(ids, lines, connects, tree, state, *out):
                larger = table(len(tree))
                kernels.insert_pairs(tree, larger)
                tree = larger
            n_new = int(new_lines[-1])
            firsts.write(first[:n_new], n * _ID)
            seconds.write(second[:n_new], n * _ID)
            ends.append(new_lines[1:] + n)
            n += n_new
            begin = end
        first, second = (file.map(np.int32, n)[0] for file in (firsts, seconds))
        return Linked(first, second, np.concatenate(ends), _tree(tree, n_words, int(state[2])))


def _tree(slots: NDArray[np.uint64], n_words: int, n_nodes: int) -> Tree:
    keys, values = slots[0::2], slots[1::2].astype(np.int64)
    taken = np.flatnonzero(values)
    parents, words = np.empty(n_nodes, np.int64), np.empty(n_nodes, np.int64)
    nodes = values[taken] - n_words
    parents[nodes], words[nodes] = np.divmod(keys[taken].astype(np.int64), 1 << 32)
    return Tree(n_words, parents, words)


def read_words(path: str) -> list[str]:
    """The lines of a file that are not blank: words, or phrases.

    Raises:
        FormatError: it cannot be read, or is not UTF-8.
        UsageError: there is nothing in it.
    """
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise FormatError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise FormatError(f"{path}: byte {error.start} is not UTF-8") from error
    words = [" ".join(line.split()) for line in text.split("\n") if line.strip()]
    if not words:
        raise UsageError(f"{path} holds no words; give one a line")
    return words
