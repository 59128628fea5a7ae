"""Where compiled kernels are kept."""

import os
import stat
import subprocess
import sys

import pytest

from embedcli.kernels import jit


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    monkeypatch.setenv("EMBED_CACHE_DIR", str(tmp_path))
    jit.cache_directory.cache_clear()
    yield tmp_path
    jit.cache_directory.cache_clear()


def test_the_directory_is_ours_alone(fresh):
    path = jit.cache_directory()
    assert fresh / "kernels" == path.parent
    assert 0o700 == stat.S_IMODE(path.stat().st_mode)


def test_another_source_is_another_directory(fresh, monkeypatch):
    before = jit.cache_directory()
    jit.cache_directory.cache_clear()
    monkeypatch.setattr(jit.numba, "__version__", "0.0")
    assert before != jit.cache_directory()


def test_a_directory_others_may_write_is_not_used(fresh):
    path = jit.cache_directory()
    path.chmod(0o777)
    jit.cache_directory.cache_clear()
    with pytest.warns(UserWarning, match="not kept.*EMBED_CACHE_DIR"):
        other = jit.cache_directory()
    assert path != other


def test_a_place_that_cannot_be_written_is_no_failure(fresh, monkeypatch):
    blocked = fresh / "file"
    blocked.write_text("")
    monkeypatch.setenv("EMBED_CACHE_DIR", str(blocked))
    with pytest.warns(UserWarning, match="not kept"):
        other = jit.cache_directory()
    assert other.is_dir()


@pytest.mark.parametrize("lanes", ["5", "x"])
def test_lanes_that_do_not_exist_are_refused(lanes):
    environment = os.environ | {"EMBED_LANES": lanes}
    code = "from embedcli.kernels.simd import host_lanes; host_lanes()"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert "expected 4, 8 or 16" in done.stderr
