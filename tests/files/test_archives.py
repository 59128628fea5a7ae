# ruff: noqa: E501
# (a table is read line by line)
"""Archives with vectors in them, and the names of what is not read."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import re
import sqlite3
import struct
import tracemalloc
import zipfile
from contextlib import closing

import numpy as np
import pytest

from embedcli import formats
from embedcli.embeddings import Embeddings
from embedcli.errors import FormatError, InputError, UsageError
from embedcli.vocabulary import Vocabulary

TEXT = b"2 2\na 1 2\nb 3 4\n"
BINARY = b"2 2\n" + b"".join(
    w + b" " + struct.pack("<2f", *v) for w, *v in ((b"a", 1, 2), (b"b", 3, 4))
)
VECTORS = np.array([[1, 2], [3, 4]], np.float32)


def zipped(path, files, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


ARCHIVES = {
    "text": {"wiki.vec": TEXT},
    "binary": {"model.bin": BINARY},
    "glove": {"glove.txt": b"a 1 2\nb 3 4\n"},
    "csv": {"x.csv": b"word,x,y\na,1,2\nb,3,4\n"},
    "with what goes with it": {
        "m/": b"", "m/model.txt": TEXT, "m/README": b"x", "LIST": b"y", "m/meta.json": b"{}", "LICENSE.txt": b"",
        "__MACOSX/m/._model.txt": b"z", "m/.DS_Store": b"",
    },
}  # fmt: skip


@pytest.mark.parametrize("name", ARCHIVES)
@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_one_file_of_vectors(tmp_path, name, method):
    read = formats.load(zipped(tmp_path / "x", ARCHIVES[name], method))
    assert (["a", "b"], VECTORS.tolist()) == (read.vocabulary.words, read.vectors.tolist())


def encrypted(content):
    """The same with the bit that says that the member is encrypted."""
    content = bytearray(content)
    content[6] |= 1
    content[content.rindex(b"PK\1\2") + 8] |= 1
    return bytes(content)


REFUSED = {
    "several": ({"glove.50d.txt": TEXT, "glove.100d.txt": TEXT}, "2 files that may be the vectors ('glove.50d.txt', 'glove.100d.txt')"),
    "none": ({"README": b"x"}, "0 files that may be the vectors (none)"),
    "PyTorch": ({"archive/data.pkl": b"x", "archive/data/0": b"y"}, "is a PyTorch file: save its matrix"),
    "Deeplearning4j": ({"syn0.txt": b"x", "config.json": b"{}"}, "a model of Deeplearning4j"),
    "an office document": ({"[Content_Types].xml": b"x", "word/document.xml": b"y"}, "a document of an office program"),
    "a text": ({"novel.txt": b"It was the best of times\n"}, "is not a vector file that embed knows"),
    "a web page": ({"x.html": b"", "x": b"<html>"}, "(inside zip) is a web page"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_archives_that_are_refused(tmp_path, name):
    files, message = REFUSED[name]
    with pytest.raises(FormatError) as caught:
        formats.load(zipped(tmp_path / "x", files))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_one_of_several_files_is_chosen_by_a_url(tmp_path, monkeypatch):
    path = zipped(tmp_path / "x.zip", {"a.vec": b"1 2\nz 5 6\n", "b.vec.gz": gzip.compress(TEXT)})
    with pytest.raises(FormatError, match=re.escape(f"name one as zip://NAME::{path}")):
        formats.load(path)
    read = formats.load(f"zip://b.vec.gz::{path}")
    assert (["a", "b"], VECTORS.tolist()) == (read.vocabulary.words, read.vectors.tolist())
    monkeypatch.chdir(tmp_path)
    assert ["z"] == formats.load("zip://a.vec::x.zip").vocabulary.words
    with pytest.raises(InputError, match=r"cannot read zip://c\.vec::x\.zip: "):
        formats.load("zip://c.vec::x.zip")


def test_vectors_behind_urls(tmp_path):
    formats.save(Embeddings(Vocabulary.from_words(["a", "b"]), VECTORS), tmp_path / "x.safetensors")
    for name, content in {"x.vec": TEXT, "x.bin.gz": gzip.compress(BINARY)}.items():
        (tmp_path / name).write_bytes(content)
        read = formats.load(f"file://{tmp_path}/{name}")
        assert (["a", "b"], VECTORS.tolist()) == (read.vocabulary.words, read.vectors.tolist())
    zipped(tmp_path / "x.zip", {"x.vec": TEXT})
    for name, message in {
        "x.safetensors": "is behind a URL: embed's own format must be a plain file",
        "x.zip": "is a zip archive behind a URL: name a file in it, as zip://NAME::file://",
    }.items():
        with pytest.raises(FormatError, match=message):
            formats.load(f"file://{tmp_path}/{name}")
    with pytest.raises(UsageError, match="nowhere://x cannot be opened"):
        formats.load("nowhere://x")


def test_damage_is_found(tmp_path):
    content = zipped(tmp_path / "x", {"x.vec": TEXT * 1 + b""}, zipfile.ZIP_STORED).read_bytes()
    (tmp_path / "x").write_bytes(content.replace(b"b 3 4", b"b 3 5"))
    with pytest.raises(FormatError, match="is damaged: Bad CRC-32"):
        formats.load(tmp_path / "x")
    (tmp_path / "x").write_bytes(encrypted(content))
    with pytest.raises(FormatError, match="encrypted"):
        formats.load(tmp_path / "x")
    for size in range(4, len(content), 9):
        (tmp_path / "x").write_bytes(content[:size])
        with pytest.raises(FormatError, match="a damaged zip archive"):
            formats.load(tmp_path / "x")


def test_no_archive_comes_through_a_pipe(tmp_path):
    content = zipped(tmp_path / "x", {"x.vec": TEXT}).read_bytes()
    reading, writing = os.pipe()
    os.write(writing, content)
    os.close(writing)
    with pytest.raises(FormatError, match="cannot come through a pipe"):
        formats.load(f"/dev/fd/{reading}")
    os.close(reading)


NPZ = {
    "words and vectors": {"words": np.array(["a", "naïve"]), "vectors": VECTORS},
    "by other names": {"arr_0": VECTORS.astype(np.float64), "arr_1": np.array([b"a", "naïve".encode()])},
    "objects": {"words": np.array(["a", "naïve"], object), "vectors": np.asfortranarray(VECTORS)},
    "others beside them": {
        "words": np.array(["a", "naïve"]), "vectors": VECTORS, "norms": VECTORS[:, 0], "context": VECTORS * 2,
        "labels": np.array(["x", "y"]),
    },
}  # fmt: skip


@pytest.mark.parametrize("name", NPZ)
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_of_words_and_vectors(tmp_path, name, save):
    save(tmp_path / "x.npz", **NPZ[name])
    read = formats.load(tmp_path / "x.npz")
    assert (["a", "naïve"], VECTORS.tolist()) == (read.vocabulary.words, read.vectors.tolist())
    assert "npz" == formats.detect(tmp_path / "x.npz")


def test_counts_of_an_npz(tmp_path):
    np.savez(tmp_path / "x.npz", words=["a", "b"], vectors=VECTORS, counts=[7, 5])
    assert [7, 5] == formats.load(tmp_path / "x.npz").vocabulary.counts.tolist()


class Hostile:
    def __reduce__(self):
        return os.mkdir, ("ran",)


BAD_NPZ = {
    "no words": ({"vectors": VECTORS}, "no array that is clearly the words; it has 'vectors' f[2, 2]"),
    "no vectors": ({"words": np.array(["a"])}, "no array that is clearly the vectors; it has 'words' U[1]"),
    "several": ({"words": np.array(["a", "b"]), "x": VECTORS, "y": VECTORS}, "clearly the vectors"),
    "words for other rows": ({"words": np.array(["a"]), "vectors": VECTORS}, "clearly the words"),
    "objects that are no words": ({"words": np.array([1, None], object), "vectors": VECTORS}, "'words' holds no words"),
    "objects that run": ({"words": np.array([Hostile(), "b"], object), "vectors": VECTORS}, "asks for 'posix.mkdir'"),
    "not finite": ({"words": np.array(["a", "b"]), "vectors": VECTORS * np.nan}, "not finite"),
    "a word twice": ({"words": np.array(["a", "a"]), "vectors": VECTORS}, "'a' is already in row 1"),
    "no columns": ({"words": np.array(["a", "b"]), "vectors": VECTORS[:, :0]}, "has no columns"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_NPZ)
def test_arrays_that_are_refused(tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arrays, message = BAD_NPZ[name]
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(FormatError) as caught:
        formats.load(tmp_path / "x.npz")
    assert message in str(caught.value)
    assert not (tmp_path / "ran").exists()


def test_a_header_is_not_believed(tmp_path):
    header = io.BytesIO()
    described = {"descr": "<f4", "fortran_order": False, "shape": (2, 1 << 40)}
    np.lib.format.write_array_header_1_0(header, described)
    words = io.BytesIO()
    np.save(words, np.array(["a", "b"]))
    zipped(
        tmp_path / "x",
        {"vectors.npy": header.getvalue() + bytes(99), "words.npy": words.getvalue()},
    )
    tracemalloc.start()
    with pytest.raises(
        FormatError, match="no sound array 'vectors': 8796093022208 bytes of numbers, but 99 follow"
    ):
        formats.load(tmp_path / "x")
    assert tracemalloc.get_traced_memory()[1] < 24e6
    tracemalloc.stop()


def saved(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def floret():
    numbers = [5, 5, 1, 1, 5, 1, 2, 2, 50, 3, 4, 2, 2, 100]
    return struct.pack(
        "<4si14id3iq", (793712314).to_bytes(4, "little"), 12, *numbers, 1e-4, 10, 10, 0, 800
    )


KINDS = {
    "floret": (floret(), "a floret model: the .vec"),
    "Arrow": (b"ARROW1\0\0" + b"x" * 40, "an Arrow (Feather) file: write the table as Parquet"),
    "Deeplearning4j": (b"2 3 17\nB64:YQ== 1 2 3\nB64:Yg== 1 2 3\n", "a file of Deeplearning4j, whose header has three numbers"),
    "the same without base64": (b"2 3 17\na 1 2 3\nb 1 2 3\n", "a file of Deeplearning4j"),
    "ONNX": (b"\x08\x07\x12\x07pytorch\x1a\x051.9.0:\xff\x01", "an ONNX model"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(20), "an HDF5 file"),
    "TensorFlow's checkpoint": (b"\0\0\0\1" + bytes(60) + bytes.fromhex("57fb808b247547db"), "index of a TensorFlow checkpoint"),
    "its list": (b'model_checkpoint_path: "model.ckpt-7"\n', "the list of a TensorFlow checkpoint"),
    "TensorFlow Lite": (b"\x1c\0\0\0TFL3" + bytes(9), "a TensorFlow Lite model"),
    "PyTorch's before 1.6": (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.", "a PyTorch file"),
    "objects of NumPy": (saved(np.array({"a": [1, 2]}, object)), "a NumPy array of pickled objects: save words and"),
    "numbers of NumPy": (saved(VECTORS), "a NumPy array without words: put it into a directory as vectors.npy"),
    "faiss": (b"IxF2" + struct.pack("<iq", 100, 5) + bytes(30), "a faiss index"),
    "sentencepiece": (b"\n\x0e\n\x05<unk>\x15\0\0\0\0\x18\x02", "a sentencepiece model"),
    "R": (b"X\n\0\0\0\x03\0\x04\x02\0", "an R object"),
    "an image": (b"\x89PNG\r\n\x1a\n" + bytes(9), "is an image"),
    "lz4": (b"\x04\x22\x4d\x18\x64\x40\xa7", "is compressed by lz4: unpack it first"),
    "MATLAB": (b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\x01IM", "is a MATLAB file: save its matrix"),
    "Java": (b"\xac\xed\0\x05sr\0", "a serialised Java object"),
    "JSON": (b'{"the": [0.1, 0.2],\n "of": [0.3, 0.4]}\n', "a JSON file"),
    "another pickle": (pickle.dumps({"a": [1.0, 2.0]}, 4), "is no sound file of gensim's: it holds a dict, not vectors"),
}  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_what_is_not_read_is_named(tmp_path, name):
    content, message = KINDS[name]
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(FormatError) as caught:
        formats.load(tmp_path / "x")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_magnitude_is_named(tmp_path):
    with closing(sqlite3.connect(tmp_path / "x")) as connection:
        connection.execute("CREATE TABLE magnitude (key TEXT, dim_0 INTEGER)")
        connection.execute("CREATE TABLE magnitude_format (key TEXT, value INTEGER)")
        connection.commit()
    with pytest.raises(FormatError, match="is a Magnitude file"):
        formats.load(tmp_path / "x")


@pytest.mark.parametrize(
    "word",
    [
        "ORC",
        "FEA1",
        "IxFI",
        "IwFl",
        "GGUF",
        "lmgg",
        "CDF",
        "Obj",
        "ARROW1",
        "MATLAB",
        "{",
        "[1",
        '{"a"',
        "%PDF",
        "10",
    ],
)
def test_a_word_is_no_signature(tmp_path, word):
    (tmp_path / "x").write_text(f"{word} 3 5\nb 3 4\n")
    assert [word, "b"] == formats.load(tmp_path / "x").vocabulary.words
