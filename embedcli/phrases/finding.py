"""A text as ids, and the phrases in it: found, joined, found again with the joined ones as words.

Pairs are counted exactly in bounded memory: each thread counts those that hash to its part of them,
part after part, so that nothing has to be merged; the more text, the more parts.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from embedcli.errors import ResourceError
from embedcli.kernels import phrases as kernels
from embedcli.phrases.linking import Linked, Tree, link, marked, table
from embedcli.phrases.scores import PairCounts, score_pairs
from embedcli.text.corpus import Corpus
from embedcli.text.ordered_pool import OrderedPool
from embedcli.vocabulary import Vocabulary

__all__ = ["Phrase", "PhraseRules", "PhraseText"]

TABLE_BYTES = 1 << 28  # of the tables of all threads
_PAIR_BYTES = 16
FIRST_SLOTS = 1 << 18
_OF_A_PAIR = 2  # words
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
        connectors: words that may stand inside of a phrase, and neither begin nor end one.
        kept_out: words that are in no phrase, and phrases, by their words or as joined.
    """

    score: str
    threshold: float
    min_count: int = 5
    delimiter: str = "_"
    connectors: frozenset[str] = frozenset()
    kept_out: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Phrase:
    """A pair of words that is a phrase.

    Attributes:
        first, second: the words.
        joined: the word it becomes.
        count, score: in the pass that found it.
        between: connectors between its words.
    """

    first: str
    second: str
    joined: str
    count: int
    score: float
    between: tuple[str, ...] = ()

    @property
    def parts(self) -> tuple[str, ...]:
        """All its words."""
        return self.first, *self.between, self.second

    def is_among(self, kept_out: frozenset[str]) -> bool:
        """Whether it, or a word of it, is."""
        return not kept_out.isdisjoint((*self.parts, self.joined, " ".join(self.parts)))


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
        connects = marked(self.vocabulary, rules.connectors)
        linked = link(self.ids, self.offsets, connects)
        n_connectors = int(word_counts[connects == 1].sum())
        word_counts[connects == 1] = 0
        # Only gensim's score asks how many pairs there are; no part of a frequent pair is rare.
        least = 0 if rules.score == "gensim" else rules.min_count
        wanted = (word_counts >= least).astype(np.uint8)
        pairs = self._count(linked, np.concatenate([wanted, wanted[linked.tree.words]]), rules)
        pairs = replace(pairs, n_connectors=n_connectors)
        scores = score_pairs(rules.score, pairs, word_counts, rules.min_count)
        found = np.flatnonzero(scores > rules.threshold)
        found = found[np.lexsort((pairs.second[found], pairs.first[found], -scores[found]))]
        columns = (pairs.first, pairs.second, pairs.counts, scores)
        rows = zip(*(column[found].tolist() for column in columns), strict=True)
        phrases = (self._phrase(linked.tree, rules, *row) for row in rows)
        return [phrase for phrase in phrases if not phrase.is_among(rules.kept_out)]

    def join(self, phrases: Sequence[Phrase]) -> None:
        """Make each phrase a word wherever it stands, from left to right."""
        places = [self.vocabulary.find(phrase.parts) for phrase in phrases]
        there = [
            (phrase, [place for place in parts if place is not None])
            for phrase, parts in zip(phrases, places, strict=True)
            if None not in parts
        ]
        if not there:
            return
        ids = self._add([phrase.joined for phrase, _ in there])
        connects = np.zeros(len(self.vocabulary), np.uint8)
        for _, (_, *between, _) in there:
            connects[between] = 1
        tree: dict[tuple[int, int], int] = {}
        seconds = [self._branch(tree, parts) for _, parts in there]
        begins = np.zeros(len(self.vocabulary), np.uint8)
        begins[[first for _, (first, *_) in there]] = 1
        begins[connects == 1] = 0
        firsts = [first for _, (first, *_) in there]
        slots = _table_of(zip(firsts, seconds, strict=True), ids + 1)
        branches = _table_of(tree, np.array(list(tree.values()), np.int64))
        offsets = np.empty_like(self.offsets)
        text = self.ids, self.offsets
        n = kernels.join_pairs(*text, connects, branches, begins, slots, self.ids, offsets)
        self.ids, self.offsets = self.ids[:n], offsets

    def _phrase(
        self, tree: Tree, rules: PhraseRules, first: int, second: int, count: int, score: float
    ) -> Phrase:
        *between, last = map(self.vocabulary.__getitem__, tree.path(second))
        begin = self.vocabulary[first]
        joined = rules.delimiter.join((begin, *between, last))
        return Phrase(begin, last, joined, count, score, tuple(between))

    def _branch(self, tree: dict[tuple[int, int], int], parts: Sequence[int]) -> int:
        """What the last of `parts` is to the first: itself, or a node of `tree`, made if new."""
        if len(parts) == _OF_A_PAIR:
            return parts[1]
        node = kernels.ROOT
        for part in parts[1:]:
            node = tree.setdefault((node, part), len(self.vocabulary) + len(tree))
        return node

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

    def _count(self, linked: Linked, wanted: NDArray[np.uint8], rules: PhraseRules) -> PairCounts:
        """Count the neighbours that are both `wanted`; the pairs that occur often enough."""
        rounds = -(-len(linked.firsts) * _PAIR_BYTES // TABLE_BYTES)
        n_parts = max(1, rounds) * self._threads
        waiting = list(range(n_parts))
        found: list[tuple[NDArray[np.uint64], NDArray[np.int64]]] = []
        distinct: list[int] = []
        lock = threading.Lock()

        def count_parts(pool: OrderedPool) -> None:
            while not pool.stopped:
                with lock:
                    part = waiting.pop() if waiting else None
                if part is None:
                    break
                keys, counts = _count_part(linked, wanted, part, n_parts, pool)
                often = counts >= max(1, rules.min_count)
                with lock:
                    distinct.append(int(np.count_nonzero(counts)))
                    found.append((keys[often], counts[often]))

        pool = OrderedPool(lambda: None)
        pool.run([partial(count_parts, pool)] * self._threads, lambda: None)
        keys = np.concatenate([keys for keys, _ in found])
        counts = np.concatenate([counts for _, counts in found])
        order = np.argsort(keys)
        first, second = np.divmod(keys[order].astype(np.int64), 1 << 32)
        last = second.copy()
        is_node = second >= linked.tree.n_words
        last[is_node] = linked.tree.words[second[is_node] - linked.tree.n_words]
        return PairCounts(first, second, counts[order], sum(distinct), last)


def _count_part(
    linked: Linked, wanted: NDArray[np.uint8], part: int, n_parts: int, pool: OrderedPool
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    slots = table(FIRST_SLOTS)
    state = np.zeros(3, np.int64)
    text = linked.firsts, linked.seconds, linked.offsets, wanted, part, n_parts
    while not kernels.count_pairs(*text, slots, state) and not pool.stopped:
        larger = table(len(slots))
        kernels.insert_pairs(slots, larger)
        slots = larger
    return slots[0::2], slots[1::2].astype(np.int64)


def _table_of(pairs: Iterable[tuple[int, int]], values: NDArray[np.int64]) -> NDArray[np.uint64]:
    """A table of distinct pairs and their values."""
    columns = np.array(list(pairs), np.uint64).reshape(-1, 2)
    columns[:, 0] = columns[:, 0] << np.uint64(32) | columns[:, 1]
    columns[:, 1] = values
    slots = table(1 << (4 * len(columns)).bit_length())
    kernels.insert_pairs(columns.ravel(), slots)
    return slots
