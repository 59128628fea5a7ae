"""Rounds of shards, and the same steps as files: what `embed shard` and `embed combine` do."""

import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from embedcli import TrainConfig, load
from embedcli.cluster import file_driver, step_files
from embedcli.cluster.deltas import Matrices, Round, check, row_parts
from embedcli.cluster.plan import Plan, write_plan
from embedcli.cluster.run_state import advance, at_beginning, next_round
from embedcli.cluster.shard_trainer import ShardTrainer, beginning
from embedcli.cluster.shards import cut
from embedcli.cluster.steps import Driver
from embedcli.errors import CorpusError, FormatError, TrainingError, UsageError
from embedcli.formats import save
from embedcli.text.corpus_reader import encode_corpus
from embedcli.training.trainer import train

CONFIG = TrainConfig(
    dim=8, min_count=1, sample=0, epochs=2, threads=1, shards=2, rounds=2, lr=0.05
).resolve()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    path = tmp_path_factory.mktemp("corpus") / "text"
    words = np.random.default_rng(0).zipf(1.3, 40_000) % 300
    path.write_text(
        "\n".join(" ".join(f"w{word}" for word in line) for line in np.split(words, 2000))
    )
    return str(path)


def run(corpus, config):
    """All steps, as every driver runs them, in this process."""
    driver = Driver(config, cut([corpus], config.shards))
    words = driver.count()
    encoded = driver.encode(words, {})
    n_tokens, digests = sum(one.tally.kept for one in encoded), [one.digest for one in encoded]
    rows = row_parts(len(words), config.shards)
    model, state = driver.first_model(rows), at_beginning()
    while (at := next_round(state, config)) is not None:
        changes = driver.train(at, words, digests, model)
        model, sums = driver.combine(at, model, changes, rows)
        state = advance(state, sums, config, n_tokens)
    return Matrices(*(np.concatenate(parts) for parts in zip(*model, strict=True))), state


def test_one_shard_is_one_machine_whatever_the_rounds(corpus):
    config = TrainConfig(**CONFIG.as_dict() | {"shards": 1, "rounds": 3, "epochs": 1}).resolve()
    model, state = run(corpus, config)
    alone = train([corpus], config.with_settings({"deterministic": False}))

    assert np.allclose(alone.vectors, model.syn0, atol=1e-4)
    assert alone.metadata["loss"] == pytest.approx([state.epochs[0].loss], rel=1e-4)


def test_every_token_of_every_epoch_is_accounted_for(corpus):
    _, state = run(corpus, CONFIG)

    assert [40_000] * 2 == [epoch.tokens for epoch in state.epochs]
    assert state.epochs[1].loss < state.epochs[0].loss


def test_numbers_that_diverge_name_the_round_and_the_shard(corpus):
    config = TrainConfig(**CONFIG.as_dict() | {"lr": 10.0, "window": 20}).resolve()
    shard = cut([corpus], 1)[0]
    with encode_corpus(shard.spans, min_count=1) as whole:
        model = beginning(len(whole.vocabulary), config)
        model.syn0[:] = 1e4
        at = next_round(at_beginning(), config)

        with pytest.raises(TrainingError, match=r"epoch 1, round 1: .* in shard 0 .* try --lr"):
            ShardTrainer(whole, config, 0).train([model], at)


def test_a_part_that_diverges_names_its_row_of_the_model():
    part = Matrices(np.zeros((3, 4), np.float32), np.zeros((3, 4), np.float32))
    part.syn1neg[2, 1] = 1e30

    message = r"epoch 2, round 1: row 102 of syn1neg holds 1e\+30 at lr 0\.05"
    with pytest.raises(TrainingError, match=message):
        check(part, CONFIG, Round(1, 0, 2), first_row=100)


@pytest.fixture
def step(corpus, tmp_path, monkeypatch):
    """A run in files: a directory with a plan, and its steps by short names."""
    monkeypatch.chdir(tmp_path)
    plan = Plan(tuple(cut([corpus], 2)), CONFIG)

    class Step:
        def count(self, number):
            file_driver.count_shard(plan, number, f"{number}.counts", 1)
            return f"{number}.counts"

        def begin(self):
            save(file_driver.first_model(plan, [self.count(0), self.count(1)]), "0.safetensors")
            return load("0.safetensors")

        def encode(self, number, model):
            file_driver.encode_shard(plan, number, model, f"{number}.ids", 1)
            return f"{number}.ids"

        def train(self, number, model, name=""):
            name = name or f"{number}.change"
            file_driver.train_shard(model, f"{number}.ids", name, 1)
            return name

    write_plan(plan, "plan.json")
    return Step()


def test_a_run_in_files_is_the_run(step, corpus, tmp_path):
    model = step.begin()
    for number in (0, 1):
        step.encode(number, model)
    for _ in range(4):
        changes = [step.train(number, model) for number in (1, 0)]
        model = file_driver.next_model(model, changes)
    expected, state = run(corpus, CONFIG)

    assert np.allclose(expected.syn0, model.vectors, atol=1e-5)
    assert [epoch.loss for epoch in state.epochs] == model.metadata["loss"]
    assert 40_000 == model.metadata["corpus"]["kept"]
    with pytest.raises(UsageError, match="trained for all rounds"):
        file_driver.next_model(model, changes)


def test_narrow_changes_lead_nearly_to_the_same_model(corpus):
    narrow, _ = run(corpus, replace(CONFIG, deltas="float16"))
    wide, _ = run(corpus, CONFIG)

    assert narrow.syn0.tobytes() != wide.syn0.tobytes()
    assert np.allclose(narrow.syn0, wide.syn0, atol=3e-3)


def test_a_step_that_is_run_again_writes_the_same_bytes(step, tmp_path):
    model = step.begin()
    step.encode(0, model)
    first, second = step.train(0, model, "a"), step.train(0, model, "b")

    assert (tmp_path / first).read_bytes() == (tmp_path / second).read_bytes()


def test_changes_add_up_in_a_tree(step, tmp_path):
    model = step.begin()
    changes = [step.encode(number, model) and step.train(number, model) for number in (0, 1)]
    file_driver.add_files(changes, "sum.change")

    assert (0, 1) == step_files.read_stamp("sum.change", step_files.CHANGE).shards
    whole, tree = (
        file_driver.next_model(model, changes),
        file_driver.next_model(model, ["sum.change"]),
    )
    assert whole.vectors.tobytes() == tree.vectors.tobytes()


def test_files_that_do_not_belong_together_are_refused(step, corpus, tmp_path):
    model = step.begin()
    changes = [step.encode(number, model) and step.train(number, model) for number in (0, 1)]

    with pytest.raises(FormatError, match="shard 1 of 2 is missing"):
        file_driver.next_model(model, changes[:1])
    with pytest.raises(FormatError, match=r"shard 0 is in 0\.change and in 0\.change"):
        file_driver.next_model(model, [*changes, changes[0]])
    later = file_driver.next_model(model, changes)
    with pytest.raises(FormatError, match=r"due for round 2 of epoch 1, .* of round 1 of epoch 1"):
        file_driver.next_model(later, changes)
    step.train(0, later, "late.change")
    with pytest.raises(FormatError, match=r"is of round 2 of epoch 1, but 1\.change of round 1"):
        file_driver.next_model(model, ["1.change", "late.change"])
    other = Plan(tuple(cut([corpus], 2)), TrainConfig(**CONFIG.as_dict() | {"seed": 9}).resolve())
    file_driver.count_shard(other, 0, "other.counts", 1)
    with pytest.raises(FormatError, match="of different plans"):
        file_driver.add_files(["1.counts", "other.counts"], "sum.counts")
    with pytest.raises(
        FormatError, match=r"plan\.json .* but embed-change is expected|safetensors"
    ):
        file_driver.next_model(model, ["plan.json"])


def test_a_damaged_file_is_refused(step, tmp_path):
    model = step.begin()
    changes = [step.encode(number, model) and step.train(number, model) for number in (0, 1)]
    data = bytearray((tmp_path / "1.change").read_bytes())
    data[-100] ^= 1
    (tmp_path / "1.change").write_bytes(data)

    with pytest.raises(FormatError, match=r"1\.change is damaged"):
        file_driver.next_model(model, changes)
    with pytest.raises(FormatError, match=r"none\.change cannot be read: No such file"):
        file_driver.next_model(model, ["none.change"])


def test_another_text_under_a_run_is_refused(step, corpus, tmp_path):
    model = step.begin()
    changes = [step.encode(number, model) and step.train(number, model) for number in (0, 1)]
    later = file_driver.next_model(model, changes)
    stamp = step_files.read_stamp("0.ids", step_files.IDS)
    part = step_files.read_ids("0.ids", model.vocabulary)
    part.digest = "0" * 64
    step_files.write_ids(part, step_files.replace(stamp, digests={"0": part.digest}), "0.ids")
    changes = [step.train(number, later) for number in (0, 1)]

    with pytest.raises(CorpusError, match="shard 0 was encoded from another text"):
        file_driver.next_model(later, changes)


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_the_example_makefile_trains_and_makes_again_only_what_is_missing(
    root, tmp_path, command_environment
):
    lines = ["the cat sat on the mat", "the dog sat on the log"] * 200
    (tmp_path / "corpus.txt").write_text("\n".join(lines))

    def make(*more):
        command = [
            *("make", "-f", root / "examples" / "Makefile.shards", "SHARDS=2", "ROUNDS=1"),
            *("EPOCHS=1", "OPTIONS=--dim 8 --sample 0", f"EMBED={sys.executable} -m embedcli"),
        ]
        return subprocess.run(
            [*command, *more], cwd=tmp_path, env=command_environment, capture_output=True, text=True
        )

    first = make("-j2")
    assert 0 == first.returncode, first.stderr
    model = (tmp_path / "run" / "model.safetensors").read_bytes()
    assert 7 == len(load(tmp_path / "run" / "model.safetensors"))
    (tmp_path / "run" / "1-1.change").unlink()
    second = make()
    assert 1 == second.stdout.count("shard train")
    assert 0 == second.stdout.count("shard count")
    assert model == (tmp_path / "run" / "model.safetensors").read_bytes()
