"""Training on words made of their subwords: what it learns, keeps, forecasts and refuses."""

from __future__ import annotations

import numpy as np
import pytest

from embedcli import TrainConfig, load, save
from embedcli.errors import ConfigError, FormatError, InputError
from embedcli.training.checkpoint import Checkpoints
from embedcli.training.forecast import forecast
from embedcli.training.trainer import RunControl, Stopped, train
from embedcli.training.word_parts import WordParts, units_of
from tests.subwords.test_subwords import sentencepiece_model
from tests.training.test_checkpoint import after, given

__all__ = ["sentencepiece_model"]

SETTINGS = {
    "dim": 16, "min_count": 1, "epochs": 2, "sample": 0, "window": 3, "threads": 1, "lr": 0.1,
    "subword": "3:4", "buckets": 1000,
}  # fmt: skip


def config_of(**more):
    return TrainConfig(**SETTINGS | more).resolve()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Two topics whose words have stems of their own, and never share a line."""
    generator = np.random.default_rng(0)
    topics = [[f"{stem}{end}" for end in ("", "s", "ed", "ing", "er", "ers", "able")]
              for stem in ("walk", "cook")]  # fmt: skip
    lines = [" ".join(generator.choice(topics[i % 2], 8)) for i in range(1500)]
    path = tmp_path_factory.mktemp("corpus") / "text"
    path.write_text("\n".join(lines))
    return path


def cosine(model, one, other):
    a, b = model[one].astype(float), model[other].astype(float)
    return a @ b / np.linalg.norm(a) / np.linalg.norm(b)


@pytest.mark.parametrize("arch", ["skipgram", "cbow"])
def test_words_never_seen_come_to_their_topic(corpus, tmp_path, arch):
    model = train([corpus], config_of(arch=arch, threads=2))
    assert "walkable" in model
    assert "walkings" not in model
    assert cosine(model, "walkings", "walked") > cosine(model, "walkings", "cooked") + 0.3
    np.testing.assert_array_equal(model.vectors, model.subwords.of_vocabulary(model.vocabulary))
    assert model.metadata["loss"][1] < np.log(2)
    save(model, tmp_path / "x.fasttext.bin")
    read = load(tmp_path / "x.fasttext.bin")
    np.testing.assert_allclose(read["walkings"], model["walkings"], atol=1e-6)
    assert (3, 4, 1000, 3) == tuple(
        read.metadata["fasttext"][name] for name in ("minn", "maxn", "bucket", "ws")
    )


def test_pieces_of_a_sentencepiece_model(corpus, tmp_path, sentencepiece_model):
    path = tmp_path / "m.spm"
    path.write_bytes(sentencepiece_model.read_bytes())
    model = train([corpus], config_of(subword=str(path), epochs=1))
    assert str(path) == model.metadata["settings"]["subword"]
    path.unlink()  # it is in the model
    save(model, tmp_path / "x.safetensors")
    np.testing.assert_array_equal(model["talks"], load(tmp_path / "x.safetensors")["talks"])


def test_rows_of_words_and_parts(corpus):
    vocabulary = train([corpus], config_of(epochs=1)).vocabulary
    words = WordParts.of(vocabulary, units_of(config_of()))
    cut = words.units.cut(vocabulary)
    for i in range(len(vocabulary)):
        begin, end = words.rows.offsets[i : i + 2]
        rows = words.rows.rows[begin:end]
        assert i == rows[0]
        expected = cut.ids[cut.offsets[i] : cut.offsets[i + 1]]
        assert expected.tolist() == words.ids[rows[1:] - len(vocabulary)].tolist()
        assert len(rows) <= words.most


def test_memory_and_disk_are_forecast(corpus, tmp_path):
    model = train([corpus], config_of(epochs=1))
    outputs = [(str(tmp_path / f"x.{name}"), name) for name in ("safetensors", "fasttext")]
    found = forecast(model.vocabulary, config_of(), 12_000, outputs, checkpoints=False)
    whole = config_of(subword=None, deterministic=False)
    plain = forecast(model.vocabulary, whole, 12_000, outputs, checkpoints=False)
    n_parts = len(model.subwords.ids)
    assert found.memory > plain.memory + n_parts * 20 * 4
    written = 0
    for path, name in outputs:
        save(model, path, name)
        written += (tmp_path / f"x.{name}").stat().st_size
    assert 0.8 * written < found.disk < 1.2 * written


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"subword": "6:3"}, "subword is 6:3, but n-grams have from 1 to 100 characters"),
        ({"subword": "0:3"}, "n-grams have from 1"),
        ({"subword": "3:6", "optimizer": "adagrad"}, "optimizer is adagrad, but subword is 3:6"),
        ({"subword": "3:6", "loss": "hs"}, "subword is 3:6, but loss is hs"),
        ({"subword": "3:6", "init": "x.vec"}, "init is x.vec, but subword is 3:6"),
        ({"buckets": 0}, "buckets is 0"),
    ],
)
def test_settings_that_do_not_go_together(settings, message):
    with pytest.raises(ConfigError, match=message):
        TrainConfig(**settings)


def test_files_that_are_no_model(corpus, tmp_path):
    with pytest.raises(InputError, match="cannot read 3-6: No such file"):
        train([corpus], config_of(subword="3-6"))
    pytest.importorskip("sentencepiece")
    with pytest.raises(FormatError, match="is no sentencepiece model"):
        train([corpus], config_of(subword=str(corpus)))


def test_a_run_goes_on_without_the_file_it_began_with(
    corpus, tmp_path, sentencepiece_model, run_embed
):
    (tmp_path / "m.spm").write_bytes(sentencepiece_model.read_bytes())
    config = config_of(subword="m.spm", seed=3, epochs=3)
    options = [f"--{name.replace('_', '-')}={value}" for name, value in SETTINGS.items()]
    options += ["--subword=m.spm", "--seed=3", "--epochs=3"]
    assert 0 == run_embed("train", corpus, "-o", "whole.safetensors", *options).returncode
    checkpoints = Checkpoints(
        tmp_path / "resumed.safetensors.checkpoint", None, given(config, corpus)
    )
    path = str(tmp_path / "m.spm")
    with pytest.raises(Stopped):
        absolute = TrainConfig(**SETTINGS | {"subword": path, "seed": 3, "epochs": 3}).resolve()
        train([corpus], absolute, control=RunControl(checkpoints, None, after(0)))
    (tmp_path / "m.spm").unlink()
    done = run_embed("train", "--resume", "-o", "resumed.safetensors")
    assert 0 == done.returncode, done.stderr
    whole, resumed = (load(tmp_path / f"{name}.safetensors") for name in ("whole", "resumed"))
    np.testing.assert_array_equal(whole.vectors, resumed.vectors)
    np.testing.assert_array_equal(whole["walkings"], resumed["walkings"])
