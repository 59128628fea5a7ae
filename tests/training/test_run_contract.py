"""What every kind of run keeps, whatever it trains: a new objective adds one line to `KINDS`."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from embedcli import TrainConfig, load
from embedcli.errors import TrainingError
from embedcli.formats import save
from embedcli.training import round_threads
from embedcli.training import worker as worker_module
from embedcli.training.checkpoint import Checkpoints, checkpoint_directory
from embedcli.training.run import Run
from embedcli.training.session import train
from embedcli.training.trainer import RunControl, Stopped
from embedcli.training.trainer import train as train_with_control
from tests.training.test_checkpoint import after, given, stop_and_go
from tests.training.test_session import interrupt_after

pytestmark = pytest.mark.usefixtures("in_step")

COMMON = {"dim": 16, "min_count": 1, "epochs": 3, "window": 3, "threads": 1}
HOGWILD = {"deterministic": False, "sample": 1e-2}
KINDS = {
    "rounds": {"sample": 1e-2},
    "rounds cbow": {"sample": 1e-2, "arch": "cbow"},
    "hogwild": HOGWILD,
    "hogwild cbow": HOGWILD | {"arch": "cbow"},
    "held out": HOGWILD | {"valid_fraction": 0.3},
    "hierarchical": {"sample": 1e-2, "loss": "hs"},
    "hierarchical cbow": {"sample": 1e-2, "loss": "hs", "arch": "cbow"},
    "adagrad": {"sample": 1e-2, "optimizer": "adagrad"},
    "subwords": {"sample": 1e-2, "subword": "3:4", "buckets": 1000},
    "subwords cbow": {"sample": 1e-2, "subword": "3:4", "buckets": 1000, "arch": "cbow"},
    "glove": {"arch": "glove"},
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    path = tmp_path_factory.mktemp("corpus") / "text"
    words = np.random.default_rng(0).zipf(1.3, 30_000) % 200
    path.write_text("\n".join(" ".join(f"word{w}" for w in line) for line in words.reshape(-1, 20)))
    return path


@pytest.fixture(params=KINDS)
def config(request, monkeypatch):
    """The settings of each kind; chunks and slices are so short that a run can stop anywhere."""
    monkeypatch.setattr(worker_module, "SLICE_WORK", 1 << 18)
    monkeypatch.setattr(round_threads, "ROUND_WORK", 1 << 20)
    monkeypatch.setattr("embedcli.training.glove_work.SMALLEST_CHUNK", 512)
    return TrainConfig(**COMMON | KINDS[request.param]).resolve()


def saved_bytes(embeddings, path):
    save(embeddings, path)
    return path.read_bytes()


def test_stopped_anywhere_it_ends_with_the_same_bytes(corpus, config, tmp_path):
    whole = saved_bytes(train([corpus], config), tmp_path / "whole.safetensors")
    places = set()
    for number, steps in enumerate([[0, 0, 0], [3, 1], [5, 0, 2]]):
        embeddings, stopped = stop_and_go(corpus, config, tmp_path / f"{number}.checkpoint", steps)
        places.update(stopped)
        assert whole == saved_bytes(embeddings, tmp_path / "resumed.safetensors"), stopped
    assert len(places) > 3


def test_interrupted_in_python_it_goes_on_with_the_same_bytes(corpus, config, tmp_path):
    whole = saved_bytes(train([corpus], config), tmp_path / "whole.safetensors")
    output = tmp_path / "model.safetensors"
    for n in (1, 0, 2):
        with pytest.raises(KeyboardInterrupt):
            train([corpus], config, output=output, resume=n != 1, on_progress=interrupt_after(n))
    train([], output=output, resume=True)
    assert whole == output.read_bytes()


def test_a_checkpoint_is_a_model_and_says_where_the_run_stood(corpus, config, tmp_path):
    checkpoints = Checkpoints(tmp_path / "c", None, given(config, corpus))
    with pytest.raises(Stopped):
        train_with_control([corpus], config, control=RunControl(checkpoints, None, after(1)))
    newest = checkpoints.newest()
    assert not newest.is_complete
    embeddings = load(newest.path)
    assert (16, 200) == (embeddings.dim, len(embeddings))
    assert np.isfinite(embeddings.vectors).all()
    assert config.arch == embeddings.metadata["settings"]["arch"]


def test_every_token_of_every_epoch_is_accounted_for(corpus, config):
    for epoch in train([corpus], config).metadata["epochs"]:
        assert epoch["tokens"] == epoch["trained"] + epoch["subsampled"] + epoch["alone"]
        assert 0 < epoch["trained"] <= epoch["tokens"] <= 30_000
        assert 0 < epoch["loss"]


@pytest.mark.parametrize("value", [np.nan, -1e30])
def test_numbers_that_diverge_end_the_run_and_are_never_saved(
    corpus, config, tmp_path, monkeypatch, value
):
    original, calls = Run.check, itertools.count()

    def poisoned(run):
        if next(calls) == 2:  # before a checkpoint or at the end of an epoch
            run.matrices()[1][3, 5] = value
        original(run)

    monkeypatch.setattr(Run, "check", poisoned)
    output = tmp_path / "m.safetensors"
    with pytest.raises(TrainingError, match=r"diverged .* row 3 of syn"):
        train([corpus], config, output=output, checkpoint_every=0.0)
    assert not output.exists()
    newest = Checkpoints(checkpoint_directory(output), None, {}).newest()
    assert newest is None or np.isfinite(newest.embeddings.output_vectors).all()


def test_the_first_reports_of_a_run_are_of_its_first_epoch(corpus, config):
    reports = []
    train([corpus], config, on_progress=reports.append)
    training = [report for report in reports if report.phase == "training"]
    assert [1, 2, 3] == [number for number, _ in itertools.groupby(r.epoch for r in training)]
    done = [report.done for report in training]
    assert done == sorted(done)
    assert 3 * 30_000 == training[-1].total
