"""The memory that this process may use."""

from __future__ import annotations

import os
import re
import resource
from collections.abc import Iterator
from pathlib import Path

__all__ = ["available_memory", "memory_size"]

CONTROL_GROUPS = Path("/sys/fs/cgroup")
PROCESSES = Path("/proc")
_NO_LIMIT = 1 << 62  # version 1 writes a number near 2^63 where there is none


def memory_size() -> int:
    """Bytes of memory in this machine, or in the container that this process is confined to."""
    size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min([size, *(limit for limit, _ in _cgroup_limits())])


def available_memory() -> int:
    """Bytes that this process may still take: of the machine, its container and its own limits."""
    rooms = [limit - used for limit, used in _cgroup_limits()]
    free = re.search(r"^MemAvailable:\s+(\d+) kB", _text(PROCESSES / "meminfo"), re.MULTILINE)
    if free:
        rooms.append(int(free[1]) * 1024)
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY:
        rooms.append(limit - _address_space())
    return max(0, min(rooms, default=memory_size()))


def _address_space() -> int:
    pages = _text(PROCESSES / "self/statm").split()
    return int(pages[0]) * os.sysconf("SC_PAGE_SIZE") if pages else 0


def _cgroup_limits() -> Iterator[tuple[int, int]]:
    """Each limit on this process's control group and those above it, and what is used of it.

    Cached files count as used there, but are given up when memory is needed.
    """
    for directory in _cgroup_directories():
        v1 = directory.is_relative_to(CONTROL_GROUPS / "memory")
        limit = _number(directory / ("memory.limit_in_bytes" if v1 else "memory.max"))
        if limit is None or limit >= _NO_LIMIT:
            continue
        used = _number(directory / ("memory.usage_in_bytes" if v1 else "memory.current")) or 0
        cached = re.search(r"^inactive_file (\d+)", _text(directory / "memory.stat"), re.MULTILINE)
        yield limit, used - (int(cached[1]) if cached else 0)


def _cgroup_directories() -> Iterator[Path]:
    """The directories of the memory controller, from this process's own up to the root."""
    yield CONTROL_GROUPS
    yield CONTROL_GROUPS / "memory"
    for line in _text(PROCESSES / "self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        root = CONTROL_GROUPS / controllers
        place = root / path.lstrip("/")
        while place != root and root in place.parents:
            yield place
            place = place.parent


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdigit() else None


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # another kernel, another container: what is not told does not limit us
        return ""
