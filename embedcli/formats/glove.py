r"""``glove``: GloVe's text format, rows without a header.

    word f f ... f\n          one row per word; fields separated by one space

D is what the first row has; V is known when the file ends. Words may hold single spaces inside
(glove.840B has ``. . .`` and ``at name@domain.com``): the numbers are taken from the right. So that
this stays unambiguous, a word is refused when writing if its last part looks like a number, if
white space begins or ends it, or if it holds any other white space than the space itself.
"""

from __future__ import annotations

import re
from typing import Final

from embedcli.embeddings import Embeddings
from embedcli.errors import FormatError
from embedcli.files.publish import Sink
from embedcli.files.source import Source
from embedcli.formats.checks import check_savable, check_words
from embedcli.formats.decimals import looks_like_number
from embedcli.formats.garbage import matrix_without_words
from embedcli.formats.rows import BOM, Rows
from embedcli.formats.text_rows import count_numbers, read_rows, text_lines
from embedcli.formats.word2vec_text import write_rows
from embedcli.quoting import quoted, quoted_bytes
from embedcli.settings.reading import ReadingOptions
from embedcli.vocabulary import Vocabulary

__all__ = ["check", "read", "write"]

_FORBIDDEN: Final = re.compile(r"^ | $|[\t\n\v\f\r]")


def read(source: Source, reading: ReadingOptions) -> Embeddings:
    """Read all rows.

    Raises:
        FormatError: the first line is no row, or a later one has another number of numbers.
    """
    blocks = text_lines(source)
    lines = next(blocks, [b""])
    lines[0] = lines[0].removeprefix(BOM)
    dim = count_numbers(lines[0])
    if not dim:
        raise FormatError(
            f"{source.path}, line 1: a word and its numbers expected, but it is "
            f"{quoted_bytes(lines[0])}"
        )
    rows = Rows(source, dim, None, 2 * dim + 1, reading)
    read_rows(source, iter([lines]), rows, dim, 1)
    read_rows(source, blocks, rows, dim, 1 + len(lines))
    if reading.format is None and matrix_without_words(rows.words):
        raise FormatError(
            f"{source.path}: its rows begin with numbers such as {quoted_bytes(rows.words[0])} "
            "where words should be: is it a matrix whose words are in another file? (--from "
            "glove reads it so)"
        )
    return rows.finish()


def write(embeddings: Embeddings, sink: Sink) -> None:
    """Write `embeddings`.

    Raises:
        FormatError: what could not be read back, such as the word ``top 10``.
    """
    check(embeddings.vocabulary)
    check_savable(embeddings)
    write_rows(embeddings, sink)


def check(vocabulary: Vocabulary) -> None:
    """Refuse words that could not be read back: `write` would."""
    check_words(vocabulary)
    for row, word in enumerate(vocabulary.words, 1):
        if _FORBIDDEN.search(word):
            raise FormatError(
                f"cannot save {quoted(word)} (row {row}) as glove: white space other than single "
                f"spaces inside a word cannot be read back"
            )
        if " " in word and looks_like_number(word.rpartition(" ")[2].encode()):
            raise FormatError(
                f"cannot save {quoted(word)} (row {row}) as glove: its last part reads as a number"
            )
    if matrix_without_words([word.encode() for word in vocabulary]):
        raise FormatError(
            "cannot save as glove: all words are decimal numbers, and would be taken for the first "
            "column of a matrix without words"
        )
    if vocabulary[0].encode().startswith(BOM):
        raise FormatError("cannot save as glove: the first word begins with a byte order mark")
