"""Inputs and outputs never meet, in any command, by whatever way they are named."""

import glob
import os
import re
from importlib import import_module

import click
import numpy as np
import pytest
from click.testing import CliRunner

from embedcli import formats
from embedcli.cli.main import COMMANDS
from embedcli.embeddings import Embeddings
from embedcli.errors import OutputError, UsageError
from embedcli.files.publish import publish
from embedcli.training import distinct_files
from embedcli.vocabulary import Vocabulary

BOTH, NEXT, TWICE = "is both input and output", "would be read.* the next time", "are both written"
QUICK = ("--dim=4", "--epochs=1", "--threads=1", "--min-count=1", "--sample=0", "--hogwild")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Texts, a model, a directory of texts and one of a model, and links to them."""
    monkeypatch.chdir(tmp_path)
    for name in ("c.txt", "valid.txt", "corp/a.txt", "corp/sub/b.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text("a b c d\na c b d\n" * 20)
    words = Vocabulary.from_words(list("abcd"), [4, 3, 2, 1])
    model = Embeddings(words, np.arange(16, dtype=np.float32).reshape(4, 4))
    for name in ("m.safetensors", "o.vec", "d.npydir", "v.npy"):
        formats.save(model, name, "safetensors" if name == "v.npy" else None)
    formats.save(model, "pm.html", "word2vec")
    (tmp_path / "s.txt").write_text("a\tb\t1\na\tc\t2\nb\tc\t3\n")
    (tmp_path / "words.txt").write_text("a 1\nb 1\n")
    (tmp_path / "t.svg").write_text("{}")
    (tmp_path / "c.yaml").write_text("valid: valid.txt\n")
    (tmp_path / "space.yaml").write_text("dim: 2,4\n")
    (tmp_path / "link.vec").symlink_to("c.txt")
    (tmp_path / "link.svg").symlink_to("c.txt")
    os.link("c.txt", "hard.vec")
    (tmp_path / "linked").symlink_to("corp")
    return tmp_path


def run(*args):
    command = import_module(f"embedcli.cli.{args[0]}").command
    return CliRunner().invoke(command, [*args[1:]], catch_exceptions=False)


def contents(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


TRAIN = ("train", "c.txt", *QUICK)
MEETINGS = [
    # the same file: by name, link, hard link, another way, URL
    ("train", "c.txt", "-o", "c.txt", "--format", "word2vec", BOTH),
    ("train", "c.txt", "-o", "link.vec", BOTH),
    ("train", "link.vec", "-o", "hard.vec", BOTH),
    ("train", "corp/../c.txt", "-o", "hard.vec", BOTH),
    ("train", "file://{}/c.txt", "-o", "hard.vec", BOTH),
    ("train", "zip://a.txt::file://{}/c.txt", "-o", "hard.vec", BOTH),
    ("train", "zip://a.txt::c.txt", "-o", "hard.vec", BOTH),
    ("train", "https://example.invalid/*.txt", "c.txt", "-o", "hard.vec", BOTH),
    # what settings name, on the command line or in a file
    (*TRAIN, "--valid", "valid.txt", "-o", "valid.txt", BOTH),
    (*TRAIN, "--config", "c.yaml", "-o", "c.yaml", "--format", "word2vec", BOTH),
    (*TRAIN, "--config", "c.yaml", "-o", "valid.txt", BOTH),
    (*TRAIN, "--evaluate", "s.txt", "-o", "s.txt", BOTH),
    (*TRAIN, "--vocab", "words.txt", "-o", "words.txt", BOTH),
    (*TRAIN, "--init", "o.vec", "-o", "o.vec", BOTH),
    (*TRAIN, "--init", "d.npydir", "-o", "d.npydir", BOTH),
    (*TRAIN, "--init", "d.npydir", "-o", "d.npydir/words.txt", BOTH),
    (*TRAIN, "--init", "o.vec", "--freeze", "words.txt", "-o", "words.txt", BOTH),
    (*TRAIN, "--metrics", "c.txt", BOTH),
    (*TRAIN, "--continue", "o.vec", "--metrics", "o.vec", BOTH),
    # what is read, or will be the next time
    ("train", "corp", "--recursive", "-o", "corp/model.vec", NEXT),
    ("train", "corp", "--recursive", "-o", "corp/sub/model.vec", NEXT),
    ("train", "linked", "--recursive", "-o", "corp/model.vec", NEXT),
    ("train", "corp", "--recursive", "-o", "linked/model.vec", NEXT),
    ("train", "corp", "--recursive", "-o", "corp/a.txt", BOTH),
    ("train", "corp", "--recursive", "-o", "x.vec", "--metrics", "corp/m.jsonl", NEXT),
    ("train", ".", "--recursive", NEXT),
    ("train", "corp/*", "-o", "corp/model.vec", NEXT),
    ("train", "**/*.txt", "-o", "corp/sub/model.txt", NEXT),
    ("train", "linked/*.txt", "-o", "corp/model.txt", NEXT),
    ("train", "corp/*.txt", "-o", "corp/a.txt", BOTH),
    # outputs that meet each other, or what stands beside them
    (*TRAIN, "-o", "x.vec", "-o", "./x.vec", TWICE),
    (*TRAIN, "-o", "x.vec", "--metrics", "x.vec", TWICE),
    (*TRAIN, "-o", "x.vec", "-o", ".x.vec.lock", "--format", "word2vec", TWICE),
    (*TRAIN, "-o", "x.vec", "--metrics", "x.vec.checkpoint/1.safetensors", TWICE),
    (*TRAIN, "-o", "x.npydir", "-o", "x.npydir/words.txt", TWICE),
    # other commands
    ("vocab", "c.txt", "-o", "hard.vec", BOTH),
    ("vocab", "corp", "--recursive", "-o", "corp/words", NEXT),
    ("vocab", "corp/*.txt", "-o", "corp/words.txt", NEXT),
    ("phrases", "c.txt", "-o", "link.vec", BOTH),
    ("doctor", "c.txt", "-o", "link.svg", BOTH),
    ("phrases", "c.txt", "--save", "c.txt", BOTH),
    ("phrases", "c.txt", "-o", "x", "--save", "x", TWICE),
    ("phrases", "c.txt", "--apply", "words.txt", "-o", "words.txt", BOTH),
    ("phrases", "corp", "--recursive", "--save", "corp/p.tsv", NEXT),
    ("vectors", "a", "-m", "v.npy", "-o", "v.npy", BOTH),
    ("classify", "m.safetensors", "-o", "m.safetensors", BOTH),
    ("classify", "c.txt", "--valid", "m.safetensors", "-o", "m.safetensors", BOTH),
    ("classify", "c.txt", "-o", "x.safetensors", "--metrics", "c.txt", BOTH),
    ("predict", "c.txt", "-m", "m.safetensors", "-o", "c.txt", BOTH),
    ("predict", "c.txt", "-m", "m.safetensors", "-o", "m.safetensors", BOTH),
    ("predict", "corp", "--recursive", "-m", "m.safetensors", "-o", "corp/labels", NEXT),
    ("export", "m.safetensors", "./m.safetensors", BOTH),
    ("export", "d.npydir", "d.npydir", BOTH),
    ("export", "d.npydir", "d.npydir/words.vocab", BOTH),
    ("export", "d.npydir/vectors.npy", "d.npydir", BOTH),
    ("export", "m.safetensors", "s.txt", "--evaluate", "s.txt", BOTH),
    ("plot", "pm.html", "-o", "pm.html", BOTH),
    ("plot", "--tune", "t.svg", "-o", "t.svg", BOTH),
    ("plot", "o.vec", "--color", "pm.html", "-o", "pm.html", BOTH),
    ("align", "m.safetensors", "o.vec", "-o", "o.vec", BOTH),
    ("align", "m.safetensors", "o.vec", "--dictionary", "words.txt", "-o", "words.txt", BOTH),
    ("tune", "c.txt", "--space", "space.yaml", "--evaluate", "s.txt", "-o", "space.yaml", BOTH),
    ("tune", "c.txt", "--space", "space.yaml", "--evaluate", "s.txt", "--journal", "c.txt", BOTH),
    ("tune", "c.txt", "--dims", "2", "--config", "c.yaml", "--evaluate", "s.txt", "-o", "c.yaml",
     BOTH),
    ("combine", "c.txt", "m.safetensors", "-o", "m.safetensors", BOTH),
    ("shard", "plan", "c.txt", "--shards", "1", "--rounds", "1", "-o", "c.txt", BOTH),
    ("shard", "train", "m.safetensors", "o.vec", "-o", "o.vec", BOTH),
]  # fmt: skip


@pytest.mark.parametrize("args", MEETINGS, ids=" ".join)
def test_inputs_and_outputs_never_meet(folder, args):
    before = contents(folder)
    *command, message = (arg.format(folder) for arg in args)
    with pytest.raises(UsageError, match=message):
        run(*command)
    assert before == contents(folder)


def test_the_shards_of_a_plan_are_inputs(folder):
    run("shard", "plan", "c.txt", "--shards", "1", "--rounds", "1", "-o", "plan.json")
    before = contents(folder)
    for step, more in (("count", ()), ("encode", ("-m", "m.safetensors"))):
        for output in ("c.txt", "plan.json", *more[1:]):
            with pytest.raises(UsageError, match=BOTH):
                run("shard", step, "plan.json", "0", *more, "-o", output)
    assert before == contents(folder)


def test_every_command_that_writes_is_here():
    met = {args[0] for args in MEETINGS}
    for name in COMMANDS:
        command = import_module(f"embedcli.cli.{name}").command
        params = {param.name for param in command.params}
        written = {param for param in params if re.fullmatch("out.*|save|journal", param)}
        written -= {"output_vectors"}
        assert (name in met) == bool(written or isinstance(command, click.Group)), name
        assert written <= set(distinct_files.WRITTEN)


@pytest.mark.parametrize(
    "args",
    [
        ("corp/*.txt", "-o", "corp/model.vec"),  # no .txt
        ("corp/*", "-o", "corp/sub/model.vec"),  # a star ends at a slash
        ("corp", "--recursive", "-o", "model.vec"),
        ("c.txt", "-o", "corp/model.vec", "--arch", "skipgram"),
        ("c.txt", "--init", "o.vec", "-o", "model.vec"),
        ("c.txt", "--continue", "o.vec", "-o", "o.vec", "--lr", "0.001"),  # goes on with it
    ],
    ids=" ".join,
)
def test_what_does_not_meet_is_written(folder, args):
    (folder / "skipgram").mkdir()
    assert 0 == run("train", *args, *QUICK).exit_code
    assert 4 == len(formats.load(args[args.index("-o") + 1]))


def test_standard_streams_are_files_too(folder, run_embed):
    before = (folder / "c.txt").read_bytes()
    with (folder / "c.txt").open("ab") as out:
        done = run_embed("vocab", "c.txt", "--min-count", "1", stdout=out)
        assert (2, True) == (done.returncode, "standard output is both" in done.stderr)
        done = run_embed("export", "c.txt", "/dev/stdout", "--format", "vocab", stdout=out)
        assert 3 == done.returncode
    with (folder / "c.txt").open("rb") as text:
        done = run_embed("vocab", "-", "-o", "hard.vec", stdin=text)
        assert (2, True) == (done.returncode, BOTH in done.stderr)
    assert before == (folder / "c.txt").read_bytes()


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "out.vec"])
def test_what_was_opened_to_append_is_appended_to(folder, run_embed, name):
    (folder / "out.vec").symlink_to("/dev/stdout")
    (folder / "f").write_text("mine\n")
    with (folder / "f").open("ab") as out:
        done = run_embed("export", "-q", "o.vec", name, "--format", "word2vec", stdout=out)
    assert (0, "") == (done.returncode, done.stderr)
    assert "mine\n" + (folder / "o.vec").read_text() == (folder / "f").read_text()


def test_what_is_not_open_cannot_be_written(folder):
    with (
        pytest.raises(OutputError, match=r"cannot write /dev/fd/987"),
        publish("/dev/fd/987") as sink,
    ):
        sink.write(b"x")


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("a/*.txt", "a/x.txt", True),
        ("a/*.txt", "a/.x.txt", False),
        ("a/*.txt", "a/b/x.txt", False),
        ("a/**/*.txt", "a/b/c/x.txt", True),
        ("a/**/*.txt", "a/x.txt", True),
        ("a/**/*.txt", "a/.b/x.txt", False),
        ("**", "a/b/x", True),
        ("a/[xy].txt", "a/y.txt", True),
        ("a/[xy].txt", "a/z.txt", False),
        ("*/x", "a/x", True),
        ("a/x.txt", "a/x.txt", False),  # names no glob
        ("b/../a/*", "a/x", True),
    ],
)
def test_what_a_glob_would_find(tmp_path, monkeypatch, pattern, name, expected):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "b").mkdir()
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    assert expected is distinct_files._matches(str(path), pattern)
    if glob.has_magic(pattern):
        path.write_text("")
        found = {os.path.realpath(each) for each in glob.glob(pattern, recursive=True)}  # noqa: PTH207
        assert expected is (str(path) in found)
