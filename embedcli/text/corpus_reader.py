"""Reads a text into a `Corpus`: its words counted and chosen, and the text written as their ids.

The text is read once. Threads take a block each, count its words in tables of their own and write
provisional ids; then the tables are merged, the vocabulary is ranked, and a second pass over the
ids alone translates them in place. Neither the number of threads nor the size of the blocks shows
in the result.
"""

from __future__ import annotations

import mmap
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedcli.errors import CorpusError, EmbedError
from embedcli.files.memory import memory_size
from embedcli.files.scratch import ScratchFile
from embedcli.files.spans import Span
from embedcli.kernels.tokenize import MAX_BYTES
from embedcli.progress import OnProgress, Progress, ignore_progress
from embedcli.settings.config import TrainConfig
from embedcli.settings.text_rules import TextRules
from embedcli.text.corpus import Corpus, Tally
from embedcli.text.encoder import Encoder
from embedcli.text.encodings import Readable
from embedcli.text.examination import check_text, find_remarks
from embedcli.text.inspection import Inspected, Inspection
from embedcli.text.judging import check_encodings
from embedcli.text.merging import Limits, Merged
from embedcli.text.ordered_pool import OrderedPool
from embedcli.text.prose import settle
from embedcli.text.sources import Library, opened
from embedcli.text.words import SPARE, Words, WordTable
from embedcli.vocabulary import UNKNOWN, Vocabulary

__all__ = [
    "count_corpus",
    "digest_corpus",
    "encode_corpus",
    "encode_for_training",
    "inspect_corpus",
]

BLOCK_BYTES = 1 << 20
_TABLES_SHARE, TABLES_MOST = 8, 1 << 28  # of the memory: an eighth, 256 MiB are always enough
_VOCABULARY_SHARE = 4  # the vocabulary is useless unless the matrices fit too


def encode_corpus(
    paths: Sequence[str | Span],
    *,
    rules: TextRules | None = None,
    recursive: bool = False,
    min_count: int = 5,
    max_vocab: int | None = None,
    vocabulary: Vocabulary | None = None,
    base: Vocabulary | None = None,
    unk: bool = False,
    is_part: bool = False,
    threads: int = 1,
    memory: int | None = None,
    scratch: Path | None = None,
    on_progress: OnProgress = ignore_progress,
) -> Corpus:
    """Read text once: count its words, choose the vocabulary, and write the text as ids.

    Args:
        paths: files, globs, directories (with `recursive`), URLs, ``-`` for standard input; or
            stretches of files.
        rules: how text becomes tokens (a `TrainConfig` says it, too); what they leave open, and
            None leaves all, the text decides (`text.prose`).
        recursive: whether directories are read, with all that is below them.
        min_count: how often a word must occur to get an id.
        max_vocab: how many words get an id at most: the most frequent.
        vocabulary: words to use instead, with these ids; `min_count` and `max_vocab` do not apply.
            Its counts stay as they are; where it has none, or nothing but 0, they are this text's.
        base: words that get an id beside those that occur often enough; their counts are added to
            this text's before all are ranked.
        unk: whether words that get no id are kept as one, `UNKNOWN`, which comes beside the others;
            behind those of a `vocabulary` that does not hold it, with its count in this text.
        is_part: whether this is a part of a text, which may be empty; nothing is warned of, as that
            is for whoever knows all parts.
        threads: how many threads read.
        memory: bytes that counting may take, whatever the number of words; by default an eighth of
            the memory that is there, 256 MiB at most.
        scratch: directory for temporary files of 4 bytes a token and 8 bytes a sentence.
        on_progress: called with `Progress` reports while reading.

    Raises:
        CorpusError: text that cannot be read, or too little of it.
        ResourceError: the disk is full.
        UsageError: standard input is a terminal.
    """
    with (
        _encoder(paths, rules, recursive, threads, memory, scratch, on_progress) as encoder,
        ScratchFile(encoder.scratch) as ids,
        ScratchFile(encoder.scratch) as offsets,
    ):
        merged = _counted(
            encoder, ids, min_count, max_vocab, vocabulary, memory, on_progress, base=base, unk=unk
        )
        remarks = _examined(encoder, merged, min_count, vocabulary, unk=unk, is_part=is_part)
        n_ids, n_sentences = encoder.translate(ids, offsets)
        tally = _tally(encoder, merged)
        if n_ids != tally.kept:
            raise EmbedError(
                f"{tally.kept} tokens have a word of the vocabulary, but {n_ids} were encoded; "
                "please report this"
            )
        digest = encoder.library.digest.hexdigest()
        arrays, mappings = _mapped(ids, tally.kept, offsets, n_sentences + 1)
        words, rules = _vocabulary(merged, vocabulary), encoder.library.rules
        return Corpus(words, *arrays, tally, digest, mappings, remarks, rules)


def encode_for_training(
    paths: Sequence[str],
    config: TrainConfig,
    vocabulary: Vocabulary | None = None,
    *,
    unk: bool,
    base: Vocabulary | None = None,
    scratch: Path | None = None,
    on_progress: OnProgress = ignore_progress,
) -> Corpus:
    """Encode a text as the settings of a run say; arguments are those of `encode_corpus`."""
    return encode_corpus(
        paths,
        rules=config,
        recursive=config.recursive,
        min_count=config.min_count,
        max_vocab=config.max_vocab,
        vocabulary=vocabulary,
        base=base,
        unk=unk,
        threads=config.resolve().threads or 1,
        scratch=scratch,
        on_progress=on_progress,
    )


def count_corpus(
    paths: Sequence[str | Span],
    *,
    rules: TextRules | None = None,
    recursive: bool = False,
    min_count: int = 5,
    max_vocab: int | None = None,
    vocabulary: Vocabulary | None = None,
    is_part: bool = False,
    threads: int = 1,
    memory: int | None = None,
    scratch: Path | None = None,
    on_rules: Callable[[TextRules], None] = lambda rules: None,
    on_progress: OnProgress = ignore_progress,
) -> tuple[Vocabulary, Tally]:
    """Count words as `encode_corpus` does, and write nothing.

    Arguments and errors are those of `encode_corpus`; `on_rules` is called before the text is read
    with the rules that it is read by, in which nothing is left open.
    """
    with _encoder(paths, rules, recursive, threads, memory, scratch, on_progress) as encoder:
        on_rules(encoder.library.rules)
        merged = _counted(encoder, None, min_count, max_vocab, vocabulary, memory, on_progress)
        _examined(encoder, merged, min_count, vocabulary, unk=False, is_part=is_part)
        return _vocabulary(merged, vocabulary), _tally(encoder, merged)


def inspect_corpus(
    paths: Sequence[str | Span],
    *,
    rules: TextRules | None = None,
    recursive: bool = False,
    on_rules: Callable[[TextRules], None] = lambda rules: None,
    on_progress: OnProgress = ignore_progress,
) -> Inspected:
    """What is in a text: words are counted as `count_corpus` does, and nothing is refused for it.

    Malformed files and what else would end a run, or be warned of, is reported.

    Raises:
        CorpusError: text that cannot be read, or is none.
        UsageError: standard input is a terminal.
    """
    noted = Inspection()
    with _encoder(
        paths, rules, recursive, 1, None, None, on_progress, watch=noted.watch
    ) as encoder:
        on_rules(encoder.library.rules)
        merged = _counted(encoder, None, 1, None, None, None, on_progress)
        if encoder.library.field is not None:
            encoder.library.field.check(encoder.library.title, is_part=False)
        check_text(encoder, merged, 1, None)
        remarks = find_remarks(encoder, merged, "")
        return Inspected(
            noted,
            _vocabulary(merged, None),
            merged.words.counts,
            _tally(encoder, merged),
            encoder.library.rules,
            tuple(remarks),
        )


def digest_corpus(
    paths: Sequence[str | Span], *, rules: TextRules | None = None, recursive: bool = False
) -> str:
    """The `Corpus.digest` of text, without counting or keeping anything.

    Raises:
        CorpusError: text that cannot be read.
    """
    library = opened(paths, rules, recursive=recursive)
    buffer = memoryview(bytearray(BLOCK_BYTES))
    try:
        for file in library:
            while file.readinto(buffer):
                pass
    finally:
        library.close()
    return library.digest.hexdigest()


@contextmanager
def _encoder(
    paths: Sequence[str | Span],
    rules: TextRules | None,
    recursive: bool,
    threads: int,
    memory: int | None,
    scratch: Path | None,
    on_progress: OnProgress,
    watch: Callable[[Iterator[Any]], Iterator[Readable]] = iter,
) -> Iterator[Encoder]:
    library = opened(paths, rules, recursive=recursive)
    try:
        yield Encoder(
            library,
            _settled(library, on_progress),
            threads=threads,
            memory=memory or min(memory_size() // _TABLES_SHARE, TABLES_MOST),
            scratch=scratch,
            block_bytes=BLOCK_BYTES,
            watch=watch,
        )
    finally:
        library.close()


def _settled(library: Library, on_progress: OnProgress) -> TextRules:
    """The rules to read by; where a pipe has to be looked at for them, it may be silent."""

    def report() -> None:
        on_progress(Progress("reading", library.n_consumed, library.n_total))

    def job() -> None:
        settle(library)

    if library.rules.is_open:
        OrderedPool(lambda *_: None).run([job], report)
    return library.rules


def _counted(
    encoder: Encoder,
    ids: ScratchFile | None,
    min_count: int,
    max_vocab: int | None,
    vocabulary: Vocabulary | None,
    memory: int | None,
    on_progress: OnProgress,
    *,
    base: Vocabulary | None = None,
    unk: bool = False,
) -> Merged:
    """Read everything; the words that the vocabulary takes."""
    known = base if vocabulary is None else vocabulary
    given = None if known is None else _words(known)
    encoder.count(ids, on_progress)
    most = memory or memory_size() // _VOCABULARY_SHARE
    limits = Limits(min_count, max_vocab, most, UNKNOWN.encode() if unk else None)
    return encoder.merge(limits, given, grows=vocabulary is None and base is not None)


def _examined(
    encoder: Encoder,
    merged: Merged,
    min_count: int,
    vocabulary: Vocabulary | None,
    *,
    unk: bool,
    is_part: bool,
) -> list[str]:
    """What is worth a warning, warned of unless it `is_part`; what cannot be used is refused."""
    field = encoder.library.field
    if field is not None:
        field.check(encoder.library.title, is_part=is_part)
    n_malformed, n_tokens = encoder.marks.malformed_tokens, merged.n_tokens
    where = check_encodings(encoder.library, n_malformed, n_tokens + encoder.marks.too_long)
    remarks = find_remarks(encoder, merged, where, is_part=is_part)
    if is_part:
        return remarks
    n_known = None if vocabulary is None else len(vocabulary)
    check_text(encoder, merged, min_count, n_known)
    if unk and not merged.n_unknown and vocabulary is None:
        title = encoder.library.title
        remarks.append(f"no word of {title} is left out: {UNKNOWN} has nothing to learn from")
    for remark in remarks:
        warnings.warn(remark, stacklevel=3)
    return remarks


def _mapped(
    ids: ScratchFile, n_ids: int, offsets: ScratchFile, n_offsets: int
) -> tuple[tuple[NDArray[np.int32], NDArray[np.int64]], list[mmap.mmap]]:
    ids_array, ids_mapping = ids.map(np.int32, n_ids)
    offsets_array, offsets_mapping = offsets.map(np.int64, n_offsets)
    mappings = [mapping for mapping in (ids_mapping, offsets_mapping) if mapping is not None]
    return (ids_array, offsets_array), mappings


def _words(vocabulary: Vocabulary) -> Words:
    """A vocabulary as the tables take it; where the counts are not known, they are 0."""
    long = np.flatnonzero(np.diff(vocabulary.offsets) > MAX_BYTES)
    if len(long):
        raise CorpusError(
            f"word {int(long[0]) + 1} of the vocabulary has more than {MAX_BYTES} bytes, and no "
            "token of a text that is so long is kept"
        )
    begin, end = vocabulary.offsets[0], vocabulary.offsets[-1]
    blob = np.concatenate([vocabulary.blob[begin:end], np.zeros(SPARE, np.uint8)])
    counts = np.zeros(len(vocabulary), np.int64) if vocabulary.counts is None else vocabulary.counts
    words = Words(blob, vocabulary.offsets - begin, counts)
    table = WordTable()
    table.absorb(words)
    if len(table) < len(words):
        raise CorpusError(
            f"{len(words) - len(table)} words occur twice in the vocabulary; leave each in once"
        )
    return words


def _vocabulary(merged: Merged, given: Vocabulary | None) -> Vocabulary:
    words, counts = merged.words, merged.words.counts
    if given is not None and given.counts is not None and given.counts.any():
        if len(words) == len(given):
            return given
        counts = np.concatenate([given.counts, counts[len(given) :]])  # of the unknown word
    return Vocabulary(words.blob[: words.offsets[-1]], words.offsets, counts)


def _tally(encoder: Encoder, merged: Merged) -> Tally:
    field = encoder.library.field
    return Tally(
        read=merged.n_tokens + encoder.too_long,
        kept=merged.n_kept,
        oov=merged.n_tokens - merged.n_kept,
        too_long=encoder.too_long,
        lines=encoder.n_lines,
        n_bytes=encoder.library.n_bytes,
        invalid=encoder.marks.invalid + (field.surrogates if field else 0),
        pruned_bound=merged.pruned_bound,
        unknown=merged.n_unknown,
        too_long_bytes=encoder.too_long_bytes,
    )
