"""Merges many tables of counts into one vocabulary, exactly, in bounded memory.

Each thread counts in a table of its own, and a table that has taken its share of the memory is put
away on disk and a new one begun: each is a *subtotal*. Words are dealt into parts by a hash, so
that what all subtotals hold of one part can be added up at a time. Counts are exact whatever the
memory. What may not fit is the vocabulary itself: then its rarest words are left out, and `Merged`
says how often such a word occurred at most.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedcli.text.ranking import rank
from embedcli.text.subtotals import N_PARTS, Subtotal
from embedcli.text.words import SPARE, Words, WordTable, concatenate

__all__ = ["Limits", "Merged", "merge"]

_BINS = 1 << 12  # of the histogram of counts; the last one holds all that are higher
_EMPTY = -2  # the id of what became too long for a word
_WORD_BYTES = 64  # what a word takes beside its bytes until it is ranked


@dataclass(frozen=True, slots=True)
class Limits:
    """Which words the vocabulary takes.

    Attributes:
        min_count: those that occur at least so often,
        max_vocab: of these the most frequent, up to so many (None: all),
        memory: of these the most frequent that fit in so many bytes.
        unknown: a word that stands for all that are left out, or None to drop them. It comes beside
            the others, where its count puts it; where it is a word of the text it is that one.
    """

    min_count: int
    max_vocab: int | None
    memory: int
    unknown: bytes | None = None


@dataclass(frozen=True, slots=True)
class Merged:
    """The vocabulary, and what is known of all words.

    Attributes:
        words: in the order of their final ids.
        n_tokens: all tokens counted.
        n_kept: those that have an id.
        n_unknown: those of them whose word is not among `words` or is the unknown one.
        n_types: distinct words before any limit.
        counts: the two highest counts.
        pruned_bound: words left out for lack of memory occurred at most so often; 0: none was.
    """

    words: Words
    n_tokens: int
    n_kept: int
    n_unknown: int
    n_types: int
    counts: tuple[int, int]
    pruned_bound: int


def merge(
    subtotals: list[Subtotal],
    limits: Limits,
    given: Words | None = None,
    *,
    grows: bool = False,
) -> Merged:
    """Add the subtotals up, choose and rank the vocabulary, and set the subtotals' `ids`.

    Args:
        subtotals: all of them.
        limits: what the vocabulary takes.
        given: distinct words to use instead: as they stand, order and all, and their counts are of
            no account; or, if it `grows`, beside those that the limits take, whose counts are then
            added to theirs before all are ranked, and cut to ``limits.max_vocab``.
        grows: see `given`.
    """
    dictionary = None
    if given is not None:
        nothing = np.zeros(len(given), np.int64)
        dictionary = Subtotal(Words(given.blob, given.offsets, nothing))
    everything = subtotals if dictionary is None else [dictionary, *subtotals]
    sums = _Sums(everything)
    statistics = _CountStatistics()
    for part in range(sums.n_parts):
        statistics.add(sums.of_part(part)[0])
    floor, pruned_bound = statistics.floor(limits)
    if dictionary is not None and not grows:
        floor, pruned_bound = statistics.top_counts[0] + 1, 0

    def is_chosen(words: Words, part: int) -> NDArray[np.bool_]:
        n_given = 0 if dictionary is None else len(dictionary.part(part))
        return (np.arange(len(words)) < n_given) | (words.counts >= floor)

    words = _choose(everything, sums, is_chosen)
    ranked = words
    if given is not None and dictionary is not None and grows:
        counts = words.counts.copy()
        counts[dictionary.ids] += given.counts
        ranked = Words(words.blob, words.offsets, counts)
    if dictionary is None or grows:
        order = rank(ranked)[: limits.max_vocab]
    else:
        order = dictionary.ids.astype(np.int64)
    chosen, n_known = ranked.take(order), int(words.counts[order].sum())
    final = np.full(len(words) + 2, -1, np.int32)
    if limits.unknown is not None:
        stays = dictionary is not None and not grows
        chosen, order, n_known = _with_unknown(
            limits.unknown, ranked, words, order, statistics.n_tokens, stays=stays
        )
        # Also of words that occur often enough, and are one too many.
        final[:-2] = final[-1] = _place_of(limits.unknown, chosen)
    inside = order >= 0
    final[order[inside]] = np.flatnonzero(inside)
    for subtotal in subtotals:
        subtotal.translate(final)
    n_unknown = statistics.n_tokens - n_known if final[-1] >= 0 else 0
    return Merged(
        chosen,
        statistics.n_tokens,
        n_known + n_unknown,
        n_unknown,
        statistics.n_types,
        statistics.top_counts,
        pruned_bound,
    )


def _with_unknown(
    unknown: bytes,
    ranked: Words,
    words: Words,
    order: NDArray[np.int64],
    n_tokens: int,
    *,
    stays: bool,
) -> tuple[Words, NDArray[np.int64], int]:
    """The words in `order` and the unknown one, whose count is that of all others.

    Args:
        unknown: it.
        ranked: words with the counts that order them.
        words: the same with the counts of this text.
        order: which of them are chosen, and in what order.
        n_tokens: of the text.
        stays: the order is given, and what is not in it comes last.

    Returns:
        The words; where each stands in `ranked`, -1 for the unknown one if it is not there; and how
        many tokens the others have.
    """
    chosen = ranked.take(order)
    place = _place_of(unknown, chosen)
    counts = words.counts[order]
    n_known = int(counts.sum()) - (int(counts[place]) if place >= 0 else 0)
    n_unknown = n_tokens - n_known
    if place >= 0:
        more = n_unknown - int(counts[place])
    elif n_unknown:
        more = n_unknown
        place = len(chosen)
        chosen = concatenate([chosen, _one_word(unknown)])
        order = np.append(order, -1)
    else:
        return chosen, order, n_known
    tally = chosen.counts.copy()
    tally[place] += more
    chosen = Words(chosen.blob, chosen.offsets, tally)
    if stays:
        return chosen, order, n_known
    again = rank(chosen)
    return chosen.take(again), order[again], n_known


def _one_word(word: bytes) -> Words:
    blob = np.frombuffer(word + bytes(SPARE), np.uint8)
    return Words(blob, np.array([0, len(word)]), np.zeros(1, np.int64))


def _place_of(word: bytes, words: Words) -> int:
    """Where `word` is among distinct `words`, or -1."""
    for place in np.flatnonzero(words.lengths == len(word)).tolist():
        if words.blob[words.offsets[place] : words.offsets[place + 1]].tobytes() == word:
            return int(place)
    return -1


def _choose(
    everything: list[Subtotal],
    sums: _Sums,
    is_chosen: Callable[[Words, int], NDArray[np.bool_]],
) -> Words:
    """The chosen words of all parts; the subtotals' ids become indices into them.

    They become -1 for other words, and `_EMPTY` for what is none.
    """
    chosen: list[Words] = []
    n_chosen = 0
    for part in range(sums.n_parts):
        words, ids = sums.of_part(part)
        rows = np.flatnonzero(is_chosen(words, part) & (words.lengths > 0))
        places = np.full(len(words), -1, np.int32)
        places[words.lengths == 0] = _EMPTY
        places[rows] = np.arange(n_chosen, n_chosen + len(rows))
        for subtotal, of_subtotal in zip(everything, ids, strict=True):
            subtotal.set_ids(part, places[of_subtotal])
        chosen.append(words.take(rows))
        n_chosen += len(rows)
    for subtotal in everything:
        subtotal.let_go()
    sums.let_go()
    return chosen[0] if len(chosen) == 1 else concatenate(chosen)


class _Sums:
    """What all subtotals hold together, part by part; a single part is added up only once."""

    def __init__(self, subtotals: list[Subtotal]) -> None:
        self._subtotals = subtotals
        self.n_parts = N_PARTS if any(subtotal.is_dealt for subtotal in subtotals) else 1
        self._last: tuple[int, Words, list[NDArray[np.int32]]] | None = None
        for subtotal in subtotals:
            if self.n_parts > 1 and not subtotal.is_dealt:
                subtotal.deal()

    def of_part(self, part: int) -> tuple[Words, list[NDArray[np.int32]]]:
        """The distinct words of one part, and where each subtotal's are among them."""
        if self._last is None or self._last[0] != part:
            self._last = None
            several = [subtotal.part(part) for subtotal in self._subtotals]
            if len(several) == 1 and self._subtotals[0].distinct:
                self._last = part, several[0], [np.arange(len(several[0]), dtype=np.int32)]
            else:
                table = WordTable(max(map(len, several)))  # mostly they have the same words
                ids = [table.absorb(words) for words in several]
                self._last = part, table.words(), ids
                for subtotal in self._subtotals:
                    subtotal.release()
        return self._last[1:]

    def let_go(self) -> None:
        """Forget the last part."""
        self._last = None


class _CountStatistics:
    """What is to be known of all words before any is chosen."""

    def __init__(self) -> None:
        self.n_tokens = 0
        self.n_types = 0
        self.top_counts = (0, 0)
        self._n_words = np.zeros(_BINS, np.int64)  # by count
        self._n_bytes = np.zeros(_BINS, np.int64)

    def add(self, words: Words) -> None:
        lengths = words.lengths
        real = (lengths > 0) & (words.counts > 0)
        counts, lengths = words.counts[real], lengths[real]
        self.n_tokens += int(counts.sum())
        self.n_types += len(counts)
        top = np.partition(np.append(counts, self.top_counts), -2)[-2:]
        self.top_counts = int(top[1]), int(top[0])
        bins = np.minimum(counts, _BINS - 1)
        self._n_words += np.bincount(bins, minlength=_BINS)
        self._n_bytes += np.bincount(bins, lengths, minlength=_BINS).astype(np.int64)

    def floor(self, limits: Limits) -> tuple[int, int]:
        """The lowest count that can be in the vocabulary, and one less if memory is the reason."""
        n_words = np.cumsum(self._n_words[::-1])[::-1]  # words that occur at least so often
        n_bytes = np.cumsum(self._n_bytes[::-1])[::-1] + _WORD_BYTES * n_words
        lowest = limits.min_count
        if limits.max_vocab is not None:
            enough = np.flatnonzero(n_words >= limits.max_vocab)
            lowest = max(lowest, int(enough[-1]) if len(enough) else 0)
        fitting = int(np.argmax(n_bytes <= limits.memory)) or _BINS - 1
        if n_bytes[0] <= limits.memory or fitting <= lowest:
            return lowest, 0
        return fitting, fitting - 1
