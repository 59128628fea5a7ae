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
    subword_model  U8  [bytes]   only with pieces of words: the sentencepiece model
    words          U8  [bytes]   the words one after the other; behind all that must be aligned
    sha256         U8  [32]      digest of every byte before it; left out by older versions

``__metadata__`` holds ``format`` = "embed", ``version`` = "1" and ``meta``, the JSON of
`Embeddings.metadata`, less its ``timings``: two runs that compute the same write the same bytes. A
checkpoint (`training/checkpoint.py`) is such a file with more arrays in it. With subwords there is
also ``subword``, JSON that says how words are cut (`subwords/rules.py`); readers that do not know
of it still find the words' vectors. Byte layout of the file itself: `storage/safetensors.py`.

A file written with another dtype has ``version`` = "2", no ``syn1neg``, and

    syn0           F16 [V, D]    or
    syn0           I8 [V, D]     with
    scales         F32 [V]       row i is syn0[i] * scales[i]

and its vectors are made float32 when it is read (`narrow.py`). One that holds quantised vectors has
``version`` = "pq", neither ``syn0`` nor ``syn1neg``, and

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
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from embedcli.embeddings import Embeddings
from embedcli.errors import FormatError
from embedcli.formats.checks import check_savable, check_subwords
from embedcli.formats.narrow import from_int8, to_float16, to_int8, widened
from embedcli.formats.product import CENTRES, Product, product_bytes, quantized
from embedcli.formats.source import Source
from embedcli.storage import safetensors
from embedcli.storage.publish import Sink
from embedcli.subwords.rules import model_of, units_from
from embedcli.subwords.table import Subwords
from embedcli.vocabulary import Vocabulary

__all__ = ["file_size", "metadata", "read", "tensors", "verify", "write", "write_narrow"]

_VERSION: Final = "1"
_NARROW_VERSION: Final = "2"
_PRODUCT_VERSION: Final = "pq"
_LETTERS: Final = {
    "codes": "VM",
    "centres": "MCP",
    "scales": "V",
    "syn0": "VD",
    "syn1neg": "VD",
    "norms": "V",
    "word_rows": "VD",
    "subwords": "UD",
    "subword_ids": "U",
    "counts": "V",
}
_DTYPES: Final = {
    "codes": "U8",
    "centres": "F32",
    "scales": "F32",
    "syn0": "F32",
    "syn1neg": "F32",
    "norms": "F32",
    "word_rows": "F32",
    "subwords": "F32",
    "subword_ids": "I32",
    "word_offsets": "I64",
    "counts": "I64",
    "words": "U8",
}
_SUBWORDS: Final = ("word_rows", "subwords", "subword_ids")
_OPTIONAL: Final = {"codes", "centres", "scales", "syn1neg", "counts", *_SUBWORDS}
_NARROW: Final = ("F16", "I8")


def write(embeddings: Embeddings, sink: Sink) -> None:
    """Write `embeddings`, vectors block by block.

    Raises:
        FormatError: a component is not finite, or a word is empty or occurs twice.
    """
    check_savable(embeddings)
    check_subwords(embeddings)
    safetensors.write(sink, tensors(embeddings), metadata(embeddings))


def write_narrow(embeddings: Embeddings, sink: Sink, dtype: str) -> None:
    """Write `embeddings` as ``float16``, ``int8`` or ``pq-M``, without output vectors.

    Raises:
        FormatError: as `write`; or a component is too large for float16.
        MissingExtraError, UsageError: as `product.quantized`.
    """
    check_savable(embeddings)
    n_bytes = product_bytes(dtype)
    if n_bytes is not None:
        _write_product(embeddings, sink, n_bytes)
        return
    arrays = tensors(widened(embeddings, dtype))  # the norms are those of what will be read
    words = arrays.pop("words")
    del arrays["syn0"]
    if dtype == "float16":
        arrays["syn0"] = to_float16(embeddings)
    else:
        arrays["syn0"], scales = to_int8(embeddings.vectors)
        arrays = {"scales": scales} | arrays
    arrays["words"] = words  # narrow numbers and words last, so that the rest stays aligned
    safetensors.write(sink, arrays, metadata(embeddings) | {"version": _NARROW_VERSION})


def _write_product(embeddings: Embeddings, sink: Sink, n_bytes: int) -> None:
    product = quantized(embeddings, n_bytes)
    bare = replace(embeddings, output_vectors=None, subwords=None)
    arrays = tensors(bare)  # the scales see to it that the norms stay what they are
    words = arrays.pop("words")
    del arrays["syn0"]
    arrays |= {"centres": product.centres, "scales": product.scales}
    arrays |= {"codes": product.codes, "words": words}
    safetensors.write(sink, arrays, metadata(bare) | {"version": _PRODUCT_VERSION})


def file_size(embeddings: Embeddings) -> int:
    """How many bytes `write` will write."""
    return safetensors.size(tensors(embeddings), metadata(embeddings))


def read(source: Source, *, decode_errors: str = "strict") -> Embeddings:
    """Map the file; `decode_errors` is not needed, a file of ours always holds sound UTF-8.

    Raises:
        FormatError: damaged, or a safetensors file of somebody else.
    """
    where = source.path
    if source.size is None:
        kind = f"packed with {source.compression}" if source.compression else "a pipe"
        raise FormatError(f"{where} is {kind}: embed's own format must be a plain file")
    header = safetensors.read_header(where)
    _check_kind(where, header)
    arrays = safetensors.map_tensors(where, header)
    vocabulary = Vocabulary(
        arrays["words"],
        _aligned(arrays["word_offsets"]),
        _aligned(arrays["counts"]) if "counts" in arrays else None,
    )
    _check_words(where, vocabulary)
    embeddings = Embeddings(
        vocabulary,
        _vectors(where, arrays),
        arrays.get("syn1neg"),
        _meta(where, header.metadata),
        _subwords(where, arrays, header.metadata),
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
    arrays |= more or {}
    model = None if embeddings.subwords is None else model_of(embeddings.subwords.units)
    if model is not None:
        arrays["subword_model"] = np.frombuffer(model, np.uint8)
    return {**arrays, "words": vocabulary.blob}


def metadata(embeddings: Embeddings) -> dict[str, str]:
    """The ``__metadata__`` of the file."""
    kept = {key: value for key, value in embeddings.metadata.items() if key != "timings"}
    try:
        meta = json.dumps(kept, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise FormatError(f"cannot save the metadata as JSON: {error}") from error
    found = {"format": "embed", "version": _VERSION, "meta": meta}
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
    check_savable(embeddings)
    check_subwords(embeddings)
    stored = embeddings.__dict__.pop("norms")
    if not np.allclose(stored, embeddings.norms, rtol=1e-4, atol=1e-12):
        row = int(np.argmax(~np.isclose(stored, embeddings.norms, rtol=1e-4, atol=1e-12)))
        raise FormatError(
            f"{source.path}: the norm of row {row + 1} is {stored[row]:g}, but its vector has "
            f"{embeddings.norms[row]:g}"
        )
    return has_digest


def _vectors(where: str, tensors: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
    """The vectors as float32: as they lie in the file, or made from a narrow type."""
    if "codes" in tensors:
        name = "centres"
        vectors = Product(tensors["codes"], tensors[name], tensors["scales"]).vectors()
    else:
        name = "syn0"
        syn0 = tensors[name]
        if syn0.dtype == np.float32:
            return syn0
        vectors = from_int8(syn0, tensors["scales"]) if syn0.dtype == np.int8 else syn0.astype("f4")
    if not np.isfinite(vectors).all():
        raise FormatError(f"{where}: tensor {name!r} holds a number that is not finite")
    return vectors


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
    return Subwords(units, arrays["word_rows"], ids, arrays["subwords"])


def _check_kind(where: str, header: safetensors.Header) -> None:
    if header.metadata.get("format") != "embed":
        names = ", ".join(sorted(header.tensors)[:5]) or "none"
        raise FormatError(
            f"{where} is a safetensors file, but not one of embed's (tensors: {names})"
        )
    version = header.metadata.get("version")
    if version not in (_VERSION, _NARROW_VERSION, _PRODUCT_VERSION):
        raise FormatError(
            f"{where} has model version {version!r}, this embed reads {_VERSION!r}, "
            f"{_NARROW_VERSION!r} and {_PRODUCT_VERSION!r}: use the embed that wrote it, or a "
            "newer one"
        )
    needed = set(_DTYPES) - _OPTIONAL
    if version == _PRODUCT_VERSION:
        needed = (needed - {"syn0"}) | {"codes", "centres", "scales"}
    elif "syn0" in header.tensors and header.tensors["syn0"].dtype == np.int8:
        needed.add("scales")
    if "subword" in header.metadata:
        needed.update(_SUBWORDS)
    missing = sorted(needed - set(header.tensors))
    if missing:
        raise FormatError(f"{where} lacks the tensor {missing[0]!r}: it is damaged")
    _check_shapes(where, header)


def _check_shapes(where: str, header: safetensors.Header) -> None:
    rows, letters = "syn0", "VD"
    if header.metadata.get("version") == _PRODUCT_VERSION:
        rows, letters = "codes", "VM"
    shape = header.tensors[rows].shape
    if len(shape) != 2:
        raise FormatError(f"{where}: tensor {rows!r} has shape {shape}, not [{', '.join(letters)}]")
    sizes = dict.fromkeys("VDMCPU", 0) | dict(zip(letters, shape, strict=True))
    if rows == "codes":
        sizes |= {"C": CENTRES, "P": header.tensors["centres"].shape[-1]}
    if "subword_ids" in header.tensors:
        sizes["U"] = int(np.prod(header.tensors["subword_ids"].shape))
    expected = {name: tuple(sizes[letter] for letter in _LETTERS[name]) for name in _LETTERS}
    expected["word_offsets"] = (shape[0] + 1,)
    expected["words"] = (int(np.prod(header.tensors["words"].shape)),)
    dtypes = dict(_DTYPES)
    if header.metadata.get("version") == _NARROW_VERSION:
        narrow = [n for n in _NARROW if header.tensors[rows].dtype == safetensors.DTYPES[n]]
        dtypes["syn0"] = narrow[0] if narrow else " or ".join(_NARROW)
    for name, dtype in dtypes.items():
        entry = header.tensors.get(name)
        if entry is None:
            continue
        if entry.shape != expected[name] or entry.dtype != safetensors.DTYPES.get(dtype):
            raise FormatError(
                f"{where}: tensor {name!r} is {entry.dtype} {entry.shape}, "
                f"expected {dtype} {expected[name]}"
            )


def _aligned(array: NDArray[np.int64]) -> NDArray[np.int64]:
    """Copy eight-byte numbers that lie behind an odd number of four-byte ones (8 MB a million)."""
    return array if array.flags.aligned else array.copy()


def _check_words(where: str, vocabulary: Vocabulary) -> None:
    """Offsets that rise from 0 to the end, and words that are UTF-8 each for itself."""
    fault = vocabulary.fault()
    if fault is not None:
        raise FormatError(f"{where} is damaged: it has {fault}")


def _meta(where: str, metadata: Mapping[str, str]) -> Mapping[str, Any]:
    try:
        meta = json.loads(metadata.get("meta", "{}"))
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{where}: the metadata is not JSON: {error}") from error
    if not isinstance(meta, dict):
        raise FormatError(f"{where}: the metadata is not a JSON object")
    return meta
