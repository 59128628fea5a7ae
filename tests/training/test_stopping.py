"""Knowing when to stop: held-out loss, scores, patience, a time budget, and the log of it all."""

import itertools
import json
import math
import time
from contextlib import nullcontext

import numpy as np
import pytest
from click.testing import CliRunner

from embedcli import TrainConfig
from embedcli.cli import train as train_command
from embedcli.errors import ConfigError, CorpusError, FormatError, OutputError, TrainingError
from embedcli.training import resuming, stopping
from embedcli.training.checkpoint import Checkpoints
from embedcli.training.chunks import Chunks, held_out_stretches
from embedcli.training.metrics import check_metrics
from embedcli.training.schedule import learning_rate
from embedcli.training.state import Epoch
from embedcli.training.stopping import Deadline, best_epoch, is_stalled
from embedcli.training.trainer import RunControl, Stopped, train

pytestmark = pytest.mark.usefixtures("in_step")

SETTINGS = {"dim": 8, "min_count": 1, "epochs": 3, "sample": 1e-2, "window": 2, "threads": 1}


def text_of(seed, n_lines):
    """Lines of 12 words; each word is followed by one of three others, so that it can be learnt."""
    generator = np.random.default_rng(seed)
    lines = []
    for _ in range(n_lines):
        word, line = int(generator.integers(200)), []
        for _ in range(12):
            line.append(f"w{word}")
            word = (7 * word + int(generator.integers(3))) % 200
        lines.append(" ".join(line))
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    path = tmp_path_factory.mktemp("corpus") / "text"
    path.write_text(text_of(0, 1500))
    return path


@pytest.fixture(scope="module")
def valid(tmp_path_factory):
    path = tmp_path_factory.mktemp("valid") / "text"
    path.write_text(text_of(1, 200) + "unseen words only\n")
    return path


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    path = tmp_path_factory.mktemp("pairs") / "pairs.tsv"
    path.write_text("".join(f"w{i}\tw{7 * i % 200}\t{i % 5}\n" for i in range(1, 40)))
    return path


def trained(path, **more):
    return train([path], TrainConfig(**SETTINGS | more))


def epochs_of(*values, score=False):
    name = "score" if score else "held_out"
    return [Epoch(1, 1, 0, 0, 1, 1.0, **{name: value}) for value in values]


# Schedules


@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant"])
def test_a_schedule_begins_at_lr_and_ends_where_it_should(schedule):
    config = TrainConfig(lr=0.05, min_lr=0.01, schedule=schedule)
    rates = [learning_rate(p, config) for p in np.linspace(0, 1, 11)]
    assert 0.05 == rates[0]
    assert pytest.approx(0.05 if schedule == "constant" else 0.01) == rates[-1]
    assert rates == sorted(rates, reverse=True)
    middle = {"linear": 0.03, "cosine": 0.03, "constant": 0.05}[schedule]
    assert pytest.approx(middle) == rates[5]
    assert rates[-1] == learning_rate(7, config)


def test_a_cosine_is_flat_at_both_ends():
    config = TrainConfig(lr=1, min_lr=0, schedule="cosine")
    assert pytest.approx((1 + np.cos(np.pi / 4)) / 2) == learning_rate(0.25, config)


@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant"])
def test_a_warm_up_rises_from_the_lowest_rate_to_the_highest(schedule):
    config = TrainConfig(lr=0.05, min_lr=0.01, schedule=schedule, warmup=0.2)
    assert 0.01 == learning_rate(0, config)
    assert pytest.approx(0.03) == learning_rate(0.1, config)
    assert pytest.approx(0.05) == learning_rate(0.2, config)
    without = TrainConfig(lr=0.05, min_lr=0.01, schedule=schedule)
    assert pytest.approx(learning_rate(0.5, without)) == learning_rate(0.6, config)


def test_a_run_may_be_all_warm_up():
    config = TrainConfig(lr=0.05, min_lr=0.01, warmup=1)
    assert pytest.approx(0.03) == learning_rate(0.5, config)
    assert 0.05 == learning_rate(1, config)


def test_a_schedule_changes_what_is_trained(corpus):
    one, other = (trained(corpus, epochs=1, schedule=name) for name in ("linear", "constant"))
    assert one.vectors.tobytes() != other.vectors.tobytes()


# Holding out


@pytest.mark.parametrize("share", [0.01, 0.3])
def test_the_parts_of_a_text_are_disjoint_and_all_of_it(share):
    generator = np.random.default_rng(0)
    lengths = np.r_[generator.integers(1, 30, 400), 5000, 1, 2999]
    offsets = np.r_[0, np.cumsum(lengths)]
    ids = np.arange(offsets[-1], dtype=np.int32)  # each token is its own position
    stretches = held_out_stretches(offsets, share, generator)
    parts = [Chunks(ids, offsets, stretches, held_out=held) for held in (False, True)]
    seen = []
    for part in parts:
        tokens, sentences = zip(*(part.read(c) for c in range(len(part))), strict=True)
        mine = np.concatenate(tokens)
        assert part.n_tokens(len(part)) == len(mine)
        assert [part.n_tokens(c + 1) - part.n_tokens(c) for c in range(len(part))] == [
            len(t) for t in tokens
        ]
        for text, bounds in zip(tokens, sentences, strict=True):
            assert (0, len(text)) == (bounds[0], bounds[-1])
            for a, b in itertools.pairwise(bounds.tolist()):
                assert 0 < b - a
                assert (np.diff(text[a:b]) == 1).all()  # nothing is joined that was apart
                line = np.searchsorted(offsets, text[a], side="right")
                assert text[b - 1] < offsets[line]
        seen.append(mine)
    assert ids.tolist() == sorted(np.concatenate(seen).tolist())
    assert 0 < len(seen[1]) < (share + 0.2) * len(ids)


def test_something_is_always_held_out():
    stretches = held_out_stretches(np.array([0, 5, 9]), 1e-9, np.random.default_rng(0))
    assert [[5, 9]] == stretches.tolist()


def test_a_text_that_is_one_line_can_be_held_out_in_part(tmp_path):
    path = tmp_path / "line"
    path.write_text(text_of(2, 1000).replace("\n", " "))
    found = trained(path, epochs=1, valid_fraction=0.25).metadata
    assert 1000 <= found["held_out"]["kept"] <= 6000
    assert 12_000 == found["epochs"][0]["tokens"] + found["held_out"]["kept"]


# Held-out loss


@pytest.mark.parametrize("arch", ["skipgram", "cbow"])
def test_held_out_loss_falls_and_is_that_of_the_training_loss_in_kind(corpus, valid, arch):
    metadata = trained(corpus, arch=arch, valid=str(valid), lr=0.1).metadata
    losses = [epoch["held_out"] for epoch in metadata["epochs"]]
    assert losses == sorted(losses, reverse=True)
    assert pytest.approx(metadata["loss"][-1], rel=0.2) == losses[-1]
    assert 3 == metadata["best_epoch"]
    assert (2400, 3) == (metadata["held_out"]["kept"], metadata["held_out"]["oov"])


def test_measuring_changes_nothing(corpus, valid, pairs):
    """Not one bit of the vectors, and every token is still trained."""
    plain = trained(corpus)
    measured = trained(corpus, valid=str(valid), evaluate=str(pairs))
    assert plain.vectors.tobytes() == measured.vectors.tobytes()
    assert plain.output_vectors.tobytes() == measured.output_vectors.tobytes()
    for one, other in zip(plain.metadata["epochs"], measured.metadata["epochs"], strict=True):
        assert 0 < one["sample"] < 0.7
        assert one == other | {"held_out": None, "score": None, "sample": one["sample"]}


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"threads": 2},
        {"deterministic": False},
        {"loss": "hs", "deterministic": False},
        {"subword": "3:4", "deterministic": False},
        {"optimizer": "adagrad", "dropout": 0.5, "max_norm": 1e-3, "deterministic": False},
    ],
)
def test_the_sample_of_a_model_that_does_not_learn_costs_log_2_and_changes_nothing(more, tmp_path):
    """It is all of so small a text; any mask, shorter row or step at rate 0 would be seen."""
    (tmp_path / "text").write_text(text_of(2, 60))
    settings = {"epochs": 2, "lr": 1e-30, "min_lr": 0, "sample": 0} | more
    model = trained(tmp_path / "text", **settings)
    assert {"kept": 720} == model.metadata["sample"]
    assert [pytest.approx(math.log(2))] * 2 == [e["sample"] for e in model.metadata["epochs"]]
    assert {720} == {e["tokens"] for e in model.metadata["epochs"]}
    other = trained(tmp_path / "text", **settings, valid_fraction=0.2)
    if "max_norm" not in more:
        assert other.vectors.tobytes() == model.vectors.tobytes()


def test_the_text_and_the_seed_draw_the_sample(corpus):
    """Whatever the number of threads, and whether the run is in rounds or not."""
    runs = [
        trained(corpus, lr=1e-30, min_lr=0, epochs=1, **more).metadata
        for more in ({}, {"threads": 3}, {"window": 5}, {"seed": 2}, {"seed": 3})
    ]
    kept = [run["sample"]["kept"] for run in runs]
    assert kept[0] == kept[1] == kept[2]
    assert 1 < len(set(kept))
    assert 500 < kept[0] < 1500  # of 18,000 tokens
    assert runs[0]["epochs"] == runs[1]["epochs"]


def test_the_loss_of_the_sample_falls_from_epoch_to_epoch(corpus):
    epochs = trained(corpus, epochs=6, sample=0).metadata["epochs"]
    sample = [epoch["sample"] for epoch in epochs]
    assert sorted(sample, reverse=True) == sample


def test_every_epoch_is_reported_when_it_is_over(corpus):
    reports = []
    model = train([corpus], TrainConfig(**SETTINGS), on_progress=reports.append)
    ends = [report for report in reports if report.finished is not None]
    assert model.metadata["epochs"] == [report.finished for report in ends]
    n_tokens = model.metadata["corpus"]["kept"]
    assert [n_tokens, 2 * n_tokens, 3 * n_tokens] == [report.done for report in ends]
    assert [1, 2, 3] == [report.epoch for report in ends]
    assert [e["sample"] for e in model.metadata["epochs"]] == [report.sample for report in ends]


def test_the_negatives_are_fixed(corpus, valid):
    """A model that does not learn has the same loss after every epoch."""
    epochs = trained(corpus, valid=str(valid), lr=1e-30, min_lr=0).metadata["epochs"]
    assert 1 == len({epoch["held_out"] for epoch in epochs})


def test_any_number_of_threads_measures_the_same_pairs(corpus):
    kept = [trained(corpus, valid_fraction=0.1, threads=n).metadata for n in (1, 3)]
    assert kept[0]["held_out"] == kept[1]["held_out"]
    assert (
        pytest.approx(kept[0]["epochs"][0]["held_out"], rel=0.05)
        == (kept[1]["epochs"][0]["held_out"])
    )


def test_the_score_is_followed(corpus, pairs):
    metadata = trained(corpus, epochs=5, evaluate=str(pairs), evaluate_every=2).metadata
    scores = [epoch["score"] for epoch in metadata["epochs"]]
    assert [None, float, None, float, float] == [s if s is None else type(s) for s in scores]
    assert scores[metadata["best_epoch"] - 1] == max(s for s in scores if s is not None)


# Patience


def test_patience_counts_measurements_without_a_new_best():
    assert not is_stalled(epochs_of(3, 2, 1), 1)
    assert not is_stalled(epochs_of(3, 2, 2.5), 2)
    assert is_stalled(epochs_of(3, 2, 2.5), 1)
    assert is_stalled(epochs_of(3, 2, 2, 2.5), 2)
    assert not is_stalled(epochs_of(3), 1)
    assert is_stalled(epochs_of(10, None, 12, None, 11, score=True), 1)
    assert not is_stalled(epochs_of(10, None, 12, None, 11, score=True), 2)
    assert (1, 2, None) == (
        best_epoch(epochs_of(3, 2, 2)),
        best_epoch(epochs_of(1, 2, 3, score=True)),
        best_epoch(epochs_of(None)),
    )


def test_a_run_that_no_longer_improves_stops(tmp_path, corpus):
    """A held-out text of the same words in no order: what is learnt makes it worse."""
    shuffled = tmp_path / "shuffled"
    words = np.array(text_of(1, 300).split())
    np.random.default_rng(0).shuffle(words)
    shuffled.write_text("\n".join(" ".join(line) for line in np.split(words, 300)))
    metadata = trained(corpus, epochs=40, lr=0.2, valid=str(shuffled), patience=2).metadata
    epochs = metadata["epochs"]
    assert "patience" == metadata["stopped"]
    assert len(epochs) == metadata["best_epoch"] + 2 < 40


def test_a_run_that_reaches_its_last_epoch_was_not_stopped(corpus, valid):
    assert "stopped" not in trained(corpus, valid=str(valid), patience=1, epochs=1).metadata


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"patience": 2}, "patience is 2, but nothing is measured"),
        ({"valid": "a", "valid_fraction": 0.1}, "one of them only"),
        ({"metrics": "-"}, "standard output is /dev/stdout"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(more, message):
    with pytest.raises(ConfigError, match=message):
        TrainConfig(**more)


def test_what_cannot_be_measured_is_refused_before_training(corpus, tmp_path, pairs):
    (tmp_path / "other").write_text("none of these words\n")
    (tmp_path / "one").write_text("a b a b a b a b\n")
    with pytest.raises(CorpusError, match="none of the 4 tokens"):
        trained(corpus, valid=str(tmp_path / "other"))
    (tmp_path / "word").write_text("word\n")
    with pytest.raises(FormatError, match="word"):
        trained(corpus, evaluate=str(tmp_path / "word"))
    with pytest.raises(TrainingError, match="leaves nothing to train"):
        trained(tmp_path / "one", valid_fraction=0.1)
    with pytest.raises(OutputError, match="metrics cannot be written"):
        trained(corpus, metrics=str(tmp_path / "no" / "such.jsonl"))


# Time


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes on by a second each time it is asked."""
    ticks = itertools.count()
    monkeypatch.setattr(stopping, "monotonic", lambda: float(next(ticks)))


def test_a_deadline_tells_the_share_of_the_time_that_is_over(clock):
    deadline = Deadline(100, 50)
    assert 1 / 50 == deadline.share
    assert 50 + 2 == deadline.spent
    resumed = Deadline(100, 90, 0.8)
    assert pytest.approx(0.8 + 0.2 * 0.1) == resumed.share
    resumed.reserve(5)
    resumed.reserve(1)
    assert pytest.approx(0.8 + 0.2 * 2 / 5) == resumed.share
    assert not resumed.is_over
    assert [False, True] == [resumed.is_over for _ in range(2)]


def test_a_time_budget_ends_a_run_in_the_middle_of_an_epoch(corpus, valid, clock):
    budget = {"epochs": 1000, "time_budget": "100s", "valid": str(valid)}
    metadata = trained(corpus, **budget).metadata
    *whole, last = metadata["epochs"]
    assert "time_budget" == metadata["stopped"]
    assert {18_000} >= {epoch["tokens"] for epoch in whole}
    assert 0 < last["tokens"] == last["trained"] + last["subsampled"] + last["alone"]
    assert last["held_out"] is not None


def test_a_budget_that_is_not_needed_is_not_used(corpus):
    metadata = trained(corpus, time_budget="2h").metadata
    assert "stopped" not in metadata
    assert 3 == len(metadata["epochs"])


def test_a_budget_that_reading_uses_up_is_refused(corpus):
    with pytest.raises(TrainingError, match=r"time budget of 0\.000001s was over before"):
        trained(corpus, time_budget="0.000001s")


def test_what_a_command_did_before_it_trained_counts_too(corpus):
    control = RunControl(began=time.perf_counter() - 7200)
    with pytest.raises(TrainingError, match="time budget of 2h was over before"):
        train([corpus], TrainConfig(min_count=1, dim=4, time_budget="2h"), control=control)


# What survives an interruption


def after(n_asked):
    asked = itertools.count()
    return lambda: nullcontext(lambda: next(asked) >= n_asked)


def in_pieces(corpus, config, directory, steps):
    """Train in pieces, each stopped after so many questions whether to."""
    for n_asked in itertools.chain(steps, itertools.repeat(10**9)):
        given = {"settings": config.as_dict(), "sources": [str(corpus)]}
        checkpoints = Checkpoints(directory, None, given)
        resumed = checkpoints.newest()
        words = resumed.embeddings.vocabulary if resumed else None
        control = RunControl(checkpoints, resumed, after(n_asked))
        try:
            return train([corpus], config, vocabulary=words, control=control)
        except Stopped:
            continue
    raise AssertionError


@pytest.mark.parametrize("source", ["valid", "valid_fraction"])
def test_all_of_it_survives_a_resume(corpus, valid, pairs, tmp_path, source):
    more = {"valid": str(valid)} if source == "valid" else {"valid_fraction": 0.3}
    more |= {"schedule": "cosine", "warmup": 0.1, "evaluate": str(pairs), "patience": 2}
    config = TrainConfig(**SETTINGS | more | {"lr": 0.2, "epochs": 6}).resolve()
    whole = train([corpus], config)
    resumed = in_pieces(corpus, config, tmp_path / "c", [0, 1, 2, 0, 0, 3, 5, 1, 1, 1])
    assert whole.vectors.tobytes() == resumed.vectors.tobytes()
    ignored = {"timings": None}
    assert {**whole.metadata, **ignored} == {**resumed.metadata, **ignored}


def test_another_held_out_text_is_refused(corpus, valid, tmp_path):
    moved = tmp_path / "valid"
    moved.write_text(valid.read_text())
    config = TrainConfig(**SETTINGS | {"valid": str(moved)}).resolve()
    checkpoints = Checkpoints(tmp_path / "c", None, {"settings": config.as_dict()})
    with pytest.raises(Stopped):
        train([corpus], config, control=RunControl(checkpoints, None, after(0)))
    moved.write_text(valid.read_text() + "w1 w2\n")
    words = checkpoints.newest().embeddings.vocabulary
    with pytest.raises(CorpusError, match=r"that .* was measured on"):
        train(
            [corpus],
            config,
            vocabulary=words,
            control=RunControl(checkpoints, checkpoints.newest()),
        )


def test_a_stopped_run_is_complete(corpus, valid, tmp_path):
    settings = {"valid": str(valid), "patience": 1, "lr": 1e-30, "min_lr": 0}
    config = TrainConfig(**SETTINGS | settings).resolve()
    checkpoints = Checkpoints(tmp_path / "c", 0.0, {"settings": config.as_dict()})
    stopped = train([corpus], config, control=RunControl(checkpoints))
    assert 2 == len(stopped.metadata["epochs"])
    newest = checkpoints.newest()
    if newest.is_complete:  # unless the end came before the last question
        assert 2 == newest.state.epoch


def test_the_time_that_is_spent_survives_a_resume(corpus, tmp_path):
    config = TrainConfig(**SETTINGS | {"time_budget": "1h"}).resolve()
    checkpoints = Checkpoints(tmp_path / "c", None, {"settings": config.as_dict()})
    with pytest.raises(Stopped):
        train([corpus], config, control=RunControl(checkpoints, None, after(0)))
    first = checkpoints.newest().state.clock
    words = checkpoints.newest().embeddings.vocabulary
    control = RunControl(checkpoints, checkpoints.newest(), after(0))
    with pytest.raises(Stopped):
        train([corpus], config, vocabulary=words, control=control)
    second = checkpoints.newest().state.clock
    assert 0 < first[0] < second[0] < 3600
    assert 0 < first[1] < second[1] < 1


# The log


def read_lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_metrics_are_lines_of_json(corpus, valid, pairs, tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text("what was there before\n")
    more = {"valid": str(valid), "evaluate": str(pairs), "metrics": str(path)}
    metadata = trained(corpus, **more).metadata
    lines = read_lines(path)
    finished = [line for line in lines if line["event"] == "epoch"]
    assert [1, 2, 3] == [line["epoch"] for line in finished]
    assert [18_000, 36_000, 54_000] == [line["tokens"] for line in finished]
    for line, epoch in zip(finished, metadata["epochs"], strict=True):
        assert epoch == epoch | {name: line[name] for name in ("loss", "held_out", "score")}
    assert "progress" == lines[0]["event"]
    assert {"event", "epoch", "tokens", "seconds", "lr", "loss"} == set(lines[0])


def test_metrics_of_a_resumed_run_read_as_if_it_had_never_stopped(corpus, tmp_path):
    path = tmp_path / "metrics.jsonl"
    config = TrainConfig(**SETTINGS | {"metrics": str(path), "valid_fraction": 0.2}).resolve()
    in_pieces(corpus, config, tmp_path / "c", [2, 0, 1, 3])
    lines = read_lines(path)
    assert [1, 2, 3] == [line["epoch"] for line in lines if line["event"] == "epoch"]
    for name in ("tokens", "seconds"):
        values = [line[name] for line in lines]
        assert values == sorted(values)


def test_lines_behind_a_checkpoint_are_dropped(corpus, tmp_path):
    path = tmp_path / "metrics.jsonl"
    config = TrainConfig(**SETTINGS | {"metrics": str(path)}).resolve()
    checkpoints = Checkpoints(tmp_path / "c", None, {"settings": config.as_dict()})
    with pytest.raises(Stopped):
        train([corpus], config, control=RunControl(checkpoints, None, after(1)))
    late = {"event": "epoch", "epoch": 3, "tokens": 54_000, "seconds": 9e9, "loss": 7.0}
    whole = [line for line in path.read_text().splitlines(keepends=True) if "progress" in line]
    path.write_text("".join(whole) + json.dumps(late) + "\n{torn")
    words = checkpoints.newest().embeddings.vocabulary
    train([corpus], config, vocabulary=words, control=RunControl(checkpoints, checkpoints.newest()))
    assert [1, 2, 3] == [line["epoch"] for line in read_lines(path) if line["event"] == "epoch"]
    assert 7.0 not in [line["loss"] for line in read_lines(path)]


@pytest.mark.parametrize("mine", ["notes\n", "[]\n", '{"a": 1}\n', "1\n", "{}"])
def test_the_command_replaces_nothing_but_metrics(corpus, tmp_path, mine):
    path = tmp_path / "m.jsonl"
    path.write_text(mine)
    with pytest.raises(OutputError, match="holds something else than metrics"):
        run_train(str(corpus), "-o", str(tmp_path / "m.vec"), "--metrics", str(path))
    assert mine == path.read_text()
    for theirs in ("", '{"event": "progress", "epoch": 1}\n', '{"event": "pro', '{"ev'):
        path.write_text(theirs)
        check_metrics(str(path))


def run_train(*args):
    return CliRunner().invoke(train_command.command, args, catch_exceptions=False)


def test_a_checkpoint_of_a_stranger_names_no_file_to_be_replaced(corpus, tmp_path):
    victim = tmp_path / ".bashrc"
    victim.write_text("alias l=ls\n")
    config = TrainConfig(**SETTINGS | {"metrics": str(victim)}).resolve()
    given = resuming.arguments_of(config, [str(corpus)], None)
    Checkpoints(tmp_path / "m.vec.checkpoint", None, given).save()
    with pytest.raises(OutputError, match=r"bashrc holds something else than metrics"):
        run_train("--resume", "-o", str(tmp_path / "m.vec"))
    assert "alias l=ls\n" == victim.read_text()


def test_metrics_that_cannot_be_written_do_not_end_a_run(corpus):
    with pytest.warns(UserWarning, match="/dev/full: no more metrics"):
        embeddings = trained(corpus, metrics="/dev/full")
    assert 3 == len(embeddings.metadata["epochs"])
