"""On what, with what and when figures were measured: no figure is worth keeping without."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.processes import run

__all__ = ["describe", "now", "versions"]

PACKAGES = ("embedcli", "numpy", "numba", "llvmlite", "gensim", "scipy", "fasttext")
_LANES = "from embedcli.kernels.intrinsics.lanes import host_lanes; print(host_lanes())"


def now() -> str:
    """The time in UTC, to the minute."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")


def versions(*packages: str) -> dict[str, str]:
    """Versions of Python and of those of `packages` that are installed."""
    found = {"python": platform.python_version()}
    for name in packages:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def describe(environment: dict[str, str]) -> dict[str, Any]:
    """The machine, as JSON. Lanes are float32 numbers a vector instruction of ours works on."""
    lanes = run([sys.executable, "-P", "-c", _LANES], environment).stdout
    return {
        "date": now(),
        "commit": _commit(),
        "cpu": _field("/proc/cpuinfo", "model name") or platform.machine(),
        "cores": os.cpu_count(),
        "cores_used": len(os.sched_getaffinity(0)),
        "lanes": json.loads(lanes),
        "memory": _field("/proc/meminfo", "MemTotal"),
        "system": platform.platform(),
        "load_before": os.getloadavg()[0],
        "versions": versions(*PACKAGES),
    }


def _field(path: str, name: str) -> str | None:
    for line in Path(path).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return None


def _commit() -> str | None:
    """The commit of this checkout, marked if files differ from it; None outside a checkout."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--exclude=*"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or None
