"""A number that is not finite in a mapped file is found by whoever uses it, and by nobody else."""

from __future__ import annotations

import numpy as np
import pytest
from click.testing import CliRunner

import embedcli
from embedcli.cli.main import embed
from embedcli.embeddings import Embeddings
from embedcli.errors import FormatError
from embedcli.files import safetensors
from embedcli.subwords.ngrams import NGrams
from embedcli.subwords.table import Subwords
from embedcli.vocabulary import Vocabulary

WORDS = ["bad", "king", "queen", "man", "woman", "child"]


def model_with(path, tensor, value, row=0):
    """A sound model of six words, and then one number of it changed on the disk."""
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(6, 3)).astype(np.float32)
    vocabulary = Vocabulary.from_words(WORDS, [6, 5, 4, 3, 2, 1])
    embedcli.save(Embeddings(vocabulary, vectors, vectors.copy()), path)
    entry = safetensors.read_header(path).tensors[tensor]
    with path.open("r+b") as file:
        file.seek(entry.start + row * (entry.stop - entry.start) // len(WORDS))
        file.write(np.float32(value).tobytes())
    return path


COMMANDS = {
    "neighbors": ["neighbors", "king", "-m", "M"],
    "neighbors of it": ["neighbors", "bad", "-m", "M"],
    "vectors": ["vectors", "king", "bad", "-m", "M"],
    "vectors as an array": ["vectors", "bad", "-m", "M", "-o", "O.npy"],
    "sentences": ["vectors", "--sentences", "-m", "M"],
    "analogy": ["analogy", "king", "man", "woman", "-m", "M"],
    "odd": ["odd", "bad", "man", "woman", "-m", "M"],
    "cluster": ["cluster", "-k", "2", "-m", "M"],
    "plot": ["plot", "M", "-o", "O.html", "--clusters", "2"],
    "align": ["align", "M", "M", "-o", "O.safetensors"],
    "diff": ["diff", "M", "M"],
    "info": ["info", "M"],
    "verify": ["verify", "M"],
    "shell": ["shell", "M"],
}


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_answers_from_it(tmp_path, name, value):
    path = model_with(tmp_path / "m.safetensors", "syn0", value)
    names = {"M": str(path), "O.npy": str(tmp_path / "o.npy"), "O.html": str(tmp_path / "o.html")}
    names["O.safetensors"] = str(tmp_path / "o.safetensors")
    arguments = [names.get(argument, argument) for argument in COMMANDS[name]]
    result = CliRunner().invoke(embed, arguments, input="bad\n")
    assert "" == result.stdout
    if name == "shell":
        assert "row 1 ('bad'): its vector holds a number that is not finite" in result.stderr
        return
    assert isinstance(result.exception, FormatError)
    assert name == "verify" or "row 1 ('bad'): its vector" in str(result.exception)
    assert [path] == list(tmp_path.iterdir())


def test_who_does_not_touch_it_does_not_mind(tmp_path):
    path = str(model_with(tmp_path / "m.safetensors", "syn0", np.nan))
    done = CliRunner().invoke(embed, ["vectors", "king", "-m", path])
    assert (0, "king\t") == (done.exit_code, done.stdout[:5])
    read = embedcli.load(path)
    assert 3 == read.dim == read["king"].size
    with pytest.raises(FormatError, match=r"row 1 \('bad'\)"):
        read["bad"]
    last = str(model_with(tmp_path / "n.safetensors", "syn0", np.nan, row=5))
    assert np.isfinite(embedcli.load(last, limit=5).vectors).all()
    assert np.isfinite(embedcli.load(last).head(5).norms).all()
    with pytest.raises(FormatError, match=r"row 6 \('child'\)"):
        _ = embedcli.load(last).vectors


def test_output_vectors_and_norms(tmp_path):
    read = embedcli.load(model_with(tmp_path / "m.safetensors", "syn1neg", -np.inf, row=2))
    assert np.isfinite(read.vectors).all()
    with pytest.raises(FormatError, match=r"row 3 \('queen'\): its output vector"):
        _ = read.output_vectors
    with pytest.raises(FormatError, match="tensor 'norms' holds what is no length"):
        embedcli.load(model_with(tmp_path / "n.safetensors", "norms", np.nan))


def test_huge_numbers_are_finite(tmp_path):
    vectors = np.full((2, 2), 3e38, np.float32)
    embedcli.save(
        Embeddings(Vocabulary.from_words(["a", "b"]), vectors), tmp_path / "m.safetensors"
    )
    read = embedcli.load(tmp_path / "m.safetensors")
    assert vectors.tobytes() == read.vectors.tobytes()


def test_subwords_that_are_not_finite():
    rows = np.full((10, 2), np.nan, np.float32)
    units = NGrams(3, 4, 10)
    ids = np.arange(10, dtype=np.int32)
    own = np.ones((1, 2), np.float32)
    model = Embeddings(
        Vocabulary.from_words(["cat"]), own, subwords=Subwords(units, own, ids, rows)
    )
    with pytest.raises(
        FormatError, match="the subwords of 'cats' make a vector that is not finite"
    ):
        model.from_subwords(["cats"])
