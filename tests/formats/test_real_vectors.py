"""Every command on vectors of real text: a million words of Wikipedia, trained in a second."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import embedcli
from embedcli.cli.main import COMMANDS, embed
from embedcli.cli.output import Verbosity
from embedcli.settings.config import TrainConfig

SHARED = Path(__file__).parents[3] / "shared"
TEXT = SHARED / "data" / "wiki-1m.txt.gz"
EVAL = SHARED / "data" / "eval"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A directory with `model.safetensors`; skipped without the text."""
    if not TEXT.is_file():
        pytest.skip("needs ../shared, which is not part of the project")
    folder = tmp_path_factory.mktemp("real")
    model = embedcli.train([TEXT], TrainConfig(dim=48, threads=2, epochs=3))
    embedcli.save(model, folder / "model.safetensors")
    return folder


@pytest.fixture
def run(folder, monkeypatch):
    """Run a command beside the model; returns what it printed, and JSON read."""
    monkeypatch.chdir(folder)

    def run(*arguments, stdin=None):
        command = [str(part) for part in arguments]
        done = CliRunner().invoke(embed, command, obj=Verbosity(), input=stdin)
        assert (0, None) == (done.exit_code, done.exception), done.output
        return json.loads(done.stdout) if "--json" in command else done.stdout

    return run


def test_no_command_is_forgotten():
    named = Path(__file__).read_text()
    makes_vectors = ("train", "vocab", "phrases", "shard", "combine", "classify", "warm")
    others = (*makes_vectors, "doctor", "predict")  # of text and of classifiers

    assert [] == [c for c in COMMANDS if c not in others and f'"{c}", ' not in named]


def test_look_ups(run):
    (answer,) = run("neighbors", "france", "--json")
    assert {"spain", "italy", "germany", "belgium"} & {n["word"] for n in answer["neighbors"]}
    answers = run("analogy", "he", "his", "she", "--json")["answers"]
    assert "her" in [answer["word"] for answer in answers]
    assert "chemistry" == run("odd", "king", "emperor", "queen", "chemistry", "--json")["odd"]
    near = run("shell", "-k", "3", stdin="july\n")
    assert {"june", "august", "march", "november", "october", "february"} & set(near.split())


def test_an_index_finds_what_an_exact_search_finds(run, folder):
    pytest.importorskip("faiss")
    words = "\n".join(embedcli.load(folder / "model.safetensors").vocabulary.words[100:1100:5])
    exact = _pairs(run("neighbors", "-", stdin=words))
    for kind in ("ivf", "hnsw"):
        found = _pairs(run("neighbors", "-", "--index", kind, stdin=words))
        assert 0.95 < len(exact & found) / len(exact)


def _pairs(rows):
    """Queries and their neighbours."""
    return {(fields[0], fields[2]) for fields in (line.split("\t") for line in rows.splitlines())}


def test_texts(run):
    lines = "the cat and the dog\nthe army won the battle\nthe war and its battles\n"
    cat, battle, war = run("vectors", "--sentences", "--unit", "--json", stdin=lines)
    assert np.dot(battle, war) > np.dot(battle, cat)


def test_parts_of_words(run):
    model = Path(__file__).parents[1] / "data" / "fasttext.bin"
    (word,) = run("subwords", "cats", "-m", model, "-k", "1", "--json")
    assert {"cat", "<ca"} <= {part["part"] for part in word["parts"]}


def test_explanations(run):
    told = run("explain", "king", "queen", "--corpus", TEXT, "--json")
    assert told["cosine"] > 0.3


def test_classes_and_maps(run, folder):
    classes = run("cluster", "-k", "20", "--top", "3000", "--summary", "5", "--json")
    assert (20, 3000) == (len(classes), sum(each["size"] for each in classes))
    run("plot", "-o", "map.html", "--top", "3000", "--json")
    assert b"france" in (folder / "map.html").read_bytes()


def test_scores(run):
    analogies, pairs = run(
        "evaluate", EVAL / "questions-words.txt", EVAL / "EN-WS-353-ALL.txt", "--json"
    )
    assert 1 < analogies["score"] < 100
    assert 20 < pairs["score"] < 100
    assert 0 == run("info", "--json")["metadata"]["corpus"]["invalid"]


def test_two_spaces(run):
    run("export", "model.safetensors", "turned.vec", "--dim", "48")  # all axes: only turned
    told = run("align", "turned.vec", "model.safetensors", "--test", _dictionary(run), "--json")
    assert 95 < told["precision"]["csls"]["p@1"]
    there = run("translate", "turned.vec", "model.safetensors", "france", "-k", "1", "--json")
    assert "france" == there[0]["translations"][0]["word"]
    moved = run("diff", "turned.vec", "model.safetensors", "--json")
    assert 0.999 < moved["median"]


def _dictionary(run):
    words = [line.split("\t")[0] for line in run("cluster", "-k", "1", "--top", "300").splitlines()]
    Path("same.dict").write_text("".join(f"{word}\t{word}\n" for word in words))
    return "same.dict"


def test_smaller_models(run):
    told = run("export", "model.safetensors", "small.safetensors", "--dtype", "int8", "--json")
    assert 0.95 < told["neighbors_kept"]
    assert "yes" in run("verify", "small.safetensors")
    pytest.importorskip("faiss")
    small = ("export", "model.safetensors", "pq.safetensors", "--top", "3000")
    more, less = (run(*small, "--pq", n, "--json")["neighbors_kept"] for n in (12, 6))
    assert 0 < less < more < 1


def test_a_search(run):
    told = run(
        *("tune", TEXT, "--dims", "16,48", "--runs", "1", "--epochs", "1", "--json"),
        *("--evaluate", EVAL / "EN-WS-353-ALL.txt"),
    )
    assert [16, 48] == [trial["settings"]["dim"] for trial in told["trials"]]
