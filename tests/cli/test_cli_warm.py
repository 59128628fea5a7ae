"""`embed warm`: what it leaves is what `embed train` would compile, and is said."""

import json

import pytest

from embedcli.kernels import cache, jit

TEXT = "the cat sat on the mat and the dog on the log\n" * 50


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    monkeypatch.setenv("EMBED_CACHE_DIR", str(tmp_path / "cache"))
    yield tmp_path
    cache.cache_directory.cache_clear()


def kernels(folder):
    return sorted(path.name for path in folder.rglob("*.nbc"))


def test_what_was_warmed_is_not_compiled_again(run_embed, fresh):
    (fresh / "text.txt").write_text(TEXT)
    flags = ("--arch", "cbow", "--negative", "1", "--dim", "8")
    environment = {"EMBED_CACHE_DIR": str(fresh / "cache")}
    said = json.loads(run_embed("warm", *flags, "--json", env=environment).stdout)
    left = kernels(fresh / "cache")
    assert {"directory", "files", "bytes"} == set(said)
    assert (len(left), True) == (said["files"], said["bytes"] > 100_000)
    settings = (*flags, "--dim", "50", "--sample", "0", "-o", fresh / "m.vec")
    assert 0 == run_embed("train", fresh / "text.txt", *settings, env=environment).returncode
    assert left == kernels(fresh / "cache")


def test_where_nothing_can_be_kept_it_ends_with_5(run_embed, tmp_path):
    (tmp_path / "file").write_text("")
    environment = {"EMBED_CACHE_DIR": str(tmp_path / "file" / "cache")}
    done = run_embed("warm", "--dim", "8", env=environment)
    assert 5 == done.returncode
    assert "compiled kernels cannot be kept: EMBED_CACHE_DIR must name a directory" in done.stderr


def test_a_kernel_that_is_not_kept_counts_as_compiled(fresh, monkeypatch):
    cache.cache_directory.cache_clear()
    monkeypatch.setattr(jit, "_has_compiled", jit.threading.Event())

    @jit.kernel
    def double(x):
        return 2 * x

    assert not jit.has_compiled()
    assert 6 == double(3)
    assert jit.has_compiled()
