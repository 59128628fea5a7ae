"""What is removed after a kill, what is not ours to change, and what is taken over from the old."""

import errno
import io
import os
import re
import sqlite3
import stat
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from embedcli import formats
from embedcli.cli import train
from embedcli.cli.spool import spooled
from embedcli.embeddings import Embeddings
from embedcli.errors import BusyError, OutputError, UsageError
from embedcli.files import folder, leftovers
from embedcli.files.leftovers import remove_stale, temporary_path
from embedcli.files.locks import locked
from embedcli.files.publish import check_writable, publish
from embedcli.lookup.index_files import open_index
from embedcli.training.checkpoint import Checkpoints, checkpoint_directory
from embedcli.tuning.journal import check_journal
from embedcli.vocabulary import Vocabulary

FOLDERS = [
    name
    for name, entry in formats.FORMATS.items()
    if isinstance(entry, formats.Folder) and entry.write is not None
]
OURS = "\n<!-- replaced with the model while these lines are as embed wrote them: "


@pytest.fixture
def model():
    words = Vocabulary.from_words(["cat", "dog"], [2, 1])
    return Embeddings(words, np.arange(8, dtype=np.float32).reshape(2, 4))


@pytest.fixture(scope="module")
def dead():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


KILLED = """
import os, signal, sys
from embedcli import formats
from embedcli.files import folder
source, target, name = sys.argv[1:]
folder._exchange = folder.os.rename = lambda *paths: os.kill(os.getpid(), signal.SIGKILL)
formats.save(formats.load(source), target, name)
"""


@pytest.mark.parametrize("name", FOLDERS)
def test_a_killed_directory_is_removed_by_the_next_write(model, tmp_path, name):
    formats.save(model, tmp_path / "m.vec")
    target = tmp_path / "out"
    args = [sys.executable, "-c", KILLED, tmp_path / "m.vec", target, name]
    assert -9 == subprocess.run(args, check=False).returncode
    (left,) = [path for path in tmp_path.iterdir() if path.name.endswith(".tmp")]
    assert left.is_dir()
    assert set(formats.FORMATS[name].files[:2]) <= {path.name for path in left.iterdir()}
    formats.save(model, target, name)
    assert left.exists()  # a process of another machine may be at work there
    for path in [*left.iterdir(), left]:
        os.utime(path, (0, 0))
    formats.save(model, target, name)
    assert {tmp_path / "m.vec", target} == set(tmp_path.iterdir())


def test_a_directory_is_as_old_as_what_was_last_written_in_it(tmp_path, dead):
    left = tmp_path / f".out.{dead}.0123abcd.tmp"
    left.mkdir()
    (left / "vectors.npy").write_bytes(b"at work")
    os.utime(left, (0, 0))
    remove_stale(str(tmp_path / "out"))
    assert [left] == list(tmp_path.iterdir())
    os.utime(left / "vectors.npy", (0, 0))
    os.utime(left, (0, 0))
    remove_stale(str(tmp_path / "out"))
    assert [] == list(tmp_path.iterdir())


def test_what_others_left_is_left_alone_and_ends_no_write(tmp_path, dead, monkeypatch):
    theirs = tmp_path / f".x.vec.{dead}.0123abcd.tmp"
    theirs.write_bytes(b"")
    os.utime(theirs, (0, 0))
    monkeypatch.setattr(leftovers.os, "geteuid", lambda: theirs.stat().st_uid + 1)
    check_writable(tmp_path / "x.vec")
    with publish(tmp_path / "x.vec") as sink:
        sink.write(b"new")
    assert {theirs, tmp_path / "x.vec"} == set(tmp_path.iterdir())


def test_what_cannot_be_removed_ends_no_write(tmp_path, dead, monkeypatch):
    stale = tmp_path / f".x.vec.{dead}.0123abcd.tmp"
    stale.mkdir()
    os.utime(stale, (0, 0))

    def refuse(path):
        raise PermissionError(1, "Operation not permitted", path)

    monkeypatch.setattr(leftovers.shutil, "rmtree", refuse)
    with publish(tmp_path / "x.vec") as sink:
        sink.write(b"new")
    assert b"new" == (tmp_path / "x.vec").read_bytes()


def test_a_link_among_what_was_left_is_not_followed(tmp_path, dead):
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "thesis.tex").write_text("!")
    link = tmp_path / f".x.vec.{dead}.0123abcd.tmp"
    link.symlink_to(theirs)
    os.utime(link, (0, 0), follow_symlinks=False)
    remove_stale(str(tmp_path / "x.vec"))
    assert not link.is_symlink()
    assert "!" == (theirs / "thesis.tex").read_text()


def test_in_a_sticky_directory_others_files_are_known_before_the_work(tmp_path, monkeypatch):
    tmp_path.chmod(0o1777)
    target = tmp_path / "x.vec"
    target.write_bytes(b"theirs")
    monkeypatch.setattr(os, "geteuid", lambda: target.stat().st_uid + 1)
    with pytest.raises(OutputError, match="Operation not permitted"):
        check_writable(target)
    (tmp_path / "m.npydir").mkdir()
    with pytest.raises(OutputError, match="Operation not permitted"):
        formats.check_target(tmp_path / "m.npydir")
    tmp_path.chmod(0o777)
    check_writable(target)


def test_a_database_in_the_making_has_no_name(model, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    seen = []
    original = sqlite3.connect

    class Watched(sqlite3.Connection):
        def executemany(self, *args):
            seen.append([path.name for path in tmp_path.iterdir()])
            return super().executemany(*args)

    monkeypatch.setattr(sqlite3, "connect", partial(original, factory=Watched))
    with publish(tmp_path / "m.sqlite") as sink:
        formats.FORMATS["sqlite"].write(model, sink)
        (while_filled,) = seen
        assert all(name.startswith(".m.sqlite.") for name in while_filled)
    assert [tmp_path / "m.sqlite"] == list(tmp_path.iterdir())
    assert np.array_equal(model.vectors, formats.load(tmp_path / "m.sqlite").vectors)


def test_standard_input_on_the_disk_is_ours_alone(tmp_path, monkeypatch, dead):
    monkeypatch.setattr("embedcli.files.opening.open_source", lambda _: io.BytesIO())
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    left = tmp_path / f".embed-stdin.{dead}.0123abcd.tmp"
    left.write_bytes(b"of a killed run")
    os.utime(left, (0, 0))
    with spooled(["-"]) as (name,):
        assert [name] == [str(path) for path in tmp_path.iterdir()]
        assert 0o600 == stat.S_IMODE(Path(name).stat().st_mode)
    mine = tmp_path / "m.stdin"
    mine.write_bytes(b"mine")
    with pytest.raises(OutputError, match="remove it, or move it away"), spooled(["-"], str(mine)):
        raise AssertionError("not reached")
    assert b"mine" == mine.read_bytes()


def a_link(path, victim):
    path.symlink_to(victim)


def a_hard_link(path, victim):
    os.link(victim, path)


def a_file(path, victim):
    path.write_bytes(b"notes\n")


def a_directory(path, victim):
    path.mkdir()


def a_pipe(path, victim):
    os.mkfifo(path)


@pytest.mark.parametrize("what", [a_link, a_hard_link, a_file, a_directory, a_pipe])
def test_what_has_the_name_of_a_lock_and_is_none_is_not_touched(tmp_path, what):
    victim, lock = tmp_path / "victim", tmp_path / ".m.vec.lock"
    victim.write_bytes(b"precious\n")
    what(lock, victim)
    before = os.lstat(lock)
    with pytest.raises(OutputError, match=re.escape(str(lock))), locked([str(tmp_path / "m.vec")]):
        raise AssertionError("not reached")
    assert b"precious\n" == victim.read_bytes()
    assert (before.st_ino, before.st_size) == (os.lstat(lock).st_ino, os.lstat(lock).st_size)


def test_a_link_to_nothing_makes_nothing(tmp_path):
    (tmp_path / ".m.vec.lock").symlink_to(tmp_path / "victim")
    with pytest.raises(OutputError, match="link"), locked([str(tmp_path / "m.vec")]):
        raise AssertionError("not reached")
    assert not (tmp_path / "victim").exists()


def test_a_lock_that_a_disk_cannot_read_is_an_output_error(tmp_path, monkeypatch):
    def fail(*arguments):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "pread", fail)
    with (
        pytest.raises(OutputError, match=r"cannot lock .*: Input/output error"),
        locked([str(tmp_path / "m.vec")]),
    ):
        pass


@pytest.mark.parametrize(
    "number", [errno.EIO, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.ENFILE, errno.ESTALE]
)
def test_a_lock_that_is_there_and_cannot_be_opened_says_why(tmp_path, monkeypatch, number):
    lock = tmp_path / ".m.vec.lock"
    lock.write_bytes(b"")
    original = os.open

    def fail(path, *arguments):
        if str(path) == str(lock):
            raise OSError(number, os.strerror(number))
        return original(path, *arguments)

    monkeypatch.setattr(os, "open", fail)
    expected = f"cannot lock {tmp_path / 'm.vec'}: {os.strerror(number)}: {lock}"
    with pytest.raises(OutputError) as caught, locked([str(tmp_path / "m.vec")]):
        pass
    assert expected == str(caught.value)


@pytest.mark.parametrize("content", [b"", b"12345\n"])
def test_the_lock_of_a_killed_run_is_taken_over(tmp_path, content):
    lock = tmp_path / ".m.vec.lock"
    lock.write_bytes(content)
    with locked([str(tmp_path / "m.vec")]):
        assert b"%d\n" % os.getpid() == lock.read_bytes()
        with pytest.raises(BusyError, match=str(os.getpid())), locked([str(tmp_path / "m.vec")]):
            raise AssertionError("not reached")
    assert [] == list(tmp_path.iterdir())


def test_an_output_that_is_the_lock_of_another_is_refused(tmp_path):
    outputs = [str(tmp_path / "q.vec"), str(tmp_path / ".q.vec.lock")]
    with pytest.raises(UsageError, match="is the lock of"), locked(outputs):
        raise AssertionError("not reached")
    long = [str(tmp_path / ("x" * 200 + end)) for end in ("1", "2")]  # one lock serves both
    with locked(long):
        assert 1 == len(list(tmp_path.iterdir()))


def test_a_lock_that_was_replaced_meanwhile_is_left(tmp_path):
    lock = tmp_path / ".m.vec.lock"
    with locked([str(tmp_path / "m.vec")]):
        lock.unlink()
        lock.write_bytes(b"another's\n")
    assert b"another's\n" == lock.read_bytes()


def test_a_directory_keeps_its_permissions_and_what_people_wrote(model, tmp_path):
    out = tmp_path / "m.model2vec"
    formats.save(model, out)
    card = (out / "README.md").read_text()
    assert 1 == card.count(OURS)
    out.chmod(0o700)
    (out / "model.safetensors").chmod(0o600)
    formats.save(model.head(1), out)  # what is embed's is replaced
    assert 0o700 == stat.S_IMODE(out.stat().st_mode)
    assert 0o600 == stat.S_IMODE((out / "model.safetensors").stat().st_mode)
    assert "| words | 1 |" in (out / "README.md").read_text()
    for mine in (b"# My vectors\n", b"", card.replace("# Static", "# My").encode()):
        (out / "README.md").write_bytes(mine)
        formats.save(model, out)
        assert mine == (out / "README.md").read_bytes()
        assert 2 == len(formats.load(out))


def test_a_directory_that_is_none_of_the_format_is_refused(model, tmp_path):
    out = tmp_path / "mine"
    out.mkdir()
    (out / "config.json").write_text("{}")
    with pytest.raises(OutputError, match=r"holds config\.json but not model\.safetensors and"):
        formats.save(model, out, "model2vec")
    assert "{}" == (out / "config.json").read_text()
    (out / "config.json").rename(out / "README.md")
    formats.save(model, out, "model2vec")
    assert "{}" == (out / "README.md").read_text()


def test_what_comes_into_a_directory_meanwhile_is_not_removed(model, tmp_path, monkeypatch):
    out = tmp_path / "m.npydir"
    formats.save(model, out)
    original = folder._exchange

    def late(fresh, old):
        (old / "thesis.tex").write_text("!")
        original(fresh, old)

    monkeypatch.setattr(folder, "_exchange", late)
    with pytest.raises(OutputError, match="is complete, but other files came") as raised:
        formats.save(model, out)
    before = Path(str(raised.value).rsplit(" ", 1)[1])
    assert "!" == (before / "thesis.tex").read_text()
    assert np.array_equal(model.vectors, formats.load(out).vectors)


def test_long_names_of_directories_are_known_before_the_work(tmp_path):
    with pytest.raises(OutputError, match="File name too long"):
        formats.check_target(tmp_path / ("x" * 300), "npy")
    formats.check_target(tmp_path / ("ü" * 120), "npy")
    assert [] == list(tmp_path.iterdir())


def test_temporary_names_tell_whose_they_are(tmp_path):
    name = Path(temporary_path(str(tmp_path / ("ü" * 127)))).name
    assert len(os.fsencode(name)) < 255
    assert re.search(rf"\.{os.getpid()}\.[0-9a-f]{{8}}\.tmp$", name)


TRAIN = ("--dim=4", "--epochs=1", "--threads=1", "--min-count=1", "--sample=0", "--hogwild")


def run_train(folder, *more):
    """Train in this process; what it raises is raised."""
    (folder / "c.txt").write_text("a b c d\n" * 50)
    args = [str(folder / "c.txt"), *TRAIN, *map(str, more)]
    return CliRunner().invoke(train.command, args, catch_exceptions=False)


def checkpoints_are_a_link(folder):
    (folder / "elsewhere").mkdir()
    (folder / "m.vec.checkpoint").symlink_to(folder / "elsewhere")
    return folder / "elsewhere" / "1.safetensors"


def checkpoints_are_a_file(folder):
    return folder / "m.vec.checkpoint"


def a_checkpoint_is_a_link(folder):
    (folder / "m.vec.checkpoint").mkdir()
    (folder / "m.vec.checkpoint" / "2.safetensors").symlink_to(folder / "2.safetensors")
    return folder / "2.safetensors"


def a_checkpoint_is_a_model(folder):
    (folder / "m.vec.checkpoint").mkdir()
    return folder / "m.vec.checkpoint" / "1.safetensors"


@pytest.mark.parametrize(
    "what",
    [
        checkpoints_are_a_link,
        checkpoints_are_a_file,
        a_checkpoint_is_a_link,
        a_checkpoint_is_a_model,
    ],
)
@pytest.mark.parametrize("more", [(), ("--resume",), ("--checkpoint-every", "never")])
def test_what_has_the_name_of_checkpoints_and_is_none_is_not_touched(model, tmp_path, what, more):
    victim = what(tmp_path)
    formats.save(model, victim, "safetensors")
    before = victim.read_bytes()
    with pytest.raises(OutputError, match=r"cannot keep checkpoints in .*m\.vec\.checkpoint"):
        run_train(tmp_path, "-o", tmp_path / "m.vec", *more)
    assert before == victim.read_bytes()
    assert not (tmp_path / "m.vec").exists()


@pytest.mark.parametrize(("mode", "expected"), [(0o600, 0o700), (0o640, 0o755), (None, 0o755)])
def test_checkpoints_are_as_closed_as_what_they_are_of(tmp_path, mode, expected):
    if mode is not None:
        (tmp_path / "m.vec").touch()
        (tmp_path / "m.vec").chmod(mode)
    before = os.umask(0o022)
    try:
        Checkpoints(checkpoint_directory(tmp_path / "m.vec"), None, {}).save()
    finally:
        os.umask(before)
    assert expected == stat.S_IMODE((tmp_path / "m.vec.checkpoint").stat().st_mode)


def test_checkpoints_that_became_a_link_meanwhile_are_not_removed(tmp_path):
    checkpoints = Checkpoints(tmp_path / "c", None, {})
    checkpoints.save()
    (tmp_path / "c").rename(tmp_path / "other")
    (tmp_path / "c").symlink_to(tmp_path / "other")
    with pytest.warns(UserWarning, match="cannot be removed: .* is a link"):
        checkpoints.remove()
    with pytest.raises(OutputError, match="is a link"):
        Checkpoints(tmp_path / "c", None, {}).save()
    assert [tmp_path / "other" / "1.safetensors"] == list((tmp_path / "other").iterdir())


@pytest.mark.parametrize("length", [244, 245, 252, 255, 256])
def test_names_too_long_for_what_stands_beside_them_are_known_before_training(tmp_path, length):
    output = tmp_path / ("x" * (length - 4) + ".vec")
    if length == 244:  # with .checkpoint, 255
        assert 0 == run_train(tmp_path, "-o", output).exit_code
        assert output.exists()
        return
    with pytest.raises(OutputError, match="File name too long"):
        run_train(tmp_path, "-o", output)
    assert [tmp_path / "c.txt"] == list(tmp_path.iterdir())


def test_an_index_is_not_written_through_a_link(model, tmp_path):
    pytest.importorskip("faiss")
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / "m.vec.ivf.faiss").symlink_to(victim)
    formats.save(model, tmp_path / "m.vec")
    with pytest.raises(OutputError, match=r"m\.vec\.ivf\.faiss is a link"):
        open_index(tmp_path / "m.vec", model, "ivf")
    assert b"precious" == victim.read_bytes()


@pytest.mark.parametrize("content", [b"notes\n", b"[1]\n", b"1\n", b"{}\n"])
def test_a_journal_is_not_appended_to_other_files(tmp_path, content):
    path = tmp_path / "tune.log"
    check_journal(str(path))
    path.write_bytes(b'{"op_code": 0, "worker_id": "x"}\n')
    check_journal(str(path))
    path.write_bytes(content)
    with pytest.raises(OutputError, match="something else than trials"):
        check_journal(str(path))
