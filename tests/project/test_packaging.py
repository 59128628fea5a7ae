"""What is installed is what is needed; that the wheel itself works, `.ci/run` checks."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]

# Where the name to import is not the name to install.
INSTALLED_AS = {
    "yaml": "pyyaml",
    "backports": "backports.zstd",
    "charset_normalizer": "charset-normalizer",
    "sklearn": "scikit-learn",
    "umap": "umap-learn",
    "faiss": "faiss-cpu",
}
COMES_WITH = {"llvmlite": "numba"}
NEVER_REQUIRED = {"compression"}  # the standard library's zstd, from Python 3.14


def names(requirements):
    return {re.split(r"[\s<>=;\[]", requirement)[0] for requirement in requirements}


def imported():
    """Every top-level module that the package imports anywhere."""
    for path in sorted((ROOT / "embedcli").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from (alias.name.split(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield str(node.module).split(".")[0]


def test_every_library_imported_is_declared():
    others = set(imported()) - set(sys.stdlib_module_names) - {"embedcli"} - NEVER_REQUIRED
    needed = {COMES_WITH.get(name, INSTALLED_AS.get(name, name)) for name in others}
    extras = PROJECT["optional-dependencies"]
    optional = [r for name in extras.keys() - {"dev", "bench"} for r in extras[name]]
    declared = names(PROJECT["dependencies"]) | names(optional)

    assert set() == needed - declared


def test_every_library_declared_is_imported():
    used = {INSTALLED_AS.get(name, name) for name in imported()}

    assert set() == names(PROJECT["dependencies"]) - used


def test_every_version_has_a_lower_bound():
    extras = [r for extra in PROJECT["optional-dependencies"].values() for r in extra]
    requirements = [r for r in [*PROJECT["dependencies"], *extras] if not r.startswith("embedcli")]

    assert [] == [r for r in requirements if ">=" not in r]


def test_the_command_is_an_entry_point():
    from embedcli.cli import main

    assert {"embed": "embedcli.__main__:run"} == PROJECT["scripts"]
    assert callable(main.main)


def test_the_package_is_typed_and_licensed():
    assert (ROOT / "embedcli" / "py.typed").exists()
    assert "MIT" == PROJECT["license"]
    assert (ROOT / "LICENSE").read_text().startswith("MIT License")


@pytest.mark.parametrize("name", PYPROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["include"])
def test_the_source_distribution_names_what_exists(name):
    assert (ROOT / name).exists()


def test_the_check_of_a_change_is_executable():
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111
