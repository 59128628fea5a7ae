"""No number in a header makes memory that the file does not justify; nothing has 0 dimensions."""

from __future__ import annotations

import gzip
import json
import struct
import tracemalloc

import numpy as np
import pytest

from embedcli import Embeddings, Vocabulary, formats
from embedcli.errors import FormatError
from embedcli.files import safetensors
from embedcli.files.publish import publish
from embedcli.formats.npy import write_array
from embedcli.subwords.ngrams import NGrams
from embedcli.subwords.table import Subwords


def peak_of(path, match):
    tracemalloc.start()
    try:
        with pytest.raises(FormatError, match=match) as caught:
            formats.load(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "\n" not in str(caught.value)
    return peak


def native(path, arrays, version="1", words=2):
    offsets = np.arange(words + 1, dtype=np.int64) * 8
    blob = np.frombuffer(b"".join(b"%08d" % i for i in range(words)), np.uint8)
    norms = np.zeros(words, np.float32)
    with publish(path) as sink:
        safetensors.write(
            sink,
            {"norms": norms, "word_offsets": offsets, **arrays, "words": blob},
            {"format": "embed", "version": version},
        )


def test_product_quantisation_with_wide_parts(tmp_path):
    """12.5 MB of one byte a word and one wide part would be 8 GB of vectors."""
    n, width = 60_000, 2_000
    arrays = {
        "centres": np.zeros((1, 256, width), np.float32),
        "scales": np.ones(n, np.float32),
        "codes": np.zeros((n, 1), np.uint8),
    }
    native(tmp_path / "x", arrays, "pq", n)
    assert peak_of(tmp_path / "x", "but its vectors would take 480.0 MB") < 24e6
    arrays |= {"scales": arrays["scales"][:4000], "codes": arrays["codes"][:4000]}
    native(tmp_path / "x", arrays, "pq", 4000)
    assert (4000, width) == formats.load(tmp_path / "x").vectors.shape


def test_ngrams_of_any_length(tmp_path):
    words = [f"{i}{'x' * 4000}".encode() for i in range(40)]
    arguments = (1, 5, 5, 1, 5, 1, 2, 2, 1, 1)  # dim to minn
    for longest, fits in ((100, True), (101, False), (1024, False)):
        data = struct.pack("<4si12id", (793712314).to_bytes(4, "little"), 12, *arguments, longest,
                           100, 1e-4)  # fmt: skip
        data += struct.pack("<iiiqq", 40, 40, 0, 40, -1)
        data += b"".join(word + b"\0" + struct.pack("<qb", 1, 0) for word in words)
        data += struct.pack("<?qq", False, 41, 1) + bytes(4 * 41)
        data += struct.pack("<?qq", False, 40, 1) + bytes(4 * 40)
        (tmp_path / "x").write_bytes(data)
        if not fits:
            match = f"n-grams of 1 to {longest} characters; at most 100 are read"
            assert peak_of(tmp_path / "x", match) < 24e6
            continue
        tracemalloc.start()
        assert 40 == len(formats.load(tmp_path / "x"))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 200e6  # all n-grams at once have 16 million ids and as many rows: 400 MB


def test_words_are_summed_up_in_parts_as_at_once(monkeypatch):
    words = Vocabulary.from_words([f"w{i}ö" * (1 + i % 3) for i in range(300)])
    units = NGrams(2, 4, 90)
    rng = np.random.default_rng(0)
    own, rows = rng.normal(size=(390, 3)).astype(np.float32)[:300], rng.normal(size=(90, 3))
    table = Subwords(units, own, np.arange(90, dtype=np.int32), rows.astype(np.float32))
    whole = table.of_vocabulary(words)
    for size in (1, 50, 700):
        monkeypatch.setattr("embedcli.subwords.table.PART_BYTES", size)
        assert whole.tobytes() == table.of_vocabulary(words).tobytes()


@pytest.mark.parametrize("dim", [2**20 + 1, 999_999_999])
def test_wide_rows_in_a_packed_file(tmp_path, dim):
    zeros = bytes(4 << 20)
    (tmp_path / "x").write_bytes(gzip.compress(b"3 %d\na " % dim + zeros * 8, 1))
    assert peak_of(tmp_path / "x", f"rows of {dim} numbers; at most 1048576") < 60e6
    header = struct.pack("<4si12id", (793712314).to_bytes(4, "little"), 12, dim,
                         5, 5, 1, 5, 1, 2, 2, 0, 0, 0, 100, 1e-4)  # fmt: skip
    entry = struct.pack("<iiiqq", 1, 1, 0, 1, -1) + b"a\0" + struct.pack("<qb", 1, 0)
    matrix = struct.pack("<?qq", False, 1, dim) + zeros * 8
    (tmp_path / "x").write_bytes(gzip.compress(header + entry + matrix, 1))
    assert peak_of(tmp_path / "x", f"with {dim} dimensions") < 60e6


FILES_OF_NOTHING = [
    *("safetensors", "word2vec", "word2vec-bin", "glove", "fasttext", "parquet", "sqlite")
]


def of_nothing(tmp_path, name):
    """A file or directory of the format without a single dimension."""
    path = tmp_path / "x"
    if name == "safetensors":
        native(path, {"syn0": np.zeros((2, 0), np.float32)})
    elif name in ("word2vec", "word2vec-bin"):
        path.write_bytes(b"2 0\na\nb\n" if name == "word2vec" else b"2 0\na \nb \n")
    elif name == "glove":
        path.write_bytes(b"a\nb\n")
    elif name == "fasttext":
        formats.save(Embeddings(Vocabulary.from_words(["a"]), np.ones((1, 1), np.float32)), path,
                     "fasttext")  # fmt: skip
        data = bytearray(path.read_bytes())
        struct.pack_into("<i", data, 8, 0)
        path.write_bytes(data)
    elif name == "parquet":
        pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        column = pa.array([[], []], pa.list_(pa.float32()))
        pq.write_table(pa.table({"word": ["a", "b"], "vector": column}), path)
    elif name == "sqlite":
        import sqlite3

        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE words (id INTEGER PRIMARY KEY, word TEXT UNIQUE NOT "
                               "NULL, count INTEGER, vector BLOB NOT NULL)")  # fmt: skip
            connection.execute("INSERT INTO words VALUES (0, 'a', NULL, x'')")
        connection.close()
    else:
        folder_of_nothing(path, name, 2)
    return path


def folder_of_nothing(path, name, n_words):
    words = [f"w{i}" for i in range(n_words)]
    vectors = np.ones((max(1, n_words), 2), np.float32)
    formats.save(Embeddings(Vocabulary.from_words(words or ["a"]), vectors), path, name)
    empty = np.zeros((n_words, 0 if n_words else 2), np.float32)
    if name == "npy":
        write_array(path / "vectors.npy", empty)
        (path / "words.txt").write_text("".join(f"{word}\n" for word in words))
    elif name == "projector":
        (path / "vectors.tsv").write_text("\n" * n_words)
        lines = "".join(f"{word}\t1\n" for word in words)
        (path / "metadata.tsv").write_text("word\tcount\n" + lines)
    else:
        with publish(path / "model.safetensors") as sink:
            safetensors.write(sink, {"embeddings": np.zeros((n_words + 1, 0), np.float32)}, {})


@pytest.mark.parametrize("name", [*FILES_OF_NOTHING, "npy", "projector", "model2vec"])
@pytest.mark.parametrize("named", [True, False])
def test_no_dimensions(tmp_path, name, named):
    path = of_nothing(tmp_path, name)
    with pytest.raises(FormatError) as caught:
        formats.load(path, name if named else None)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["npy", "projector", "model2vec"])
def test_no_words(tmp_path, name):
    folder_of_nothing(tmp_path / "x", name, 0)
    if name == "model2vec":
        tokens = tmp_path / "x" / "tokenizer.json"
        described = json.loads(tokens.read_bytes())
        for vocabulary in ({}, [], {"[UNK]": 0}):
            described["model"]["vocab"] = vocabulary
            tokens.write_text(json.dumps(described))
            with pytest.raises(FormatError):
                formats.load(tmp_path / "x")
        return
    with pytest.raises(FormatError):
        formats.load(tmp_path / "x")


def test_no_words_at_all(tmp_path):
    native(tmp_path / "x", {"syn0": np.zeros((0, 3), np.float32)}, words=0)
    with pytest.raises(FormatError, match=r"0 words|there is not a number in it"):
        formats.load(tmp_path / "x")


@pytest.mark.parametrize("name", formats.VECTOR_FORMATS)
def test_no_dimensions_are_written(tmp_path, name):
    model = Embeddings(Vocabulary.from_words(["a"]), np.zeros((1, 0), np.float32))
    with pytest.raises(FormatError, match="cannot save vectors of 0 dimensions"):
        formats.save(model, tmp_path / "x", name)


@pytest.mark.parametrize("odd", ["\\ud800", "", "\\u0000"])
def test_odd_tokens_of_model2vec(tmp_path, odd):
    model = Embeddings(Vocabulary.from_words(["aa", "b"]), np.ones((2, 2), np.float32))
    formats.save(model, tmp_path / "x", "model2vec")
    tokens = tmp_path / "x" / "tokenizer.json"
    tokens.write_text(tokens.read_text().replace('"aa"', f'"{odd}"'))
    if odd == "\\u0000":
        assert "\0" in formats.load(tmp_path / "x")
        return
    with pytest.raises(FormatError, match=r"tokenizer\.json.*is no text|the word is empty"):
        formats.load(tmp_path / "x")
