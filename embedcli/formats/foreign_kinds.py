"""What files are that embed does not read, by their first bytes, and what helps.

A file of vectors may begin with any word, so letters alone are no signature.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from typing import Final

from embedcli.formats.text_rows import count_numbers

__all__ = ["binary_kind", "text_kind", "three_numbers"]

_AS_NPZ: Final = "save its matrix and words as .npz or text"
_AS_PARQUET: Final = "write the table as Parquet, which is read"
_UTF16: Final = "UTF-16 text: convert it with `iconv -f UTF-16 -t UTF-8`"
_TORCH: Final = f"a PyTorch file: {_AS_NPZ}"
_ARROW: Final = f"an Arrow (Feather) file: {_AS_PARQUET}"
_INDEX: Final = "a faiss index, which holds no words"
_BINARY: Final = (
    (rb"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19\.", _TORCH),
    (rb"\x93NUMPY.{0,200}?'descr': '\|?O", "a NumPy array of pickled objects: save words "
     "and vectors apart, `numpy.savez(path, words=..., vectors=...)`"),
    (rb"\x93NUMPY", "a NumPy array without words: put it into a directory as vectors.npy, "
     "with words.txt, a word a line, beside it"),
    (rb"\x89HDF", f"an HDF5 file (Keras?): {_AS_NPZ}"),
    (rb"CDF[\x01\x02\x05]", f"a NetCDF file: {_AS_NPZ}"),
    (rb"ARROW1\x00\x00", _ARROW),
    (rb"FEA1.{0,12}\x00", _ARROW),
    (rb"\xff\xff\xff\xff.{2}\x00\x00\x10\x00\x00\x00", f"an Arrow stream: {_AS_PARQUET}"),
    (rb"ORC[\x00-\x08\x0e-\x1f]", f"an ORC file: {_AS_PARQUET}"),
    (rb"Obj\x01", f"an Avro file: {_AS_PARQUET}"),
    (rb"FiFu\x00", "a finalfusion file: `finalfusion convert -t word2vec` unpacks it"),
    (rb"GGUF[\x01-\x09]\x00\x00\x00", "a GGUF model"),
    (rb"(lmgg|tjgg|fmgg).\x00\x00\x00", "a GGML model"),
    (rb".\x00\x00\x00TFL3", "a TensorFlow Lite model"),
    (rb"\x08[\x01-\x1f](\x12.{0,40}?(onnx|pytorch|keras|caffe|winml|coreml).*|.{0,400}?(ai\.onnx|onnx::).*)",
     "an ONNX model: save its embedding matrix and words as .npz or text"),
    (rb"\n.{1,3}\n\x05<unk>", "a sentencepiece model: pieces of words, and no vectors"),
    (rb"I[xwHBP][A-Za-z0-9]{2}.{2}\x00\x00", _INDEX),
    (rb"MATLAB 5\.0 MAT-file", "a MATLAB file: save its matrix and words as text"),
    (rb"(RDX[23]\n)?X\n\x00\x00\x00[\x02\x03]", "an R object: write.csv makes a table, to read"),
    (rb"\xac\xed\x00\x05", "a serialised Java object (Deeplearning4j?): write its vectors as text"),
    (rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a document of an office program"),
    (rb"\x7fELF", "a program"),
    (rb"7z\xbc\xaf", "a 7-Zip archive: unpack it first"),
    (rb"Rar!\x1a", "a RAR archive: unpack it first"),
    (rb"PK\x05\x06", "an empty zip archive"),
    (rb"\xff\xfe", _UTF16),
    (rb"\xfe\xff", _UTF16),
    (rb".{257}ustar(\x00|  \x00)", "a tar archive: unpack it first"),
)  # fmt: skip
_TEXT: Final = (
    (rb"version https://git-lfs", "a git-LFS pointer, not the file itself: run `git lfs pull`"),
    (rb"<<<<<<< ", "a file with an unresolved git conflict"),
    (rb"%PDF-", "a PDF document"),
    (rb"\{\\rtf", "an RTF document"),
    (rb"model_checkpoint_path: ", f"the list of a TensorFlow checkpoint: {_AS_NPZ}"),
    (rb"(?i)\s*<(!doctype|html|\?xml|head|body)", "a web page; was the download refused?"),
    (rb'\s*[\[{]\s*("|\{|\[|-?[0-9])', "a JSON file: write its words and numbers as text"),
)  # fmt: skip
_TABLE_END: Final = bytes.fromhex("57fb808b247547db")  # of LevelDB, and so of a checkpoint's index
_FLORET: Final = struct.Struct("<4si14id3i")
_BINARY_PATTERNS: Final = [(re.compile(magic, re.DOTALL), kind) for magic, kind in _BINARY]
_TEXT_PATTERNS: Final = [(re.compile(magic, re.DOTALL), kind) for magic, kind in _TEXT]
_HEAD: Final = 4096
_THREE_NUMBERS: Final = re.compile(rb"[1-9][0-9]{0,11} [1-9][0-9]{0,5} [0-9]{1,12}\r?")


def binary_kind(head: bytes, *, is_whole: bool) -> str | None:
    """What a file is that begins with `head`, if it is no text; `is_whole`: and ends with it."""
    if _is_floret(head):
        return "a floret model: the .vec that `floret` writes beside it has its words' vectors"
    if is_whole and head.endswith(_TABLE_END):
        return f"the index of a TensorFlow checkpoint: {_AS_NPZ}"
    start = head[:_HEAD]
    return next((kind for magic, kind in _BINARY_PATTERNS if magic.match(start)), None)


def _is_floret(head: bytes) -> bool:
    """As fastText's `.bin`, with two numbers more: how words are hashed, and how often."""
    if len(head) < _FLORET.size:
        return False
    magic, version, *numbers = _FLORET.unpack_from(head)
    mode, times, rate, (size, words, labels) = *numbers[11:13], numbers[14], numbers[15:]
    sound = magic == (793712314).to_bytes(4, "little") and version == 12 and mode in (1, 2)
    return bool(sound and 1 <= times <= 4 and 0 <= rate <= 1 and size == words + labels > 0)


def text_kind(head: bytes) -> str | None:
    """What a text is that begins with `head`."""
    start = head[:_HEAD]
    return next((kind for magic, kind in _TEXT_PATTERNS if magic.match(start)), None)


def three_numbers(lines: Sequence[bytes]) -> str | None:
    """What a text is whose first line is rows, dimension and one number more."""
    if _THREE_NUMBERS.fullmatch(lines[0]) is None or len(lines) < 2:
        return None
    dim = int(lines[0].split()[1])
    # With two numbers it might be a word and its two numbers.
    if not lines[1].startswith(b"B64:") and not count_numbers(lines[1]) == dim != 2:
        return None
    return (
        "a file of Deeplearning4j, whose header has three numbers: leave out the third (`sed "
        "'1s/ [0-9]*$//'`); words that begin with B64: are base64"
    )
