"""Labelled lines: read, numbered, and held as a classifier is trained on them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from embedcli.classification.lines import Block, blocks_of_lines, cut_lines
from embedcli.classification.model import END, LABEL_PREFIX
from embedcli.errors import CorpusError
from embedcli.kernels.line_features import fill_slots
from embedcli.kernels.token_table import Tokens, number_tokens
from embedcli.quoting import quoted
from embedcli.settings.text_rules import OF_FILES, TextRules
from embedcli.text.ranking import rank
from embedcli.text.tokens import Cutter, prepared
from embedcli.text.words import Words
from embedcli.vocabulary import Vocabulary

__all__ = ["Examples", "labelled_blocks", "labels_in", "read_examples"]

_SAMPLE: Final = 1000  # lines that tell how labels are written
_PREFIX: Final = np.frombuffer(LABEL_PREFIX.encode(), np.uint8)
_SPARE: Final = 16  # bytes behind the blob of `Words`
_FIRST_ROOM: Final = 1 << 12
_LONGEST_LABEL: Final = 1 << 12
_LABEL: Final = re.compile(rb"(?<![^ \t\r\v\f\0])" + LABEL_PREFIX.encode() + rb"[^ \t\r\v\f\0]+")


@dataclass(frozen=True, eq=False)
class Examples:
    """Labelled lines as numbers.

    Attributes:
        types: the distinct tokens, the V words first, those that are too rare behind them.
        n_words: V.
        labels: the C labels, with counts, the most frequent first.
        tokens: int32, ids of types. offsets: int64 (n + 1,), line i is ``tokens[offsets[i]:...]``.
        label_ids: int32. label_offsets: int64 (n + 1,), likewise.
        digest: sha256 of the lines and their labels; hexadecimal.
        n_bytes: of the text.
        without: how many lines had no label, and were left out.
        unknown: lines left out, as none of their labels is known.
    """

    types: Vocabulary
    n_words: int
    labels: Vocabulary
    tokens: NDArray[np.int32]
    offsets: NDArray[np.int64]
    label_ids: NDArray[np.int32]
    label_offsets: NDArray[np.int64]
    digest: str
    n_bytes: int
    without: int
    unknown: int

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def words(self) -> Vocabulary:
        """The V words, with counts."""
        return self.types.head(self.n_words)


def read_examples(
    paths: Sequence[str],
    rules: TextRules,
    *,
    recursive: bool = False,
    min_count: int = 1,
    like: Examples | None = None,
) -> Examples:
    """Read labelled lines: ``__label__x`` among the tokens, or ``label<TAB>text``.

    Args:
        paths: files, globs or standard input.
        rules: how text is read.
        recursive: also what is below directories.
        min_count: of words.
        like: the examples that training sees, where these are measured: words and labels are
            those. Lines without a label that is known are left out.

    Raises:
        CorpusError: no line has a label, or all have the same one.
    """
    digest = hashlib.sha256()
    table = _Table()
    names: dict[bytes, int] = {}
    label_ids: list[int] = []
    n_labels: list[int] = []
    where = ", ".join(paths)
    without = n_bytes = 0
    for block, labels in labelled_blocks(paths, rules, recursive=recursive):
        digest.update(block.raw)
        n_bytes += len(block.raw)
        kept = np.array([bool(each) for each in labels], np.bool_)
        without += len(labels) - int(kept.sum())
        table.add(Block(block.text, block.begins[kept], block.ends[kept], b""))
        for each in labels:
            if each:
                n_labels.append(len(each))
                label_ids.extend(names.setdefault(label, len(names)) for label in each)
    if not label_ids:
        raise CorpusError(
            f"no line of {where} has a label: write __label__NAME among its words, or NAME<TAB>text"
        )
    ids = np.array(label_ids, np.int32)
    spelt = [name.decode(errors="surrogateescape") for name in names]
    if like is None:
        labels_, places = _ranked_labels(spelt, np.bincount(ids, minlength=len(names)))
        if len(labels_) < 2:
            raise CorpusError(
                f"all {len(n_labels):,} labelled lines of {where} have the label "
                f"{quoted(labels_[0])}: with one label there is nothing to tell"
            )
        types, n_words, tokens = table.ranked(min_count)
    else:
        labels_ = like.labels
        places = np.array([-1 if i is None else i for i in labels_.find(spelt)], np.int32)
        types, tokens = table.beside(like.types)
        n_words = like.n_words
    return _made(
        types,
        n_words,
        labels_,
        tokens,
        table.line_offsets,
        places[ids],
        n_labels,
        (digest, n_bytes),
        without,
    )


def _made(
    types: Vocabulary,
    n_words: int,
    labels: Vocabulary,
    tokens: NDArray[np.int32],
    offsets: NDArray[np.int64],
    label_ids: NDArray[np.int32],
    n_labels: Sequence[int],
    read: tuple[hashlib._Hash, int],
    without: int,
) -> Examples:
    """Examples without the labels that are not known, and without the lines that have no other."""
    line_of = np.repeat(np.arange(len(n_labels)), n_labels)
    known = label_ids >= 0
    per_line = np.bincount(line_of[known], minlength=len(n_labels))
    kept = per_line > 0
    lengths = np.diff(offsets)
    return Examples(
        types,
        n_words,
        labels,
        tokens[np.repeat(kept, lengths)],
        np.concatenate([[0], np.cumsum(lengths[kept])]).astype(np.int64),
        label_ids[known],
        np.concatenate([[0], np.cumsum(per_line[kept])]).astype(np.int64),
        read[0].hexdigest(),
        read[1],
        without,
        int((~kept).sum()),
    )


def labelled_blocks(
    paths: Sequence[str], rules: TextRules, *, recursive: bool = False
) -> Iterator[tuple[Block, list[list[bytes]]]]:
    """Lines in blocks, without their labels, and the labels of each.

    A file whose first lines have a tab and nowhere ``__label__`` has a label before the tab.
    """
    bare = TextRules(**{name: getattr(rules, name) for name in OF_FILES}).settled(prose=False)
    cut = Cutter(rules) if rules.rewrites else None
    by_tab: bool | None = None
    for block in blocks_of_lines(paths, bare, recursive=recursive, has_columns=True):
        lines = block.raw.removesuffix(b"\n").split(b"\n")
        if by_tab is None:
            first = lines[:_SAMPLE]
            by_tab = not any(LABEL_PREFIX.encode() in line for line in first) and any(
                b"\t" in line for line in first
            )
        if by_tab:
            labels, texts = _before_tab(lines)
        else:
            labels = labels_in(lines)
            texts = lines if cut is None else [_LABEL.sub(b"", line) for line in lines]
        data = b"\n".join(texts) + b"\n"
        if cut is not None:
            data = prepared(data, cut)
        yield cut_lines(data, block.raw), labels


def labels_in(lines: Sequence[bytes]) -> list[list[bytes]]:
    """The labels among the words of each line, each once."""
    found = map(_LABEL.findall, lines)
    return [labels if len(labels) < 2 else list(dict.fromkeys(labels)) for labels in found]


def _before_tab(lines: Sequence[bytes]) -> tuple[list[list[bytes]], list[bytes]]:
    labels, texts = [], []
    for line in lines:
        label, tab, text = line.partition(b"\t")
        label = label.strip()
        is_label = bool(tab and label) and len(label) <= _LONGEST_LABEL
        labels.append([label] if is_label else [])
        texts.append(text if is_label else line)
    return labels, texts


def _ranked_labels(
    names: Sequence[str], counts: NDArray[np.int64]
) -> tuple[Vocabulary, NDArray[np.int32]]:
    """Labels by falling count, ties by name; and the place of each of `names`."""
    order = sorted(range(len(names)), key=lambda i: (-int(counts[i]), names[i].encode(errors=_E)))
    rank = np.empty(len(names), np.int32)
    rank[order] = np.arange(len(names))
    spelt = [names[i] for i in order]
    return Vocabulary.from_words(spelt, [int(counts[i]) for i in order]), rank


_E: Final = "surrogateescape"


class _Table:
    """The distinct tokens of a text, and the text as their numbers."""

    def __init__(self) -> None:
        end = np.frombuffer(END.encode(), np.uint8)
        self._slots = np.zeros(2 * _FIRST_ROOM, np.int32)
        self._hashes = np.zeros(_FIRST_ROOM, np.uint32)
        self._offsets = np.zeros(_FIRST_ROOM + 1, np.int64)
        self._blob = np.zeros(_FIRST_ROOM, np.uint8)
        self._size = np.ones(1, np.int64)
        self._offsets[1] = len(end)
        self._blob[: len(end)] = end
        self._ids: list[NDArray[np.int32]] = []
        self._ends = [np.zeros(1, np.int64)]
        self._n_ids = 0

    def add(self, block: Block) -> None:
        """Number the tokens of some lines."""
        n_bytes = int((block.ends - block.begins).sum())
        room = n_bytes // 2 + len(block.begins) + 1
        self._make_room(room, n_bytes)
        ids, ends = np.empty(room + len(block.begins), np.int32), np.empty(len(block.ends), "i8")
        tokens = Tokens(self._slots, self._hashes, self._offsets, self._blob, self._size)
        n = number_tokens(block.text, block.begins, block.ends, _PREFIX, tokens, ids, ends)
        self._ids.append(ids[:n].copy())
        self._ends.append(ends + self._n_ids)
        self._n_ids += n

    @property
    def line_offsets(self) -> NDArray[np.int64]:
        """Where the tokens of each line begin, and where the last ends."""
        return np.concatenate(self._ends)

    def ranked(self, min_count: int) -> tuple[Vocabulary, int, NDArray[np.int32]]:
        """The tokens by falling count, how many occur `min_count` times, and the text by them."""
        ids = self._joined
        size = int(self._size[0])
        counts = np.bincount(ids, minlength=size)
        spare = np.zeros(_SPARE, np.uint8)
        offsets = self._offsets[: size + 1]
        words = Words(np.concatenate([self._blob[: offsets[-1]], spare]), offsets, counts)
        order = rank(words)
        ranks = np.empty(size, np.int32)
        ranks[order] = np.arange(size)
        ordered = words.take(order)
        blob = ordered.blob[: ordered.offsets[-1]]
        ranked = Vocabulary(blob, ordered.offsets, ordered.counts)
        n_words = int((counts >= min_count).sum())
        return ranked, max(1, n_words), ranks[ids]

    def beside(self, known: Vocabulary) -> tuple[Vocabulary, NDArray[np.int32]]:
        """The known tokens and behind them those that are new; and the text by them."""
        spelt = self._vocabulary.words
        found = known.find(spelt)
        new = [word for word, at in zip(spelt, found, strict=True) if at is None]
        number = iter(range(len(known), len(known) + len(new)))
        rank = np.array([next(number) if at is None else at for at in found], np.int32)
        return Vocabulary.from_words([*known.words, *new]), rank[self._joined]

    @property
    def _joined(self) -> NDArray[np.int32]:
        return np.concatenate([np.empty(0, np.int32), *self._ids])

    @property
    def _vocabulary(self) -> Vocabulary:
        size = int(self._size[0])
        return Vocabulary(self._blob[: self._offsets[size]], self._offsets[: size + 1])

    def _make_room(self, n_tokens: int, n_bytes: int) -> None:
        size = int(self._size[0])
        needed = size + n_tokens
        if needed > len(self._hashes):
            room = max(needed, 2 * len(self._hashes))
            self._hashes = _longer(self._hashes, size, room)
            self._offsets = _longer(self._offsets, size + 1, room + 1)
        if 2 * needed > len(self._slots):
            self._slots = np.zeros(1 << (4 * needed).bit_length(), np.int32)
            fill_slots(self._hashes[:size], self._slots)
        used = int(self._offsets[size])
        if used + n_bytes > len(self._blob):
            self._blob = _longer(self._blob, used, max(used + n_bytes, 2 * len(self._blob)))


def _longer(array: NDArray[Any], kept: int, size: int) -> NDArray[Any]:
    longer: NDArray[Any] = np.zeros(size, array.dtype)
    longer[:kept] = array[:kept]
    return longer
