"""What `import embedcli` offers: these names, nothing more, and at no cost."""

from __future__ import annotations

import doctest
import subprocess
import sys
import tomllib

import pytest

import embedcli

NAMES = [
    "Classifier",
    "EmbedError",
    "Embeddings",
    "TrainConfig",
    "Vocabulary",
    "classify",
    "evaluate",
    "load",
    "save",
    "train",
]


def test_the_public_names_are_pinned():
    assert NAMES == embedcli.__all__
    assert [*NAMES, "__version__"] == sorted(dir(embedcli), key=lambda n: (n[0] == "_", n))


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_exists_and_is_documented(name):
    assert getattr(embedcli, name).__doc__


@pytest.mark.parametrize("name", NAMES)
def test_the_example_of_every_public_name_runs(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    globs = {"embedcli": embedcli}
    tests = doctest.DocTestFinder(recurse=False).find(getattr(embedcli, name), name, globs=globs)
    assert 1 == len(tests)
    assert tests[0].examples
    said = []
    assert 0 == doctest.DocTestRunner().run(tests[0], out=said.append).failed, "".join(said)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'embedcli' has no attribute 'glove'"):
        _ = embedcli.glove


def test_importing_costs_nothing():
    code = "import sys; before = set(sys.modules); import embedcli; print(*set(sys.modules)-before)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert set() == set(done.stdout.split()) & {"numpy", "numba", "click", "yaml"}


def test_the_version_is_said_once(root):
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]

    assert embedcli.__version__ == project["version"]
