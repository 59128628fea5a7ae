"""Where compiled kernels are kept."""

import os
import stat
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from embedcli.kernels import cache, jit
from embedcli.kernels.loop import LISTED, train_words


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    monkeypatch.setenv("EMBED_CACHE_DIR", str(tmp_path))
    cache.cache_directory.cache_clear()
    yield tmp_path
    cache.cache_directory.cache_clear()


def test_the_directory_is_ours_alone(fresh):
    path = cache.cache_directory()
    assert fresh / "kernels" == path.parent
    assert 0o700 == stat.S_IMODE(path.stat().st_mode)
    assert cache.is_first_run()
    assert 0 == call(fresh).returncode
    assert not cache.is_first_run()


def test_another_source_is_another_directory(fresh, monkeypatch):
    before = cache.cache_directory()
    cache.cache_directory.cache_clear()
    monkeypatch.setattr(cache, "version", lambda package: "0.0")
    assert before != cache.cache_directory()


def test_a_directory_others_may_write_is_not_used(fresh):
    path = cache.cache_directory()
    path.chmod(0o777)
    cache.cache_directory.cache_clear()
    with pytest.warns(UserWarning, match="not kept.*EMBED_CACHE_DIR"):
        other = cache.cache_directory()
    assert path != other


def a_link(fresh):
    (fresh / "other").mkdir()
    (fresh / "cache").symlink_to(fresh / "other")
    return "cache is a link"


def a_link_inside(fresh):
    (fresh / "cache").mkdir()
    (fresh / "other").mkdir()
    (fresh / "cache" / "kernels").symlink_to(fresh / "other")
    return "kernels is a link"


def open_above(fresh):
    fresh.chmod(0o777)
    return f"other users may write in {fresh}"


def open_to_a_group_above(fresh):
    fresh.chmod(0o770)
    os.chown(fresh, -1, max([*os.getgroups(), os.getgid()]) + 4321)
    return f"other users may write in {fresh}"


def open_behind_a_link(fresh):
    (fresh / "open").mkdir()
    (fresh / "open").chmod(0o777)
    (fresh / "open" / "in").mkdir()
    (fresh / "link").symlink_to("open/in")
    return "other users may write in .*open;"


def anothers_above(fresh):
    os.chown(fresh, 4321, -1)
    return f"{fresh} belongs to another user"


def anothers_link(fresh):
    (fresh / "mine").mkdir()
    (fresh / "link").symlink_to(fresh / "mine")
    os.chown(fresh / "link", 4321, -1, follow_symlinks=False)
    return "link belongs to another user"


@pytest.mark.parametrize(
    "make",
    [a_link, a_link_inside, open_above, open_to_a_group_above, open_behind_a_link,
     anothers_above, anothers_link],
)  # fmt: skip
def test_where_another_may_put_code_none_is_kept(fresh, monkeypatch, make):
    try:
        message = make(fresh)
    except PermissionError:
        pytest.skip("only root may give files away")
    place = fresh / "link" / "cache" if (fresh / "link").is_symlink() else fresh / "cache"
    monkeypatch.setenv("EMBED_CACHE_DIR", str(place))
    with pytest.warns(UserWarning, match=f"not kept: .*{message}"):
        other = cache.cache_directory()
    assert not other.is_relative_to(fresh)
    assert [] == list(fresh.rglob("*.nb?"))


def test_links_of_ours_above_the_cache_are_followed(fresh, monkeypatch):
    (fresh / "a" / "b").mkdir(parents=True)
    (fresh / "a" / "b" / "first").symlink_to("../second")
    (fresh / "a" / "second").symlink_to(fresh / "there")
    (fresh / "there").mkdir()
    fresh.chmod(0o1777)  # in /tmp everybody has his own
    monkeypatch.setenv("EMBED_CACHE_DIR", str(fresh / "a" / "b" / "first" / "cache"))
    before = os.umask(0)
    try:
        path = cache.cache_directory()
    finally:
        os.umask(before)
    assert fresh / "there" / "cache" / "kernels" == path.parent.resolve()
    assert [0o700] * 3 == [stat.S_IMODE(p.stat().st_mode) for p in (path, *list(path.parents)[:2])]
    (fresh / "loop").symlink_to("loop")
    cache.cache_directory.cache_clear()
    monkeypatch.setenv("EMBED_CACHE_DIR", str(fresh / "loop" / "cache"))
    with pytest.warns(UserWarning, match="not kept"):
        cache.cache_directory()


@pytest.mark.parametrize("member", ["", "mallory"])
def test_the_group_of_one_user_is_no_other_user(monkeypatch, member):
    user = SimpleNamespace(pw_gid=1000, pw_name="ann")
    group = SimpleNamespace(gr_gid=1000, gr_name="ann", gr_mem=[member] if member else ["root"])
    monkeypatch.setattr(cache.pwd, "getpwuid", lambda uid: user)
    monkeypatch.setattr(cache.grp, "getgrgid", lambda gid: group)
    assert (member == "") is cache._is_private(1000)
    group.gr_name = "staff"
    assert not cache._is_private(1000)


def test_what_killed_processes_left_of_them_is_removed(fresh, monkeypatch):
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        dead.wait()
    monkeypatch.setattr("tempfile.tempdir", str(fresh))
    for process in (dead.pid, os.getpid()):
        old = fresh / f"embed-kernels-{process}-abc"
        old.mkdir()
        os.utime(old, (0, 0))
    (fresh / f"embed-kernels-{dead.pid}-young").mkdir()
    monkeypatch.setenv("EMBED_CACHE_DIR", "/dev/null")
    with pytest.warns(UserWarning, match="not kept"):
        made = cache.cache_directory()
    assert made.parent == fresh
    left = {path.name for path in fresh.iterdir()} - {made.name}
    assert {f"embed-kernels-{os.getpid()}-abc", f"embed-kernels-{dead.pid}-young"} == left


def test_a_place_that_cannot_be_written_is_no_failure(fresh, monkeypatch):
    blocked = fresh / "file"
    blocked.write_text("")
    monkeypatch.setenv("EMBED_CACHE_DIR", str(blocked))
    with pytest.warns(UserWarning, match="not kept"):
        other = cache.cache_directory()
    assert other.is_dir()
    assert not cache.is_first_run()  # of others nobody knows


@pytest.mark.parametrize("lanes", ["5", "x"])
def test_lanes_that_do_not_exist_are_refused(lanes):
    environment = os.environ | {"EMBED_LANES": lanes}
    code = "from embedcli.kernels.intrinsics.lanes import host_lanes; host_lanes()"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert "expected 4, 8 or 16" in done.stderr


CALL = """
import sys, warnings
from embedcli.kernels.tokenize import remap
import numpy as np
warnings.simplefilter("error" if sys.argv[1:] else "default")
out, ends = np.empty(4, np.int32), np.empty(4, np.int64)
print(remap(np.array([0, 1, 0], np.int32), np.array([5, 6], np.int32), out, ends)[0], out[:3])
"""


def call(folder, *args):
    environment = os.environ | {"EMBED_CACHE_DIR": str(folder)}
    return subprocess.run(
        [sys.executable, "-c", CALL, *args],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_damaged_files_are_compiled_anew(tmp_path):
    first = call(tmp_path)
    assert 0 == first.returncode, first.stderr
    files = sorted(path for path in tmp_path.rglob("*remap*") if path.is_file())
    assert [".nbc", ".nbi"] == [path.suffix for path in files]
    machine_code = bytearray(files[0].read_bytes())
    machine_code[len(machine_code) // 2] ^= 4
    index = files[1].read_bytes()
    for path, damaged in ((files[0], bytes(machine_code)), (files[1], index[:-1]), (files[1], b"")):
        path.write_bytes(damaged)
        done = call(tmp_path)
        assert (0, first.stdout) == (done.returncode, done.stdout), done.stderr
        assert "is damaged or not ours" in done.stderr
    again = call(tmp_path, "strictly")
    assert (0, first.stdout, "") == (again.returncode, again.stdout, again.stderr)


def test_files_of_others_are_not_unpickled(tmp_path):
    first = call(tmp_path)
    for path in sorted(path for path in tmp_path.rglob("*remap*") if path.is_file()):
        whole = path.read_bytes()
        path.rename(tmp_path / "elsewhere")
        path.symlink_to(tmp_path / "elsewhere")
        done = call(tmp_path)
        assert (0, first.stdout) == (done.returncode, done.stdout), done.stderr
        assert f"{path} cannot be read and is compiled anew" in done.stderr
        assert not path.is_symlink()
        path.write_bytes(whole)
        try:
            os.chown(path, 4321, -1)
        except PermissionError:  # only root may give files away
            continue
        done = call(tmp_path)
        assert (0, first.stdout) == (done.returncode, done.stdout), done.stderr
        assert f"{path} is damaged or not ours" in done.stderr


def test_kernels_made_by_several_threads_are_all_kept_in_their_place(fresh, monkeypatch):
    made = []
    original = jit._SealedCache.__init__

    def slowly(cache, function):
        time.sleep(1e-3)
        original(cache, function)
        made.append(cache.cache_path)

    monkeypatch.setattr(jit._SealedCache, "__init__", slowly)
    threads = [threading.Thread(target=jit.kernel, args=(call,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 8 == len(made)
    assert {str(cache.cache_directory())} == {os.path.dirname(path) for path in made}  # noqa: PTH120
    assert "" == jit.numba.config.CACHE_DIR


def test_a_cache_that_cannot_be_written_is_no_failure(fresh, monkeypatch):
    @jit.kernel
    def one_more(x):
        return x + 1

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(jit.FunctionCache, "save_overload", full)
    with pytest.warns(UserWarning, match="not kept: .*No space left"):
        assert 3 == one_more(2)


MADE = """
import sys
import numpy as np
from embedcli.kernels.jit import address_of, called_kernel, types_of

def make(number):
    @called_kernel
    def put(out):
        out[0] = number
    return put

kernels = {n: make(int(n)) for n in sys.argv[1:]}
print(*(address_of(kernels[n], types_of((np.zeros(1),))) for n in sys.argv[1:]))
"""


def test_functions_compiled_in_different_processes_stay_two(command_environment, tmp_path):
    """What each process compiles first has one number, and once had one name in a third process."""
    (tmp_path / "made.py").write_text(MADE)
    environment = command_environment | {"EMBED_CACHE_DIR": str(tmp_path / "cache")}

    def addresses(*numbers):
        done = subprocess.run(
            [sys.executable, tmp_path / "made.py", *numbers],
            env=environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return done.stdout.split()

    for number in ("1", "2"):
        assert 1 == len(addresses(number))
    first, second, again = addresses("1", "2", "1")
    assert (first, True) == (again, first != second)


def test_the_name_of_a_kernel_is_the_same_in_every_process():
    made = train_words(16, 2, is_cbow=True, kind_of_outputs=LISTED, sizes=(0, 0))
    assert " at 0x" not in repr(jit._name(made.py_func))
    other = train_words(16, 4, is_cbow=True, kind_of_outputs=LISTED, sizes=(0, 0))
    assert made.py_func.__qualname__ != other.py_func.__qualname__
