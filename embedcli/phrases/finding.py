"""A text as ids, and the phrases in it: found, joined, found again with the joined ones as words.

Pairs are counted exactly in bounded memory: each thread counts those that hash to its part of them,
part after part, so that nothing has to be merged; the more text, the more parts.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from embedcli.corpus import Corpus
from embedcli.errors import ResourceError
from embedcli.kernels import phrases as kernels
from embedcli.phrases.scores import PairCounts, score_pairs
from embedcli.text.crew import Crew
from embedcli.vocabulary import Vocabulary

__all__ = ["Phrase", "PhraseRules", "PhraseText"]

_TABLE_BYTES = 1 << 28  # of the tables of all threads
_PAIR_BYTES = 16
_FIRST_SLOTS = 1 << 18
_WRITTEN_IDS = 1 << 20
_SPARE = 8  # bytes that kernels may touch behind an array


@dataclass(frozen=True)
class PhraseRules:
    """What makes a phrase.

    Attributes:
        score: one of `scores.SCORES`.
        threshold: scores above it make a phrase.
        min_count: a phrase occurs at least so often.
        delimiter: what joins its words.
    """

    score: str
    threshold: float
    min_count: int = 5
    delimiter: str = "_"


@dataclass(frozen=True)
class Phrase:
    """A pair of words that is a phrase.

    Attributes:
        first, second: the words.
        joined: the word it becomes.
        count, score: in the pass that found it.
    """

    first: str
    second: str
    joined: str
    count: int
    score: float


class PhraseText:
    """A text in which phrases become words of their own.

    Args:
        corpus: the text; every word of it is in its vocabulary. Its ids are overwritten.
        threads: how many threads count.

    Attributes:
        vocabulary: all words, those that phrases became at the end.
        ids: int32 (N,). offsets: int64 (S + 1,), the lines.
    """

    def __init__(self, corpus: Corpus, *, threads: int = 1) -> None:
        if corpus.tally.pruned_bound:
            raise ResourceError(
                f"the text has more different words than fit in memory: words that occur up to "
                f"{corpus.tally.pruned_bound} times would be lost"
            )
        self.vocabulary = corpus.vocabulary
        self.ids = corpus.ids
        self.offsets = corpus.offsets
        self._threads = threads

    def find(self, rules: PhraseRules) -> list[Phrase]:
        """The phrases among neighbours as the text stands, the highest score first."""
        word_counts = np.zeros(len(self.vocabulary), np.int64)
        kernels.count_words(self.ids, word_counts)
        # Only gensim's score asks how many pairs there are; no part of a frequent pair is rare.
        least = 0 if rules.score == "gensim" else rules.min_count
        pairs = self._count((word_counts >= least).astype(np.uint8), rules.min_count)
        scores = score_pairs(rules.score, pairs, word_counts, rules.min_count)
        found = np.flatnonzero(scores > rules.threshold)
        found = found[np.lexsort((pairs.second[found], pairs.first[found], -scores[found]))]
        columns = (pairs.first, pairs.second, pairs.counts, scores)
        rows = zip(*(column[found].tolist() for column in columns), strict=True)
        word = self.vocabulary.__getitem__
        named = ((word(a), word(b), count, score) for a, b, count, score in rows)
        return [
            Phrase(a, b, f"{a}{rules.delimiter}{b}", count, score) for a, b, count, score in named
        ]

    def join(self, phrases: Sequence[Phrase]) -> None:
        """Make each phrase a word wherever it stands, from left to right."""
        first = self.vocabulary.find([phrase.first for phrase in phrases])
        second = self.vocabulary.find([phrase.second for phrase in phrases])
        there = [
            (phrase, a, b)
            for phrase, a, b in zip(phrases, first, second, strict=True)
            if a is not None and b is not None
        ]
        if not there:
            return
        ids = self._add([phrase.joined for phrase, _, _ in there])
        pairs = np.array([(a, b) for _, a, b in there], np.uint64)
        begins = np.zeros(len(self.vocabulary), np.uint8)
        begins[pairs[:, 0]] = 1
        pairs[:, 0] = pairs[:, 0] << np.uint64(32) | pairs[:, 1]
        pairs[:, 1] = ids + 1
        slots = _empty_table(1 << (4 * len(pairs) - 1).bit_length())
        kernels.insert_pairs(pairs.ravel(), slots)
        offsets = np.empty_like(self.offsets)
        n = kernels.join_pairs(self.ids, self.offsets, begins, slots, self.ids, offsets)
        self.ids, self.offsets = self.ids[:n], offsets

    def write(self) -> Iterator[memoryview]:
        """The text again, some lines at a time; a view is good until the next is asked for."""
        words = np.concatenate([self.vocabulary.blob, np.zeros(_SPARE, np.uint8)])
        ends = self.vocabulary.offsets
        lengths = np.diff(ends)
        out = np.empty(0, np.uint8)
        first = 0
        while first < len(self.offsets) - 1:
            limit = self.offsets[first] + _WRITTEN_IDS
            last = max(first + 1, int(np.searchsorted(self.offsets, limit, side="right")) - 1)
            offsets = self.offsets[first : last + 1]
            ids = self.ids[offsets[0] : offsets[-1]]
            n_bytes = int(lengths[ids].sum()) + len(ids)
            if n_bytes + _SPARE > len(out):
                out = np.empty(n_bytes + _SPARE, np.uint8)
            n = kernels.write_text(ids, offsets - offsets[0], words, ends, out)
            yield out[:n].data
            first = last

    def _add(self, words: Sequence[str]) -> NDArray[np.int64]:
        """The ids of `words`, int64, those that are new being added to the vocabulary."""
        found = self.vocabulary.find(words)
        old = self.vocabulary
        unknown = dict.fromkeys(w for w, i in zip(words, found, strict=True) if i is None)
        new = {word: place for place, word in enumerate(unknown, len(old))}
        more = Vocabulary.from_words(new)
        blob = np.concatenate([old.blob[: old.offsets[-1]], more.blob])
        offsets = np.concatenate([old.offsets, old.offsets[-1] + more.offsets[1:]])
        self.vocabulary = Vocabulary(blob, offsets)
        ids = [new[word] if i is None else i for word, i in zip(words, found, strict=True)]
        return np.array(ids, np.int64)

    def _count(self, wanted: NDArray[np.uint8], min_count: int) -> PairCounts:
        """Count the neighbours that are both `wanted`; the pairs that occur `min_count` times."""
        rounds = -(-len(self.ids) * _PAIR_BYTES // _TABLE_BYTES)
        n_parts = max(1, rounds) * self._threads
        waiting = list(range(n_parts))
        found: list[tuple[NDArray[np.uint64], NDArray[np.int64]]] = []
        distinct: list[int] = []
        lock = threading.Lock()

        def count_parts(crew: Crew) -> None:
            while not crew.stopped:
                with lock:
                    part = waiting.pop() if waiting else None
                if part is None:
                    break
                keys, counts = self._count_part(wanted, part, n_parts, crew)
                often = counts >= max(1, min_count)
                with lock:
                    distinct.append(int(np.count_nonzero(counts)))
                    found.append((keys[often], counts[often]))

        crew = Crew(lambda: None)
        crew.run([partial(count_parts, crew)] * self._threads, lambda: None)
        keys = np.concatenate([keys for keys, _ in found])
        counts = np.concatenate([counts for _, counts in found])
        order = np.argsort(keys)
        first, second = np.divmod(keys[order].astype(np.int64), 1 << 32)
        return PairCounts(first, second, counts[order], sum(distinct))

    def _count_part(
        self, wanted: NDArray[np.uint8], part: int, n_parts: int, crew: Crew
    ) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        slots = _empty_table(_FIRST_SLOTS)
        state = np.zeros(3, np.int64)
        text = self.ids, self.offsets, wanted, part, n_parts
        while not kernels.count_pairs(*text, slots, state) and not crew.stopped:
            larger = _empty_table(len(slots))
            kernels.insert_pairs(slots, larger)
            slots = larger
        return slots[0::2], slots[1::2].astype(np.int64)


def _empty_table(n_slots: int) -> NDArray[np.uint64]:
    return np.zeros(2 * n_slots, np.uint64)
