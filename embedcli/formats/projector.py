r"""``projector``: a directory for the TensorFlow Embedding Projector (projector.tensorflow.org).

    vectors.tsv               V lines of D numbers, by tabs, no header
    metadata.tsv              a header, then V lines: word and count (or rank, without counts)
    projector_config.pbtxt    names the two: what `tensorboard --logdir` looks for

The Projector (`data-provider.ts` of tensorboard/plugins/projector) takes a header where there are
several columns and none where there is one, and skips lines of white space: two columns always keep
words and vectors together. It wants D > 1. Numbers are the shortest decimals that read back the
same. Words with tabs or line breaks are refused when writing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from embedcli.embeddings import Embeddings
from embedcli.errors import FormatError
from embedcli.files.publish import publish
from embedcli.formats.checks import check_savable, check_words
from embedcli.formats.decimals import format_rows, parse_numbers
from embedcli.formats.folder_lines import read_lines, refuse_characters
from embedcli.formats.row_words import embeddings_of
from embedcli.quoting import quoted_bytes
from embedcli.settings.reading import ReadingOptions
from embedcli.vocabulary import Vocabulary

__all__ = ["FILES", "check", "read", "write"]

FILES: Final = ("vectors.tsv", "metadata.tsv", "projector_config.pbtxt")
_CONFIG: Final = f"""embeddings {{
  tensor_name: "words"
  tensor_path: "{FILES[0]}"
  metadata_path: "{FILES[1]}"
}}
"""
_BLOCK_NUMBERS: Final = 1 << 14
_LINES: Final = 1 << 12


def check(vocabulary: Vocabulary) -> None:
    """Refuse words that could not be read back: `write` would."""
    check_words(vocabulary)
    refuse_characters(vocabulary.words, "projector", "\t\r\n")


def write(embeddings: Embeddings, folder: Path, dtype: str) -> None:
    """Write the files into the empty `folder`; numbers are text, so `dtype` is ``float32``.

    Raises:
        FormatError: a word that could not be read back, or a number that is not finite.
    """
    check(embeddings.vocabulary)
    check_savable(embeddings)
    words, counts = embeddings.vocabulary.words, embeddings.vocabulary.counts
    column, numbers = (
        ("rank", range(1, len(words) + 1)) if counts is None else ("count", counts.tolist())
    )
    with publish(folder / FILES[1]) as sink:
        lines = "".join(f"{word}\t{number}\n" for word, number in zip(words, numbers, strict=True))
        sink.write(f"word\t{column}\n{lines}".encode())
    n_rows = max(1, _BLOCK_NUMBERS // embeddings.dim)
    with publish(folder / FILES[2]) as sink:
        sink.write(_CONFIG.encode())
    with publish(folder / FILES[0]) as sink:
        for start in range(0, len(embeddings), n_rows):
            rows = format_rows(embeddings.vectors[start : start + n_rows])
            sink.write(b"\n".join(rows).replace(b" ", b"\t") + b"\n")


def read(folder: Path, reading: ReadingOptions) -> Embeddings:
    """Read the two tables.

    Raises:
        FormatError: a line is damaged, or the files do not belong together.
    """
    vectors = _read_vectors(folder / FILES[0])
    where = str(folder / FILES[1])
    lines = read_lines(folder / FILES[1])
    words, counts = lines, None
    if lines and b"\t" in lines[0]:
        header = lines[0].split(b"\t")
        column = header.index(b"word") if b"word" in header else 0
        cells = [line.split(b"\t") for line in lines[1:]]
        for number, row in enumerate(cells, 2):
            if len(row) != len(header):
                raise FormatError(f"{where}, line {number}: {len(row)} columns, not {len(header)}")
        words = [row[column] for row in cells]
        if b"count" in header:
            counts = _counts(where, [row[header.index(b"count")] for row in cells])
    if len(words) != len(vectors):
        raise FormatError(f"{folder}: {len(vectors)} vectors, but {len(words)} words")
    stop = reading.until_limit(len(words))
    counts = None if counts is None else counts[:stop]
    return embeddings_of(str(folder), words[:stop], vectors[:stop], reading, counts)


def _read_vectors(path: Path) -> NDArray[np.float32]:
    lines = read_lines(path)
    if not lines:
        raise FormatError(f"{path}: there is not a single row")
    dim = lines[0].count(b"\t") + 1
    vectors = np.empty((len(lines), dim), np.float32)
    for start in range(0, len(lines), _LINES):
        block = lines[start : start + _LINES]
        for number, line in enumerate(block, start + 1):
            if line.count(b"\t") != dim - 1:
                raise FormatError(
                    f"{path}, line {number}: {line.count(b'	') + 1} numbers, expected {dim}"
                )
        numbers = parse_numbers(b" ".join(block).replace(b"\t", b" ").replace(b"\r", b""))
        if numbers is None or numbers.size != dim * len(block) or not np.isfinite(numbers).all():
            raise FormatError(
                f"{path}, lines {start + 1} to {start + len(block)}: something is not a number; "
                f"the first of them is {quoted_bytes(block[0])}"
            )
        vectors[start : start + len(block)] = numbers.reshape(-1, dim)
    return vectors


def _counts(where: str, cells: list[bytes]) -> NDArray[np.int64]:
    for number, cell in enumerate(cells, 2):
        if not cell.isdigit() or len(cell) > 18:
            raise FormatError(f"{where}, line {number}: the count is {quoted_bytes(cell)}")
    return np.array([int(cell) for cell in cells], np.int64)
