"""What can be asked of embeddings in Python: the answers are those of the commands."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import embedcli
from embedcli.errors import UnknownWordError, UsageError
from embedcli.lookup.query import Query, neighbors

WORDS = ["king", "man", "woman", "queen", "car", "road"]
ROWS = np.random.default_rng(1).normal(size=(6, 5)).astype(np.float32)


@pytest.fixture
def model():
    return embedcli.Embeddings(WORDS, ROWS)


def test_words_and_vectors(model):
    assert WORDS == list(model)
    assert np.array_equal(ROWS[1], model["man"])
    assert np.array_equal(ROWS[[2, 0]], model[["woman", "king"]])
    assert (0, 5) == model[[]].shape
    assert np.array_equal(ROWS[0], model.get("king"))
    assert (None, 7) == (model.get("pope"), model.get("pope", 7))
    assert ("king" in model, "pope" in model, len(model)) == (True, False, 6)


def test_neighbors_are_those_of_the_command(model):
    [expected] = neighbors(model, [Query(("king", "woman"), ("man",))], 3)
    assert expected == model.neighbors(["king", "woman"], 3, negative="man")
    assert expected == model.neighbors(["king", ("woman", 1.0), ("man", -1)], 3)
    similar = model.most_similar(positive=["king", "woman"], negative=["man"], topn=3)
    assert [tuple(one) for one in expected] == similar


def test_neighbors_of_vectors_and_weighted_sums(model):
    assert "king" == model.neighbors(ROWS[0], 1)[0].word
    assert "king" == model.neighbors([ROWS[0] * 3], 1)[0].word
    units = ROWS / np.linalg.norm(ROWS, axis=1, keepdims=True)
    expected = np.argmax(units @ (2 * units[0] + 0.5 * units[3]) - [9, 0, 0, 9, 0, 0])
    assert WORDS[expected] == model.neighbors([("king", 2), ("queen", 0.5)], 1)[0].word
    assert {"king", "man"} >= {n.word for n in model.neighbors("car", 9, restrict=2)}


def test_similarity_rank_and_closer_than(model):
    units = ROWS / np.linalg.norm(ROWS, axis=1, keepdims=True)
    cosines = units @ units[0]
    assert pytest.approx(cosines[2], abs=1e-6) == model.similarity("king", "woman")
    order = [WORDS[i] for i in np.argsort(-cosines) if i]
    for place, word in enumerate(order, 1):
        assert place == model.rank("king", word)
        assert order[: place - 1] == model.closer_than("king", word)


def test_odd_and_analogy(model):
    made = embedcli.Embeddings(["a", "b", "c"], [[1, 0], [1, 0.1], [-1, 0]])
    assert "c" == made.odd(["a", "b", "c"])
    assert model.neighbors(["man", "queen"], 2, negative="king") == model.analogy(
        "king", "man", "queen", 2
    )


def test_sentences_clusters_and_alignment(model):
    mean = ROWS[[0, 1]].mean(axis=0)
    assert np.allclose([mean, np.zeros(5)], model.sentences(["king man", "pope"]), atol=1e-6)
    classes = model.cluster(2)
    assert (6, {0, 1}) == (len(classes), set(classes.tolist()))
    turn = np.linalg.qr(np.random.default_rng(2).normal(size=(5, 5)))[0]
    other = embedcli.Embeddings(WORDS, ROWS @ turn)
    assert np.allclose(other.vectors, model.align(other).vectors, atol=1e-5)
    part = model.align(other, [(word, word) for word in WORDS[:5]])
    assert np.allclose(other.vectors, part.vectors, atol=1e-5)


def test_saved_and_exported(model, tmp_path):
    model.save(tmp_path / "m.safetensors")
    again = embedcli.load(tmp_path / "m.safetensors")
    assert (WORDS, True) == (list(again), np.array_equal(ROWS, again.vectors))
    assert isinstance(again.head(2), embedcli.Embeddings)
    changed = dataclasses.replace(again, metadata={"a": 1})
    assert (WORDS, {"a": 1}, 5) == (list(changed), changed.metadata, changed["car"].size)
    model.export(tmp_path / "m.vec", top=4, dim=2)
    assert (4, 2) == embedcli.load(tmp_path / "m.vec").vectors.shape


def test_pictures(model, tmp_path):
    drawn = model.plot(tmp_path / "map.html")
    assert drawn.html == (tmp_path / "map.html").read_bytes()
    assert "<iframe" in drawn._repr_html_()
    assert b'"words":["king","road"]' in model.plot(words=["king", "road"]).html
    assert "<td>king</td>" in model._repr_html_()
    assert "Embeddings(6 words x 5)" == repr(model)
    with pytest.raises(UsageError, match=r"cannot tell a picture from the name .*map\.doc"):
        model.plot(tmp_path / "map.doc")


def test_a_library_that_is_missing_is_named(model, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(UsageError, match="needs the library pandas, which is not installed"):
        model.to_pandas()


@pytest.mark.parametrize(
    ("ask", "told"),
    [
        (lambda e: embedcli.Embeddings("abc", ROWS), "the words are one string"),
        (lambda e: embedcli.Embeddings(["a", "b"], ROWS), r"2 words but vectors of shape \(6, 5\)"),
        (lambda e: embedcli.Embeddings(["a", "a"], ROWS[:2]), "the word 'a' is there twice"),
        (lambda e: embedcli.Embeddings(["a", 1], ROWS[:2]), "1 is no word"),
        (lambda e: e.neighbors([]), "neighbors of what"),
        (lambda e: e.neighbors(np.zeros(3)), r"shape \(3,\), but .* 5 components"),
        (lambda e: e.neighbors([3]), "3 is neither a word, a vector"),
        (lambda e: e.odd("king"), "odd takes a list of three words"),
        (lambda e: e.sentences("king man"), "not one string"),
    ],
)
def test_wrong_use_is_one_sentence(model, ask, told):
    with pytest.raises(UsageError, match=told) as caught:
        ask(model)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "ask",
    [
        lambda e: e["kign"],
        lambda e: e.neighbors("kign"),
        lambda e: e.similarity("king", "kign"),
        lambda e: e.rank("king", "kign"),
        lambda e: e.plot(words=["kign"]),
    ],
)
def test_an_unknown_word_is_named(model, ask):
    with pytest.raises(UnknownWordError, match="unknown word 'kign'"):
        ask(model)
