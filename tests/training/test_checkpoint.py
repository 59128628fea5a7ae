"""Checkpoints: stop anywhere, go on, and end with the very bytes of a run that never stopped."""

import itertools
from contextlib import nullcontext

import numpy as np
import pytest

from embedcli import TrainConfig, load
from embedcli.errors import CorpusError, FormatError, OutputError, TrainingError
from embedcli.formats import save
from embedcli.training import checkpoint as checkpoint_module
from embedcli.training import round_threads
from embedcli.training import worker as worker_module
from embedcli.training.checkpoint import (
    Checkpoints,
    checkpoint_directory,
    completed,
    read_checkpoint,
)
from embedcli.training.run import Run
from embedcli.training.trainer import RunControl, Stopped, train

pytestmark = pytest.mark.usefixtures("in_step")

SETTINGS = {"dim": 16, "min_count": 1, "epochs": 3, "sample": 1e-2, "window": 3, "threads": 1}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    path = tmp_path_factory.mktemp("corpus") / "text"
    words = np.random.default_rng(0).zipf(1.3, 40_000) % 500
    lines = itertools.batched(words, 20) if hasattr(itertools, "batched") else np.split(words, 2000)
    path.write_text("\n".join(" ".join(f"w{word}" for word in line) for line in lines))
    return path


def config_of(**more):
    return TrainConfig(**SETTINGS | more).resolve()


def given(config, source="text"):
    return {"settings": config.as_dict(), "sources": [str(source)]}


def after(n_asked):
    """A control's `deferred` that asks to stop when it was asked so often whether to."""
    asked = itertools.count()
    return lambda: nullcontext(lambda: next(asked) >= n_asked)


def stop_and_go(corpus, config, directory, steps):
    """Train in pieces, each stopped after so many questions; returns the places stopped at."""
    places = []
    for n_asked in itertools.chain(steps, itertools.repeat(10**9)):
        checkpoints = Checkpoints(directory, None, given(config, corpus))
        resumed = checkpoints.newest()
        vocabulary = resumed.embeddings.vocabulary if resumed else None
        control = RunControl(checkpoints, resumed, after(n_asked))
        try:
            return train([corpus], config, vocabulary=vocabulary, control=control), places
        except Stopped:
            state = checkpoints.newest().state
            places.append((state.epoch, state.chunk, len(state.arrays["unfinished"])))
    raise AssertionError


@pytest.mark.parametrize("deterministic", [True, False])
@pytest.mark.parametrize("arch", ["skipgram", "cbow"])
def test_stopped_anywhere_it_ends_with_the_same_bytes(corpus, tmp_path, arch, deterministic):
    config = config_of(arch=arch, deterministic=deterministic)
    save(train([corpus], config), tmp_path / "whole.safetensors")
    places = set()
    for number, steps in enumerate([[0], [3], [9, 0, 4], [0] * 5]):
        directory = tmp_path / f"{number}.checkpoint"
        embeddings, stopped = stop_and_go(corpus, config, directory, steps)
        save(embeddings, tmp_path / "resumed.safetensors")
        places.update(stopped)
        whole, resumed = [
            (tmp_path / f"{name}.safetensors").read_bytes() for name in ("whole", "resumed")
        ]
        assert whole == resumed, f"stopped at {stopped}"
    assert len(places) >= 4
    assert any(chunk > 0 for _, chunk, _ in places)


@pytest.mark.parametrize("deterministic", [True, False])
@pytest.mark.parametrize("arch", ["skipgram", "cbow"])
def test_stopped_within_a_chunk_it_ends_with_the_same_bytes(
    corpus, tmp_path, arch, deterministic, monkeypatch
):
    monkeypatch.setattr(worker_module, "SLICE_WORK", 1 << 15)  # some words
    monkeypatch.setattr(round_threads, "ROUND_WORK", 1 << 17)  # a few rounds
    config = config_of(arch=arch, deterministic=deterministic)
    save(train([corpus], config), tmp_path / "whole.safetensors")
    embeddings, places = stop_and_go(corpus, config, tmp_path / "c", [0] * 9)
    save(embeddings, tmp_path / "resumed.safetensors")
    assert 9 == len(places)
    assert {1} == {n_unfinished for *_, n_unfinished in places}
    whole, resumed = [(tmp_path / f"{n}.safetensors").read_bytes() for n in ("whole", "resumed")]
    assert whole == resumed, places


def test_a_deterministic_run_may_go_on_with_other_threads(corpus, tmp_path):
    more = {"deterministic": True, "dim": 40}  # the kernel of test_deterministic.py
    config = config_of(**more)
    save(train([corpus], config), tmp_path / "whole.safetensors")
    n_stops, threads = 0, itertools.cycle([2, 1, 3])
    for number, n_asked in enumerate([0, 1, 3, 6]):
        directory = tmp_path / f"{number}.checkpoint"
        embeddings = None
        for n in itertools.chain([n_asked], itertools.repeat(10**9)):
            chosen = config_of(**more, threads=next(threads))
            checkpoints = Checkpoints(directory, None, given(chosen, corpus))
            resumed = checkpoints.newest()
            vocabulary = resumed.embeddings.vocabulary if resumed else None
            try:
                control = RunControl(checkpoints, resumed, after(n))
                embeddings = train([corpus], chosen, vocabulary=vocabulary, control=control)
                break
            except Stopped:
                n_stops += 1
        save(embeddings, tmp_path / "resumed.safetensors")
        whole, again = [(tmp_path / f"{n}.safetensors").read_bytes() for n in ("whole", "resumed")]
        assert whole == again, n_asked
    assert n_stops


def test_several_threads_may_each_leave_a_chunk(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(worker_module, "SLICE_WORK", 1 << 15)  # long enough to be stopped
    config = config_of(threads=3, epochs=1, deterministic=False)
    embeddings, places = stop_and_go(corpus, config, tmp_path / "c", [0] * 9)
    assert 3 == places[0][2]
    [epoch] = embeddings.metadata["epochs"]
    [whole] = train([corpus], config).metadata["epochs"]
    assert whole | {"loss": 0, "sample": 0} == epoch | {"loss": 0, "sample": 0}


def test_several_threads_go_on_with_the_same_samples(corpus, tmp_path):
    config = config_of(threads=3)
    whole = train([corpus], config)
    resumed, stopped = stop_and_go(corpus, config, tmp_path / "c", [1, 1])
    assert stopped
    for one, other in zip(whole.metadata["epochs"], resumed.metadata["epochs"], strict=True):
        for name in ("tokens", "trained", "subsampled", "alone", "pairs"):
            assert one[name] == other[name]


def test_another_number_of_threads_may_go_on(corpus, tmp_path):
    directory = tmp_path / "c"
    with pytest.raises(Stopped):
        checkpoints = Checkpoints(directory, None, given(config_of(threads=4)))
        train([corpus], config_of(threads=4), control=RunControl(checkpoints, None, after(0)))
    embeddings, _ = stop_and_go(corpus, config_of(threads=1), directory, [])
    for epoch in embeddings.metadata["epochs"]:
        assert epoch["tokens"] == epoch["trained"] + epoch["subsampled"] + epoch["alone"]


def test_another_text_is_refused(corpus, tmp_path):
    checkpoints = Checkpoints(tmp_path / "c", None, given(config_of()))
    with pytest.raises(Stopped):
        train([corpus], config_of(), control=RunControl(checkpoints, None, after(0)))
    other = tmp_path / "other"
    other.write_text(corpus.read_text() + "\none more line")
    resumed = checkpoints.newest()
    with pytest.raises(CorpusError, match=r"not the one that .* was trained on"):
        train([other], config_of(), control=RunControl(checkpoints, resumed))


def test_a_checkpoint_is_a_model(corpus, tmp_path):
    checkpoints = Checkpoints(tmp_path / "c", None, given(config_of()))
    with pytest.raises(Stopped):
        train([corpus], config_of(), control=RunControl(checkpoints, None, after(2)))
    embeddings = load(checkpoints.newest().path)
    assert 16 == embeddings.dim
    assert "w1" in embeddings
    found = {"threads": None, "tokenizer": "whitespace", "lowercase": False}
    assert config_of().as_dict() | found == embeddings.metadata["settings"]


def test_output_vectors_are_kept_in_it_all_the_same(corpus, tmp_path):
    config = config_of(output_vectors=False)
    save(train([corpus], config), tmp_path / "a.safetensors")
    embeddings, stopped = stop_and_go(corpus, config, tmp_path / "c", [1])
    assert stopped
    save(embeddings, tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def trained(corpus):
    return train([corpus], config_of(epochs=1))


def test_two_are_kept_and_the_newest_is_found(corpus, tmp_path):
    embeddings = trained(corpus)
    state = completed(embeddings)
    for chunk in range(5):
        checkpoints = Checkpoints(tmp_path / "c", None, given(config_of()))
        checkpoints.save(embeddings, type(state)(0, chunk, (), state.arrays))
        assert chunk == checkpoints.newest().state.chunk
        assert chunk + 1 == checkpoints.newest().sequence
    assert ["1.safetensors", "2.safetensors"] == sorted(p.name for p in (tmp_path / "c").iterdir())
    checkpoints.remove()
    assert not (tmp_path / "c").exists()


def test_a_damaged_one_is_left_out_and_the_next_to_be_replaced(corpus, tmp_path):
    embeddings = trained(corpus)
    state = completed(embeddings)
    checkpoints = Checkpoints(tmp_path / "c", None, given(config_of()))
    for chunk in (1, 2):
        checkpoints.save(embeddings, type(state)(0, chunk, (), state.arrays))
    newest = checkpoints.newest().path
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 1
    newest.write_bytes(data)
    again = Checkpoints(tmp_path / "c", None, given(config_of()))
    with pytest.warns(UserWarning, match=r"left out: .*2\.safetensors is damaged"):
        assert 1 == again.newest().state.chunk
    again.save(embeddings, type(state)(0, 3, (), state.arrays))
    chunks = {read_checkpoint(path).state.chunk for path in (tmp_path / "c").iterdir()}
    assert {1, 3} == chunks


def test_one_that_does_not_read_back_takes_no_place(corpus, tmp_path, monkeypatch):
    embeddings = trained(corpus)
    checkpoints = Checkpoints(tmp_path / "c", None, given(config_of()))
    checkpoints.save()
    before = {path.name: path.read_bytes() for path in (tmp_path / "c").iterdir()}
    contents = checkpoint_module._contents
    for name in ("norms", "words", "word_offsets"):

        def less(*told, name=name):
            arrays, metadata = contents(*told)
            return {key: array for key, array in arrays.items() if key != name}, metadata

        monkeypatch.setattr(checkpoint_module, "_contents", less)
        with pytest.raises(OutputError, match=rf"not read back \(it lacks the tensor '{name}'"):
            checkpoints.save(embeddings, completed(embeddings))
        assert before == {path.name: path.read_bytes() for path in (tmp_path / "c").iterdir()}


def test_every_flipped_bit_and_every_cut_is_noticed(corpus, tmp_path):
    """A sample of both; `make torture` tries thousands."""
    checkpoints = Checkpoints(tmp_path / "c", None, given(config_of()))
    embeddings = trained(corpus)
    checkpoints.save(embeddings.head(3), completed(embeddings))
    path = checkpoints.newest().path
    whole = path.read_bytes()
    generator = np.random.default_rng(0)
    damaged = [whole[:n] for n in generator.integers(0, len(whole), 40)]
    for bit in generator.integers(0, 8 * len(whole), 200):
        data = bytearray(whole)
        data[bit // 8] ^= 1 << (bit % 8)
        damaged.append(bytes(data))
    damaged += [whole + b"\0", whole[:64] + bytes(64) + whole[128:], b""]
    for data in damaged:
        path.write_bytes(data)
        with pytest.raises(FormatError):
            read_checkpoint(path)


def test_one_before_training_stands_for_the_beginning(tmp_path):
    checkpoints = Checkpoints(tmp_path / "c", None, given(config_of()))
    checkpoints.save()
    found = checkpoints.newest()
    assert (None, None, "before training") == (found.embeddings, found.state, found.place)
    assert config_of().as_dict() == found.arguments["settings"]


def test_a_checkpoint_that_cannot_be_written_does_not_end_training(corpus, tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path / "c", 0.0, given(config_of()))

    def fail(*args, **more):
        raise OutputError("the disk is full")

    monkeypatch.setattr(checkpoint_module, "publish", fail)
    with pytest.warns(UserWarning, match="no checkpoint this time: the disk is full"):
        embeddings = train([corpus], config_of(), control=RunControl(checkpoints))
    assert 3 == len(embeddings.metadata["epochs"])


def test_they_are_written_when_they_are_due(corpus, tmp_path):
    whole = train([corpus], config_of())
    checkpoints = Checkpoints(tmp_path / "c", 0.0, given(config_of()))
    embeddings = train([corpus], config_of(), control=RunControl(checkpoints))
    assert checkpoints.newest().sequence > 3
    assert whole.vectors.tobytes() == embeddings.vectors.tobytes()


def test_what_is_done_within_a_chunk_is_saved_again(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(worker_module, "SLICE_WORK", 1 << 16)
    config = config_of(deterministic=False)
    checkpoints = Checkpoints(tmp_path / "c", 0.0, given(config))
    with pytest.raises(Stopped):
        train([corpus], config, control=RunControl(checkpoints, None, after(4)))
    older, newer = (read_checkpoint(tmp_path / "c" / f"{n}.safetensors").state for n in (1, 2))
    assert (older.epoch, older.chunk) == (newer.epoch, newer.chunk)
    assert older.arrays["unfinished"][0, 1] < newer.arrays["unfinished"][0, 1]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30, -2e4])
@pytest.mark.parametrize("matrix", [0, 1])
def test_numbers_that_diverge_are_noticed_and_never_saved(
    corpus, tmp_path, monkeypatch, value, matrix
):
    original, calls = Run.check, itertools.count()

    def poisoned(run):
        if next(calls) == 3:  # before a checkpoint or at the end of an epoch
            run.matrices()[matrix][3, 5] = value
        original(run)

    monkeypatch.setattr(Run, "check", poisoned)
    checkpoints = Checkpoints(tmp_path / "c", 0.0, given(config_of()))
    with pytest.raises(TrainingError, match=r"diverged .* row 3 of syn.* try --lr"):
        train([corpus], config_of(), control=RunControl(checkpoints))
    assert checkpoints.newest().sequence >= 1
    assert np.isfinite(checkpoints.newest().embeddings.vectors).all()


def test_a_loss_that_is_no_number_ends_the_run_at_once(corpus, monkeypatch):
    def poisoned(run):
        run.matrices()[0][:] = np.nan
        return "never used"

    begun = []
    original = Run.train

    def train_poisoned(run, on_progress, wants_pause):
        poisoned(run)
        begun.append(run)
        return original(run, on_progress, wants_pause)

    monkeypatch.setattr(Run, "train", train_poisoned)
    with pytest.raises(TrainingError, match="the loss is nan"):
        train([corpus], config_of(epochs=1000))
    assert 0 == begun[0].state().epoch


def test_the_directory_is_beside_the_file_a_link_leads_to(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link.vec").symlink_to("there/real.vec")
    expected = tmp_path.resolve() / "there" / "real.vec.checkpoint"
    assert expected == checkpoint_directory(tmp_path / "link.vec")
