# ruff: noqa: E501
# (a table is read line by line)
"""Recognises files that are neither text nor vectors by their first bytes.

One table for both: a row says what the file is, what to do where text was expected, and what to do
where vectors were. Only whole signatures count: text may begin with any letters, and a file of
vectors with any word.
"""

from __future__ import annotations

import re
import struct
from typing import Final

__all__ = [
    "UTF32",
    "foreign_text",
    "foreign_to_text",
    "foreign_to_vectors",
    "is_parquet",
    "suspicion",
]

UTF32: Final = "UTF-32 text"

_CONTROL: Final = rb"[\x00-\x08\x0e-\x1f]"
_UNPACK: Final = "unpack it first"
_ARCHIVE: Final = "unpack it and give the files inside, or pipe them in: {} FILE | embed train -"
_PIPE: Final = "pipe it in: {} FILE | embed train -"
_ICONV: Final = "--encoding {0} reads it, or convert it: iconv -f {0} -t UTF-8 FILE | embed train -"
_CONVERT: Final = "convert it with `iconv -f {} -t UTF-8`"
_EXTRACT: Final = "extract its text to a plain file first"
_COLUMN: Final = "write its text column to a plain file first"
_GIVE_TEXT: Final = "give text; embed info FILE tells what it holds"
_GIVE: Final = "give text"
_AS_NPZ: Final = "save its matrix and words as .npz or text"
_AS_PARQUET: Final = "write the table as Parquet, which is read"
_NOT_READ: Final = ""  # there is nothing to do about it

# first bytes, what it is, and what to do for text and for vectors: None where it may be just that
_KINDS: Final[tuple[tuple[bytes, str, str | None, str | None], ...]] = (
    (rb"PK\x03\x04", "a zip archive (or a document made of one)", _ARCHIVE.format("unzip -p"), None),
    (rb"PK\x05\x06", "an empty zip archive", _GIVE, _NOT_READ),
    (rb".{257}ustar(?:\0|  \0)", "a tar archive", _ARCHIVE.format("tar -xOf"), _UNPACK),
    (rb"7z\xbc\xaf\x27\x1c", "a 7z archive", _ARCHIVE.format("7z x -so"), _UNPACK),
    (rb"Rar!\x1a\x07", "a rar archive", _ARCHIVE.format("unrar p -inul"), _UNPACK),
    (rb"\x04\x22\x4d\x18|\x02\x21\x4c\x18", "compressed by lz4", _PIPE.format("lz4 -dc"), _UNPACK),
    (rb"\x1f\x9d[\x09-\x10\x89-\x90]", "compressed by compress", _PIPE.format("zcat"), _UNPACK),
    (rb"LZIP[\x00\x01]", "compressed by lzip", _PIPE.format("lzip -dc"), _UNPACK),
    (rb"PAR1(?=.{0,16}" + _CONTROL + rb")", "a Parquet file", "name the column that holds the text: --field NAME", None),
    (rb"ARROW1\0\0|FEA1.{0,12}\0", "an Arrow (Feather) file", _COLUMN, _AS_PARQUET),
    (rb"\xff\xff\xff\xff.{2}\0\0\x10\0\0\0", "an Arrow stream", _COLUMN, _AS_PARQUET),
    (rb"ORC" + _CONTROL, "an ORC file", _COLUMN, _AS_PARQUET),
    (rb"Obj\x01", "an Avro file", _COLUMN, _AS_PARQUET),
    (rb"SQLite format 3\0", "an SQLite database", "write its text to a plain file first", None),
    (rb"\x89HDF\r\n\x1a\n", "an HDF5 file", _EXTRACT, _AS_NPZ),
    (rb"CDF[\x01\x02\x05]", "a NetCDF file", _EXTRACT, _AS_NPZ),
    (rb"%PDF-[12]\.[0-9](?=\s+%[\x80-\xff]{4}|\s.*\d \d+ obj\b)", "a PDF document",
     "extract its text first: pdftotext FILE - | embed train -", _NOT_READ),
    (rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Office document", _EXTRACT, _NOT_READ),
    (rb"\x7fELF[\x01\x02][\x01\x02]\x01", "a program (ELF)", _GIVE, _NOT_READ),
    (rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff[\xc0-\xfe]|GIF8[79]a(?=.{0,6}" + _CONTROL + rb")", "an image",
     _GIVE, _NOT_READ),
    (rb"\x93NUMPY[\x01-\x03].{0,200}?'descr': '\|?O", "a NumPy array of pickled objects", _GIVE,
     "save words and vectors apart, `numpy.savez(path, words=..., vectors=...)`"),
    (rb"\x93NUMPY[\x01-\x03]", "a NumPy array without words", _GIVE,
     "put it into a directory as vectors.npy, with words.txt, a word a line, beside it"),
    # The length of its header, at most 100 MB, and the header.
    (rb".{3}[\x00-\x05]\0{4}\{\"", "a safetensors file", _GIVE_TEXT, None),
    (rb"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19\.", "a PyTorch file", _GIVE, _AS_NPZ),
    (rb"FiFu\0", "a finalfusion file", _GIVE, "`finalfusion convert -t word2vec` unpacks it"),
    (rb"GGUF[\x01-\x09]\0\0\0", "a GGUF model", _GIVE, _NOT_READ),
    (rb"(lmgg|tjgg|fmgg).\0\0\0", "a GGML model", _GIVE, _NOT_READ),
    (rb".\0\0\0TFL3", "a TensorFlow Lite model", _GIVE, _NOT_READ),
    (rb"\x08[\x01-\x1f](\x12.{0,40}?(onnx|pytorch|keras|caffe|winml|coreml)|.{0,400}?(ai\.onnx|onnx::))",
     "an ONNX model", _GIVE, "save its embedding matrix and words as .npz or text"),
    (rb"\n.{1,3}\n\x05<unk>", "a sentencepiece model", _GIVE, "it holds pieces of words, no vectors"),
    (rb"I[xwHBP][A-Za-z0-9]{2}.{2}\0\0", "a faiss index", _GIVE, "it holds no words"),
    (rb"MATLAB 5\.0 MAT-file(?=.{105}(\0\x01IM|\x01\0MI))", "a MATLAB file", _GIVE,
     "save its matrix and words as text"),
    (rb"(RDX[23]\n)?X\n\0\0\0[\x02\x03]", "an R object", _GIVE, "write.csv makes a table, to read"),
    (rb"\xac\xed\0\x05", "a serialised Java object (Deeplearning4j?)", _GIVE, "write its vectors as text"),
    (rb"\xff\xfe\0\0|\0\0\xfe\xff", UTF32, _ICONV.format("UTF-32"), _CONVERT.format("UTF-32")),
    (rb"\xff\xfe|\xfe\xff", "UTF-16 text", None, _CONVERT.format("UTF-16")),
)  # fmt: skip

_GIT_LFS: Final = rb"version https://git-lfs"
_SUSPICIONS: Final = (
    (_GIT_LFS + rb"\.", "a git-LFS pointer, not the file itself (git lfs pull)"),
    (rb"\s*<(?:!doctype html|html)[\s>]", "an HTML page, not plain text"),
)
# Texts that are neither a table of vectors nor a list of words.
_TEXTS: Final = (
    (_GIT_LFS, "a git-LFS pointer, not the file itself: run `git lfs pull`"),
    (rb"<<<<<<< ", "a file with an unresolved git conflict"),
    (rb"%PDF-", "a PDF document"),
    (rb"\{\\rtf", "an RTF document"),
    (rb"model_checkpoint_path: ", f"the list of a TensorFlow checkpoint: {_AS_NPZ}"),
    (rb"\s*<(!doctype|html|\?xml|head|body)", "a web page; was the download refused?"),
    (rb'\s*[\[{]\s*("|\{|\[|-?[0-9])', "a JSON file: write its words and numbers as text"),
)  # fmt: skip

_KIND_PATTERNS: Final = [
    (re.compile(magic, re.DOTALL), what, for_text, for_vectors)
    for magic, what, for_text, for_vectors in _KINDS
]
_PARQUET: Final = next(
    pattern for pattern, what, _, _ in _KIND_PATTERNS if what == "a Parquet file"
)
_SUSPICION_PATTERNS: Final = [
    (re.compile(start, re.IGNORECASE), what) for start, what in _SUSPICIONS
]
_TEXT_PATTERNS: Final = [(re.compile(start, re.IGNORECASE), what) for start, what in _TEXTS]

_HEAD: Final = 4096
_TAR_HEADER: Final = 512  # bytes
_TABLE_END: Final = bytes.fromhex("57fb808b247547db")  # of LevelDB, and so of a checkpoint's index
_FLORET: Final = struct.Struct("<4si14id3i")


def foreign_to_text(head: bytes) -> tuple[str, str] | None:
    """What a file is that begins with `head`, if that is no text, and what to do (about FILE)."""
    for pattern, what, for_text, _ in _KIND_PATTERNS:
        if for_text is not None and pattern.match(head):
            return what, for_text
    return ("a tar archive", _ARCHIVE.format("tar -xOf")) if _is_old_tar(head) else None


def foreign_to_vectors(head: bytes, *, is_whole: bool) -> str | None:
    """What a file is that begins with `head`, if it is none of ours, and what to do.

    Args:
        head: its first bytes.
        is_whole: whether it ends with them.
    """
    if _is_floret(head):
        return "a floret model: the .vec that `floret` writes beside it has its words' vectors"
    if is_whole and head.endswith(_TABLE_END):
        return f"the index of a TensorFlow checkpoint: {_AS_NPZ}"
    start = head[:_HEAD]
    for pattern, what, _, for_vectors in _KIND_PATTERNS:
        if for_vectors is not None and pattern.match(start):
            return f"{what}: {for_vectors}" if for_vectors else what
    return f"a tar archive: {_UNPACK}" if _is_old_tar(head) else None


def foreign_text(head: bytes) -> str | None:
    """What a text is that begins with `head`, if it is no vectors, and what to do."""
    return next((what for start, what in _TEXT_PATTERNS if start.match(head[:_HEAD])), None)


def suspicion(head: bytes) -> str | None:
    """What a text that begins with `head` probably is instead of the text that was meant."""
    return next((what for start, what in _SUSPICION_PATTERNS if start.match(head)), None)


def is_parquet(head: bytes) -> bool:
    """Whether a file that begins with `head` is a table of columns."""
    return _PARQUET.match(head) is not None


def _is_old_tar(head: bytes) -> bool:
    """Whether a header of tar begins `head`, of before "ustar" stood in it: its checksum fits."""
    header, kept = head[:_TAR_HEADER], head[148:156].strip(b" \0")
    if len(header) < _TAR_HEADER or not re.fullmatch(rb"[0-7]{1,7}", kept):
        return False
    return b"\0" in header[:148] and int(kept, 8) == sum(header) - sum(header[148:156]) + 8 * 32


def _is_floret(head: bytes) -> bool:
    """As fastText's `.bin`, with two numbers more: how words are hashed, and how often."""
    if len(head) < _FLORET.size:
        return False
    magic, version, *numbers = _FLORET.unpack_from(head)
    mode, times, rate, (size, words, labels) = *numbers[11:13], numbers[14], numbers[15:]
    sound = magic == (793712314).to_bytes(4, "little") and version == 12 and mode in (1, 2)
    return bool(sound and 1 <= times <= 4 and 0 <= rate <= 1 and size == words + labels > 0)
