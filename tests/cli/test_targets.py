"""What an output cannot hold is known before training, whatever the format and the setting."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from click.testing import CliRunner

from embedcli import Embeddings, Vocabulary, formats, load
from embedcli.cli.main import embed
from embedcli.cli.output import Verbosity
from embedcli.errors import FormatError, MissingExtraError

QUICK = ("--min-count", "1", "--dim", "4", "--epochs", "1", "--sample", "0", "--threads", "1")
# a line of items, and the formats that cannot hold one of them
ITEMS = {
    "a b,c d": {"word2vec", "word2vec-bin"},
    "top 10,c": {"word2vec", "word2vec-bin", "glove"},
    "a\tb,c": {"word2vec", "word2vec-bin", "glove", "projector", "vocab"},
}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run a command here, in `tmp_path`; gives its error, or None, and what it said."""
    monkeypatch.chdir(tmp_path)

    def call(*args):
        done = CliRunner().invoke(embed, [str(arg) for arg in args], obj=Verbosity())
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            return done.exception, done.output
        assert 0 == done.exit_code, done.output
        return None, done.output

    return call


@pytest.mark.parametrize("items", ITEMS)
def test_words_an_output_cannot_hold_are_known_before_training(run, tmp_path, items):
    (tmp_path / "t.txt").write_text(f"{items}\n" * 30)
    out = tmp_path / "out"
    for name in formats.WRITTEN:
        options = (*QUICK, "--items", "--separator", ",", "-o", out, "--format", name)
        if name not in ITEMS[items]:
            continue
        error, said = run("train", "t.txt", *options)
        assert (FormatError, True) == (type(error), "cannot save" in str(error))
        assert "epoch" not in said
        assert [tmp_path / "t.txt"] == list(tmp_path.iterdir())
    error, _ = run("train", "t.txt", *QUICK, "--items", "--separator", ",", "-o", "m.fasttext.bin")
    assert error is None
    assert set(items.split(",")) <= set(load(tmp_path / "m.fasttext.bin").vocabulary.words)


@pytest.mark.parametrize("name", formats.WRITTEN)
@pytest.mark.parametrize(
    "word", ["a b", "a\tb", "a\rb", "a\nb", "a\0b", "[UNK]", "top 10", "\ufeff"]
)
def test_what_is_refused_early_is_what_would_be_refused_late(tmp_path, name, word):
    model = Embeddings(Vocabulary.from_words([word, "c"], [2, 1]), np.eye(2, dtype=np.float32))
    errors = []
    for act in (
        lambda: formats.check_contents(name, model.vocabulary),
        lambda: formats.save(model, tmp_path / "x", name),
    ):
        try:
            act()
            errors.append(None)
        except FormatError as error:
            errors.append(str(error))
    assert errors[0] == errors[1]


def test_words_of_a_vocabulary_file_are_looked_at_before_the_text(run, tmp_path):
    (tmp_path / "v.txt").write_text("a b\t9\nc\t8\n")
    error, _ = run("train", "missing.txt", *QUICK, "--vocab", "v.txt", "-o", "m.vec", "--items")
    assert "cannot save 'a b' (row 1) as word2vec" in str(error)
    (tmp_path / "t.txt").write_text("a b\tc\n" * 9)
    error, _ = run("train", "t.txt", *QUICK, "--vocab", "v.txt", "-o", "m.vec", "--dry-run")
    assert "cannot save 'a b' (row 1) as word2vec" in str(error)


def test_pieces_and_libraries_are_known_before_the_text_is_read(run, monkeypatch):
    error, _ = run("train", "missing.txt", *QUICK, "--subword", "p.model", "-o", "m.fasttext.bin")
    assert "cannot save subwords of the kind sentencepiece as fasttext" in str(error)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    error, _ = run("train", "missing.txt", *QUICK, "-o", "m.parquet")
    assert MissingExtraError is type(error)


def test_what_fails_all_the_same_can_be_exported(run, tmp_path, monkeypatch):
    (tmp_path / "t.txt").write_text("a b c\nb c a\n" * 20)
    with monkeypatch.context() as patched:

        def refuse(*_, **__):
            raise FormatError("cannot save this as that")

        patched.setattr("embedcli.formats.save", refuse)
        error, _ = run("train", "t.txt", *QUICK, "-o", "m.vec")
    assert FormatError is type(error)
    (note,) = error.__notes__
    path = note.removeprefix("what was trained is in ").partition(": embed export ")[0]
    assert f"what was trained is in {path}: embed export {path} OTHER" == note
    assert None is run("export", path, "m.bin")[0]
    assert {"a", "b", "c"} == set(load(tmp_path / "m.bin").vocabulary.words)


def test_export_and_align_look_at_words_before_they_work(run, tmp_path, monkeypatch):
    vectors = np.eye(3, dtype=np.float32)
    model = Embeddings(Vocabulary.from_words(["a", "b c", "d"]), vectors)
    formats.save(model, tmp_path / "m.safetensors")
    monkeypatch.delattr("embedcli.spaces.alignment.turn")  # not reached
    for command in (
        ("export", "m.safetensors", "m.vec", "--dim", "9"),  # 9 would be too many
        ("align", "m.safetensors", "m.safetensors", "-o", "m.vec"),
    ):
        error, _ = run(*command)
        assert "cannot save 'b c'" in str(error)


@pytest.mark.parametrize("name", ["m.vec", "m.safetensors", "m.sqlite", "m.npydir", "m.projector"])
@pytest.mark.parametrize("options", [(), ("--dry-run",)])
def test_links_in_a_circle_are_known_before_training(run, tmp_path, name, options):
    (tmp_path / "t.txt").write_text("a b c\n" * 30)
    (tmp_path / name).symlink_to(tmp_path / name)

    error, said = run("train", "t.txt", *QUICK, *options, "-o", name)

    assert f"cannot write {name}: Too many levels of symbolic links" == str(error)
    assert 5 == error.exit_code
    assert "epoch" not in said
    assert {"t.txt", name} == {path.name for path in tmp_path.iterdir()}
