r"""``fasttext``: the binary model of fastText, version 12 (``cc.en.300.bin``).

    i32 793712314, i32 12
    12 x i32               dim ws epoch minCount neg wordNgrams loss model bucket minn maxn
                           lrUpdateRate
    f64                    t
    i32 size, i32 nwords, i32 nlabels, i64 ntokens, i64 pruneidx_size (-1: not pruned)
    size times:            word, \0, i64 count, i8 type (0: a word, 1: a label)
    u8 quant               0: a plain matrix follows
    i64 m, i64 n           m = nwords + bucket rows of n = dim float32: words, then buckets
    u8 qout                0
    i64 m, i64 n           the output vectors, m = nwords

All little-endian. loss: 1 hs, 2 ns, 3 softmax, 4 ova; model: 1 cbow, 2 skip-gram, 3 supervised.
Nothing follows. Embeddings without subwords have minn = maxn = bucket = 0. Words are bytes, UTF-8
or not. Labels are in unsupervised models too, where the text had words that begin as labels do;
they have no rows. With hs the output vectors are those of the nodes of a Huffman tree over the
counts, the last row unused; their sign is the opposite of word2vec.c's, which is ours.

Only unsupervised models are read here; `fasttext_supervised.py` reads classifiers, quantised ones
(.ftz) too.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from embedcli.embeddings import Embeddings
from embedcli.errors import FormatError
from embedcli.files.source import Source
from embedcli.formats.row_words import LONGEST_WORD, checked_words, raw_vocabulary
from embedcli.formats.rows import LONGEST_ROW
from embedcli.quoting import quoted_bytes
from embedcli.settings.reading import ReadingOptions
from embedcli.subwords.ngrams import NGrams
from embedcli.subwords.rules import LONGEST as LONGEST_NGRAM
from embedcli.subwords.table import Subwords
from embedcli.vocabulary import Vocabulary

__all__ = [
    "ARGUMENTS",
    "CBOW",
    "ENTRY",
    "HEADER",
    "HS",
    "LABEL_PREFIX",
    "LOSSES",
    "MAGIC",
    "NS",
    "SHAPE",
    "SIZES",
    "SKIPGRAM",
    "SUPERVISED",
    "VERSION",
    "VERSIONS",
    "Floats",
    "ModelFile",
    "Sizes",
    "has_ngrams",
    "is_supervised",
    "read",
    "read_entries",
    "read_rows",
]

Loss = Literal["softmax", "ova", "hs", "ns"]
MAGIC: Final = (793712314).to_bytes(4, "little")
VERSION: Final = 12
VERSIONS: Final = (11, VERSION)
ARGUMENTS: Final = (
    *("dim", "ws", "epoch", "minCount", "neg", "wordNgrams", "loss", "model", "bucket"),
    *("minn", "maxn", "lrUpdateRate", "t"),
)
HS, NS, CBOW, SKIPGRAM, SUPERVISED = 1, 2, 1, 2, 3
LABEL_PREFIX: Final = "__label__"
LOSSES: Final[dict[int, Loss]] = {1: "hs", 2: "ns", 3: "softmax", 4: "ova"}
HEADER: Final = struct.Struct("<4si12id")
SIZES: Final = struct.Struct("<iiiqq")
ENTRY: Final = struct.Struct("<qb")
SHAPE: Final = struct.Struct("<?qq")
_BLOCK_BYTES: Final = 1 << 23
_LARGEST: Final = 2**31 - 1

Floats = NDArray[np.float32]


def read(source: Source, reading: ReadingOptions) -> Embeddings:
    """Read a model, its vectors made of the rows of words and n-grams.

    What it says of its training is ``metadata["fasttext"]``: its arguments, ``version``,
    ``ntokens`` and, of a text with labels, ``labels``, which have counts but no vectors. Words are
    bytes: those that are not UTF-8 are kept as they are, unless `reading` says to mend them.

    Raises:
        FormatError: damaged, of another version, a classifier or quantized.
    """
    file = ModelFile(source)
    arguments = _read_arguments(file)
    spelt, counts, more = _read_words(file, reading)
    dim, bucket = arguments["dim"], arguments["bucket"]
    words, rows = _read_matrix(file, "input", len(spelt), bucket, dim)
    output, _ = _read_matrix(file, "output", len(spelt), 0, dim)
    file.expect_end()
    known = output if output.view(np.uint32).any() else None
    if known is not None and arguments["loss"] == HS:
        np.negative(known, out=known)
    vectors, subwords = words, None
    if has_ngrams(arguments):
        units = NGrams(max(1, arguments["minn"]), arguments["maxn"], bucket)
        subwords = Subwords(units, words, np.arange(bucket, dtype=np.int32), rows)
        vectors = subwords.of_vocabulary(raw_vocabulary(spelt))  # the n-grams of its own spelling
    elif bucket:
        lengths = f"{arguments['minn']} to {arguments['maxn']}"
        reading.on_mended(
            f"{source.path}: {bucket} rows of n-grams left out, as there are none of {lengths} "
            "characters"
        )
    keeping = replace(reading, bad_rows="refuse")
    if reading.decode_errors == "strict":
        keeping = replace(keeping, decode_errors="keep")
    text, kept = checked_words(source.path, spelt, keeping)
    made = Embeddings(
        raw_vocabulary(text if kept is None else spelt, counts),
        vectors,
        known,
        {"fasttext": arguments | more},
        subwords,
    )
    return made if kept is None else _some(made, raw_vocabulary(text, counts, kept), kept)


def _some(whole: Embeddings, vocabulary: Vocabulary, kept: NDArray[np.int64]) -> Embeddings:
    """The rows that are kept, under the spelling of `vocabulary`."""
    output, subwords = whole.output_vectors, whole.subwords
    return replace(
        whole,
        vocabulary=vocabulary,
        vectors=whole.vectors[kept],
        output_vectors=None if output is None or whole.outputs_are_nodes else output[kept],
        subwords=subwords and replace(subwords, word_rows=subwords.word_rows[kept]),
    )


def is_supervised(head: bytes) -> bool:
    """Whether a file that begins with `head` is such a classifier."""
    if len(head) < HEADER.size or not head.startswith(MAGIC):
        return False
    arguments = dict(zip(ARGUMENTS, HEADER.unpack(head[: HEADER.size])[2:], strict=True))
    return bool(arguments["model"] == SUPERVISED)


def has_ngrams(arguments: Mapping[str, int]) -> bool:
    """Whether any word has n-grams: -maxn 0 turns them off, and so do lengths from 5 to 3."""
    return 0 < arguments["maxn"] >= arguments["minn"]


class Sizes(NamedTuple):
    """What a dictionary says of its sizes; `n_pruned` is -1 where all n-grams have rows."""

    size: int
    n_words: int
    n_labels: int
    n_tokens: int
    n_pruned: int


class ModelFile:
    """The bytes of a file, taken in order."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.position = 0
        self._data = b""
        self._start = 0  # of what is left in `_data`

    def take(self, n_bytes: int, what: str) -> bytes:
        """The next `n_bytes`, which hold `what`."""
        data = self._data[self._start : self._start + n_bytes]
        self._start += len(data)
        if len(data) < n_bytes:
            self._data, self._start = b"", 0
            data += self.source.read(n_bytes - len(data))
        self.position += len(data)
        if len(data) < n_bytes:
            raise self.damaged(f"an end at byte {self.position}, inside {what}")
        return data

    def word(self, row: int) -> bytes:
        """The next bytes up to a NUL."""
        end = self._data.find(b"\0", self._start)
        if end < 0:
            self._data = self._data[self._start :] + self.source.read(_BLOCK_BYTES)
            self._start = 0
            end = self._data.find(b"\0")
        word = self._data[self._start : end]
        if end < 0 or len(word) > LONGEST_WORD:
            raise self.damaged(f"no end of the word of row {row}, {quoted_bytes(word)}")
        self._start = end + 1
        self.position += len(word) + 1
        return word

    def expect_end(self) -> None:
        """Refuse anything that follows."""
        if self._data[self._start :] or self.source.read(1):
            raise self.damaged(f"more behind its last matrix, at byte {self.position}")

    def damaged(self, what: str) -> FormatError:
        """The error to raise."""
        return FormatError(f"{self.source.path} is not a sound fastText model: it has {what}")


def _read_arguments(file: ModelFile) -> dict[str, Any]:
    magic, version, *values = HEADER.unpack(file.take(HEADER.size, "the header"))
    arguments = dict(zip(ARGUMENTS, values, strict=True))
    where = file.source.path
    if magic != MAGIC:
        raise FormatError(f"{where} is not a fastText model: it begins with {quoted_bytes(magic)}")
    if version not in VERSIONS:
        raise FormatError(
            f"{where} is a fastText model of version {version}; versions 11 and 12 are read"
        )
    if arguments["model"] == SUPERVISED:
        raise FormatError(
            f"{where} is a fastText classifier (supervised), whose vectors were made for its "
            "labels: unsupervised models (skipgram, cbow) are read"
        )
    is_row = 1 <= arguments["dim"] <= LONGEST_ROW // 4
    if arguments["model"] not in (CBOW, SKIPGRAM) or not is_row:
        raise file.damaged(f"model {arguments['model']} with {arguments['dim']} dimensions")
    longest = max(arguments["minn"], arguments["maxn"])
    if min(arguments["minn"], arguments["maxn"]) < 0 or longest > LONGEST_NGRAM:
        raise file.damaged(
            f"n-grams of {arguments['minn']} to {arguments['maxn']} characters; at most "
            f"{LONGEST_NGRAM} are read"
        )
    if arguments["bucket"] < (1 if has_ngrams(arguments) else 0):
        raise file.damaged(f"{arguments['bucket']} buckets")
    return arguments | {"version": version}


def _read_words(
    file: ModelFile, reading: ReadingOptions
) -> tuple[list[bytes], NDArray[np.int64] | None, dict[str, Any]]:
    """The words, their counts, and what else is known of the text."""
    sizes = Sizes(*SIZES.unpack(file.take(SIZES.size, "the sizes of the dictionary")))
    n_words, n_labels, n_tokens = sizes.n_words, sizes.n_labels, sizes.n_tokens
    if sizes.n_pruned >= 0:
        raise FormatError(
            f"{file.source.path} is a pruned fastText model, of whose n-grams {sizes.n_pruned} are "
            "left: the model it was made from is read"
        )
    words, counts = read_entries(file, sizes)
    more: dict[str, Any] = {"ntokens": n_tokens}
    if n_labels:  # an unsupervised text that holds labels: they have no vectors
        more["labels"] = _labels(file, words[n_words:], counts[n_words:], reading)
    tally = np.array(counts[:n_words], np.int64) if any(counts[:n_words]) else None
    return words[:n_words], tally, more


def read_entries(file: ModelFile, sizes: Sizes) -> tuple[list[bytes], list[int]]:
    """The words, then the labels, and their counts."""
    size, n_words, n_labels, n_tokens, _ = sizes
    if size != n_words + n_labels or n_words < 1 or n_labels < 0 or n_tokens < 0:
        what = f"{size} entries, {n_words} words, {n_labels} labels and {n_tokens} tokens"
        raise file.damaged(what)
    words, counts = [], []
    for row in range(1, size + 1):
        words.append(file.word(row))
        count, kind = ENTRY.unpack(file.take(ENTRY.size, f"the count of row {row}"))
        if count < 0 or kind != (row > n_words):
            raise file.damaged(
                f"count {count} and type {kind} in row {row} ({quoted_bytes(words[-1])})"
            )
        counts.append(count)
    return words, counts


def _labels(
    file: ModelFile, labels: list[bytes], counts: list[int], reading: ReadingOptions
) -> list[list[Any]]:
    texts = [label.decode(errors="replace") for label in labels]
    if "\ufffd" in "".join(texts):
        reading.on_mended(f"{file.source.path}: bytes of labels replaced by U+FFFD")
    return [[text, count] for text, count in zip(texts, counts, strict=True)]


def _read_matrix(
    file: ModelFile, name: str, n_words: int, n_more: int, dim: int
) -> tuple[Floats, Floats]:
    """The rows of the words, float32 (V, D), and those that follow."""
    is_quantized, n_rows, width = SHAPE.unpack(file.take(SHAPE.size, f"the {name} matrix"))
    if is_quantized:
        raise FormatError(
            f"{file.source.path} is quantized (.ftz): it holds codes in place of rows; read the "
            ".bin it was made from"
        )
    if (n_rows, width) != (n_words + n_more, dim):
        raise file.damaged(
            f"an {name} matrix of {n_rows} x {width}, but {n_words} words and {n_more} buckets of "
            f"{dim} numbers"
        )
    size = file.source.size
    if size is not None and 4 * n_rows * width > size - file.position:
        raise file.damaged(
            f"an {name} matrix of {4 * n_rows * width} bytes, but {size - file.position} are left"
        )
    return read_rows(file, name, n_words, dim), read_rows(file, name, n_more, dim)


def read_rows(file: ModelFile, name: str, n_rows: int, dim: int) -> Floats:
    """Rows, read block by block: memory is taken for what is there."""
    known = file.source.size is not None
    rows = np.empty((n_rows if known else 0, dim), np.float32)
    step = max(1, _BLOCK_BYTES // (4 * dim))
    blocks = []
    for start in range(0, n_rows, step):
        n = min(step, n_rows - start)
        data = file.take(4 * n * dim, f"row {start + 1} or later of the {name} matrix")
        block = np.frombuffer(data, "<f4").reshape(n, dim)
        finite = np.isfinite(block)
        if not finite.all():
            row = start + int(np.argmin(finite.all(axis=1))) + 1
            raise file.damaged(f"a number that is not finite in row {row} of the {name} matrix")
        if known:
            rows[start : start + n] = block
        else:
            blocks.append(block.astype(np.float32))
    return rows if known else np.concatenate([rows, *blocks])
