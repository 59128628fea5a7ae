"""The two passes of encoding: over the text (count, provisional ids), over the ids (translate)."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedcli.files.scratch import ScratchFile
from embedcli.kernels.tokenize import remap
from embedcli.progress import OnProgress, Progress
from embedcli.settings.text_rules import TextRules
from embedcli.text.blocks import Block, BlockReader
from embedcli.text.decoding import Marks, normalise
from embedcli.text.encodings import Readable
from embedcli.text.forms import Forms, forms_of
from embedcli.text.merging import Limits, Merged, merge
from embedcli.text.ordered_pool import OrderedPool
from embedcli.text.preparing import Prepare, is_prepared, preparing
from embedcli.text.separators import Separator
from embedcli.text.sources import Library
from embedcli.text.subtotals import Subtotal
from embedcli.text.words import Words, WordTable

__all__ = ["Encoder"]

_ID, _OFFSET = 4, 8  # bytes
LONG_TEXT = 1 << 22  # bytes on disk


class Encoder:
    """Reads the files of a library once and turns them into ids.

    Call `count`, `merge` and `translate`, in this order.

    Args:
        library: the files.
        rules: how text becomes tokens.
        threads: how many threads read.
        memory: bytes that the tables of all threads may take.
        scratch: directory for temporary files.
        block_bytes: how much of the text a thread takes at once.
        watch: what the files pass through before they are read.

    Attributes:
        n_lines: lines read.
        too_long: tokens dropped for their length.
        too_long_bytes: their bytes.
        token_bytes: those of all tokens.
        marks: what was found wrong in the text.
        forms: of its words.
    """

    def __init__(
        self,
        library: Library,
        rules: TextRules,
        *,
        threads: int,
        memory: int,
        scratch: Path | None,
        block_bytes: int,
        watch: Callable[[Iterator[Any]], Iterator[Readable]] = iter,
    ) -> None:
        self.library = library
        self.scratch = scratch
        self.n_lines = 0
        self.too_long = 0
        self.too_long_bytes = 0
        self.token_bytes = 0
        self.marks = Marks()
        self.forms = Forms()
        self._rules = rules
        self._threads = threads
        self._share = memory // threads
        self._separator = Separator(rules.separator_in_records)
        texts = map(self._separator.of, watch(library))
        self._reader = BlockReader(texts, block_bytes, self._separator, anywhere=is_prepared(rules))
        self._subtotals: list[Subtotal] = []
        self._blocks: list[tuple[Subtotal, int]] = []  # in order: whose ids, and how many
        self._n_entries = 0
        self._lock = threading.Lock()

    @property
    def advice(self) -> str:
        """What to do where tokens are too long."""
        if self._rules.items:
            return "what separates the items of a line is said by --separator"
        if self._rules.tokenizer == "unicode":
            return "is it text?"
        return (
            "--tokenizer unicode finds the words of Chinese, Japanese, Thai and others that do not "
            "put spaces between them"
            + ", --tokenizer words cuts at what is no letter"
            * (self._rules.tokenizer != "words")
        )

    def count(self, ids: ScratchFile | None, on_progress: OnProgress) -> None:
        """Read the text; count its words and, where `ids` is given, write their provisional ids."""

        def record(entries: NDArray[np.int32], block: Block, subtotal: Subtotal) -> None:
            self._blocks.append((subtotal, len(entries)))
            self.n_lines += block.open_line
            if ids is not None:
                ids.write(entries, self._n_entries * _ID)
            self._n_entries += len(entries)

        def report() -> None:
            done = self.library.n_consumed
            on_progress(Progress("reading", done, self.library.n_total))

        pool = OrderedPool(record)
        pool.run([partial(self._count_blocks, pool)] * self._threads, report)

    def merge(self, limits: Limits, given: Words | None = None, *, grows: bool = False) -> Merged:
        """Make one vocabulary of what was counted, or take the `given` one, or let that grow."""
        return merge(self._subtotals, limits, given, grows=grows)

    def translate(self, ids: ScratchFile, offsets: ScratchFile) -> tuple[int, int]:
        """Replace the provisional ids by the final ones and write the sentences' offsets.

        A block's final ids go where provisional ones of it or of blocks before it were, which have
        been read by then: results are delivered in order, each after its block was read.

        Returns:
            How many ids there are, and how many sentences.
        """
        text = _Translated(ids, offsets)
        pool = OrderedPool(text.append)
        places = itertools.accumulate((n for _, n in self._blocks), initial=0)
        blocks = iter(zip(itertools.count(), self._blocks, places, strict=False))
        pool.run([partial(self._translate_blocks, pool, blocks, ids)] * self._threads, lambda: None)
        ids.cut(text.n_ids * _ID)
        return text.n_ids, text.n_sentences

    def _count_blocks(self, pool: OrderedPool) -> None:
        """What each thread does in the first pass."""
        with preparing(self._rules, apart=self._threads > 1 and self._is_long()) as prepare:
            self._count_prepared(pool, prepare)

    def _is_long(self) -> bool:
        """Whether there is enough text for processes to be started for it, as far as one knows."""
        return self.library.n_total is None or self.library.n_total > LONG_TEXT

    def _count_prepared(self, pool: OrderedPool, prepare: Prepare) -> None:
        raw = self._reader.buffer()
        out = np.empty(len(raw) + 2, np.int32)
        table, subtotal = self._begin()
        while not pool.stopped and (block := self._reader.next(raw)) is not None:
            text, block = prepare(raw, block)
            if len(text) + 2 > len(out):
                out = np.empty(len(text) + 2, np.int32)
            pool.put_result(block.index, table.encode(block, text, out), block, subtotal)
            if table.is_due(self._share):
                self._finish(table, subtotal)
                subtotal.spill(self.scratch)
                table, subtotal = self._begin()
        self._finish(table, subtotal)

    def _begin(self) -> tuple[WordTable, Subtotal]:
        subtotal = Subtotal()
        with self._lock:
            self._subtotals.append(subtotal)
        lowercase, separator = self._rules.lowercase is True, self._separator.byte
        return WordTable(lowercase=lowercase, separator=separator), subtotal

    def _finish(self, table: WordTable, subtotal: Subtotal) -> None:
        marks = Marks(nuls=table.nuls)
        raw = table.words()
        n_bytes = int((raw.lengths * raw.counts).sum())
        forms = forms_of(raw)
        words = normalise(raw, self._rules, marks)
        subtotal.fill(words, distinct=words is raw)
        with self._lock:
            self.marks += marks
            self.forms += forms
            self.n_lines += table.lines
            self.too_long += table.too_long + marks.too_long
            self.too_long_bytes += table.too_long_bytes + marks.too_long_bytes
            self.token_bytes += table.too_long_bytes + n_bytes

    def _translate_blocks(
        self,
        pool: OrderedPool,
        blocks: Iterator[tuple[int, tuple[Subtotal, int], int]],
        ids: ScratchFile,
    ) -> None:
        """What each thread does in the second pass."""
        most = max(n for _, n in self._blocks)
        entries, out = np.empty(most, np.int32), np.empty(most, np.int32)
        ends = np.empty(most, np.int64)
        while not pool.stopped:
            with self._lock:
                number, (subtotal, n), place = next(blocks, (-1, (None, 0), 0))
            if subtotal is None:
                break
            ids.read(entries[:n], place * _ID)
            n_out, n_ends = remap(entries[:n], subtotal.ids, out, ends)
            pool.put_result(number, out[:n_out], ends[:n_ends].copy())


class _Translated:
    """The text as final ids, as far as it has been put together."""

    def __init__(self, ids: ScratchFile, offsets: ScratchFile) -> None:
        self.n_ids = 0
        self.n_sentences = 0
        self._end = 0  # of the last sentence
        self._ids = ids
        self._offsets = offsets
        offsets.write(np.zeros(1, np.int64), 0)

    def append(self, ids: NDArray[np.int32], ends: NDArray[np.int64]) -> None:
        """Append a block; its first line end closes a sentence only if one is open."""
        ends += self.n_ids
        if len(ends) and ends[0] == self._end:
            ends = ends[1:]
        if len(ends):
            self._end = int(ends[-1])
        self._ids.write(ids, self.n_ids * _ID)
        self._offsets.write(ends, (self.n_sentences + 1) * _OFFSET)
        self.n_ids += len(ids)
        self.n_sentences += len(ends)
