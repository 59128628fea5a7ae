"""`embed export` and `embed info`, as processes."""

import json

import numpy as np
import pytest

from embedcli import formats
from embedcli.embeddings import Embeddings
from embedcli.vocabulary import Vocabulary

WORDS = ["the", "naïve", "東京"]
VECTORS = np.array([[1.5, -0.25], [3, 4], [-1e-7, 0.1]], np.float32)
METADATA = {"settings": {"dim": 2, "lowercase": False}, "seed": 1, "loss": [2.5, 1.25]}


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.safetensors"
    vocabulary = Vocabulary.from_words(WORDS, [30, 20, 10])
    formats.save(Embeddings(vocabulary, VECTORS, -VECTORS, METADATA), path)
    return path


def test_export_between_all_formats(model, tmp_path, run_embed):
    source = model
    for name in ("a.vec", "b.bin", "c.glove.txt", "d.safetensors"):
        done = run_embed("export", source, name)
        assert (0, "") == (done.returncode, done.stdout)
        assert f"{name}: 3 words x 2, {formats.format_for_path(name)}\n" == done.stderr
        source = tmp_path / name
    read = formats.load(source)
    assert WORDS == read.vocabulary.words
    assert VECTORS.tobytes() == read.vectors.tobytes()


def test_export_to_standard_output(model, run_embed):
    done = run_embed("export", model, "-", "--format", "word2vec", "--top", 2, "-q")
    assert (0, "2 2\nthe 1.5 -0.25\nnaïve 3.0 4.0\n", "") == (
        done.returncode,
        done.stdout,
        done.stderr,
    )


def test_export_the_vocabulary(model, tmp_path, run_embed):
    assert 0 == run_embed("export", model, "words.vocab").returncode
    assert "the 30\nnaïve 20\n東京 10\n" == (tmp_path / "words.vocab").read_text()


def test_a_broken_word_is_an_error_unless_replaced(tmp_path, run_embed):
    (tmp_path / "x.vec").write_bytes(b"1 1\ncaf\xe9 1.0\n")
    done = run_embed("export", "x.vec", "y.vec")
    assert (3, 1) == (done.returncode, done.stderr.count("\n"))
    assert "--decode-errors replace" in done.stderr
    assert 0 == run_embed("export", "x.vec", "y.vec", "--decode-errors", "replace").returncode
    assert "1 1\ncaf\ufffd 1.0\n" == (tmp_path / "y.vec").read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["missing.vec", "x.vec"], 3, "missing.vec"),
        (["model.safetensors", "x.npy"], 2, "cannot tell a format"),
        (["model.safetensors", "-"], 2, "give --format"),
        (["model.safetensors", "x", "--format", "w2v"], 2, "no format 'w2v'"),
        (["model.safetensors", "x.vec", "--from", "w2v"], 2, "no format 'w2v'"),
        (["model.safetensors", "x.vec", "--from", "glove"], 3, "model.safetensors"),
        (["model.safetensors", "./model.safetensors"], 2, "the input itself"),
        (["model.safetensors", "missing/x.vec"], 5, "mkdir -p missing"),
        (["model.safetensors", "/dev/full", "--format", "glove"], 5, "disk is full"),
        (["model.safetensors", "x.vec", "--top", "0"], 2, "--top"),
    ],
)
def test_export_errors(model, tmp_path, run_embed, arguments, code, message):
    before = set(tmp_path.iterdir())
    done = run_embed("export", *arguments)
    assert code == done.returncode
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert before == set(tmp_path.iterdir())


def test_info_of_a_model(model, run_embed):
    done = run_embed("info", "--json")  # model.safetensors is the default
    assert 0 == done.returncode
    facts = json.loads(done.stdout)
    assert pytest.approx({"min": 0.1, "mean": 2.2069, "max": 5.0}, abs=1e-4) == facts.pop("norms")
    assert {
        "file": "model.safetensors",
        "format": "safetensors",
        "compression": None,
        "labels": None,
        "first_labels": None,
        "bytes": model.stat().st_size,
        "words": 3,
        "tokens": 60,
        "first_words": WORDS,
        "dim": 2,
        "output_vectors": True,
        "subwords": None,
        "metadata": METADATA,
    } == facts


def test_info_as_rows(model, run_embed):
    lines = run_embed("info", model).stdout.splitlines()
    assert "words\t3" in lines
    assert "settings.dim\t2" in lines
    assert "settings.lowercase\tno" in lines
    assert "loss\t2.5 1.25" in lines
    assert "output_vectors\tyes" in lines


@pytest.mark.parametrize("name", ["x.vec", "x.bin", "x.glove.txt", "x.vocab"])
def test_info_of_other_formats(model, tmp_path, run_embed, name):
    formats.save(formats.load(model), tmp_path / name)
    facts = json.loads(run_embed("info", name, "--json").stdout)
    assert (formats.detect(tmp_path / name), 3, WORDS) == (
        facts["format"],
        facts["words"],
        facts["first_words"],
    )


def test_info_of_a_pipe(model, run_embed, run_process):
    text = run_embed("export", model, "-", "--format", "glove").stdout
    facts = json.loads(run_process("info", "/dev/stdin", "--json", input=text).stdout)
    assert ("glove", None, 3) == (facts["format"], facts["bytes"], facts["words"])


def test_info_of_something_else(tmp_path, run_embed):
    (tmp_path / "page.vec").write_text("<!DOCTYPE html><title>404</title>")
    done = run_embed("info", "page.vec")
    assert (3, "embed: error: page.vec is a web page; was the download refused?\n") == (
        done.returncode,
        done.stderr,
    )
