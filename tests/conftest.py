"""What many tests need: the corpora and evaluation sets, and the real command."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import pytest

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared"

# Numba compiles inside the first example, and the machine may be busy: no time limits.
hypothesis.settings.register_profile("embed", deadline=None, max_examples=50)
hypothesis.settings.load_profile("embed")


@pytest.fixture
def shared() -> Path:
    """The directory with corpora (`data/`) and design notes; the test is skipped without it."""
    if not SHARED.is_dir():
        pytest.skip("needs ../shared, which is not part of the project")
    return SHARED


@pytest.fixture
def root() -> Path:
    """The root of the repository."""
    return ROOT


@pytest.fixture
def command_environment() -> dict[str, str]:
    """Give this environment without EMBED_... settings, but with the package importable."""
    # `make test` hands its own variables down in MAKEFLAGS; the Makefiles under test want none.
    foreign = ("EMBED_", "_EMBED_", "MAKE", "MFLAGS")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
    if "EMBED_CACHE_DIR" in os.environ:
        environment["EMBED_CACHE_DIR"] = os.environ["EMBED_CACHE_DIR"]
    return environment | {"PYTHONPATH": str(ROOT), "NO_COLOR": "1"}


@pytest.fixture
def run_embed(
    command_environment: dict[str, str], tmp_path: Path
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the real `embed` in a process of its own, in `tmp_path`.

    `run_embed("info", "x.vec")` returns the finished process with `returncode`, `stdout`, `stderr`;
    `env={...}` adds variables, other keywords go to `subprocess.run`.
    """

    def run(*args: str | Path, **more: Any) -> subprocess.CompletedProcess[str]:
        more.setdefault("cwd", tmp_path)
        more.setdefault("timeout", 120)
        if "input" not in more:
            more.setdefault("stdin", subprocess.DEVNULL)
        environment = command_environment | more.pop("env", {})
        for stream in ("stdout", "stderr"):
            more.setdefault(stream, subprocess.PIPE)
        return subprocess.run(
            [sys.executable, "-m", "embedcli", *map(str, args)],
            env=environment,
            encoding="utf-8",
            check=False,
            **more,
        )

    return run
