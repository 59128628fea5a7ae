"""How much memory there is for this process."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["memory_size"]

_CGROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


def memory_size() -> int:
    """Bytes of memory in this machine, or in the container that this process is confined to."""
    size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for path in _CGROUP_LIMITS:
        limit = path.read_text().strip() if path.exists() else "max"
        if limit.isdigit():
            size = min(size, int(limit))
    return size
