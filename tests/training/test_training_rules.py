"""AdaGrad, dropout, L2 and the largest norm in a run: what they do, and that they survive."""

import itertools
from contextlib import nullcontext

import numpy as np
import pytest

from embedcli import TrainConfig, load, save
from embedcli.kernels.optimizer import Features
from embedcli.training.checkpoint import Checkpoints
from embedcli.training.forecast import forecast
from embedcli.training.trainer import RunControl, Stopped, train
from embedcli.training.worker import features_of
from embedcli.vocabulary import Vocabulary

SETTINGS = {"dim": 16, "min_count": 1, "epochs": 3, "sample": 1e-2, "window": 3, "threads": 1}
EVERYTHING = {"optimizer": "adagrad", "dropout": 0.2, "max_norm": 1.5, "l2": 1e-3}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Two topics that never share a sentence."""
    path = tmp_path_factory.mktemp("corpus") / "text"
    generator = np.random.default_rng(0)
    lines = []
    for _ in range(2000):
        letter = "ab"[generator.integers(2)]
        lines.append(" ".join(f"{letter}{i}" for i in generator.integers(0, 100, 12)))
    path.write_text("\n".join(lines))
    return path


def trained(corpus, **more):
    return train([corpus], TrainConfig(**SETTINGS | more))


@pytest.mark.parametrize("arch", ["skipgram", "cbow"])
def test_it_learns_and_one_thread_gives_the_same_bytes(corpus, arch, tmp_path):
    one, other = (trained(corpus, arch=arch, **EVERYTHING) for _ in range(2))
    for name, embeddings in (("one", one), ("other", other)):
        save(embeddings, tmp_path / f"{name}.safetensors")
    assert (tmp_path / "one.safetensors").read_bytes() == (
        tmp_path / "other.safetensors"
    ).read_bytes()
    assert one.norms.max() <= 1.5 * (1 + 1e-6)
    unit = one.vectors / one.norms[:, None]
    is_a = np.array([word[0] == "a" for word in one.vocabulary])
    cosines = unit @ unit.T
    assert cosines[is_a][:, is_a].mean() > cosines[is_a][:, ~is_a].mean() + 0.3


def test_each_option_asks_for_its_kernel():
    expected = {
        (): None,
        (("l2", 0.1),): Features(),
        (("optimizer", "adagrad"),): Features(adagrad=1),
        (("dropout", 0.1),): Features(dropout=1),
        (("max_norm", 3.0),): Features(max_norm=1),
        (("init", "a.vec"),): None,
        (("init", "a.vec"), ("freeze", "all")): Features(frozen=1),
    }
    assert expected == {key: features_of(TrainConfig(**dict(key))) for key in expected}


def test_l2_makes_vectors_shorter(corpus):
    long, short = (trained(corpus, max_norm=1000, l2=l2, lr=0.1) for l2 in (0, 0.5))
    assert short.norms.mean() < 0.9 * long.norms.mean()


def test_the_learning_rate_of_adagrad_is_its_own():
    rates = [TrainConfig(optimizer=name).resolve().lr for name in ("sgd", "adagrad")]
    assert rates == [TrainConfig(optimizer=n).starting_lr for n in ("sgd", "adagrad")]
    assert 0.3 == TrainConfig(optimizer="adagrad", lr=0.3).starting_lr


@pytest.mark.usefixtures("in_step")
@pytest.mark.parametrize("arch", ["skipgram", "cbow"])
def test_the_state_of_the_optimiser_survives_a_resume(corpus, tmp_path, arch):
    config = TrainConfig(**SETTINGS | EVERYTHING | {"arch": arch}).resolve()
    whole = train([corpus], config)
    for n_asked in itertools.chain([0, 1, 0, 2], itertools.repeat(10**9)):
        checkpoints = Checkpoints(tmp_path / "c", None, {"settings": config.as_dict()})
        resumed = checkpoints.newest()
        words = resumed.embeddings.vocabulary if resumed else None
        asked = itertools.count()
        stops = lambda n=n_asked, asked=asked: nullcontext(lambda: next(asked) >= n)  # noqa: E731
        try:
            control = RunControl(checkpoints, resumed, stops)
            embeddings = train([corpus], config, vocabulary=words, control=control)
            break
        except Stopped:
            saved = checkpoints.newest()
            assert (saved.state.arrays["squares0"] > 0).any() or saved.state.chunk == 0
            assert len(load(saved.path)) == len(whole)
    assert whole.vectors.tobytes() == embeddings.vectors.tobytes()
    assert whole.output_vectors.tobytes() == embeddings.output_vectors.tobytes()


def test_its_memory_is_forecast():
    words = Vocabulary.from_words([f"w{i}" for i in range(1000)], [1] * 1000)

    def memory(**more):
        config = TrainConfig(threads=1, deterministic=False, **more).resolve()
        found = forecast(words, config, 10_000, [("m.vec", "word2vec")], checkpoints=True)
        return found.memory, found.disk

    plain, adagrad, clipped = memory(), memory(optimizer="adagrad"), memory(max_norm=1)
    assert 8 * 1000 == adagrad[0] - clipped[0]
    assert 3 * 8 * 1000 == adagrad[1] - plain[1]
    assert (3 * 11 + 6) * 112 * 4 == clipped[0] - plain[0]
