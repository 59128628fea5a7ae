"""Lines of items, cut before the last one: what is known, and what is to be predicted.

The last item of a line is the answer, the items before it are the history, in their order. Where
lines have no order, as baskets have none, they are put into a random one first. Lines of one item
ask nothing; lines whose answer stands in their own history would ask for what is left out of
every ranking, and are counted and left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedcli.errors import CorpusError
from embedcli.settings.text_rules import TextRules
from embedcli.text.corpus_reader import encode_corpus
from embedcli.vocabulary import Vocabulary

__all__ = ["Histories", "Lines", "cut_last", "distinct", "read_lines", "shuffled", "without_last"]


@dataclass(frozen=True)
class Lines:
    """Lines of items.

    Attributes:
        vocabulary: the N distinct items of the file.
        ids: int32 (n_tokens,), the lines one after the other.
        offsets: int64 (n_lines + 1,), line l is ``ids[offsets[l]:offsets[l + 1]]``; none is empty.
        digest: sha256 of the file's text.
    """

    vocabulary: Vocabulary
    ids: NDArray[np.int32]
    offsets: NDArray[np.int64]
    digest: str


@dataclass(frozen=True)
class Histories:
    """What is known and what is asked.

    Attributes:
        known: the histories, as lines.
        answers: int32 (n,), the item that followed each history.
        short: lines left out because they are one item.
        repeated: lines left out because the last item is in them before.
    """

    known: Lines
    answers: NDArray[np.int32]
    short: int
    repeated: int


def read_lines(path: str, rules: TextRules) -> Lines:
    """Read a file of lines of items by the rules of a corpus.

    Raises:
        CorpusError: it cannot be read, or there are not two items in it.
    """
    with encode_corpus([path], rules=rules, min_count=1) as corpus:
        if corpus.tally.pruned_bound:
            raise CorpusError(f"{path} has more different items than fit in memory")
        return Lines(
            corpus.vocabulary, np.array(corpus.ids), np.array(corpus.offsets), corpus.digest
        )


def without_last(lines: Lines) -> Lines:
    """The lines without their last item; those of one item as they are."""
    lengths = np.diff(lines.offsets)
    kept = np.ones(len(lines.ids), np.bool_)
    kept[lines.offsets[1:][lengths > 1] - 1] = False
    offsets = np.concatenate([[0], np.cumsum(lengths - (lengths > 1))])
    return Lines(lines.vocabulary, lines.ids[kept], offsets, lines.digest)


def cut_last(lines: Lines) -> Histories:
    """Cut every line before its last item."""
    lengths = np.diff(lines.offsets)
    last = lines.ids[lines.offsets[1:] - 1]
    owner = np.repeat(np.arange(len(lengths)), lengths)
    is_last = np.zeros(len(lines.ids), np.bool_)
    is_last[lines.offsets[1:] - 1] = True
    repeats = np.zeros(len(lengths), np.bool_)
    repeats[owner[(lines.ids == last[owner]) & ~is_last]] = True
    asked = (lengths > 1) & ~repeats
    offsets = np.concatenate([[0], np.cumsum(lengths[asked] - 1)])
    known = Lines(lines.vocabulary, lines.ids[asked[owner] & ~is_last], offsets, lines.digest)
    return Histories(known, last[asked], int((lengths == 1).sum()), int(repeats.sum()))


def shuffled(lines: Lines, seed: int) -> Lines:
    """The lines, each in a random order that `seed` decides."""
    owner = np.repeat(np.arange(len(lines.offsets) - 1), np.diff(lines.offsets))
    order = np.lexsort([np.random.default_rng(seed).random(len(owner)), owner])
    return Lines(lines.vocabulary, lines.ids[order], lines.offsets, lines.digest)


def distinct(lines: Lines) -> Lines:
    """The lines with every item once, in the order of ids."""
    owner = np.repeat(np.arange(len(lines.offsets) - 1), np.diff(lines.offsets))
    n_items = len(lines.vocabulary)
    keys = owner * n_items + lines.ids
    keys = np.unique(keys)
    _, lengths = np.unique(keys // n_items, return_counts=True)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return Lines(lines.vocabulary, (keys % n_items).astype(np.int32), offsets, lines.digest)
