"""A line with delay and loss between two TAP devices, for kernels without `tc netem`.

    python -m benchmarks.line DEVICE DEVICE --delay MS --loss SHARE

Makes both devices where it is started, prints ``ready``, and hands every frame that one sends to
the other, later, or not at all.
"""

from __future__ import annotations

import argparse
import collections
import fcntl
import os
import random
import select
import struct
import time

_TUNSETIFF, _TAP, _NO_INFO = 0x400454CA, 0x0002, 0x1000
_LARGEST = 1 << 16


def open_tap(name: str) -> int:
    """A new TAP device, as a file descriptor that reads and writes frames."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH", name.encode(), _TAP | _NO_INFO))
    return descriptor


def main() -> None:
    """Hand frames on until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("devices", nargs=2)
    parser.add_argument("--delay", type=float, default=0.0)
    parser.add_argument("--loss", type=float, default=0.0)
    options = parser.parse_args()
    ends = [open_tap(name) for name in options.devices]
    other = dict(zip(ends, reversed(ends), strict=True))
    draw = random.Random(1)
    print("ready", flush=True)
    waiting: collections.deque[tuple[float, int, bytes]] = collections.deque()
    while True:
        timeout = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        for end in select.select(ends, [], [], timeout)[0]:
            while (frame := _read(end)) is not None:
                if draw.random() >= options.loss:
                    waiting.append((time.monotonic() + options.delay / 1000, other[end], frame))
        while waiting and waiting[0][0] <= time.monotonic():
            _, end, frame = waiting.popleft()
            try:
                os.write(end, frame)
            except OSError:  # the other device is not up yet, or its queue is full: frames get lost
                continue


def _read(end: int) -> bytes | None:
    try:
        return os.read(end, _LARGEST)
    except OSError:
        return None


if __name__ == "__main__":
    main()
