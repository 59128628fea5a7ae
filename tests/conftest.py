"""What many tests need: the corpora and evaluation sets, and the real command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from tests.command import run_here

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared"

# What is ignored is inherited: behind `&` or under nohup, children of pytest would not be stopped.
signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

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
def run_process(
    command_environment: dict[str, str], tmp_path: Path
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the real `embed` in a process of its own, in `tmp_path`.

    `run_process("info", "x.vec")` returns the finished process with `returncode`, `stdout`,
    `stderr`; `env={...}` adds variables, other keywords go to `subprocess.run`.
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


@pytest.fixture
def run_embed(
    run_process: Callable[..., subprocess.CompletedProcess[str]],
    command_environment: dict[str, str],
    tmp_path: Path,
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the real `embed` as `run_process` does, but in this process, which is quicker.

    `input` and `cwd` are the only keywords it has; what other keywords ask for takes a process.
    """

    def run(*args: str | Path, **more: Any) -> subprocess.CompletedProcess[str]:
        if more.keys() - {"input", "cwd"}:
            return run_process(*args, **more)
        directory = more.get("cwd", tmp_path)
        return run_here([*map(str, args)], directory, command_environment, more.get("input"))

    return run


@pytest.fixture
def in_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a run ask once before each chunk whether to stop: no clock decides where it does.

    It asks for the first time when every thread has a chunk, so each of them may leave one.
    """
    from embedcli.training import run as run_module
    from embedcli.training import workers

    monkeypatch.setattr(workers, "WAKE_SECONDS", 1e-4)
    original = workers.run_workers

    def run_in_step(
        jobs: Sequence[workers.Job],
        first: int,
        n_items: int,
        on_wake: Callable[[int], bool],
        stop: threading.Event | None = None,
    ) -> int:
        stop = stop or threading.Event()
        waiting: list[threading.Event] = []
        n_awaited = min(len(jobs), n_items - first)

        def in_turn(job: workers.Job) -> workers.Job:
            def wait_and_work(item: int) -> None:
                waiting.append(asked := threading.Event())
                while not (asked.wait(0.01) or stop.is_set()):
                    pass
                job(item)

            return wait_and_work

        def ask(n_begun: int) -> bool:
            nonlocal n_awaited
            if len(waiting) < n_awaited:
                return False
            n_awaited = 1
            if on_wake(n_begun):
                stop.set()
            while waiting:
                waiting.pop().set()
            return stop.is_set()

        return original([in_turn(job) for job in jobs], first, n_items, ask, stop)

    monkeypatch.setattr(run_module, "run_workers", run_in_step)
