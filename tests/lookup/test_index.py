"""Approximate neighbours: what an index finds, its file, and the command; skipped without faiss."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from embedcli import Embeddings, Vocabulary, save
from embedcli.errors import MissingExtraError, OutputError, UsageError
from embedcli.lookup.index import KINDS, TARGET, Index, _shared, build_index
from embedcli.lookup.index_files import _read_end, index_path, model_digest, open_index
from embedcli.lookup.query import Query, neighbors

WORDS = [f"w{i}" for i in range(2000)]


@pytest.fixture(scope="module")
def model():
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(40, 12))
    vectors = centres[np.arange(2000) % 40] + rng.normal(scale=0.5, size=(2000, 12))
    return Embeddings(Vocabulary.from_words(WORDS), vectors.astype(np.float32))


@pytest.fixture(autouse=True)
def faiss():
    return pytest.importorskip("faiss")


@pytest.mark.parametrize("kind", KINDS)
def test_an_index_finds_what_it_says_and_scores_it_exactly(model, kind):
    index = build_index(model, kind)
    queries = [Query((word,)) for word in WORDS[::3]]
    exact = neighbors(model, queries)
    found = neighbors(model, queries, index=index)
    shared = [len(set(a) & set(b)) / 10 for a, b in zip(exact, found, strict=True)]
    assert TARGET <= index.recall
    assert np.mean(shared) == pytest.approx(index.recall, abs=0.01)
    for true, answer in zip(exact, found, strict=True):
        cosines = dict(true)  # which are the very same for the words that both have
        assert all(cosines.get(word, cosine) == cosine for word, cosine in answer)


def test_recall_counts_what_is_missing():
    true = np.array([[1, 2, 3], [4, 5, -1]])
    found = np.array([[3, 1, 9], [5, 4, 7]])
    assert 4 / 5 == _shared(true, found)


@pytest.mark.parametrize("n_words", [1, 3])
def test_few_words_and_zero_vectors(n_words):
    tiny = Embeddings(
        Vocabulary.from_words(["a", "b", "c"][:n_words]), np.eye(3, 2, dtype=np.float32)[:n_words]
    )
    for kind in KINDS:
        index = build_index(tiny, kind)
        assert neighbors(tiny, [Query(("a",))]) == neighbors(tiny, [Query(("a",))], index=index)


def test_restrict_cannot_apply(model):
    with pytest.raises(UsageError, match="not the first 5"):
        neighbors(model, [Query(("w1",))], restrict=5, index=Index(model, "ivf", None))


@pytest.mark.parametrize("kind", KINDS)
def test_an_index_is_made_once_and_again_when_the_model_changes(model, kind, tmp_path):
    path = tmp_path / "m.safetensors"
    save(model, path)
    built = []
    first = open_index(path, model, kind, on_build=built.append)
    target = index_path(path, kind)
    again = open_index(path, model, kind, on_build=built.append)
    assert [target] == built
    assert (first.effort, first.recall) == (again.effort, again.recall)
    queries = model.vectors[:5]
    assert all(map(np.array_equal, first.nearest(queries, 3), again.nearest(queries, 3)))

    turned = Embeddings(model.vocabulary, model.vectors[::-1].copy())
    save(turned, path)
    other = open_index(path, turned, kind, on_build=built.append)
    assert [target, target] == built
    ids, cosines = other.nearest(turned.vectors[:1], 1)
    assert (0, pytest.approx(1.0)) == (ids[0, 0], cosines[0, 0])


def test_what_is_no_whole_index_is_made_anew(model, tmp_path, faiss):
    path = tmp_path / "m.vec"
    built = []
    open_index(path, model, "ivf", on_build=built.append)
    target = tmp_path / "m.vec.ivf.faiss"
    whole = target.read_bytes()
    assert 2000 == faiss.read_index(str(target)).ntotal  # any faiss reads it
    cut = (whole[:-1], whole[100:], b"", whole[:-16] + bytes(8) + b"embedidx")
    places = (0, 99, len(whole) - 150, len(whole) - 49, len(whole) - 20, len(whole) // 2)
    for damaged in (*cut, *(whole[:i] + bytes([whole[i] ^ 4]) + whole[i + 1 :] for i in places)):
        target.write_bytes(damaged)
        assert None is _read_end(str(target))
    open_index(path, model, "ivf", on_build=built.append)
    assert whole == target.read_bytes()
    assert 2 == len(built)
    with pytest.raises(OutputError, match="mkdir -p"):
        open_index(tmp_path / "no" / "m.vec", model, "ivf")


def test_the_index_of_a_part_is_not_taken_for_that_of_the_whole(model, tmp_path):
    path = tmp_path / "m.safetensors"
    small = model.head(600)
    save(small, path)
    built = []
    for part in (small.head(300), small, small):
        index = open_index(path, part, "ivf", on_build=built.append)
        assert len(part) == index.searcher.ntotal
    assert 2 == len(built)


def test_the_digest_is_of_words_and_vectors(model, tmp_path):
    path = tmp_path / "m.vec"
    other = Embeddings(Vocabulary.from_words([*WORDS[1:], "w0"]), model.vectors)
    digests = {model_digest(path, each) for each in (model, other, model.head(1999))}
    assert 3 == len(digests)


def test_the_command(model, tmp_path, run_embed):
    save(model, tmp_path / "model.safetensors")
    done = run_embed("neighbors", "--index", "hnsw")
    assert (0, "") == (done.returncode, done.stdout)
    assert "model.safetensors.hnsw.faiss: indexing 2,000 words" in done.stderr
    done = run_embed("neighbors", "w5", "w7", "--index", "hnsw")
    assert run_embed("neighbors", "w5", "w7").stdout == done.stdout
    assert "indexing" not in done.stderr
    assert "of the 10 nearest neighbours" in done.stderr
    (answer,) = json.loads(run_embed("neighbors", "w5", "--index", "hnsw", "--json").stdout)
    assert TARGET <= answer["recall"] <= 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--restrict", "5"), "--restrict 5 cannot apply"),
        (("-m", "a.vec", "-m", "b.vec"), "for one model, not 2"),
    ],
)
def test_wrong_use(run_embed, arguments, message):
    done = run_embed("neighbors", "a", "--index", "ivf", *arguments)
    assert (2, 1) == (done.returncode, done.stderr.count("\n"))
    assert message in done.stderr


def test_a_missing_faiss_names_the_command(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'embedcli\[ann\]'"):
        build_index(model, "ivf")
