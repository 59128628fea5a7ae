"""Counting on several machines: the words of each shard, their sums, and the vocabulary.

Counts are exact and ranked by the same code as on one machine. A word that is rare in every shard
may be frequent in the text, so no word is dropped before all counts are added up. The distinct
words of a very large text may not fit in one machine. So a table can be split by a hash of the
words, and each part added up on another machine (`Table.part`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields

import numpy as np

from embedcli.cluster.shards import Shard
from embedcli.errors import CorpusError, FormatError, ResourceError
from embedcli.files.memory import memory_size
from embedcli.settings.config import TrainConfig
from embedcli.text.corpus import Tally
from embedcli.text.corpus_reader import count_corpus
from embedcli.text.merging import Limits, Merged, merge
from embedcli.text.subtotals import Subtotal, parts_of
from embedcli.text.words import SPARE, Words
from embedcli.vocabulary import LARGEST_SUM, Vocabulary

__all__ = ["N_PARTS", "Table", "add_tables", "choose", "count", "sum_tallies", "vocabulary_of"]

N_PARTS = 64


@dataclass(frozen=True)
class Table:
    """Distinct words, their counts, and the tally of the text.

    Attributes:
        words: with counts, in the order of a vocabulary.
        tally: of the text; a part of a table has the tally of the whole table.
    """

    words: Vocabulary
    tally: Tally

    def part(self, number: int, n_parts: int) -> Table:
        """The words that a hash puts in part `number` of `n_parts`, a divisor of `N_PARTS`."""
        words = _as_words(self.words)
        chosen = np.flatnonzero(parts_of(words) % n_parts == number)
        return Table(_as_vocabulary(words.take(chosen)), self.tally)


def count(shard: Shard, config: TrainConfig) -> Table:
    """Count all words of a shard.

    Raises:
        CorpusError: it cannot be read, or is not text; the message names the file.
        ResourceError: its distinct words do not fit in the memory of this machine.
    """
    words, tally = count_corpus(
        shard.spans, rules=config, min_count=1, is_part=True, threads=config.threads or 1
    )
    if tally.pruned_bound:
        raise ResourceError(
            f"the distinct words of {shard} do not fit in the memory of the machine that counts "
            "them: cut the text into more shards (--shards)"
        )
    return Table(words, tally)


def add_tables(tables: Sequence[Table]) -> Table:
    """The sum of tables of different shards."""
    return _chosen(tables, Limits(1, None, memory_size()))


def choose(tables: Sequence[Table], config: TrainConfig) -> Table:
    """The words of a sum of tables, or of one part of it, that can be in the vocabulary.

    If there are none: the two most frequent words, which `vocabulary_of` needs for its message.
    """
    found = _chosen(tables, Limits(config.min_count, config.max_vocab, memory_size()))
    return found if len(found.words) else _chosen(tables, Limits(1, 2, memory_size()))


def vocabulary_of(tables: Sequence[Table], config: TrainConfig) -> Vocabulary:
    """The vocabulary, from the sum of all tables or from all parts of the sum.

    Raises:
        CorpusError: no word occurs often enough.
        ResourceError: it does not fit in memory.
    """
    limits = Limits(config.min_count, config.max_vocab, memory_size() // 4)
    merged = _merged(tables, limits)
    if merged.pruned_bound:
        raise ResourceError(
            f"the vocabulary does not fit in memory: give a --min-count above "
            f"{merged.pruned_bound}, or --max-vocab"
        )
    if not len(merged.words):
        first, second = merged.counts
        raise CorpusError(
            f"no word of the text occurs {config.min_count} times: highest count {first}; "
            f"try --min-count {second or first or 1}"
        )
    return _as_vocabulary(merged.words)


def sum_tallies(tallies: Sequence[Tally]) -> Tally:
    """The joint tally of several texts."""
    sums = [sum(values) for values in zip(*map(astuple, tallies), strict=True)]
    return Tally(**dict(zip([field.name for field in fields(Tally)], sums, strict=True)))


def _chosen(tables: Sequence[Table], limits: Limits) -> Table:
    merged = _merged(tables, limits)
    if merged.pruned_bound:
        raise ResourceError(
            f"{merged.n_types:,} distinct words do not fit in the memory of the machine that adds "
            "their counts: add fewer tables at a time"
        )
    return Table(_as_vocabulary(merged.words), sum_tallies([table.tally for table in tables]))


def _merged(tables: Sequence[Table], limits: Limits) -> Merged:
    words = [_as_words(table.words) for table in tables]
    total = sum(int(each.counts.sum()) for each in words)
    if total > LARGEST_SUM:
        raise FormatError(f"the counts add up to {total}; at most {LARGEST_SUM}")
    return merge([Subtotal(each) for each in words], limits)


def _as_words(vocabulary: Vocabulary) -> Words:
    if vocabulary.counts is None:
        raise ValueError("a table has counts")
    blob = np.concatenate([vocabulary.blob, np.zeros(SPARE, np.uint8)])
    return Words(blob, vocabulary.offsets, vocabulary.counts)


def _as_vocabulary(words: Words) -> Vocabulary:
    return Vocabulary(words.blob[: words.offsets[-1]], words.offsets, words.counts)
