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
Nothing follows. Embeddings without subwords have minn = maxn = bucket = 0. What fastText needs and
embeddings may not have is zero: counts, output vectors, and the rows of n-grams that no word has.

Only unsupervised models are read. A classifier's vectors are made for its labels, and a quantized
one (.ftz) has no rows, only codes of them: both are refused.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from embedcli.embeddings import Embeddings
from embedcli.errors import FormatError
from embedcli.formats.checks import check_savable, check_subwords, check_words
from embedcli.formats.narrow import row_blocks
from embedcli.formats.rows import LONGEST_WORD, shown, vocabulary_of
from embedcli.formats.source import Source
from embedcli.quoting import quoted
from embedcli.reading import ReadingOptions
from embedcli.storage.publish import Sink
from embedcli.subwords.ngrams import NGrams
from embedcli.subwords.table import Subwords
from embedcli.vocabulary import Vocabulary

__all__ = ["MAGIC", "check", "check_units", "file_size", "read", "write"]

MAGIC: Final = (793712314).to_bytes(4, "little")
_VERSION: Final = 12
_ARGUMENTS: Final = (
    *("dim", "ws", "epoch", "minCount", "neg", "wordNgrams", "loss", "model", "bucket"),
    *("minn", "maxn", "lrUpdateRate", "t"),
)
_NS, _CBOW, _SKIPGRAM, _SUPERVISED = 2, 1, 2, 3
_HEADER: Final = struct.Struct("<4si12id")
_SIZES: Final = struct.Struct("<iiiqq")
_ENTRY: Final = struct.Struct("<qb")
_SHAPE: Final = struct.Struct("<?qq")
_BLOCK_BYTES: Final = 1 << 23
_LARGEST: Final = 2**31 - 1
_LONGEST_NGRAM: Final = 1 << 10  # fastText's longest is 6; a number beyond this is no length

Floats = NDArray[np.float32]


def check(vocabulary: Vocabulary) -> None:
    """Refuse words that could not be read back: `write` would."""
    check_words(vocabulary)
    if (vocabulary.blob == 0).any():
        word = next(word for word in vocabulary if "\0" in word)
        raise FormatError(f"cannot save {quoted(word)} as fasttext: NUL ends a word there")


def check_units(kind: str) -> None:
    """Refuse subwords that are not character n-grams; `kind` as ``Units.described`` says it."""
    if kind != "ngrams":
        raise FormatError(
            f"cannot save subwords of the kind {kind} as fasttext, which has character n-grams "
            "only: safetensors keeps them, word2vec and others the words' vectors"
        )


def write(embeddings: Embeddings, sink: Sink) -> None:
    """Write `embeddings`.

    Raises:
        FormatError: what could not be read back; or subwords that are not character n-grams.
    """
    check_savable(embeddings)
    check(embeddings.vocabulary)
    if embeddings.subwords is not None:
        check_units(embeddings.subwords.units.described()["kind"])
        check_subwords(embeddings)
    vocabulary = embeddings.vocabulary
    arguments = _arguments(embeddings)
    sink.write(_HEADER.pack(MAGIC, _VERSION, *(arguments[name] for name in _ARGUMENTS)))
    counts = vocabulary.counts
    tally = np.zeros(len(vocabulary), np.int64) if counts is None else counts
    sink.write(_SIZES.pack(len(vocabulary), len(vocabulary), 0, int(tally.sum()), -1))
    entries = zip(vocabulary.words, tally.tolist(), strict=True)
    sink.write(b"".join(b"%b\0%b" % (word.encode(), _ENTRY.pack(n, 0)) for word, n in entries))
    for part, n_rows in ((_input_rows, len(vocabulary) + arguments["bucket"]),
                         (_output_rows, len(vocabulary))):  # fmt: skip
        sink.write(_SHAPE.pack(False, n_rows, embeddings.dim))
        for block in part(embeddings):
            sink.write(block.astype("<f4").tobytes())


def file_size(embeddings: Embeddings) -> int:
    """How many bytes `write` will write."""
    n_rows = 2 * len(embeddings) + int(_arguments(embeddings)["bucket"])
    words = len(embeddings.vocabulary.blob) + len(embeddings) * (1 + _ENTRY.size)
    return _HEADER.size + _SIZES.size + words + 2 * _SHAPE.size + 4 * n_rows * embeddings.dim


def read(source: Source, reading: ReadingOptions) -> Embeddings:
    """Read a model, its vectors made of the rows of words and n-grams.

    The arguments it was trained with are ``metadata["fasttext"]``.

    Raises:
        FormatError: damaged, of another version, a classifier or quantized.
    """
    file = _File(source)
    arguments = _read_arguments(file)
    vocabulary = _read_words(file, reading)
    dim, bucket = arguments["dim"], arguments["bucket"]
    words, rows = _read_matrix(file, "input", len(vocabulary), bucket, dim)
    output, _ = _read_matrix(file, "output", len(vocabulary), 0, dim)
    file.expect_end()
    metadata = {"fasttext": arguments}
    kept = output if arguments["loss"] == _NS and output.any() else None
    if not arguments["maxn"]:  # there may be rows of buckets all the same, of which none is used
        return Embeddings(vocabulary, words, kept, metadata)
    units = NGrams(max(1, arguments["minn"]), arguments["maxn"], bucket)
    subwords = Subwords(units, words, np.arange(bucket, dtype=np.int32), rows)
    return Embeddings(vocabulary, subwords.of_vocabulary(vocabulary), kept, metadata, subwords)


def _arguments(embeddings: Embeddings) -> dict[str, Any]:
    """What fastText calls the settings; those nobody told are its defaults."""
    made = embeddings.metadata
    settings, known = made.get("settings", {}), made.get("fasttext", {})
    names = {"ws": "window", "epoch": "epochs", "minCount": "min_count", "neg": "negative"}
    values: dict[str, Any] = {"ws": 5, "epoch": 5, "minCount": 5, "neg": 5, "wordNgrams": 1}
    values |= {"loss": _NS, "lrUpdateRate": 100, "t": 1e-4}
    values |= {
        ours: _int32(settings[theirs])
        for ours, theirs in names.items()
        if settings.get(theirs) is not None
    }
    if settings.get("window") is None and settings.get("items"):
        values["ws"] = _LARGEST  # the whole line
    values["t"] = float(settings.get("sample", values["t"]))
    values["model"] = _CBOW if settings.get("arch") == "cbow" else _SKIPGRAM
    values |= {name: known[name] for name in _ARGUMENTS if name in known}
    units = embeddings.subwords.units if embeddings.subwords is not None else None
    shape = (
        (units.shortest, units.longest, units.buckets) if isinstance(units, NGrams) else (0,) * 3
    )
    return (
        values | {"dim": embeddings.dim} | dict(zip(("minn", "maxn", "bucket"), shape, strict=True))
    )


def _int32(value: Any) -> int:
    """A setting as the file has room for it; a window that is the whole line is the largest."""
    return min(value, _LARGEST) if isinstance(value, int) else _LARGEST


def _input_rows(embeddings: Embeddings) -> Iterator[Floats]:
    """The rows of the words, then those of all buckets, zero where there is none."""
    subwords = embeddings.subwords
    own = embeddings.vectors if subwords is None else subwords.word_rows
    yield from (own[rows] for rows in row_blocks(own))
    if subwords is None:
        return
    step = max(1, _BLOCK_BYTES // (4 * embeddings.dim))
    for start in range(0, subwords.units.count, step):
        stop = min(start + step, subwords.units.count)
        first, last = np.searchsorted(subwords.ids, (start, stop)).tolist()
        block = np.zeros((stop - start, embeddings.dim), np.float32)
        block[subwords.ids[first:last] - start] = subwords.rows[first:last]
        yield block


def _output_rows(embeddings: Embeddings) -> Iterator[Floats]:
    output = embeddings.output_vectors
    for rows in row_blocks(embeddings.vectors):
        shape = embeddings.vectors[rows].shape
        yield np.zeros(shape, np.float32) if output is None else output[rows]


class _File:
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
            raise self.damaged(f"no end of the word of row {row}, {shown(word)}")
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


def _read_arguments(file: _File) -> dict[str, Any]:
    magic, version, *values = _HEADER.unpack(file.take(_HEADER.size, "the header"))
    arguments = dict(zip(_ARGUMENTS, values, strict=True))
    where = file.source.path
    if magic != MAGIC:
        raise FormatError(f"{where} is not a fastText model: it begins with {shown(magic)}")
    if version not in (11, _VERSION):
        raise FormatError(
            f"{where} is a fastText model of version {version}; versions 11 and 12 are read"
        )
    if arguments["model"] == _SUPERVISED:
        raise FormatError(
            f"{where} is a fastText classifier (supervised), whose vectors were made for its "
            "labels: unsupervised models (skipgram, cbow) are read"
        )
    if arguments["model"] not in (_CBOW, _SKIPGRAM) or arguments["dim"] < 1:
        raise file.damaged(f"model {arguments['model']} with {arguments['dim']} dimensions")
    if not 0 <= arguments["minn"] <= max(1, arguments["maxn"]) <= _LONGEST_NGRAM:
        raise file.damaged(f"n-grams of {arguments['minn']} to {arguments['maxn']} characters")
    if arguments["bucket"] < (1 if arguments["maxn"] else 0):
        raise file.damaged(f"{arguments['bucket']} buckets")
    return arguments


def _read_words(file: _File, reading: ReadingOptions) -> Vocabulary:
    sizes = _SIZES.unpack(file.take(_SIZES.size, "the sizes of the dictionary"))
    size, n_words, n_labels, n_tokens, n_pruned = sizes
    if n_labels or n_pruned >= 0:
        raise FormatError(
            f"{file.source.path} is a fastText classifier ({n_labels} labels"
            f"{', pruned' if n_pruned >= 0 else ''}): unsupervised models are read"
        )
    if size != n_words or n_words < 1 or n_tokens < 0:
        raise file.damaged(f"{size} entries, {n_words} words and {n_tokens} tokens")
    words, counts = [], []
    for row in range(1, n_words + 1):
        words.append(file.word(row))
        count, kind = _ENTRY.unpack(file.take(_ENTRY.size, f"the count of row {row}"))
        if count < 0 or kind != 0:
            raise file.damaged(f"count {count} and type {kind} in row {row} ({shown(words[-1])})")
        counts.append(count)
    tally = np.array(counts, np.int64) if any(counts) else None
    return vocabulary_of(file.source.path, words, tally, reading.keeping_rows)


def _read_matrix(
    file: _File, name: str, n_words: int, n_more: int, dim: int
) -> tuple[Floats, Floats]:
    """The rows of the words, float32 (V, D), and those that follow."""
    is_quantized, n_rows, width = _SHAPE.unpack(file.take(_SHAPE.size, f"the {name} matrix"))
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
    return _read_rows(file, name, n_words, dim), _read_rows(file, name, n_more, dim)


def _read_rows(file: _File, name: str, n_rows: int, dim: int) -> Floats:
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
