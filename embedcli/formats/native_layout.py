"""The tensors of embed's own format: names, types and shapes."""

from __future__ import annotations

from typing import Final

import numpy as np

from embedcli.errors import FormatError
from embedcli.files import safetensors
from embedcli.formats.product import CENTRES
from embedcli.quoting import escaped, quoted

__all__ = ["NARROWED", "NARROW_VERSION", "PRODUCT_VERSION", "VERSION", "check_layout"]

VERSION: Final = "1"
NARROW_VERSION: Final = "2"
PRODUCT_VERSION: Final = "pq"
_LETTERS: Final = {
    "codes": "VM",
    "centres": "MCP",
    "scales": "V",
    "word_scales": "V",
    "subword_scales": "U",
    "syn0": "VD",
    "syn1neg": "VD",
    "norms": "V",
    "word_rows": "VD",
    "subwords": "UD",
    "subword_ids": "U",
    "counts": "V",
    "tree_counts": "V",
    "label_counts": "L",
}
_DTYPES: Final = {
    "codes": "U8",
    "centres": "F32",
    "scales": "F32",
    "word_scales": "F32",
    "subword_scales": "F32",
    "syn0": "F32",
    "syn1neg": "F32",
    "norms": "F32",
    "word_rows": "F32",
    "subwords": "F32",
    "subword_ids": "I32",
    "word_offsets": "I64",
    "counts": "I64",
    "tree_counts": "I64",
    "label_offsets": "I64",
    "label_counts": "I64",
    "labels": "U8",
    "words": "U8",
}
_LABELS: Final = ("label_offsets", "label_counts", "labels")
_SUBWORDS: Final = ("word_rows", "subwords", "subword_ids")
NARROWED: Final = {"syn0": "scales", "word_rows": "word_scales", "subwords": "subword_scales"}
_OPTIONAL: Final = {
    *("codes", "centres", "syn1neg", "counts", "tree_counts"),
    *_LABELS,
    *(*_SUBWORDS, *NARROWED.values()),
}
_NARROW: Final = ("F16", "I8")


def check_layout(where: str, header: safetensors.Header) -> None:
    """Refuse a file that is not one of ours, of this version, with all that belongs to it.

    Raises:
        FormatError: says what is missing, or of another type or shape.
    """
    if header.metadata.get("format") != "embed":
        names = ", ".join(map(escaped, sorted(header.tensors)[:5])) or "none"
        raise FormatError(
            f"{where} is a safetensors file, but not one of embed's (tensors: {names})"
        )
    version = header.metadata.get("version")
    if version not in (VERSION, NARROW_VERSION, PRODUCT_VERSION):
        raise FormatError(
            f"{where} has model version {quoted(version or '')}, this embed reads {VERSION}, "
            f"{NARROW_VERSION} and {PRODUCT_VERSION}: use the embed that wrote it, or a newer one"
        )
    needed = set(_DTYPES) - _OPTIONAL
    if version == PRODUCT_VERSION:
        needed = (needed - {"syn0"}) | {"codes", "centres", "scales"}
    if "subword" in header.metadata:
        needed.update(_SUBWORDS)
    if set(_LABELS) & set(header.tensors):
        needed.update((*_LABELS, "syn1neg"))
    if version == NARROW_VERSION and _is_int8(header):
        needed.update(NARROWED[name] for name in NARROWED if name in needed)
    missing = sorted(needed - set(header.tensors))
    if missing:
        raise FormatError(f"{where} lacks the tensor {quoted(missing[0])}: it is damaged")
    _check_shapes(where, header)


def _is_int8(header: safetensors.Header) -> bool:
    return "syn0" in header.tensors and header.tensors["syn0"].dtype == np.int8


def _check_shapes(where: str, header: safetensors.Header) -> None:
    rows, letters = "syn0", "VD"
    if header.metadata.get("version") == PRODUCT_VERSION:
        rows, letters = "codes", "VM"
    shape = header.tensors[rows].shape
    if len(shape) != 2:
        raise FormatError(
            f"{where}: tensor {quoted(rows)} has shape {shape}, not [{', '.join(letters)}]"
        )
    if not all(shape):
        raise FormatError(
            f"{where}: tensor {quoted(rows)} has shape {shape}: there is not a number in it"
        )
    if rows == "codes" and len(header.tensors["centres"].shape) != 3:
        raise FormatError(f"{where}: tensor 'centres' has not three dimensions")
    sizes = dict.fromkeys("VDMCPUL", 0) | dict(zip(letters, shape, strict=True))
    if rows == "codes":
        sizes |= {"C": CENTRES, "P": header.tensors["centres"].shape[-1]}
    if "subword_ids" in header.tensors:
        sizes["U"] = int(np.prod(header.tensors["subword_ids"].shape))
    expected = {name: tuple(sizes[letter] for letter in _LETTERS[name]) for name in _LETTERS}
    expected["word_offsets"] = (shape[0] + 1,)
    if "labels" in header.tensors:
        n_labels = int(np.prod(header.tensors["label_counts"].shape))
        expected["label_counts"], expected["syn1neg"] = (n_labels,), (n_labels, sizes["D"])
        expected["label_offsets"] = (n_labels + 1,)
        expected["labels"] = (int(np.prod(header.tensors["labels"].shape)),)
    expected["words"] = (int(np.prod(header.tensors["words"].shape)),)
    dtypes = dict(_DTYPES)
    if header.metadata.get("version") == NARROW_VERSION:
        narrow = [n for n in _NARROW if header.tensors[rows].dtype == safetensors.DTYPES[n]]
        dtypes |= dict.fromkeys(NARROWED, narrow[0] if narrow else " or ".join(_NARROW))
    for name, dtype in dtypes.items():
        entry = header.tensors.get(name)
        if entry is None:
            continue
        if entry.shape != expected[name] or entry.dtype != safetensors.DTYPES.get(dtype):
            raise FormatError(
                f"{where}: tensor {quoted(name)} is {entry.dtype} {entry.shape}, "
                f"expected {dtype} {expected[name]}"
            )
