"""The encoded corpus: int32 ids and sentence offsets, memory-mapped from unnamed scratch files.

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
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from embedcli.errors import CorpusError, EmbedError
from embedcli.files.memory import memory_size
from embedcli.files.scratch import ScratchFile
from embedcli.files.spans import Span
from embedcli.kernels.tokenize import MAX_BYTES
from embedcli.progress import OnProgress, ignore_progress
from embedcli.settings.text_rules import TextRules
from embedcli.text.encoder import Encoder
from embedcli.text.examination import check_text, find_remarks
from embedcli.text.judging import check_encodings
from embedcli.text.merging import Limits, Merged
from embedcli.text.sources import opened
from embedcli.text.words import SPARE, Words, WordTable
from embedcli.vocabulary import UNKNOWN, Vocabulary

__all__ = ["Corpus", "Tally", "count_corpus", "digest_corpus", "encode_corpus", "ids_fault"]

BLOCK_BYTES = 1 << 20
_TABLES_SHARE, _TABLES_MOST = 8, 1 << 28  # of the memory: an eighth, 256 MiB are always enough
_CHECKED = 1 << 22  # ids or offsets looked at together
_VOCABULARY_SHARE = 4  # the vocabulary is useless unless the matrices fit too


@dataclass(frozen=True)
class Tally:
    """What became of everything that was read: ``read == kept + oov + too_long``.

    Attributes:
        read: tokens in the text.
        kept: tokens whose word is in the vocabulary.
        oov: tokens whose word is not.
        too_long: tokens of more than 256 bytes, which were dropped.
        lines: lines, empty ones too.
        n_bytes: bytes of text, decompressed.
        invalid: malformed UTF-8 sequences that were replaced by U+FFFD.
        too_long_bytes: the bytes of the dropped tokens.
        unknown: of those kept, tokens that are `UNKNOWN`, as their word is not in the vocabulary;
            they are not in `oov`.
        pruned_bound: how often a word that the memory had no room for occurred at most; 0: no such.
    """

    read: int
    kept: int
    oov: int
    too_long: int
    lines: int
    n_bytes: int
    invalid: int
    pruned_bound: int = 0
    unknown: int = 0
    too_long_bytes: int = 0


class Corpus:
    """A text as numbers. Close it, or use it in a ``with``, to give the disk space back.

    Attributes:
        vocabulary: V words with their counts.
        ids: int32 (N,), the text without what is not in the vocabulary; as a rule mapped from disk.
        offsets: int64 (S + 1,), sentence s is ``ids[offsets[s]:offsets[s + 1]]``; none is empty.
        tally: what was read, and what became of it.
        digest: sha256 of the text's bytes, decompressed, in order; hexadecimal.
        remarks: what is worth a warning.

    Raises:
        CorpusError: an id is not one of `vocabulary`, or `offsets` do not cut `ids` into sentences:
            kernels check neither.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        ids: NDArray[np.int32],
        offsets: NDArray[np.int64],
        tally: Tally,
        digest: str,
        mappings: Sequence[mmap.mmap] = (),
        remarks: Sequence[str] = (),
    ) -> None:
        self.vocabulary = vocabulary
        self.ids = ids
        self.offsets = offsets
        self.tally = tally
        self.digest = digest
        self.remarks = tuple(remarks)
        self._mappings = list(mappings)
        if (fault := ids_fault(ids, offsets, len(vocabulary), self.release)) is not None:
            raise CorpusError(f"the encoded text is not sound: {fault}")

    @property
    def longest_line(self) -> int:
        """Words in the longest sentence."""
        return int(np.diff(self.offsets).max(initial=0))

    def release(self) -> None:
        """Let the pages that were touched go from this process's memory; they stay on disk."""
        for mapping in self._mappings:
            mapping.madvise(mmap.MADV_DONTNEED)

    def close(self) -> None:
        """Give memory and disk space back, once nobody holds the arrays any more."""
        self._mappings.clear()
        self.ids = np.empty(0, np.int32)
        self.offsets = np.zeros(1, np.int64)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def ids_fault(
    ids: NDArray[np.int32],
    offsets: NDArray[np.int64],
    n_words: int,
    release: Callable[[], None] = lambda: None,
) -> str | None:
    """What in an encoded text a kernel would go wrong by; None if nothing is.

    Args:
        ids: as in `Corpus`.
        offsets: likewise.
        n_words: all ids are below it.
        release: called after each block that was looked at.
    """
    if not len(offsets) or offsets[0] != 0 or offsets[-1] != len(ids):
        return f"its lines do not go from 0 to {len(ids)}, where its words end"
    for start in range(0, len(offsets) - 1, _CHECKED):
        block = offsets[start : start + _CHECKED + 1]
        if not (block[1:] > block[:-1]).all():
            return "its lines do not follow each other"
    for start in range(0, len(ids), _CHECKED):
        words = ids[start : start + _CHECKED]
        low, high = int(words.min()), int(words.max())
        if low < 0 or high >= n_words:
            return f"word {low if low < 0 else high} is none of a vocabulary of {n_words}"
        release()
    return None


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
        rules: how text becomes tokens (a `TrainConfig` says it, too); by white space if None.
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
        _encoder(paths, rules, recursive, threads, memory, scratch) as encoder,
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
        return Corpus(_vocabulary(merged, vocabulary), *arrays, tally, digest, mappings, remarks)


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
    on_progress: OnProgress = ignore_progress,
) -> tuple[Vocabulary, Tally]:
    """Count words as `encode_corpus` does, and write nothing.

    Arguments and errors are those of `encode_corpus`.
    """
    with _encoder(paths, rules, recursive, threads, memory, scratch) as encoder:
        merged = _counted(encoder, None, min_count, max_vocab, vocabulary, memory, on_progress)
        _examined(encoder, merged, min_count, vocabulary, unk=False, is_part=is_part)
        return _vocabulary(merged, vocabulary), _tally(encoder, merged)


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
) -> Iterator[Encoder]:
    rules = rules or TextRules()
    library = opened(paths, rules, recursive=recursive)
    try:
        yield Encoder(
            library,
            rules,
            threads=threads,
            memory=memory or min(memory_size() // _TABLES_SHARE, _TABLES_MOST),
            scratch=scratch,
            block_bytes=BLOCK_BYTES,
        )
    finally:
        library.close()


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
    remarks = find_remarks(encoder, merged, where)
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
