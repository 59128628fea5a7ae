"""Old or new, never half: every primitive of the publisher fails in turn, and is killed in turn."""

import errno
import io
import os
import re
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import embedcli.files.publish as publisher
from embedcli.errors import OutputError, ResourceError
from embedcli.files import targets
from embedcli.files.publish import check_writable, publish
from embedcli.files.targets import check_space, readable_size

OLD, NEW = b"the previous file", b"0123456789" * 300_000  # NEW takes several write calls
ERRNOS = [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EACCES, errno.EROFS]
PRIMITIVES = ["open", "fchmod", "write", "fsync", "pread", "replace"]


class FaultyOs:
    """The os module, except that call number `call` of `primitive` raises."""

    def __init__(self, primitive, call, error):
        self.primitive, self.call, self.error = primitive, call, error
        self.calls = 0
        self.fired = False

    def __getattr__(self, name):
        original = getattr(os, name)
        if name != self.primitive:
            return original

        def faulty(*args, **kwargs):
            self.calls += 1
            if self.calls == self.call:
                self.fired = True
                raise OSError(self.error, os.strerror(self.error))
            return original(*args, **kwargs)

        return faulty


def write_new(path, **options):
    with publish(path, **options) as sink:
        sink.write(NEW[:10])
        sink.write(memoryview(NEW)[10:])


@pytest.mark.parametrize("error", ERRNOS, ids=errno.errorcode.get)
@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_the_old_file_survives_every_failing_call(tmp_path, monkeypatch, primitive, error):
    target = tmp_path / "model.safetensors"
    for call in range(1, 100):
        target.write_bytes(OLD)
        faulty = FaultyOs(primitive, call, error)
        monkeypatch.setattr(publisher, "os", faulty)
        if primitive in ("open", "fsync") and call == 2:  # the directory's, after the rename
            with pytest.raises(OutputError, match="complete, but"):
                write_new(target)
            assert NEW == target.read_bytes()
        elif call <= count_calls(primitive):
            with pytest.raises(OutputError, match=re.escape(str(target))):
                write_new(target)
            assert OLD == target.read_bytes()
        else:
            write_new(target)
            assert not faulty.fired
            assert NEW == target.read_bytes()
            break
        assert faulty.fired
        assert [target] == list(tmp_path.iterdir())
    assert call > count_calls(primitive) > 0


def count_calls(primitive):
    counts = {"open": 2, "fchmod": 1, "write": 2, "fsync": 2, "replace": 1}
    return counts.get(primitive, -(-len(NEW) // publisher._READ_BACK) + 1)


def test_a_first_file_that_fails_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(publisher, "os", FaultyOs("fsync", 1, errno.EIO))
    with pytest.raises(OutputError, match="Input/output error"):
        write_new(tmp_path / "model.safetensors")
    assert [] == list(tmp_path.iterdir())


def test_a_failed_fsync_is_not_tried_again(tmp_path, monkeypatch):
    faulty = FaultyOs("fsync", 1, errno.EIO)
    monkeypatch.setattr(publisher, "os", faulty)
    with pytest.raises(OutputError):
        write_new(tmp_path / "x")
    assert 1 == faulty.calls


def test_synced_before_the_rename_and_the_directory_after_it(tmp_path, monkeypatch):
    """A kill cannot show this, for the page cache survives it; only a power cut would."""
    events, names = [], {}

    class Recorder:
        def __getattr__(self, name):
            original = getattr(os, name)
            if name not in ("open", "write", "fsync", "close", "replace"):
                return original

            def recorded(*args):
                result = original(*args)
                if name == "open":
                    names[result] = "directory" if Path(args[0]).is_dir() else "file"
                subject = names.get(result if name == "open" else args[0], "")
                events.append(f"{name} {subject}".strip())
                return result

            return recorded

    monkeypatch.setattr(publisher, "os", Recorder())
    write_new(tmp_path / "x")
    assert [
        "open file", "write file", "write file", "fsync file", "close file",
        "replace",
        "open directory", "fsync directory", "close directory",
    ] == events  # fmt: skip


def test_two_at_once_do_not_mix(tmp_path):
    target = tmp_path / "x"
    with publish(target) as first:
        first.write(b"first")
        with publish(target) as second:
            second.write(b"second")
        assert b"second" == target.read_bytes()
        first.write(b" and last")
    assert b"first and last" == target.read_bytes()
    assert [target] == list(tmp_path.iterdir())


def test_a_file_system_that_cannot_sync_directories_is_no_failure(tmp_path, monkeypatch):
    monkeypatch.setattr(publisher, "os", FaultyOs("fsync", 2, errno.EINVAL))
    write_new(tmp_path / "x")
    assert NEW == (tmp_path / "x").read_bytes()


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError("body"), MemoryError])
def test_what_the_body_raises_passes_and_nothing_is_published(tmp_path, error):
    target = tmp_path / "x"
    target.write_bytes(OLD)

    def fail():
        with publish(target) as sink:
            sink.write(NEW)
            raise error

    with pytest.raises(error if isinstance(error, type) else type(error)):
        fail()
    assert OLD == target.read_bytes()
    assert [target] == list(tmp_path.iterdir())


def test_short_writes_are_continued(tmp_path, monkeypatch):
    class Slow:
        def __getattr__(self, name):
            return getattr(os, name)

        def write(self, descriptor, view):
            return os.write(descriptor, view[: 1 + len(view) // 3])

    monkeypatch.setattr(publisher, "os", Slow())
    write_new(tmp_path / "x")
    assert NEW == (tmp_path / "x").read_bytes()


def test_a_write_that_takes_nothing_ends(tmp_path, monkeypatch):
    class Stuck:
        def __getattr__(self, name):
            return getattr(os, name)

        def write(self, descriptor, view):
            return 0

    monkeypatch.setattr(publisher, "os", Stuck())
    with pytest.raises(OutputError, match="took none"):
        write_new(tmp_path / "x")
    assert [] == list(tmp_path.iterdir())


def test_a_full_disk_says_how_much_is_needed(tmp_path, monkeypatch):
    monkeypatch.setattr(publisher, "os", FaultyOs("write", 1, errno.ENOSPC))
    with pytest.raises(OutputError, match=r"the disk is full; 1\.2 GB are needed, .* free"):
        write_new(tmp_path / "x", size=1_234_567_890)


KILLED = """
import os, signal, sys
import embedcli.files.publish as publisher
path, step = sys.argv[1], int(sys.argv[2])
class Deadly:
    calls = 0
    def __getattr__(self, name):
        original = getattr(os, name)
        if name not in ("open", "write", "fsync", "replace", "close"):
            return original
        def call(*args):
            Deadly.calls += 1
            if Deadly.calls == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*args)
        return call
publisher.os = Deadly()
with publisher.publish(path) as sink:
    sink.write(b"new" * 1000)
    sink.flush()
    sink.write(b"new" * 1000)
"""


def test_killed_at_every_step_the_file_is_old_or_new(tmp_path, command_environment):
    target = tmp_path / "x"
    seen = set()
    for step in range(1, 30):
        target.write_bytes(OLD)
        done = subprocess.run(
            [sys.executable, "-c", KILLED, target, str(step)], env=command_environment, check=False
        )
        assert target.read_bytes() in (OLD, b"new" * 2000)
        seen.add(target.read_bytes())
        if done.returncode == 0:
            break
        assert -9 == done.returncode
    assert 10 == step  # open, write, write, fsync, close, replace; open, fsync, close; none
    assert {OLD, b"new" * 2000} == seen


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path):
    target = tmp_path / "x.vec"
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    stale = tmp_path / f".x.vec.{dead.pid}.0123abcd.tmp"
    young = tmp_path / f".x.vec.{dead.pid}.0123abce.tmp"
    alive = tmp_path / f".x.vec.{os.getpid()}.0123abcd.tmp"
    other = tmp_path / f".y.vec.{dead.pid}.0123abcd.tmp"
    for path in (stale, young, alive, other):
        path.write_bytes(b"")
        if path != young:
            os.utime(path, (0, 0))
    write_new(target)
    assert {target, young, alive, other} == set(tmp_path.iterdir())


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "there").mkdir()
    real, link = tmp_path / "there" / "real", tmp_path / "link"
    link.symlink_to(real)  # dangling at first
    for content in (b"one", b"two"):
        with publish(link) as sink:
            sink.write(content)
        assert link.is_symlink()
        assert content == real.read_bytes()
    assert [real] == list(real.parent.iterdir())


def test_a_fifo_is_written_through(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    received = []
    reader = threading.Thread(target=lambda: received.append(fifo.read_bytes()))
    reader.start()
    write_new(fifo)
    reader.join(10)
    assert [NEW] == received
    assert stat.S_ISFIFO(fifo.stat().st_mode)


def test_dev_null_and_dev_full_stay_devices():
    write_new("/dev/null")
    with pytest.raises(OutputError, match="/dev/full: the disk is full"):
        write_new("/dev/full")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    assert stat.S_ISCHR(Path("/dev/full").stat().st_mode)


def test_permissions(tmp_path):
    old = tmp_path / "old"
    old.write_bytes(OLD)
    old.chmod(0o606)
    before = os.umask(0o027)
    try:
        write_new(tmp_path / "new")
        write_new(old)
    finally:
        os.umask(before)
    assert 0o640 == stat.S_IMODE((tmp_path / "new").stat().st_mode)
    assert 0o606 == stat.S_IMODE(old.stat().st_mode)


def test_a_read_only_file_is_not_replaced(tmp_path, monkeypatch):
    target = tmp_path / "x"
    target.write_bytes(OLD)

    class Unwritable:  # root may write everything, so the answer of the system is forged
        def __getattr__(self, name):
            return getattr(os, name)

        def access(self, path, mode):
            return False

    monkeypatch.setattr(targets, "os", Unwritable())
    for attempt in (write_new, check_writable):
        with pytest.raises(OutputError, match="read-only"):
            attempt(target)
    assert OLD == target.read_bytes()


@pytest.mark.parametrize("attempt", [write_new, check_writable])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing/x", "mkdir -p .*missing"),
        ("directory", "is a directory"),
        ("directory/", "no file name"),
        ("file/x", "Not a directory"),
        ("x" * 256, "File name too long"),
        ("x" * 250 + "/" + "x" * 5000, "File name too long"),
        ("loop", "symbolic links"),
    ],
)
def test_targets_that_cannot_be(tmp_path, attempt, name, message):
    (tmp_path / "directory").mkdir()
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "loop").symlink_to("loop")
    before = set(tmp_path.iterdir())
    with pytest.raises(OutputError, match=message):
        attempt(f"{tmp_path}/{name}")
    assert before == set(tmp_path.iterdir())


def test_the_longest_possible_name(tmp_path):
    write_new(tmp_path / ("é" * 127))
    assert ["é" * 127] == [path.name for path in tmp_path.iterdir()]


def test_check_writable_leaves_no_trace(tmp_path):
    target = tmp_path / "x"
    check_writable(target)
    assert [] == list(tmp_path.iterdir())
    target.write_bytes(OLD)
    check_writable(target)
    assert OLD == target.read_bytes()
    assert [target] == list(tmp_path.iterdir())


def test_check_space(tmp_path):
    check_space(tmp_path / "x", 1000)
    with pytest.raises(ResourceError, match=r"needs 1000\.0 TB but only .* free"):
        check_space(tmp_path / "x", 10**15)


def test_standard_output(monkeypatch):
    binary = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(binary))
    write_new("-", stdout=True)
    assert NEW == binary.getvalue()
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(OutputError, match="closed"):
        write_new("-", stdout=True)


def test_a_file_named_minus_unless_stdout_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_new("-")
    assert NEW == (tmp_path / "-").read_bytes()


def test_tell_counts_what_was_taken(tmp_path):
    with publish(tmp_path / "x") as sink:
        assert (0, 3, 3) == (sink.tell(), sink.write(b"abc"), sink.tell())


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1234, "1.2 kB"),
        (1.2e9, "1.2 GB"),
        (10**15, "1000.0 TB"),
    ],
)
def test_readable_size(n_bytes, text):
    assert text == readable_size(int(n_bytes))
