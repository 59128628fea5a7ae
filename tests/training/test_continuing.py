"""`--continue`: a model goes on as it says it was trained, n-grams and trees included."""

import numpy as np
import pytest
from click.testing import CliRunner

from embedcli import TrainConfig, load, save, train
from embedcli.cli.train import command
from embedcli.errors import ConfigError, UsageError
from embedcli.training.huffman import grown, huffman_tree
from tests.subwords.test_subwords import sentencepiece_model

__all__ = ["sentencepiece_model"]

OLD = "The cat SAT on the mat\nthe dog sat on the log\n" * 30 + "only once\n"
NEW = "the cat and the newt sat by the pond\nNewt and cat sat\nmat\n" * 30 + "ever\n"
STILL = ("--lr", "1e-30", "--min-lr", "0")  # nothing moves, so what is there was carried over
SMALL = {"dim": 8, "min_count": 2, "epochs": 2, "sample": 0, "threads": 1, "lr": 0.05}


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    directory = tmp_path_factory.mktemp("texts")
    for name, text in (("old", OLD), ("new", NEW)):
        (directory / name).write_text(text)
    return directory


@pytest.fixture
def go_on(texts, tmp_path, monkeypatch):
    """Train a model with settings, and go on with it by the command."""
    monkeypatch.chdir(tmp_path)

    def go(settings, *options, text="new"):
        save(train([texts / "old"], TrainConfig(**SMALL | settings)), "old.safetensors")
        return resume(*options, text=text)

    def resume(*options, text="new"):
        arguments = [str(texts / text), "--continue", "old.safetensors", "--threads", "1", *options]
        done = CliRunner().invoke(command, arguments, catch_exceptions=False)
        assert 0 == done.exit_code, done.output
        return load("model.safetensors"), done.stderr

    go.again = resume
    return go


def settings_of(model, *names):
    return {name: model.metadata["settings"][name] for name in names}


def test_what_nobody_says_is_as_the_model_says(go_on):
    settings = {
        "arch": "cbow", "window": 2, "negative": 3, "lowercase": True, "cbow_gradient": "divided",
        "ns_exponent": 0.5, "shrink_window": False, "tokenizer": "words", "warmup": 0.1,
        "unk": True, "shuffle": True,
    }  # fmt: skip
    model, said = go_on(settings)
    everything = settings | SMALL | {"threads": None}
    assert everything == settings_of(model, *everything)
    assert "Newt" not in model
    assert 60 == model.vocabulary.counts[model.vocabulary.get("newt")]
    assert "going on with the settings of old.safetensors\n" in said


def test_every_difference_is_named(go_on):
    model, said = go_on(
        {
            "arch": "cbow",
            "window": 2,
            "lowercase": True,
            "pattern": "[a-z]+",
            "tokenizer": "pattern",
        },
        *("--window", "3", "--no-lowercase", "--tokenizer", "whitespace", "--arch", "skipgram"),
    )
    assert (
        "going on with the settings of old.safetensors, but for --arch skipgram (there cbow), "
        in said
    )
    for difference in (
        "--window 3 (there 2)",
        "--lowercase no (there yes)",
        "--tokenizer whitespace (there pattern)",
        "--pattern none (there [a-z]+)",
    ):
        assert difference in said
    assert "Newt" in model
    assert {"window": 3, "negative": 5} == settings_of(model, "window", "negative")


def test_what_was_automatic_stays_so(go_on):
    model, said = go_on({"lr": None}, "--arch", "cbow")
    assert {"lr": 0.075, "arch": "cbow"} == settings_of(model, "lr", "arch")
    assert "--lr 0.075 (there 0.05)" in said


@pytest.mark.parametrize("chosen", ["--max-norm", "--field"])
def test_a_setting_that_the_model_has_can_be_unset(go_on, chosen):
    name = chosen[2:].replace("-", "_")
    value = {"max_norm": 5.0, "field": None}[name]
    model, _ = go_on({name: value}, chosen, "none")
    assert {name: None} == settings_of(model, name)


def test_ngrams_stay_and_learn(go_on):
    settings = {"subword": "3:4", "buckets": 100}
    model, said = go_on(settings, *STILL)
    old = load("old.safetensors")
    assert settings == settings_of(model, *settings)
    assert set(old.subwords.ids.tolist()) < set(model.subwords.ids.tolist())
    places = model.subwords.places(old.subwords.ids)
    np.testing.assert_array_equal(old.subwords.rows, model.subwords.rows[places])
    for word in old.vocabulary:
        here, there = model.vocabulary.get(word), old.vocabulary.get(word)
        np.testing.assert_array_equal(old.subwords.word_rows[there], model.subwords.word_rows[here])
        np.testing.assert_array_equal(old.output_vectors[there], model.output_vectors[here])
        np.testing.assert_array_equal(old[word], model[word])
    assert "--lr 1e-30 (there 0.05)" in said
    moved, _ = go_on.again()
    assert not np.array_equal(
        old.subwords.rows, moved.subwords.rows[moved.subwords.places(old.subwords.ids)]
    )
    assert moved.metadata["loss"][0] < model.metadata["loss"][0]


@pytest.mark.parametrize("arch", ["skipgram", "cbow"])
def test_ngrams_of_fasttext_go_on(go_on, texts, arch):
    settings = {"subword": "3:4", "buckets": 100, "arch": arch, "window": 3, "negative": 5}
    save(train([texts / "old"], TrainConfig(**SMALL | settings)), "x.fasttext.bin")
    model, said = go_on.again("--continue", "x.fasttext.bin", *STILL)
    old = load("x.fasttext.bin")
    assert settings == settings_of(model, *settings)
    for word in ("cat", "mat", "unseen"):
        np.testing.assert_allclose(old[word], model[word], atol=1e-7)
    assert "going on with the settings of x.fasttext.bin\n" in said


def test_pieces_go_on_without_their_file(go_on, sentencepiece_model, tmp_path):
    copy = tmp_path / "copy.spm"
    copy.write_bytes(sentencepiece_model.read_bytes())
    settings = {"subword": str(copy)}
    model, _ = go_on(settings, *STILL)
    copy.unlink()
    model, _ = go_on.again(*STILL)
    old = load("old.safetensors")
    for word in old.vocabulary:
        np.testing.assert_array_equal(old[word], model[word])


def test_ngrams_can_be_left_behind_and_it_is_said(go_on):
    with pytest.warns(UserWarning, match="has 3:4, whose rows are left behind"):
        model, said = go_on({"subword": "3:4", "buckets": 100}, "--subword", "none", *STILL)
    assert model.subwords is None
    assert "--subword none (there 3:4)" in said
    old = load("old.safetensors")
    np.testing.assert_array_equal(old["cat"], model["cat"])


def test_a_tree_goes_on(go_on):
    model, said = go_on({"loss": "hs"}, *STILL)
    old = load("old.safetensors")
    assert {"loss": "hs"} == settings_of(model, "loss")
    assert "no output vectors" not in said
    n_nodes = len(old) - 1
    np.testing.assert_array_equal(old.output_vectors[:n_nodes], model.output_vectors[:n_nodes])
    assert np.abs(model.output_vectors[n_nodes:]).max() < 1e-20
    assert old.tree_counts is None
    here = [model.vocabulary.get(word) for word in old.vocabulary]
    assert old.vocabulary.counts.tolist() == model.tree_counts[here].tolist()
    save(model, "old.safetensors")
    again, _ = go_on.again(*STILL, "--max-vocab", "3")
    assert again.tree_counts is None
    assert np.abs(again.output_vectors).max() < 1e-20
    twice, _ = go_on.again(*STILL)  # no new words
    trees = [dict(zip(m.vocabulary, m.tree_counts.tolist(), strict=True)) for m in (model, twice)]
    assert trees[0] == trees[1]
    np.testing.assert_allclose(model.output_vectors, twice.output_vectors, atol=1e-20)
    moved, _ = go_on.again("--lr", "0.05", "--min-lr", "0.0001")
    assert moved.metadata["loss"][0] < model.metadata["loss"][0]


@pytest.mark.parametrize("n_new", [0, 1, 2, 9])
def test_a_tree_that_grows_keeps_its_ways(n_new):
    generator = np.random.default_rng(n_new)
    old = generator.integers(1, 99, 12)
    words = generator.permutation(12 + n_new)[:12]  # where the old ones are now
    counts = np.full(12 + n_new, 3)
    more = grown(old, np.arange(12), words, counts)
    trees = huffman_tree(old), huffman_tree(more)
    root = 10 + n_new  # the last node
    for word, place in enumerate(words.tolist()):
        joint = [(root, 1)] if n_new else []
        assert joint + way(trees[0], word) == way(trees[1], place)
    others = sorted(set(range(12 + n_new)) - set(words.tolist()))
    ways = [way(trees[1], word) for word in others]
    assert [(root, -1)] * n_new == [each[0] for each in ways]
    assert n_new == len({tuple(each) for each in ways})
    assert [*range(11 + n_new)] == sorted(set(trees[1].nodes.tolist()))
    everything = np.arange(12 + n_new)
    third = grown(more, everything, everything, np.append(counts, 1))
    assert [(root + 1, -1)] == way(huffman_tree(third), 12 + n_new)


def way(tree, word):
    part = slice(tree.offsets[word], tree.offsets[word + 1])
    return list(zip(tree.nodes[part].tolist(), tree.signs[part].tolist(), strict=True))


def test_outputs_of_another_loss_are_not_taken(go_on):
    model, said = go_on({"loss": "hs"}, "--loss", "ns", *STILL)
    assert "old.safetensors has no output vectors" in said
    assert "--loss ns (there hs)" in said
    assert np.abs(model.output_vectors).max() < 1e-20
    model, said = go_on({}, "--loss", "hs", *STILL)
    assert "old.safetensors has no output vectors" in said
    assert np.abs(model.output_vectors).max() < 1e-20


def test_a_cut_tree_has_no_nodes(texts):
    model = train([texts / "old"], TrainConfig(**SMALL | {"loss": "hs"}))
    assert model.head(3).output_vectors is None
    assert model.head(len(model)).output_vectors is not None


@pytest.mark.parametrize(
    ("settings", "options", "error", "message"),
    [
        ({"arch": "glove"}, (), UsageError, "was trained with --arch glove, which cannot go on"),
        (
            {"subword": "3:4", "buckets": 100},
            ("--subword", "3:5"),
            ConfigError,
            "--subword is 3:5, but old.safetensors has 3:4",
        ),
        (
            {"subword": "3:4", "buckets": 100},
            ("--buckets", "7"),
            ConfigError,
            "--buckets is 7, but old.safetensors has 100",
        ),
        ({}, ("--subword", "3:6"), ConfigError, "has no rows of parts of words"),
        (
            {"l2": 0.1},
            ("--loss", "hs"),
            ConfigError,
            r"l2 is 0.1, but loss is hs.*\(what no option says is as in old.safetensors\)",
        ),
    ],
)
def test_what_cannot_go_on_is_refused(go_on, settings, options, error, message):
    with pytest.raises(error, match=message):
        go_on(settings, *options)


def test_a_file_that_says_nothing_goes_on_with_the_defaults(go_on, texts):
    save(train([texts / "old"], TrainConfig(**SMALL)), "x.vec")
    model, said = go_on.again("--continue", "x.vec", "--epochs", "1", "--sample", "0")
    assert "x.vec does not say how it was trained" in said
    assert {"dim": 8, "window": 5} == settings_of(model, "dim", "window")


def test_a_run_that_goes_on_is_resumed(go_on, texts):
    go_on({"subword": "3:4", "buckets": 100, "window": 2})
    done = CliRunner().invoke(command, [str(texts / "new"), "--resume"], catch_exceptions=False)
    assert "is complete: nothing to do" in done.stderr


def test_a_forecast_knows_what_goes_on(go_on, texts):
    go_on({"subword": "3:4", "buckets": 100}, "--epochs", "1")
    arguments = [str(texts / "new"), "--continue", "old.safetensors", "--dry-run", "--json"]
    done = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert 0 == done.exit_code
    assert '"dim": 8' in done.stdout
