"""Where compiled kernels are kept."""

import os
import stat
import subprocess
import sys
import threading
import time

import pytest

from embedcli.kernels import jit, kept


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    monkeypatch.setenv("EMBED_CACHE_DIR", str(tmp_path))
    kept.cache_directory.cache_clear()
    yield tmp_path
    kept.cache_directory.cache_clear()


def test_the_directory_is_ours_alone(fresh):
    path = kept.cache_directory()
    assert fresh / "kernels" == path.parent
    assert 0o700 == stat.S_IMODE(path.stat().st_mode)
    assert kept.is_first_run()
    assert 0 == call(fresh).returncode
    assert not kept.is_first_run()


def test_another_source_is_another_directory(fresh, monkeypatch):
    before = kept.cache_directory()
    kept.cache_directory.cache_clear()
    monkeypatch.setattr(kept, "version", lambda package: "0.0")
    assert before != kept.cache_directory()


def test_a_directory_others_may_write_is_not_used(fresh):
    path = kept.cache_directory()
    path.chmod(0o777)
    kept.cache_directory.cache_clear()
    with pytest.warns(UserWarning, match="not kept.*EMBED_CACHE_DIR"):
        other = kept.cache_directory()
    assert path != other


def test_a_place_that_cannot_be_written_is_no_failure(fresh, monkeypatch):
    blocked = fresh / "file"
    blocked.write_text("")
    monkeypatch.setenv("EMBED_CACHE_DIR", str(blocked))
    with pytest.warns(UserWarning, match="not kept"):
        other = kept.cache_directory()
    assert other.is_dir()
    assert not kept.is_first_run()  # of others nobody knows


@pytest.mark.parametrize("lanes", ["5", "x"])
def test_lanes_that_do_not_exist_are_refused(lanes):
    environment = os.environ | {"EMBED_LANES": lanes}
    code = "from embedcli.kernels.simd import host_lanes; host_lanes()"
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
    assert {str(kept.cache_directory())} == {os.path.dirname(path) for path in made}  # noqa: PTH120
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
