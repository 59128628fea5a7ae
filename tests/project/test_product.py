"""Product quantisation: what is kept, the file, and what export says; skipped without faiss."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from embedcli import formats
from embedcli.embeddings import Embeddings
from embedcli.errors import FormatError, MissingExtraError, UsageError
from embedcli.formats.product import Product, quantized
from embedcli.spaces.overlap import overlap
from embedcli.vocabulary import Vocabulary

WORDS = [f"w{i}" for i in range(600)]


@pytest.fixture(scope="module")
def model():
    pytest.importorskip("faiss")
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(30, 8))[np.arange(600) % 30] + rng.normal(scale=0.3, size=(600, 8))
    vectors[7] = 0
    vectors *= rng.uniform(0.1, 10, size=(600, 1))
    counts = list(range(600, 0, -1))
    return Embeddings(
        Vocabulary.from_words(WORDS, counts), vectors.astype(np.float32), metadata={"seed": 3}
    )


def test_a_row_is_the_centres_that_its_codes_name():
    centres = np.arange(2 * 256 * 3, dtype=np.float32).reshape(2, 256, 3)
    codes = np.array([[0, 255], [7, 1]], np.uint8)
    product = Product(codes, centres, np.array([1, 0.5], np.float32))
    expected = [[*centres[0, 0], *centres[1, 255]], [*centres[0, 7] / 2, *centres[1, 1] / 2]]
    assert np.array_equal(expected, product.vectors())


def test_more_bytes_keep_more(model):
    smaller = [quantized(model, n).vectors() for n in (2, 4, 8)]
    kept = [overlap(model, Embeddings(model.vocabulary, vectors)) for vectors in smaller]
    assert kept == sorted(kept)
    assert 0.9 < kept[-1]
    for vectors in smaller:  # lengths are kept beside the directions
        assert np.allclose(np.linalg.norm(vectors, axis=1), model.norms, rtol=1e-5)
        assert not vectors[7].any()
    assert np.array_equal(smaller[0], quantized(model, 2).vectors())


def test_the_file_is_read_without_faiss(model, tmp_path, monkeypatch):
    formats.save(model, tmp_path / "m.safetensors", dtype="pq-4")
    monkeypatch.setitem(sys.modules, "faiss", None)
    read = formats.load(tmp_path / "m.safetensors")
    assert (WORDS, 3) == (read.vocabulary.words, read.metadata["seed"])
    assert np.array_equal(model.vocabulary.counts, read.vocabulary.counts)
    assert np.allclose(read.norms, np.linalg.norm(read.vectors, axis=1), rtol=1e-5)
    with formats.Source(tmp_path / "m.safetensors") as source:
        assert formats.native.verify(source)
    with pytest.raises(MissingExtraError, match=r"pip install 'embedcli\[ann\]'"):
        formats.save(model, tmp_path / "x.safetensors", dtype="pq-4")
    assert not (tmp_path / "x.safetensors").exists()


def test_a_damaged_file_is_refused(model, tmp_path):
    from embedcli.files import safetensors
    from embedcli.files.publish import publish

    formats.save(model, tmp_path / "m.safetensors", dtype="pq-4")
    header = safetensors.read_header(tmp_path / "m.safetensors")
    arrays = dict(safetensors.map_tensors(tmp_path / "m.safetensors", header))
    del arrays["sha256"]
    broken = {
        "lacks the tensor 'centres'": {k: v for k, v in arrays.items() if k != "centres"},
        r"'centres' is .*, expected F32 \(4, 256, 3\)": arrays
        | {"centres": np.zeros((4, 255, 3), np.float32)},
        "'codes' has shape": arrays | {"codes": np.zeros(5, np.uint8)},
        "'centres' holds a number that is not finite": arrays
        | {"centres": np.full_like(arrays["centres"], np.nan)},
    }
    for message, tensors in broken.items():
        with publish(tmp_path / "x.safetensors") as sink:
            safetensors.write(sink, tensors, header.metadata)
        with pytest.raises(FormatError, match=message):
            formats.load(tmp_path / "x.safetensors")


def test_what_cannot_be_quantised(model):
    with pytest.raises(UsageError, match="3 equal parts; bytes a word may be 1, 2, 4, 8"):
        quantized(model, 3)
    with pytest.raises(UsageError, match="100 words are too few"):
        quantized(model.head(100), 4)


def test_export_says_what_it_costs(model, tmp_path, run_embed):
    formats.save(model, tmp_path / "m.safetensors")
    (tmp_path / "pairs.tsv").write_text("w1\tw2\t3\nw3\tw4\t1\nw5\tw6\t2\n")
    arguments = ("export", "m.safetensors", "s.safetensors", "--evaluate", "pairs.tsv", "--json")
    done = run_embed(*arguments, "--pq", "4")
    facts = json.loads(done.stdout)
    read = formats.load(tmp_path / "s.safetensors")
    assert (0, "pq-4", overlap(model, read)) == (
        done.returncode, facts["dtype"], facts["neighbors_kept"]
    )  # fmt: skip
    assert "neighbours kept: " in done.stderr
    assert "pairs.tsv: " in done.stderr
    for wrong, message in (
        (("--pq", "4", "--dtype", "int8"), "both say what to store"),
        (("--pq", "5"), "cannot be cut into 5 equal parts"),
        (("--pq", "4", "--format", "npy"), "npy holds float32 or float16, not pq-4"),
    ):
        done = run_embed(*arguments, *wrong)
        assert (2, True) == (done.returncode, message in done.stderr)
