"""The other process of a first run: what it leaves, and when it ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from embedcli import TrainConfig
from embedcli.settings.config import usable_cores
from embedcli.training import precompile

TEXT = "the cat sat on the mat and the dog on the log\n" * 50


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(TEXT)
    return path


def begin(text, *flags):
    cache = text.parent / "cache"
    settings = ["--dim", "8", "--epochs", "1", "-o", text.parent / "model.safetensors"]
    return subprocess.Popen(
        [sys.executable, "-m", "embedcli", "-q", "train", text, *settings, *flags],
        env=os.environ | {"EMBED_CACHE_DIR": str(cache)},
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    _, said = process.communicate()
    assert (0, "") == (process.returncode, said)


def compiled(text):
    """What the cache holds, with the time of each change."""
    return {path.name: path.stat().st_mtime_ns for path in (text.parent / "cache").rglob("*.nb?")}


def others(cache):
    """The processes that fill a cache."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            environment = (folder / "environ").read_bytes().split(b"\0")
        except OSError:  # it has ended
            continue
        if b"embedcli.training.precompile" in words:
            mine = f"EMBED_CACHE_DIR={cache}".encode()
            found += [int(folder.name)] if mine in environment else []
    return found


def wait_for(condition):
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.parametrize("flags", [(), ("--hogwild", "--arch", "cbow")])
def test_a_second_run_compiles_nothing(text, flags):
    finish(begin(text, *flags))
    left = compiled(text)
    assert any("rounds" in name or "train_slice" in name for name in left)
    finish(begin(text, *flags))
    assert left == compiled(text)


def test_only_a_first_run_is_given_another_process(monkeypatch):
    begun = []
    monkeypatch.setattr(precompile, "Precompiler", lambda config: begun.append(config))
    monkeypatch.setattr(precompile, "usable_cores", lambda: 2)
    config = TrainConfig(dim=8).resolve()
    precompile.compile_all(config)
    begun.clear()
    precompile.compile_all(config)
    assert [] == begun
    monkeypatch.setattr(precompile, "is_first_run", lambda: True)
    precompile.compile_all(config)
    assert [config] == begun


def test_where_no_other_process_is_allowed_this_one_compiles(monkeypatch):
    def refuse(*arguments, **more):
        raise BlockingIOError("no more processes")

    monkeypatch.setattr(precompile.subprocess, "Popen", refuse)
    monkeypatch.setattr(precompile, "usable_cores", lambda: 2)
    monkeypatch.setattr(precompile, "is_first_run", lambda: True)
    config = TrainConfig(dim=8).resolve()
    assert precompile.begin_precompiling(config) is None
    precompile.compile_all(config)


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
@pytest.mark.skipif(usable_cores() < 2, reason="one core compiles one thing at a time")
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_the_other_process_ends_with_the_first(text, end):
    cache = text.parent / "cache"
    process = begin(text)
    wait_for(lambda: others(cache))
    process.send_signal(end)
    process.communicate()
    wait_for(lambda: not others(cache))


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
@pytest.mark.skipif(usable_cores() < 2, reason="one core compiles one thing at a time")
def test_what_the_other_process_does_not_finish_is_done_here(text):
    cache = text.parent / "cache"
    process = begin(text)
    wait_for(lambda: others(cache))
    for other in others(cache):
        os.kill(other, signal.SIGKILL)
    finish(process)
    assert any("train" in name for name in compiled(text))
