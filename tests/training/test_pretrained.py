"""Pretrained vectors, frozen words, and models that go on with another text."""

import numpy as np
import pytest

from embedcli import Embeddings, TrainConfig, Vocabulary, load, save, train
from embedcli.errors import ConfigError, FormatError, InputError, UsageError
from embedcli.subwords.ngrams import NGrams
from embedcli.subwords.table import Subwords
from embedcli.text.corpus_reader import encode_corpus

SETTINGS = {"dim": 8, "min_count": 2, "epochs": 2, "sample": 0, "window": 2, "threads": 1}
OLD = "the cat sat on the mat\nthe dog sat on the log\n" * 30
NEW = (
    "the cat and the newt sat by the new pond\nnewt and cat sat\nsolitary mat\n" * 30 + "once log\n"
)


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    directory = tmp_path_factory.mktemp("texts")
    for name, text in (("old", OLD), ("new", NEW)):
        (directory / name).write_text(text)
    return directory


@pytest.fixture(scope="module")
def model(texts):
    """A model of the old text, with output vectors."""
    path = texts / "old.safetensors"
    save(train([texts / "old"], TrainConfig(**SETTINGS)), path)
    return path


def trained(text, **more):
    return train([text], TrainConfig(**SETTINGS | more))


def test_given_words_begin_with_their_vectors(texts, model):
    """At a learning rate of almost nothing they end with them, too."""
    old = load(model)
    new = trained(texts / "new", init=str(model), lr=1e-30, min_lr=0)
    for word in ("the", "cat", "sat", "mat"):
        assert old[word].tobytes() == new[word].tobytes()
    row = new.vocabulary.get("cat")
    expected = old.output_vectors[old.vocabulary.get("cat")]
    assert expected.tobytes() == new.output_vectors[row].tobytes()
    assert np.abs(new["newt"]).max() <= 1 / 16
    assert "dog" not in new
    given = new.metadata["given"]
    assert (7, 4) == (given["words"], given["found"])
    assert 0.4 < given["share_of_tokens"] < 0.6
    assert {"words": 0} == given["moved"]


@pytest.mark.parametrize("name", ["old.vec", "old.bin", "old.glove.txt"])
def test_any_readable_format_will_do(texts, model, tmp_path, name):
    save(load(model), tmp_path / name)
    new = trained(texts / "new", init=str(tmp_path / name), lr=1e-30, min_lr=0)
    assert load(model)["cat"].tobytes() == new["cat"].tobytes()
    assert not new.metadata["given"]["output_vectors"]


def test_vectors_that_were_read_already_are_not_read_again(texts, model):
    config = TrainConfig(**SETTINGS | {"init": "no/such/file", "lr": 1e-30, "min_lr": 0})
    assert (
        load(model)["cat"].tobytes()
        == train([texts / "new"], config, given=load(model))["cat"].tobytes()
    )


def test_words_the_file_does_not_hold_begin_by_its_subwords(texts):
    units = NGrams(3, 4, 50)
    generator = np.random.default_rng(0)
    own, parts = (generator.random((n, 8), np.float32) for n in (2, 50))
    words = Vocabulary.from_words(["cat", "the"])
    subwords = Subwords(units, own, np.arange(50, dtype=np.int32), parts)
    file = Embeddings(words, subwords.of_vocabulary(words), subwords=subwords)
    config = TrainConfig(**SETTINGS | {"init": "i", "lr": 1e-30, "min_lr": 0})
    new = train([texts / "new"], config, given=file)
    for word in new.vocabulary:
        np.testing.assert_array_equal(file[word], new[word])
    given = new.metadata["given"]
    assert (2, len(new) - 2) == (given["found"], given["by_subwords"])


@pytest.mark.parametrize("arch", ["skipgram", "cbow"])
def test_frozen_rows_stay_bit_for_bit(texts, model, tmp_path, arch):
    old = load(model)
    everything = trained(texts / "new", arch=arch, init=str(model), freeze="all")
    for word in ("the", "cat", "sat", "mat"):
        assert old[word].tobytes() == everything[word].tobytes()
    assert {"words": 0} == everything.metadata["given"]["moved"]
    assert np.abs(everything["newt"]).max() > 1 / 16
    (tmp_path / "words").write_text("cat 7\nnewt\n\n  mat\nunheard-of\n")
    some = trained(texts / "new", arch=arch, init=str(model), freeze=str(tmp_path / "words"))
    assert 2 == some.metadata["given"]["frozen"]
    assert [True, False, False, True] == [
        old[word].tobytes() == some[word].tobytes() for word in ("cat", "the", "sat", "mat")
    ]


def test_a_model_goes_on_with_a_larger_vocabulary(texts, model):
    old = load(model)
    new = trained(texts / "new", continue_from=str(model))
    words = set(old.vocabulary) | {"and", "newt", "by", "new", "pond", "solitary"}
    assert words == set(new.vocabulary)
    counts = dict(zip(new.vocabulary, new.vocabulary.counts.tolist(), strict=True))
    assert (120 + 90, 30 + 60, 30, 31, 60) == tuple(
        counts[word] for word in ("the", "cat", "dog", "log", "newt")
    )
    assert sorted(counts.values(), reverse=True) == list(counts.values())
    moved = new.metadata["given"]["moved"]
    assert moved["cosine"]["p10"] <= moved["cosine"]["p50"] <= moved["cosine"]["p90"] < 1
    for word in ("dog", "log"):  # not in the new text, and alone in its line
        assert old[word].tobytes() == new[word].tobytes()
    assert 4 == moved["words"]
    words, cosines = zip(*moved["most"], strict=True)
    assert {"the", "cat", "sat", "mat"} == set(words)
    a, b = old[words[0]].astype(float), new[words[0]].astype(float)
    assert pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b)) == cosines[0]


def test_the_noise_of_a_continued_run_is_that_of_both_texts(texts, model):
    base = load(model).vocabulary
    with encode_corpus([str(texts / "new")], min_count=2, base=base) as corpus:
        assert (482, 481) == (corpus.tally.read, corpus.tally.kept)  # once
        assert 360 + 481 == corpus.vocabulary.counts.sum()
        assert set(base) < set(corpus.vocabulary)
    with encode_corpus([str(texts / "new")], min_count=2, base=base, max_vocab=3) as corpus:
        assert ["the", "sat", "cat"] == list(corpus.vocabulary)


def test_words_without_counts_have_those_of_the_text(texts):
    base = Vocabulary.from_words(["pond", "never"])
    with encode_corpus([str(texts / "new")], min_count=100, base=base) as corpus:
        assert ["pond", "never"] == list(corpus.vocabulary)
        assert [30, 0] == corpus.vocabulary.counts.tolist()


def test_a_model_without_counts_goes_on(texts, model, tmp_path):
    save(load(model), tmp_path / "old.vec")
    new = trained(texts / "new", continue_from=str(tmp_path / "old.vec"), sample=1e-3)
    assert np.isfinite(new.vectors).all()
    assert "dog" in new


def test_what_cannot_be_given_is_refused(texts, model, tmp_path):
    (tmp_path / "words").write_text("solitary\n")
    strangers = Embeddings(Vocabulary.from_words(["x", "y"]), np.ones((2, 8), np.float32))
    save(strangers, tmp_path / "strangers.vec")
    (tmp_path / "text").write_text("not vectors\n")
    infinite = Embeddings(Vocabulary.from_words(["cat", "y"]), np.full((2, 8), np.inf, "f4"))
    for more, error, message in (
        (
            {"init": str(model), "dim": 9},
            ConfigError,
            "dim is 9: give --dim 8",
        ),
        ({"init": str(tmp_path / "strangers.vec")}, InputError, "none of its 2 words is among the"),
        ({"init": str(tmp_path / "text")}, FormatError, "text"),
        ({"init": str(tmp_path / "absent")}, InputError, "absent"),
        ({"init": str(model), "freeze": str(tmp_path / "words")}, InputError, "none of its words"),
        ({"init": str(model), "freeze": str(tmp_path / "absent")}, InputError, "absent"),
        ({"freeze": "all"}, ConfigError, "no vectors are given"),
        ({"init": "a", "continue_from": "b"}, ConfigError, "one of them only"),
    ):
        with pytest.raises(error, match=message):
            trained(texts / "new", **more)
    with pytest.raises(InputError, match="'cat' is not finite"):
        train([texts / "new"], TrainConfig(**SETTINGS | {"init": "i"}), given=infinite)
    with pytest.raises(ConfigError, match="dim is 9: give --dim 8"):
        train([texts / "new"], TrainConfig(**SETTINGS | {"init": "i", "dim": 9}), given=load(model))
    words = Vocabulary.from_words(["cat"])
    with pytest.raises(UsageError, match="leave --vocab out"):
        config = TrainConfig(**SETTINGS | {"continue_from": str(model)})
        train([texts / "new"], config, vocabulary=words)


def test_as_people_type_it(run_embed, texts, model, tmp_path):
    done = run_embed(
        "train", texts / "new", "--continue", model, "--min-count", "2", "--sample", "0",
        "--threads", "1", "-o", "m.safetensors",
    )  # fmt: skip
    assert 0 == done.returncode, done.stderr
    assert "7 of its 7 words are among the 13 trained" in done.stderr
    assert "given words have moved; cosine with where they began: median " in done.stderr
    assert 8 == load(tmp_path / "m.safetensors").dim  # nobody said --dim
    again = run_embed("train", "--resume", "-o", "m.safetensors", texts / "new")
    assert (0, True) == (again.returncode, "nothing to do" in again.stderr)
    done = run_embed("train", texts / "new", "--continue", "m.safetensors", "-o", "m.safetensors",
                     "--dry-run", "--json")  # fmt: skip
    assert (0, '"words": 13') == (done.returncode, done.stdout[done.stdout.find('"words"') :][:11])
