"""Look-ups by vectors, in another model, and by the parts of a word."""

from __future__ import annotations

import json

import numpy as np
import pytest

from embedcli import Embeddings, Vocabulary, save
from embedcli.errors import UsageError
from embedcli.formats.npy import write_array
from embedcli.lookup.exact import unit_rows
from embedcli.lookup.query import neighbors_of_vectors
from embedcli.spaces import alignment
from embedcli.spaces.drift import drift
from embedcli.subwords.ngrams import NGrams
from embedcli.subwords.pieces import Pieces
from embedcli.subwords.table import Subwords
from tests.subwords.test_subwords import sentencepiece_model

__all__ = ["sentencepiece_model"]

N, D = 60, 8


def space(words, vectors):
    return Embeddings(Vocabulary.from_words(words), np.asarray(vectors, np.float32))


@pytest.fixture
def spaces(tmp_path):
    """A space, and its words in another language, turned and with some noise."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(N, D))
    rotation, _ = np.linalg.qr(rng.normal(size=(D, D)))
    noisy = vectors @ rotation + rng.normal(scale=0.02, size=(N, D))
    source = space([f"en{i}" for i in range(N)], vectors)
    target = space([f"de{i}" for i in range(N)], noisy)
    save(source, str(tmp_path / "en.safetensors"))
    save(target, str(tmp_path / "de.safetensors"))
    save(alignment.turned(source, rotation), str(tmp_path / "turned.safetensors"))
    (tmp_path / "train").write_text("".join(f"en{i} de{i}\n" for i in range(30)))
    return source, target, rotation


@pytest.mark.parametrize("method", ["csls", "cosine"])
def test_translations_are_scored_as_their_paper_says(spaces, method):
    source, target, rotation = spaces
    ids, scores, cosines = alignment.Translator(source, target, rotation, method).nearest(
        source.vectors[:5], 3
    )
    every = unit_rows(source.vectors) @ rotation @ unit_rows(target.vectors).T
    r_x, r_y = (np.sort(every, axis=axis)[..., -10:] if axis else np.sort(every, axis=0)[-10:]
                for axis in (1, 0))  # fmt: skip
    csls = 2 * every - r_x.mean(axis=1)[:, None] - r_y.mean(axis=0)
    expected = (csls if method == "csls" else every)[:5]

    assert np.argsort(-expected, axis=1)[:, :3].tolist() == ids.tolist()
    assert np.allclose(-np.sort(-expected, axis=1)[:, :3], scores, atol=1e-5)
    assert np.allclose(np.take_along_axis(every[:5], ids, 1), cosines, atol=1e-5)


def test_translate_as_a_shell_sees_it(spaces, run_embed):
    models = ("translate", "en.safetensors", "de.safetensors")
    done = run_embed(
        *models, "en40", "-", "--dictionary", "train", "-k", "1", input="en50\n\nEN51\n"
    )
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert (0, [["en40", "1", "de40"], ["en50", "1", "de50"], ["EN51", "1", "de51"]]) == (
        done.returncode,
        [row[:3] for row in rows],
    )
    assert "aligned by 30 pairs\nnot in the vocabulary, answered by another case" in done.stderr
    as_is = run_embed("translate", "turned.safetensors", "de.safetensors", "en40", "nobody",
                      "--as-is", "--method", "cosine", "--json", "--restrict", "0")  # fmt: skip
    first, second = json.loads(as_is.stdout)
    assert (3, "de40", None) == (
        as_is.returncode,
        first["translations"][0]["word"],
        second["translations"],
    )
    assert first["translations"][0]["cosine"] == first["translations"][0]["score"]
    assert "unknown word 'nobody'" in as_is.stderr
    assert 10 == len(first["translations"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("translate", "en.safetensors", "de.safetensors", "en1"), "0 known pairs"),
        (("align", "en.safetensors", "de.safetensors", "--as-is"), "--as-is turns nothing: give"),
        (
            ("align", "en.safetensors", "de.safetensors", "--as-is", "--refine", "1"),
            "leave --dictionary and --refine out",
        ),
        (("neighbors", "en1", "--vector", "x.npy", "-m", "en.safetensors"), "--vector is a query"),
    ],
)
def test_wrong_use(spaces, run_embed, arguments, message):
    done = run_embed(*arguments)
    assert (2, True) == (done.returncode, message in done.stderr)


def test_spaces_that_are_aligned_are_compared_as_they_are(spaces, tmp_path, run_embed):
    (tmp_path / "test").write_text("".join(f"en{i} de{i}\n" for i in range(N)))
    arguments = ("--test", "test", "--as-is", "--json", "--restrict", "0")
    scores = [
        json.loads(run_embed("align", model, "de.safetensors", *arguments).stdout)["precision"]
        for model in ("turned.safetensors", "en.safetensors")
    ]
    assert (100.0, N) == (scores[0]["csls"]["p@1"], scores[0]["csls"]["asked"])
    assert scores[1]["csls"]["p@1"] < 30


def test_a_turned_copy_has_moved_unless_it_is_turned_back(spaces, tmp_path, run_embed):
    source, _, rotation = spaces
    turned = alignment.turned(source, rotation)
    assert pytest.approx(1, abs=1e-5) == drift(source, turned, restrict=None).median
    assert drift(source, turned, restrict=None, as_is=True).median < 0.9
    assert 1.0 == drift(source, source, as_is=True).median
    done = run_embed("diff", "en.safetensors", "turned.safetensors", "--as-is", "--restrict", "0")
    assert (0, True) == (done.returncode, f"cosine of the {N} compared" in done.stderr)
    with pytest.raises(UsageError, match="no word in common"):
        drift(source, space(["x", "y"], np.ones((2, D))), as_is=True)


@pytest.mark.parametrize("command", [("neighbors", "en1"), ("analogy", "en1", "en2", "en3")])
def test_a_restriction_of_none_is_all_words(spaces, run_embed, command):
    every, zero, two = (
        run_embed(*command, "-m", "en.safetensors", *more).stdout
        for more in ((), ("--restrict", "0"), ("--restrict", "7"))
    )
    assert every == zero != two


def test_neighbours_of_vectors(spaces, tmp_path, run_embed):
    source, _, _ = spaces
    write_array(str(tmp_path / "x.npy"), source.vectors[[3, 5]] * np.float32(2))
    np.save(tmp_path / "one.npy", source.vectors[7].astype(np.float16))
    np.save(tmp_path / "ints.npy", np.eye(D, dtype=np.int64)[:1])
    files = ("--vector", "x.npy", "--vector", "one.npy", "--vector", "ints.npy")
    done = run_embed("neighbors", *files, "-k", "1", "-m", "en.safetensors")
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert [["x.npy[0]", "1", "en3"], ["x.npy[1]", "1", "en5"], ["one.npy", "1", "en7"]] == [
        row[:3] for row in rows[:3]
    ]
    axis = unit_rows(source.vectors)[:, 0]
    assert [f"en{axis.argmax()}", f"{axis.max():.4f}"] == rows[3][2:]
    listed = json.loads(run_embed("neighbors", *files, "-m", "en.safetensors", "--json").stdout)
    assert [10] * 4 == [len(answer["neighbors"]) for answer in listed]


def arrays():
    yield "missing.npy", None, 3, "it is no file"
    yield "short.npy", b"\x93NUMPY", 3, "not a sound NumPy array"
    yield "objects.npy", np.array([{}], object), 3, "not a sound NumPy array"
    yield "text.npy", np.array([["a"] * D]), 3, "not vectors"
    yield "deep.npy", np.zeros((1, 1, D)), 3, "with 3 axes, not vectors"
    yield "bare.npy", np.float32(1), 3, "with 0 axes, not vectors"
    yield "narrow.npy", np.zeros((2, D - 1)), 2, f"vectors of {D - 1} components"
    yield "nan.npy", np.full((2, D), np.nan), 3, "row 0 (from 0) holds a number that is not finite"


@pytest.mark.parametrize(("name", "content", "code", "message"), list(arrays()))
def test_what_holds_no_vectors(spaces, tmp_path, run_embed, name, content, code, message):
    if isinstance(content, bytes):
        (tmp_path / name).write_bytes(content)
    elif content is not None:
        np.save(tmp_path / name, content, allow_pickle=True)
    done = run_embed("neighbors", "--vector", name, "-m", "en.safetensors")
    assert (code, True) == (done.returncode, message in done.stderr)


def test_vectors_of_another_dimension_are_refused(spaces):
    with pytest.raises(UsageError, match="2 x 3, but those of the model have 8"):
        neighbors_of_vectors(spaces[0], np.ones((2, 3)))


WORDS = ["where", "here", "</s>", "東京都"]


@pytest.fixture
def parts(tmp_path):
    rng = np.random.default_rng(1)
    units = NGrams(3, 4, 500)
    cut = units.cut(Vocabulary.from_words(WORDS))
    ids = np.unique(cut.ids)
    rows = rng.normal(size=(len(WORDS), D)).astype("f"), rng.normal(size=(len(ids), D)).astype("f")
    subwords = Subwords(units, rows[0], ids, rows[1])
    words = Vocabulary.from_words(WORDS, [4, 3, 2, 1])
    model = Embeddings(words, subwords.of_vocabulary(words), subwords=subwords)
    save(model, str(tmp_path / "model.safetensors"))
    return model


@pytest.mark.parametrize("shortest", [1, 2, 3])
@pytest.mark.parametrize("word", [*WORDS, "a", "👩\u200d👧"])
def test_the_texts_of_ngrams_are_in_the_order_of_their_ids(shortest, word):
    units = NGrams(shortest, 4, 100_000)
    (alone,) = [units.cut(Vocabulary.from_words([word])).ids.tolist()]
    texts = units.texts(word)
    assert len(alone) == len(texts)
    for text, number in zip(texts, alone, strict=True):
        value = 2166136261
        for byte in text.encode():
            value = ((value ^ ((byte | 0xFFFFFF00) if byte > 127 else byte)) * 16777619) % 2**32
        assert value % 100_000 == number


def test_the_parts_of_a_word_and_what_they_are_near_to(parts, run_embed):
    (found,) = json.loads(run_embed("subwords", "where", "-k", "2", "--json").stdout)
    assert ("where", True) == (found["word"], found["in_vocabulary"])
    names = ["where", "<wh", "<whe", "whe", "wher", "her", "here", "ere", "ere>", "re>"]
    assert names == [part["part"] for part in found["parts"]]
    own = unit_rows(parts.subwords.word_rows[:1]) @ unit_rows(parts.vectors).T
    assert WORDS[own.argmax()] == found["parts"][0]["neighbors"][0]["word"]
    assert pytest.approx(own.max(), abs=1e-6) == found["parts"][0]["neighbors"][0]["cosine"]
    row = parts.subwords.rows[parts.subwords.places(np.array([found["parts"][1]["id"]]))[0]]
    assert pytest.approx(np.linalg.norm(row), rel=1e-6) == found["parts"][1]["norm"]


def test_a_word_that_nobody_has_seen_shows_which_parts_are_known(parts, run_embed):
    done = run_embed("subwords", "-", "-k", "1", input="xhere\n</s>\n")
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    known = {row[1] for row in rows if row[3] != "n/a" and row[0] == "xhere"}
    assert {"her", "here", "ere", "ere>", "re>"} <= known
    assert ["n/a", "n/a"] == next(row[3:] for row in rows if row[1] == "<xh")
    assert [["</s>", "</s>", "n/a"]] == [row[:3] for row in rows if row[0] == "</s>"]


def test_a_model_without_subwords_says_so(spaces, run_embed):
    done = run_embed("subwords", "en1", "-m", "en.safetensors")
    assert (3, True) == (done.returncode, "en.safetensors has no subwords" in done.stderr)


def test_pieces_have_texts(sentencepiece_model):
    units = Pieces.read(str(sentencepiece_model))
    (alone,) = [units.cut(Vocabulary.from_words(["cats"])).ids.tolist()]
    assert len(alone) == len(units.texts("cats")) > 0
    assert "cats" == "".join(units.texts("cats")).replace("\u2581", "")
