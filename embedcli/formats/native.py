"""``safetensors``: embed's own format, one memory-mappable file that any safetensors reader opens.

    tensor         type          what
    syn0           F32 [V, D]    input vectors: the embeddings; of GloVe W + W~
    syn1neg        F32 [V, D]    output vectors; left out by --no-output-vectors; of GloVe W~, of
                                 hierarchical softmax those of the V - 1 inner nodes, and a row of 0
    norms          F32 [V]       Euclidean norms of the rows of syn0
    word_rows      F32 [V, D]    only with subwords: the words' own rows, of which and of those of
    subwords       F32 [U, D]    their parts syn0 is the mean; and the rows of all parts
    subword_ids    I32 [U]       that have one, with their ids, ascending
    word_offsets   I64 [V + 1]   word i is words[word_offsets[i]:word_offsets[i + 1]], as UTF-8
    counts         I64 [V]       how often each word occurred; left out where unknown
    label_offsets  I64 [C + 1]   only of a classifier: its labels, as the words are kept,
    label_counts   I64 [C]       and how often each occurred; syn1neg is then F32 [C, D]
    tree_counts    I64 [V]       only of hierarchical softmax that went on: what its tree is made of
    subword_model  U8  [bytes]   only with pieces of words: the sentencepiece model
    labels         U8  [bytes]   only of a classifier
    words          U8  [bytes]   the words one after the other; behind all that must be aligned
    sha256         U8  [32]      digest of every byte before it; left out by older versions

`words` are UTF-8, unless ``__metadata__`` has ``words`` = "bytes", as those of fastText may be.

``__metadata__`` holds ``format`` = "embed", ``version`` = "1" and ``meta``, the JSON of
`Embeddings.metadata`, less its ``timings``: two runs that compute the same write the same bytes. A
checkpoint (`training/checkpoint.py`) is such a file with more arrays in it. With subwords there is
also ``subword``, JSON that says how words are cut (`subwords/rules.py`); readers that do not know
of it still find the words' vectors. Byte layout of the file itself: `files/safetensors.py`.

A file written with another dtype has ``version`` = "2", no ``syn1neg``, and

    syn0           F16 [V, D]    or
    syn0           I8 [V, D]     with
    scales         F32 [V]       row i is syn0[i] * scales[i]

and its vectors are made float32 when it is read (`narrow.py`). With subwords, `word_rows` and
`subwords` are of the same type as `syn0`; the scales of I8 are `word_scales`, F32 [V], and
`subword_scales`, F32 [U]. A file that holds quantised vectors has
``version`` = "pq", none of ``syn0``, ``syn1neg`` and subwords, and

    codes          U8 [V, M]          row i is the centres that its codes name, part by part,
    centres        F32 [M, 256, D/M]
    scales         F32 [V]            times its scale (`product.py`)

Reading maps the file and looks at the structure and the words, not at the vectors: 1,000,000 x 300
opens in milliseconds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedcli.embeddings import Embeddings
from embedcli.errors import FormatError
from embedcli.files import safetensors
from embedcli.files.publish import Sink
from embedcli.files.source import Source, check_memory
from embedcli.formats.checks import check_savable, check_subwords, check_words
from embedcli.formats.mapped import MappedEmbeddings
from embedcli.formats.meta import read_meta
from embedcli.formats.narrow import narrowed, wide
from embedcli.formats.native_layout import (
    NARROW_VERSION,
    NARROWED,
    PRODUCT_VERSION,
    VERSION,
    check_layout,
)
from embedcli.formats.product import Product, product_bytes, quantized
from embedcli.quoting import json_text, quoted
from embedcli.settings.reading import STRICT, ReadingOptions
from embedcli.subwords.rules import model_of, units_from
from embedcli.subwords.table import Subwords
from embedcli.vocabulary import LARGEST_SUM, Vocabulary, counts_fault

__all__ = [
    "check",
    "check_sound",
    "file_size",
    "metadata",
    "read",
    "tensors",
    "verify",
    "write",
    "write_narrow",
]


def write(embeddings: Embeddings, sink: Sink) -> None:
    """Write `embeddings`, vectors block by block.

    Raises:
        FormatError: a component is not finite, or a word is empty or occurs twice.
    """
    check_savable(embeddings, any_bytes=True)
    check_subwords(embeddings)
    safetensors.write(sink, tensors(embeddings), metadata(embeddings))


def write_narrow(embeddings: Embeddings, sink: Sink, dtype: str) -> None:
    """Write `embeddings` as ``float16``, ``int8`` or ``pq-M``, without output vectors.

    Raises:
        FormatError: as `write`; or a component is too large for float16.
        MissingExtraError, UsageError: as `product.quantized`.
    """
    check_savable(embeddings, any_bytes=True)
    n_bytes = product_bytes(dtype)
    if n_bytes is not None:
        _write_product(embeddings, sink, n_bytes)
        return
    check_subwords(embeddings)
    parts = narrowed(embeddings, dtype)
    read_back = replace(embeddings, vectors=wide(*parts[0]), output_vectors=None, labels=None)
    arrays = tensors(read_back)  # the norms are those of what will be read
    last = {name: arrays.pop(name) for name in ("subword_model", "words") if name in arrays}
    narrow: dict[str, NDArray[Any]] = {}
    scales: dict[str, NDArray[Any]] = {}
    for (name, of_it), (rows, each) in zip(NARROWED.items(), parts, strict=False):
        narrow[name] = rows
        if each is not None:
            scales[of_it] = each
    arrays = scales | {name: array for name, array in arrays.items() if name not in narrow}
    # narrow numbers and words last, so that the rest stays aligned
    described = metadata(embeddings) | {"version": NARROW_VERSION}
    safetensors.write(sink, arrays | narrow | last, described)


def _write_product(embeddings: Embeddings, sink: Sink, n_bytes: int) -> None:
    product = quantized(embeddings, n_bytes)
    bare = replace(embeddings, output_vectors=None, labels=None, subwords=None)
    arrays = tensors(bare)  # the scales see to it that the norms stay what they are
    words = arrays.pop("words")
    del arrays["syn0"]
    arrays |= {"centres": product.centres, "scales": product.scales}
    arrays |= {"codes": product.codes, "words": words}
    safetensors.write(sink, arrays, metadata(bare) | {"version": PRODUCT_VERSION})


def file_size(embeddings: Embeddings) -> int:
    """How many bytes `write` will write."""
    return safetensors.size(tensors(embeddings), metadata(embeddings))


def read(source: Source, reading: ReadingOptions = STRICT) -> Embeddings:
    """Map the file; of `reading` only the limit matters, as a file of ours has no blemishes.

    Raises:
        FormatError: damaged, or a safetensors file of somebody else.
    """
    where = source.path
    source.plain_size("embed's own format")
    header = safetensors.read_header(where)
    check_layout(where, header)
    arrays = safetensors.map_tensors(where, header)
    vocabulary = Vocabulary(
        arrays["words"],
        _aligned(arrays["word_offsets"]),
        _aligned(arrays["counts"]) if "counts" in arrays else None,
    )
    _check_words(where, vocabulary, any_bytes=header.metadata.get("words") == "bytes")
    if not (np.isfinite(arrays["norms"]) & (arrays["norms"] >= 0)).all():
        raise FormatError(f"{where}: tensor 'norms' holds what is no length")
    embeddings = MappedEmbeddings(
        vocabulary,
        _vectors(where, arrays),
        arrays.get("syn1neg"),
        read_meta(where, header.metadata.get("meta", "{}")),
        _subwords(where, arrays, header.metadata),
        _tree_counts(where, arrays),
        _labels(where, arrays),
        where,
    )
    embeddings.__dict__["norms"] = arrays["norms"]  # where cached_property would put it
    return embeddings


def tensors(
    embeddings: Embeddings, more: Mapping[str, NDArray[Any]] | None = None
) -> dict[str, NDArray[Any]]:
    """The arrays of the file in their order; `more` go before the words."""
    vocabulary = embeddings.vocabulary
    arrays: dict[str, NDArray[Any]] = {"syn0": embeddings.vectors}
    if embeddings.output_vectors is not None:
        arrays["syn1neg"] = embeddings.output_vectors
    arrays["norms"] = embeddings.norms
    if embeddings.subwords is not None:
        arrays["word_rows"] = embeddings.subwords.word_rows
        arrays["subwords"] = embeddings.subwords.rows
        arrays["subword_ids"] = embeddings.subwords.ids
    arrays["word_offsets"] = vocabulary.offsets
    if vocabulary.counts is not None:
        arrays["counts"] = vocabulary.counts
    if embeddings.tree_counts is not None and embeddings.output_vectors is not None:
        arrays["tree_counts"] = embeddings.tree_counts
    labels = embeddings.labels
    if labels is not None and labels.counts is not None and embeddings.output_vectors is not None:
        arrays["label_offsets"], arrays["label_counts"] = labels.offsets, labels.counts
    arrays |= more or {}
    model = None if embeddings.subwords is None else model_of(embeddings.subwords.units)
    if model is not None:
        arrays["subword_model"] = np.frombuffer(model, np.uint8)
    if "label_offsets" in arrays and labels is not None:
        arrays["labels"] = labels.blob
    return {**arrays, "words": vocabulary.blob}


def metadata(embeddings: Embeddings) -> dict[str, str]:
    """The ``__metadata__`` of the file."""
    kept = {key: value for key, value in embeddings.metadata.items() if key != "timings"}
    try:
        meta = json_text(kept)
    except (TypeError, ValueError) as error:
        raise FormatError(f"cannot save the metadata as JSON: {error}") from error
    found = {"format": "embed", "version": VERSION, "meta": meta}
    if not embeddings.vocabulary.is_utf8:
        found["words"] = "bytes"
    if embeddings.subwords is not None:
        found["subword"] = json.dumps(embeddings.subwords.units.described())
    return found


def verify(source: Source) -> bool:
    """Check what `read` leaves out: every byte, every number; whether the file has a digest.

    Raises:
        FormatError: the first thing that is wrong.
    """
    embeddings = read(source)
    has_digest = safetensors.check_digest(source.path, safetensors.read_header(source.path))
    check_sound(source.path, embeddings)
    return has_digest


def check_sound(where: str, embeddings: Embeddings) -> None:
    """Check the words and numbers of embeddings that `read` has mapped, but not the digest.

    Raises:
        FormatError: the first thing that is wrong.
    """
    check_savable(embeddings, any_bytes=True)
    check_subwords(embeddings)
    stored = embeddings.norms
    norms = Embeddings(embeddings.vocabulary, embeddings.vectors).norms
    if not np.allclose(stored, norms, rtol=1e-4, atol=1e-12):
        row = int(np.argmax(~np.isclose(stored, norms, rtol=1e-4, atol=1e-12)))
        raise FormatError(
            f"{where}: the norm of row {row + 1} is {stored[row]:g}, but its vector has "
            f"{norms[row]:g}"
        )


def _vectors(where: str, arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
    """The vectors as float32: as they lie in the file, or made from a narrow type."""
    if "codes" not in arrays:
        return _wide(where, arrays, "syn0")
    product = Product(arrays["codes"], arrays["centres"], arrays["scales"])
    check_memory(where, product.n_bytes, sum(array.nbytes for array in arrays.values()))
    return _finite(where, "centres", product.vectors())


def _wide(where: str, arrays: Mapping[str, NDArray[Any]], name: str) -> NDArray[np.float32]:
    """The rows of a tensor as float32."""
    rows = arrays[name]
    if rows.dtype == np.float32:
        return rows
    scales = arrays[NARROWED[name]] if rows.dtype == np.int8 else None
    return _finite(where, name, wide(rows, scales))


def _finite(where: str, name: str, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    if not np.isfinite(rows).all():
        raise FormatError(f"{where}: tensor {quoted(name)} holds a number that is not finite")
    return rows


def _subwords(
    where: str, arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]
) -> Subwords | None:
    if "subword" not in metadata:
        return None
    model = arrays["subword_model"].tobytes() if "subword_model" in arrays else None
    units = units_from(where, metadata["subword"], model)
    ids = arrays["subword_ids"]
    ascends = bool((ids[1:] > ids[:-1]).all())
    if len(ids) and not (ascends and ids[0] >= 0 and ids[-1] < units.count):
        raise FormatError(
            f"{where}: tensor 'subword_ids' is no rising list of ids below {units.count}"
        )
    own, rows = (_wide(where, arrays, name) for name in ("word_rows", "subwords"))
    return Subwords(units, own, ids, rows)


def _tree_counts(where: str, arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.int64] | None:
    if "tree_counts" not in arrays:
        return None
    found = _aligned(arrays["tree_counts"])
    if not (found >= 0).all() or not (found <= LARGEST_SUM).all():
        raise FormatError(f"{where}: tensor 'tree_counts' holds what is no count")
    return found


def _labels(where: str, arrays: Mapping[str, NDArray[Any]]) -> Vocabulary | None:
    if "labels" not in arrays:
        return None
    counts = _aligned(arrays["label_counts"])
    labels = Vocabulary(arrays["labels"], _aligned(arrays["label_offsets"]), counts)
    fault = labels.fault(any_bytes=True)
    if fault is not None:
        raise FormatError(f"{where} is damaged: its labels have {fault}")
    if (fault := counts_fault(counts)) is not None:
        raise FormatError(f"{where}: its labels have {fault}")
    return labels


def _aligned(array: NDArray[np.int64]) -> NDArray[np.int64]:
    """Copy eight-byte numbers that lie behind an odd number of four-byte ones (8 MB a million)."""
    return array if array.flags.aligned else array.copy()


def check(vocabulary: Vocabulary) -> None:
    """Refuse words that could not be read back: `write` would."""
    check_words(vocabulary, any_bytes=True)


def _check_words(where: str, vocabulary: Vocabulary, *, any_bytes: bool) -> None:
    """Offsets that rise from 0 to the end, and words that are UTF-8 each for itself."""
    fault = vocabulary.fault(any_bytes=any_bytes)
    if fault is not None:
        raise FormatError(f"{where} is damaged: it has {fault}")
