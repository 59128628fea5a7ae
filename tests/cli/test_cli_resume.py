"""Interrupted, resumed, locked and refused, as people type it."""

import fcntl
import signal
import subprocess
import sys

import pytest

from embedcli.errors import ConfigError
from embedcli.settings.compatibility import used_by
from embedcli.settings.config import TrainConfig, settings
from embedcli.training import resuming
from embedcli.training.checkpoint import Checkpoints
from embedcli.training.trainer import _settings

SETTINGS = ("--min-count", "1", "--dim", "40", "--epochs", "6", "--threads", "1", "--sample", "0")

# `embed` that gets a signal when an epoch is over, however fast the machine is; to be killed, a
# checkpoint is due whenever it asks.
SIGNALLED = """
import os, sys
from embedcli.__main__ import run
from embedcli.cli import run_report
from embedcli.training.checkpoint import Checkpoints

number, original = int(sys.argv.pop(1)), run_report._say_epoch

def say_epoch(epoch, facts):
    original(epoch, facts)
    if epoch == (3 if number == 9 else 2):
        os.kill(os.getpid(), number)

run_report._say_epoch = say_epoch
if number == 9:
    Checkpoints.is_due = lambda self: True
run()
"""

# Settings that go only with others.
BESIDE = {
    "separator": {"items": True},
    "pattern": {"tokenizer": "pattern"},
    "freeze": {"init": "vectors.vec"},
    "delimiter": {"field": "text"},
    "quote": {"field": "text"},
    "patience": {"valid": "held-out.txt"},
    "threads": {"deterministic": False},  # else they decide nothing, and nothing is said of them
}
OTHER = {  # of those whose kind does not say what else they may be
    "count_memory": "500M",
    "time_budget": "90s",
    "subword": "3:6",
    "max_norm": 3.0,
    "min_lr": 0.01,
    "tokenizer": "words",
    "encoding": "cp1252",
}


def other_value(name):
    """A value of this setting that is not its default."""
    rule, default = settings()[name], getattr(TrainConfig, name)
    if name in OTHER:
        return OTHER[name]
    if rule.kind == "switch":
        return not default
    if rule.kind == "choice":
        return next(choice for choice in rule.choices if choice != default)
    if rule.kind == "text":
        return "x"
    return (default or 0) + 1 if rule.kind == "integer" else rule.high / 2


@pytest.mark.parametrize("name", settings())
def test_every_setting_is_stored_and_survives_a_resume(tmp_path, name):
    value = other_value(name)
    chosen = {name: value} | BESIDE.get(name, {})
    config = TrainConfig(**chosen)
    assert value == _settings(config.resolve())[name]  # what the model says
    Checkpoints(tmp_path, None, resuming.arguments_of(config, ["text"], None)).save()

    kept = Checkpoints(tmp_path, None, {}).newest()
    assert config.resolve() == resuming.settings_of(kept, {}, None)
    assert config.resolve() == resuming.settings_of(kept, {name: value}, None)
    if name not in used_by("resume"):
        kept.arguments["settings"][name] = getattr(TrainConfig, name)
        with pytest.raises(ConfigError, match=f"--{name.replace('_', '-')} is .*, but .* was made"):
            resuming.settings_of(kept, {name: value}, None)


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "corpus.txt"
    path.write_text("the cat sat on the mat\nthe dog sat on the log\n" * 1000)
    return path


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_and_resumed(command_environment, run_embed, corpus, tmp_path, number, code):
    command = [sys.executable, "-c", SIGNALLED, str(int(number)), "train", "corpus.txt", *SETTINGS]
    done = subprocess.run(
        command, env=command_environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    errors = done.stderr
    assert code == done.returncode, errors
    beginnings = "about 12,000 tokens, 7 words or more: at least ", "needs ", "read ", "epoch 1:"
    assert [b for b, line in zip(beginnings, errors.splitlines(), strict=False)
            if line.startswith(b)] == list(beginnings)  # fmt: skip
    assert "go on with: embed train --resume corpus.txt -o model.safetensors" in errors
    assert 1 == len(list((tmp_path / "model.safetensors.checkpoint").iterdir()))
    refused = run_embed("train", "--resume", "--dim", "32")
    assert (2, True) == (refused.returncode, "--dim is 32, but" in refused.stderr)
    assert 0 == run_embed("train", "--resume", "-q").returncode
    assert 0 == run_embed("train", "corpus.txt", *SETTINGS, "-o", "whole.safetensors").returncode
    whole = (tmp_path / "whole.safetensors").read_bytes()
    assert whole == (tmp_path / "model.safetensors").read_bytes()
    assert not (tmp_path / "model.safetensors.checkpoint").exists()
    again = run_embed("train", "--resume", "corpus.txt")
    assert (0, True) == (again.returncode, "is complete: nothing to do" in again.stderr)
    assert 0 == run_embed("verify", "model.safetensors").returncode


def test_killed_and_resumed(command_environment, run_embed, corpus, tmp_path):
    settings = (*SETTINGS[:-1], "0.01")
    command = [sys.executable, "-c", SIGNALLED, "9", "train", "-q", "corpus.txt", *settings]
    kept = tmp_path / "model.safetensors.checkpoint"
    assert -9 == subprocess.call(command, env=command_environment, cwd=tmp_path)
    assert 2 == len(list(kept.glob("[12].safetensors")))
    assert not (tmp_path / "model.safetensors").exists()
    assert 0 == run_embed("verify", "-q", next(kept.glob("[12].safetensors"))).returncode
    for damaged in kept.glob("2.safetensors"):  # and of two, the one that is sound will do
        damaged.write_bytes(damaged.read_bytes()[:-1])
    done = run_embed("train", "--resume")
    assert (0, True) == (done.returncode, "a checkpoint is left out" in done.stderr), done.stderr
    assert 0 == run_embed("train", "-q", "corpus.txt", *settings, "-o", "w.vec").returncode
    assert 0 == run_embed("export", "-q", "model.safetensors", "resumed.vec").returncode
    assert (tmp_path / "w.vec").read_bytes() == (tmp_path / "resumed.vec").read_bytes()
    assert not kept.exists()


def test_without_a_sound_checkpoint_resuming_is_refused(run_embed, corpus, tmp_path):
    (tmp_path / "model.safetensors.checkpoint").mkdir()
    for number in (1, 2):
        (tmp_path / "model.safetensors.checkpoint" / f"{number}.safetensors").write_bytes(b"x" * 9)
    done = run_embed("train", "corpus.txt", *SETTINGS, "--resume")
    assert (3, True) == (done.returncode, "none of the checkpoints in" in done.stderr)
    assert "remove the directory to train anew" in done.stderr


def test_a_locked_output_is_exit_code_7(run_embed, corpus, tmp_path):
    with (tmp_path / ".model.safetensors.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = run_embed("train", "corpus.txt", *SETTINGS)
    assert (7, True) == (done.returncode, "another embed" in done.stderr)
