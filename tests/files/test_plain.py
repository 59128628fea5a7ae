"""Pipes, devices and directories where a file is expected: refused, and never waited for."""

import os

import numpy as np
import pytest

from embedcli import Embeddings, Vocabulary, formats, load, save
from embedcli.cli.main import main
from embedcli.cluster import step_files
from embedcli.cluster.plan import read_plan
from embedcli.errors import FormatError, InputError, OutputError
from embedcli.evaluation.item_files import read_evaluation_file
from embedcli.evaluation.tasks import read_task
from embedcli.files.plain import read_plain, require_plain
from embedcli.files.safetensors import read_header
from embedcli.phrases.phrase_list import read_phrases
from embedcli.subwords.pieces import Pieces
from embedcli.training.checkpoint import Checkpoints

WORDS = Vocabulary.from_words(["a", "b"], [3, 2])
MODEL = Embeddings(WORDS, np.ones((2, 4), np.float32))


def pipe(path):
    os.mkfifo(path)


def device(path):
    path.symlink_to("/dev/zero")


def directory(path):
    path.mkdir()


STRANGE = {"a pipe": pipe, "a device": device, "a directory": directory}


@pytest.fixture(params=STRANGE)
def strange(request):
    """What a file is, and how to make one."""
    return request.param, STRANGE[request.param]


@pytest.mark.parametrize("name", ["npy", "model2vec", "projector"])
def test_no_file_of_a_folder_may_be_one(tmp_path, name, strange):
    save(MODEL, tmp_path / "m", name)
    for number, file in enumerate(sorted(each.name for each in (tmp_path / "m").iterdir())):
        folder = tmp_path / f"{number}"
        save(MODEL, folder, name)
        (folder / file).unlink()
        strange[1](folder / file)
        if file in formats.FORMATS[name].files[:2] or file == "counts.npy":
            with pytest.raises(InputError):
                load(folder, name)
        else:  # nobody reads it
            assert ["a", "b"] == load(folder, name).vocabulary.words[-2:]


def test_what_is_mapped_must_be_a_plain_file(tmp_path, strange):
    what, make = strange
    make(tmp_path / "x")
    path = str(tmp_path / "x")
    for read in (require_plain, read_plain, read_header, read_plan, step_files.read_table):
        with pytest.raises(FormatError, match=f"{path} is {what}, not a plain file"):
            read(path)
    assert "" == step_files.kind_of(path)


def test_a_checkpoint_must_be_a_plain_file(tmp_path, strange):
    (tmp_path / "c").mkdir()
    strange[1](tmp_path / "c" / "1.safetensors")
    with pytest.raises(OutputError, match="something else than a checkpoint; move it away"):
        Checkpoints(tmp_path / "c", None, {}).newest()


@pytest.mark.parametrize(
    "read",
    [read_evaluation_file, read_task, read_phrases, Pieces.read],
    ids=lambda read: read.__qualname__,
)
def test_what_is_read_whole_is_no_device_and_no_named_pipe(read, tmp_path):
    with pytest.raises(FormatError, match="/dev/zero is a device, not a file"):
        read("/dev/zero")
    os.mkfifo(tmp_path / "x")
    with pytest.raises(FormatError, match=f"{tmp_path / 'x'} is a pipe, not a file"):
        read(str(tmp_path / "x"))


def test_a_pipe_of_the_shell_is_read():
    reader, writer = os.pipe()
    os.write(writer, b"man\tking\t1.5\n")
    os.close(writer)
    content = read_evaluation_file(f"/dev/fd/{reader}")
    os.close(reader)
    assert [("man", "king", 1.5)] == content.items


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    (tmp_path / "x").write_bytes(b"123")
    assert b"123" == read_plain(tmp_path / "x", 3)
    with pytest.raises(FormatError, match="has 3 bytes; files of its kind have at most 2"):
        read_plain(tmp_path / "x", 2)


def test_counts_of_nothing_but_ones_are_no_counts(tmp_path):
    (tmp_path / "0.counts").write_bytes(b"\xff" * 10_000)
    with pytest.raises(FormatError, match="not a sound safetensors file"):
        step_files.read_table(str(tmp_path / "0.counts"))


@pytest.mark.parametrize(
    "command",
    [
        ("info", "NAME"),
        ("verify", "NAME"),
        ("neighbors", "a", "-m", "NAME"),
        ("export", "NAME", "out.vec"),
        ("align", "NAME", "NAME"),
        ("plot", "NAME", "-o", "map.html"),
        ("train", "NAME"),
        ("vocab", "NAME"),
        ("evaluate", "NAME", "-m", "NAME"),
    ],
)
@pytest.mark.parametrize("name", ["x" * 300, "x" * 5000])
def test_a_name_that_the_system_refuses_is_one_line(tmp_path, monkeypatch, capsys, command, name):
    monkeypatch.chdir(tmp_path)
    assert 3 == main([part.replace("NAME", name) for part in command])
    said = capsys.readouterr().err
    assert 1 == said.count("embed: error: ")
    assert "unforeseen" not in said
