"""The two passes of encoding: over the text (count, provisional ids), over the ids (translate)."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embedcli.kernels.tokenize import remap
from embedcli.progress import OnProgress, Progress
from embedcli.text.blocks import Block, BlockReader
from embedcli.text.crew import Crew
from embedcli.text.decoding import Marks, normalise
from embedcli.text.merging import Generation, Limits, Merged, merge
from embedcli.text.scratch import ScratchFile
from embedcli.text.sources import Library
from embedcli.text.words import Words, WordTable

__all__ = ["Encoder"]

_ID, _OFFSET = 4, 8  # bytes


class Encoder:
    """Reads the files of a library once and turns them into ids.

    Call `count`, `merge` and `translate`, in this order.

    Args:
        library: the files.
        lowercase: whether words are put in lower case.
        threads: how many threads read.
        memory: bytes that the tables of all threads may take.
        scratch: directory for temporary files.
        block_bytes: how much of the text a thread takes at once.

    Attributes:
        n_lines: lines read.
        too_long: tokens dropped for their length.
        marks: what was found wrong in the text.
    """

    def __init__(
        self,
        library: Library,
        *,
        lowercase: bool,
        threads: int,
        memory: int,
        scratch: Path | None,
        block_bytes: int,
    ) -> None:
        self.library = library
        self.scratch = scratch
        self.n_lines = 0
        self.too_long = 0
        self.marks = Marks()
        self._lowercase = lowercase
        self._threads = threads
        self._share = memory // threads
        self._reader = BlockReader(library, block_bytes)
        self._generations: list[Generation] = []
        self._blocks: list[tuple[Generation, int]] = []  # in order: whose ids, and how many
        self._n_entries = 0
        self._lock = threading.Lock()

    def count(self, ids: ScratchFile | None, on_progress: OnProgress) -> None:
        """Read the text; count its words and, where `ids` is given, write their provisional ids."""
        crew = Crew()

        def report() -> None:
            done = self.library.n_consumed
            on_progress(Progress("reading", done, self.library.n_total))

        crew.run([partial(self._count_blocks, crew, ids)] * self._threads, report)

    def merge(self, limits: Limits, given: Words | None = None) -> Merged:
        """Make one vocabulary of what was counted, or take the `given` one."""
        return merge(self._generations, limits, given)

    def translate(self, ids: ScratchFile, offsets: ScratchFile) -> int:
        """Replace the provisional ids by the final ones and write the sentences' offsets.

        A block's final ids go where provisional ones of it or of blocks before it were, which have
        been read by then: each thread takes its turn after reading.

        Returns:
            The number of sentences.
        """
        crew = Crew()
        sentences = _Sentences()
        places = itertools.accumulate((n for _, n in self._blocks), initial=0)
        blocks = iter(zip(itertools.count(), self._blocks, places, strict=False))
        job = partial(self._translate_blocks, crew, blocks, sentences, ids, offsets)
        offsets.write(np.zeros(1, np.int64), 0)
        crew.run([job] * self._threads, lambda: None)
        ids.cut(sentences.n_ids * _ID)
        return sentences.n

    def _count_blocks(self, crew: Crew, ids: ScratchFile | None) -> None:
        """What each thread does in the first pass."""
        text = self._reader.buffer()
        out = np.empty(len(text) + 2, np.int32)
        table, generation = self._begin()
        while not crew.stopped and (block := self._reader.next(text)) is not None:
            entries = table.encode(block, text, out)
            place = crew.take_turn(
                block.index, partial(self._record, block, generation, len(entries))
            )
            if ids is not None:
                ids.write(entries, place * _ID)
            if table.is_due(self._share):
                self._finish(table, generation)
                generation.spill(self.scratch)
                table, generation = self._begin()
        self._finish(table, generation)

    def _begin(self) -> tuple[WordTable, Generation]:
        generation = Generation()
        with self._lock:
            self._generations.append(generation)
        return WordTable(lowercase=self._lowercase), generation

    def _record(self, block: Block, generation: Generation, n_entries: int) -> int:
        """Note whose ids a block's are; where they go."""
        place = self._n_entries
        self._n_entries += n_entries
        self._blocks.append((generation, n_entries))
        self.n_lines += block.open_line
        return place

    def _finish(self, table: WordTable, generation: Generation) -> None:
        marks = Marks(nuls=table.nuls)
        raw = table.words()
        words = normalise(raw, lowercase=self._lowercase, marks=marks)
        generation.fill(words, distinct=words is raw)
        with self._lock:
            self.marks += marks
            self.n_lines += table.lines
            self.too_long += table.too_long + marks.too_long

    def _translate_blocks(
        self,
        crew: Crew,
        blocks: Iterator[tuple[int, tuple[Generation, int], int]],
        sentences: _Sentences,
        ids: ScratchFile,
        offsets: ScratchFile,
    ) -> None:
        """What each thread does in the second pass."""
        most = max(n for _, n in self._blocks)
        entries, out, ends = (
            np.empty(most, np.int32),
            np.empty(most, np.int32),
            np.empty(most, np.int64),
        )
        while not crew.stopped:
            with self._lock:
                index, (generation, n), place = next(blocks, (-1, (None, 0), 0))
            if generation is None:
                break
            ids.read(entries[:n], place * _ID)
            n_out, n_ends = remap(entries[:n], generation.ids, out, ends)
            turn = partial(sentences.add, n_out, ends[:n_ends])
            first_id, first_sentence, relative = crew.take_turn(index, turn)
            ids.write(out[:n_out], first_id * _ID)
            offsets.write(relative + first_id, (first_sentence + 1) * _OFFSET)


class _Sentences:
    """Where the translated text has got to."""

    def __init__(self) -> None:
        self.n = 0
        self.n_ids = 0
        self._end = 0  # of the last sentence

    def add(self, n_ids: int, ends: NDArray[np.int64]) -> tuple[int, int, NDArray[np.int64]]:
        """Append a block; its first id's and first sentence's number, and the ends that count.

        A block's first line end closes a sentence only if one is open.
        """
        first_id, first_sentence = self.n_ids, self.n
        if len(ends) and first_id + ends[0] == self._end:
            ends = ends[1:]
        if len(ends):
            self._end = first_id + int(ends[-1])
        self.n_ids += n_ids
        self.n += len(ends)
        return first_id, first_sentence, ends
