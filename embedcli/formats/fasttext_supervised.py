"""fastText's classifiers: supervised ``.bin``, and quantised ``.ftz``.

The layout is that of `fasttext.py`, with labels, and what may differ is

    pruneidx_size times:   i32 bucket, i32 row          behind the dictionary
    u8 quant               1: the input matrix is quantised
    u8 qout                1: so is the output matrix, if the input is
    i64 m, i64 n           the output matrix: m labels (with hs their tree's nodes, the last unused)

and of a quantised matrix

    u8 qnorm, i64 m, i64 n, i32 codesize
    codesize x u8          m rows of nsubq codes
    i32 dim nsubq dsub lastdsub
    256 * dim x f32        the centres, part by part
    m x u8, 4 x i32, 256 x f32      with qnorm: the codes of norms, their sizes and their centres

A quantised matrix stays as it is: codes and centres. A file says sizes before it has the bytes for
them; each is compared with the other sizes and with what is left of the file.
"""

from __future__ import annotations

import struct
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from embedcli.classification.model import LabelModel, Loss, Matrix, NGramRows
from embedcli.embeddings import Embeddings
from embedcli.errors import FormatError
from embedcli.files.source import Source
from embedcli.formats.fasttext import (
    ARGUMENTS,
    HEADER,
    LOSSES,
    MAGIC,
    SHAPE,
    SIZES,
    SUPERVISED,
    VERSIONS,
    ModelFile,
    Sizes,
    has_ngrams,
    read_entries,
    read_rows,
)
from embedcli.formats.row_words import raw_vocabulary
from embedcli.formats.rows import LONGEST_ROW
from embedcli.kernels.line_features import Dense, Quantized
from embedcli.quoting import quoted_bytes
from embedcli.settings.reading import ReadingOptions
from embedcli.subwords.ngrams import NGrams
from embedcli.subwords.rules import LONGEST as LONGEST_NGRAM
from embedcli.subwords.table import Subwords

__all__ = ["read", "read_classifier"]

_QUANT: Final = struct.Struct("<?qqi")
_PARTS: Final = struct.Struct("<4i")
_PAIR_BYTES: Final = 8
_BLOCK_BYTES: Final = 1 << 23
_CENTRES: Final = 256
_WORDS: Final = 1 << 12  # whose vectors are made at once
_MOST_NGRAM_WORDS: Final = 100


def read(source: Source, reading: ReadingOptions) -> Embeddings:
    """Read a classifier as embeddings with labels.

    Of a quantised classifier the vectors of words are made, each of its rows; n-grams have none.

    Raises:
        FormatError: as `read_classifier`.
    """
    classifier = read_classifier(source)
    ngrams, words = classifier.ngrams, classifier.words
    n, dim = len(words), classifier.dim
    units = NGrams(max(1, ngrams.shortest), ngrams.longest, max(1, ngrams.buckets))
    subwords = None
    if isinstance(classifier.inputs, Dense):
        rows = classifier.inputs.rows.reshape(-1, dim)
        vectors = rows[:n]
        if ngrams.buckets and (ngrams.longest or ngrams.words > 1):
            cut = units if ngrams.longest else NGrams(0, 0, ngrams.buckets)
            ids = np.arange(ngrams.buckets, dtype=np.int32)
            subwords = Subwords(cut, vectors, ids, rows[n:])
            vectors = subwords.of_vocabulary(words)
    else:
        vectors = _made_vectors(classifier, units)
        if ngrams.n_rows:
            reading.on_mended(
                f"{source.path} is quantised: the vectors of its {n:,} words are made of its rows; "
                "words that it does not hold have none"
            )
    settings = {"arch": "classifier", "loss": classifier.loss, "word_ngrams": ngrams.words}
    return Embeddings(
        words,
        np.ascontiguousarray(vectors),
        _dense(classifier.outputs, np.arange(len(classifier.labels))),
        {**classifier.metadata, "settings": settings},
        subwords,
        labels=classifier.labels,
    )


def _made_vectors(classifier: LabelModel, units: NGrams) -> NDArray[np.float32]:
    """The vectors of words, each the mean of its rows, a few thousand words at a time."""
    words, ngrams = classifier.words, classifier.ngrams
    vectors = np.empty((len(words), classifier.dim), np.float32)
    places = np.full(max(1, ngrams.buckets), -1, np.int64)
    if ngrams.kept is None:
        places[:] = np.arange(len(places))
    elif ngrams.rows is not None:
        places[ngrams.kept] = ngrams.rows
    for start in range(0, len(words), _WORDS):
        stop = min(start + _WORDS, len(words))
        own = np.arange(start, stop)
        rows, of = own, own - start
        if ngrams.longest:
            cut = units.cut(words.between(start, stop))
            found = places[cut.ids]
            owner = np.repeat(np.arange(stop - start), np.diff(cut.offsets))
            rows = np.concatenate([rows, len(words) + found[found >= 0]])
            of = np.concatenate([of, owner[found >= 0]])
        total = np.zeros((stop - start, classifier.dim), np.float32)
        np.add.at(total, of, _dense(classifier.inputs, rows))
        vectors[start:stop] = total / np.bincount(of, minlength=stop - start)[:, None]
    return vectors


def _dense(matrix: Matrix, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Some rows of a matrix, float32 (n, D)."""
    if isinstance(matrix, Dense):
        dense: NDArray[np.float32] = matrix.rows.reshape(-1, matrix.dim)[rows]
        return dense
    codes = matrix.codes.reshape(-1, matrix.parts)[rows].astype(np.int64)
    found = np.empty((len(rows), matrix.dim), np.float32)
    for part in range(matrix.parts):
        begin = part * matrix.width
        width = min(matrix.width, matrix.dim - begin)
        centres = matrix.centres[_CENTRES * begin : _CENTRES * (begin + width)]
        found[:, begin : begin + width] = centres.reshape(_CENTRES, width)[codes[:, part]]
    if len(matrix.norms):
        found *= matrix.norm_centres[matrix.norms[rows]][:, None]
    return found


def read_classifier(source: Source) -> LabelModel:
    """Read a classifier; ``metadata["fasttext"]`` are its arguments, version and tokens.

    Raises:
        FormatError: damaged, of another version, or no classifier.
    """
    file = ModelFile(source)
    arguments = _read_arguments(file)
    sizes = Sizes(*SIZES.unpack(file.take(SIZES.size, "the sizes of the dictionary")))
    spelt, counts = read_entries(file, sizes)
    if sizes.n_labels < 1:
        raise file.damaged("no labels")
    ngrams = _ngrams(file, arguments, sizes)
    is_quantized = _flag(file, "the input matrix")
    if sizes.n_pruned >= 0 and not is_quantized:
        raise file.damaged("pruned n-grams, but a matrix that is not quantised")
    dim = arguments["dim"]
    inputs = _matrix(file, "input", sizes.n_words + ngrams.n_rows, dim, is_quantized)
    is_quantized = _flag(file, "the output matrix") and is_quantized
    outputs = _matrix(file, "output", sizes.n_labels, dim, is_quantized)
    file.expect_end()
    return LabelModel(
        raw_vocabulary(spelt[: sizes.n_words], np.array(counts[: sizes.n_words], np.int64)),
        raw_vocabulary(spelt[sizes.n_words :], np.array(counts[sizes.n_words :], np.int64)),
        inputs,
        outputs,
        ngrams,
        _loss(arguments),
        {"fasttext": arguments | {"ntokens": sizes.n_tokens}},
    )


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
    if arguments["model"] != SUPERVISED:
        raise FormatError(
            f"{where} holds embeddings (model {arguments['model']}), not a classifier: labels are "
            "predicted by models that `embed classify` or `fasttext supervised` made"
        )
    if version == 11:
        arguments["maxn"] = 0  # classifiers of that version have no n-grams of characters
    if arguments["loss"] not in LOSSES or not 1 <= arguments["dim"] <= LONGEST_ROW // 4:
        raise file.damaged(f"loss {arguments['loss']} with {arguments['dim']} dimensions")
    shortest, longest = arguments["minn"], arguments["maxn"]
    if min(shortest, longest) < 0 or longest > LONGEST_NGRAM:
        raise file.damaged(
            f"n-grams of {shortest} to {longest} characters; at most {LONGEST_NGRAM} are read"
        )
    words, bucket = arguments["wordNgrams"], arguments["bucket"]
    if not 0 <= words <= _MOST_NGRAM_WORDS:
        raise file.damaged(f"n-grams of {words} words; at most {_MOST_NGRAM_WORDS} are read")
    if bucket < (1 if has_ngrams(arguments) or words > 1 else 0):
        raise file.damaged(f"{bucket} buckets")
    return arguments | {"version": version}


def _loss(arguments: dict[str, Any]) -> Loss:
    loss: Loss = LOSSES[arguments["loss"]]
    return loss


def _ngrams(file: ModelFile, arguments: dict[str, Any], sizes: Sizes) -> NGramRows:
    longest = arguments["maxn"] if has_ngrams(arguments) else 0
    rule = arguments["minn"], longest, max(1, arguments["wordNgrams"]), arguments["bucket"]
    if sizes.n_pruned < 0:
        return NGramRows(*rule)
    pairs = _numbers(file, "<i4", 2 * sizes.n_pruned, "the list of n-grams that are left")
    kept, rows = pairs.reshape(-1, 2).T.astype(np.int32)
    if sizes.n_pruned and not (
        0 <= kept.min() <= kept.max() < arguments["bucket"]
        and 0 <= rows.min() <= rows.max() < sizes.n_pruned
    ):
        raise file.damaged(
            f"n-grams {kept.min()} to {kept.max()} of {arguments['bucket']} in rows {rows.min()} "
            f"to {rows.max()} of {sizes.n_pruned}"
        )
    return NGramRows(*rule, np.ascontiguousarray(kept), np.ascontiguousarray(rows))


def _flag(file: ModelFile, what: str) -> bool:
    return file.take(1, what) != b"\0"


def _matrix(file: ModelFile, name: str, n_rows: int, dim: int, is_quantized: bool) -> Matrix:
    if is_quantized:
        return _quantized(file, name, n_rows, dim)
    _, *shape = SHAPE.unpack(b"\0" + file.take(SHAPE.size - 1, f"the {name} matrix"))
    _check_shape(file, name, shape, n_rows, dim)
    _check_left(file, name, 4 * n_rows * dim)
    return Dense(read_rows(file, name, n_rows, dim).ravel(), dim)


def _quantized(file: ModelFile, name: str, n_rows: int, dim: int) -> Quantized:
    has_norms, *shape, n_codes = _QUANT.unpack(file.take(_QUANT.size, f"the {name} matrix"))
    _check_shape(file, name, shape, n_rows, dim)
    codes_what = f"the codes of the {name} matrix"
    if n_codes < 0 or n_rows == 0 or n_codes % n_rows:
        raise file.damaged(f"{n_codes} codes of {n_rows} rows in the {name} matrix")
    codes = _numbers(file, "u1", n_codes, codes_what)
    parts, width, centres = _centres(file, name, dim)
    if n_codes != n_rows * parts:
        raise file.damaged(
            f"{n_codes} codes of {n_rows} rows in {parts} parts in the {name} matrix"
        )
    norms, norm_centres = np.empty(0, np.uint8), np.empty(0, np.float32)
    if has_norms:
        norms = _numbers(file, "u1", n_rows, f"the norms of the {name} matrix")
        _, _, norm_centres = _centres(file, f"{name} norms", 1)
    return Quantized(codes, centres, norms, norm_centres, dim, parts, width)


def _centres(file: ModelFile, name: str, dim: int) -> tuple[int, int, NDArray[np.float32]]:
    """The parts of a row, their width, and the centres."""
    size, parts, width, last = _PARTS.unpack(file.take(_PARTS.size, f"the sizes of {name}"))
    if size != dim or parts < 1 or not 1 <= last <= width or (parts - 1) * width + last != dim:
        raise file.damaged(
            f"{parts} parts of {width} numbers, the last of {last}, where {dim} are quantised "
            f"({name})"
        )
    centres = _numbers(file, "<f4", _CENTRES * dim, f"the centres of {name}")
    if not np.isfinite(centres).all():
        raise file.damaged(f"a centre that is not finite ({name})")
    return parts, width, centres


def _check_shape(file: ModelFile, name: str, shape: list[int], n_rows: int, dim: int) -> None:
    if shape != [n_rows, dim]:
        raise file.damaged(
            f"an {name} matrix of {shape[0]} x {shape[1]}, where {n_rows} rows of {dim} numbers "
            "belong"
        )


def _check_left(file: ModelFile, name: str, n_bytes: int) -> None:
    size = file.source.size
    if size is not None and n_bytes > size - file.position:
        raise file.damaged(f"{name} of {n_bytes} bytes, but {size - file.position} are left")


def _numbers(file: ModelFile, dtype: str, count: int, what: str) -> NDArray[Any]:
    """Numbers, read block by block: memory is taken for what is there."""
    kind = np.dtype(dtype)
    _check_left(file, what, count * kind.itemsize)
    blocks = [np.empty(0, kind)]
    step = _BLOCK_BYTES // kind.itemsize
    for start in range(0, count, step):
        data = file.take(min(step, count - start) * kind.itemsize, what)
        blocks.append(np.frombuffer(data, kind))
    return np.concatenate(blocks).astype(kind.newbyteorder("="), copy=False)
