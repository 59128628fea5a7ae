"""A text in blocks of whole lines, in bounded memory."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from embedcli.errors import CorpusError
from embedcli.settings.text_rules import TextRules
from embedcli.text.fields import LONGEST_RECORD, Field
from embedcli.text.json_records import json_line_text
from embedcli.text.sources import Library, opened
from embedcli.text.tokens import Cutter, prepared

__all__ = ["Block", "blocks_of_lines", "cut_lines"]

BLOCK_BYTES = 1 << 18


class Block(NamedTuple):
    """Whole lines of a text.

    Attributes:
        text: uint8. begins, ends: int64 (n,), of the lines, without what ends them.
        raw: the lines as they were before their tokens were cut.
    """

    text: NDArray[np.uint8]
    begins: NDArray[np.int64]
    ends: NDArray[np.int64]
    raw: bytes


def cut_lines(data: bytes, raw: bytes | None = None) -> Block:
    """The lines of `data`, which were `raw`; the last may lack its end."""
    text = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(text == 10)
    if len(data) and not data.endswith(b"\n"):
        ends = np.append(ends, len(data))
    begins = np.zeros(len(ends), np.int64)
    begins[1:] = ends[:-1] + 1
    return Block(text, begins, ends.astype(np.int64), data if raw is None else raw)


def blocks_of_lines(
    paths: Sequence[str],
    rules: TextRules,
    *,
    recursive: bool = False,
    records: bool = False,
    has_columns: bool = False,
) -> Iterator[Block]:
    """The lines of files, globs, or standard input (``-``), unpacked, decoded, their tokens cut.

    Args:
        paths: the files.
        rules: how text is read.
        recursive: also what is below directories.
        has_columns: whether labels may stand before a tab.
        records: keep whole lines of JSON, as ``raw``, of which ``text`` has the field.

    Raises:
        CorpusError: a file cannot be read, is no text, or a line is longer than fits in memory.
        UsageError: standard input is a terminal.
    """
    cut = Cutter(rules) if rules.rewrites else None
    field = Field.named_by(rules) if records else None
    whole = replace(rules, field=None, delimiter=None, quote=None, as_text=True)
    library = opened(
        paths, rules if field is None else whole, recursive=recursive, has_columns=has_columns
    )
    for n_lines, raw in _raw_blocks(library):
        data = raw if field is None else _texts(raw, field, library.title, n_lines)
        yield cut_lines(data if cut is None else prepared(data, cut), raw)
    remarks = library.suspicions
    field = field or library.field
    if field is not None:
        field.check(library.title, is_part=False)
        remarks += field.remarks()
    for remark in remarks:
        warnings.warn(remark, stacklevel=2)


def _raw_blocks(library: Library) -> Iterator[tuple[int, bytes]]:
    """Whole lines of each file: how many came before them there, and the bytes."""
    buffer = memoryview(bytearray(BLOCK_BYTES))
    try:
        for file in library:
            rest: list[bytes] = []
            n_lines = 0
            while n := file.readinto(buffer):
                data = bytes(buffer[:n])
                end = data.rfind(b"\n") + 1
                if end:
                    whole = b"".join([*rest, data[:end]])
                    yield n_lines, whole
                    n_lines += whole.count(b"\n")
                    rest = []
                rest.append(data[end:])
                if sum(map(len, rest)) > LONGEST_RECORD:
                    raise CorpusError(
                        f"{library.title} has a line of more than {LONGEST_RECORD >> 20} MiB: "
                        "does a line end stand behind each text?"
                    )
            if last := b"".join(rest):
                yield n_lines, last
    finally:
        library.close()


def _texts(raw: bytes, field: Field, title: str, n_before: int) -> bytes:
    """The field of each line of JSON, in as many lines; nothing of those that are empty."""
    texts = []
    for number, line in enumerate(raw.removesuffix(b"\n").split(b"\n"), n_before + 1):

        def place(number: int = number) -> str:
            return f"{title}, line {number}"

        texts.append(json_line_text(line, field, place) if line.strip() else "")
    return "\n".join(texts).encode(errors="surrogateescape") + b"\n"
