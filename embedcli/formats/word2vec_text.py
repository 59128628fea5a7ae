r"""``word2vec``: the text format of word2vec.c, fastText's ``.vec`` and gensim.

    V D\n                     two whole numbers
    word f f ... f\n          V rows; fields separated by one space

Written losslessly: the shortest decimals that read back as the same float32 (word2vec.c writes six
decimals, fastText five digits). Counts and output vectors are not kept. Words that hold white space
are refused when writing. Reading: `text_rows.py`.
"""

from __future__ import annotations

from embedcli.embeddings import Embeddings
from embedcli.errors import FormatError
from embedcli.files.publish import Sink
from embedcli.files.source import Source
from embedcli.formats.checks import check_savable, check_spaceless, check_words
from embedcli.formats.decimals import format_rows
from embedcli.formats.rows import BOM, Rows, parse_header
from embedcli.formats.text_rows import read_rows, text_lines
from embedcli.quoting import quoted_bytes
from embedcli.settings.reading import ReadingOptions
from embedcli.vocabulary import Vocabulary

__all__ = ["check", "read", "write", "write_rows"]

_BLOCK_NUMBERS = 1 << 14  # of a block, all intermediate arrays stay in the second-level cache


def read(source: Source, reading: ReadingOptions) -> Embeddings:
    """Read all rows.

    Raises:
        FormatError: the header is no header, a row is damaged, or their number is another.
    """
    blocks = text_lines(source)
    lines = next(blocks, [b""])
    header = parse_header(lines[0].removeprefix(BOM))
    if header is None:
        raise FormatError(
            f"{source.path}, line 1: the header should be two whole numbers, rows and dimension, "
            f"but is {quoted_bytes(lines[0])}"
        )
    n_rows, dim = header
    rows = Rows(source, dim, n_rows, 2 * dim + 1, reading)
    read_rows(source, iter([lines[1:]]), rows, dim, 2)
    read_rows(source, blocks, rows, dim, 1 + len(lines))
    return rows.finish()


def check(vocabulary: Vocabulary) -> None:
    """Refuse words that could not be read back: `write` would."""
    check_words(vocabulary)
    check_spaceless(vocabulary, "word2vec")


def write(embeddings: Embeddings, sink: Sink) -> None:
    """Write `embeddings`.

    Raises:
        FormatError: what could not be read back, such as a word with a space in it.
    """
    check(embeddings.vocabulary)
    check_savable(embeddings)
    sink.write(b"%d %d\n" % (len(embeddings), embeddings.dim))
    write_rows(embeddings, sink)


def write_rows(embeddings: Embeddings, sink: Sink) -> None:
    """Write ``word f f ... f`` for every row."""
    all_words = embeddings.vocabulary.words
    n_rows = max(1, _BLOCK_NUMBERS // embeddings.dim)
    for start in range(0, len(embeddings), n_rows):
        words = [word.encode() for word in all_words[start : start + n_rows]]
        numbers = format_rows(embeddings.vectors[start : start + n_rows])
        pairs = zip(words, numbers, strict=True)
        sink.write(b"".join(b"%b %b\n" % pair for pair in pairs))
