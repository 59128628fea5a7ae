"""A model that is written over while it is open is refused, one that is renamed is not."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from embedcli import Embeddings, Vocabulary, save
from embedcli.cli.neighbors import _batches
from embedcli.errors import InputError
from embedcli.files.watch import Watch
from embedcli.lookup.query import Query


def saved(path, n):
    words = Vocabulary.from_words([f"w{i}" for i in range(n)])
    vectors = np.random.default_rng(n).normal(size=(n, 16)).astype(np.float32)
    save(Embeddings(words, vectors), str(path))
    return path


@pytest.fixture
def model(tmp_path):
    return saved(tmp_path / "model.safetensors", 5000)


def test_what_is_written_over_is_noticed(model):
    watch = Watch(str(model))
    watch.check()
    with model.open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(InputError, match=r"written over .* \(\d{3},\d{3} bytes then, 1,000 now\)"):
        watch.check()


def test_the_same_size_is_noticed_by_its_time(model):
    watch = Watch(str(model))
    content = model.read_bytes()
    with model.open("r+b") as file:
        file.write(content)
    os.utime(model, ns=(0, 1))
    with pytest.raises(InputError, match="was written over"):
        watch.check()


def test_what_is_renamed_stays_what_it_was(model, tmp_path):
    watch = Watch(str(model))
    saved(tmp_path / "other.safetensors", 10).replace(model)
    watch.check()
    model.unlink()
    watch.check()


def test_every_file_of_a_directory_is_watched(tmp_path):
    folder = saved(tmp_path / "x.npydir", 10)
    watch = Watch(str(folder))
    watch.check()
    with (folder / "vectors.npy").open("r+b") as file:
        file.truncate(100)
    with pytest.raises(InputError, match=r"x\.npydir was written over"):
        watch.check()


def test_what_is_not_there_is_for_the_loader_to_report(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name in ("none", "pipe"):
        Watch(str(tmp_path / name)).check()


def test_no_signal_ends_a_shell(model, tmp_path, command_environment):
    """The file shrinks to nothing after the first question; the next would touch what is gone."""
    process = subprocess.Popen(
        [sys.executable, "-m", "embedcli", "shell", str(model)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        cwd=tmp_path, env=command_environment, encoding="utf-8",
    )  # fmt: skip
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write("w1 ~ w2\n")
    process.stdin.flush()
    assert process.stdout.readline()
    with model.open("r+b") as file:
        file.truncate(0)
    _, told = process.communicate("w3\nw4\n", timeout=60)
    assert (3, 2) == (process.returncode, told.count("was written over while it was open"))


def test_questions_that_come_later_are_not_asked(model):
    watch = Watch(str(model))
    batches = _batches((Query((f"w{i}",)) for i in range(3000)), watch)
    assert Query(("w0",)) == next(batches)[0]
    os.utime(model, ns=(0, 1))
    with pytest.raises(InputError, match="was written over"):
        next(batches)
