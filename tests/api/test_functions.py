"""`embedcli.train` and `embedcli.load` as a notebook calls them; and their examples."""

from __future__ import annotations

import doctest
from importlib import import_module

import numpy as np
import pytest

import embedcli
from embedcli.errors import ConfigError, CorpusError, EmbedError, UsageError

LISTS = [["the", "cat", "sat"], ["the", "dog", "sat"], []] * 50
SETTINGS = {"dim": 8, "min_count": 1, "sample": 0, "threads": 1}


@pytest.mark.parametrize("module", ["api.embeddings", "formats", "evaluation", "embeddings"])
def test_the_examples_are_true(module, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    results = doctest.testmod(
        import_module(f"embedcli.{module}"),
        optionflags=doctest.ELLIPSIS,
        extraglobs={"embedcli": embedcli},
    )
    assert (0, True) == (results.failed, results.attempted > 2)


def test_lists_a_generator_a_file_and_a_path_make_the_same_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "text.txt"
    path.write_text("".join(" ".join(words) + "\n" for words in LISTS))
    texts = [LISTS, iter(LISTS), (tuple(words) for words in LISTS), path, str(path), [path]]
    models = [embedcli.train(text, **SETTINGS) for text in texts]
    for model in models[1:]:
        assert models[0].vectors.tobytes() == model.vectors.tobytes()
        assert models[0].metadata["corpus"] == model.metadata["corpus"]
    assert ["text.txt"] == [file.name for file in tmp_path.iterdir()]


def test_words_with_spaces_have_a_separator():
    lists = [["new york", "red car"], ["red car", "old town"]] * 20
    model = embedcli.train(lists, items=True, separator="\t", **SETTINGS)
    assert {"new york", "red car", "old town"} == set(model)


def test_lists_go_on_where_they_were_interrupted(tmp_path):
    def stop(progress):
        if progress.phase == "training":
            raise KeyboardInterrupt

    output = tmp_path / "m.safetensors"
    with pytest.raises(KeyboardInterrupt) as caught:
        embedcli.train(iter(LISTS), output=output, on_progress=stop, **SETTINGS)
    assert "embedcli.train(the same lists, output=" in caught.value.__notes__[0]
    model = embedcli.train(iter(LISTS), output=output, resume=True, **SETTINGS)
    assert np.array_equal(embedcli.train(LISTS, **SETTINGS).vectors, model.vectors)
    with pytest.raises(EmbedError, match="text"):
        embedcli.train(LISTS[:30], output=output, resume=True, **SETTINGS)


def test_a_setting_changes_those_of_a_config():
    model = embedcli.train(LISTS, embedcli.TrainConfig(**SETTINGS | {"dim": 4}), dim=8)
    assert 8 == model.dim


@pytest.mark.parametrize(
    ("text", "error", "told"),
    [
        ([["a b"]], CorpusError, "list 1 holds 'a b': a word may not be empty or contain white"),
        ([["a"], "b c"], CorpusError, "list 2 is 'b c', not a list of words"),
        ([["a", ""]], CorpusError, "may not be empty"),
        ([["a", 1]], CorpusError, "list 1 holds 1, which is no string"),
        ([["a\ud800"]], CorpusError, "is not Unicode text"),
        ([3], CorpusError, "list 1 is 3, not a list"),
        (["x.txt", ["y"]], UsageError, r"\['y'\] is no path, but the first one was"),
        (5, UsageError, "int is no text"),
        (b"abc", UsageError, "bytes is no text"),
        ("the cat sat", CorpusError, "the cat sat: no such file"),
    ],
)
def test_what_is_no_text_is_one_sentence(text, error, told):
    with pytest.raises(error, match=told) as caught:
        embedcli.train(text, **SETTINGS)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("vector_size", "there is no setting vector_size; embed calls it dim"),
        ("workers", "embed calls it threads"),
        ("minCount", "did you mean min_count|embed calls it min_count"),
        ("sg", r"embed calls it arch \(skipgram or cbow\)"),
        ("windw", "did you mean window"),
    ],
)
def test_settings_of_other_tools_are_told_by_their_names(name, told):
    with pytest.raises(ConfigError, match=told):
        embedcli.train(LISTS, **{name: 1})


def test_load_takes_the_options_of_reading(tmp_path):
    embedcli.Embeddings(["a", "b"], [[1, 2], [3, 4]]).save(tmp_path / "m.vec")
    assert ["a"] == list(embedcli.load(tmp_path / "m.vec", limit=1))
