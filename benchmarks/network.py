"""Several hosts on one machine: network namespaces, each on a line of its own to a switch.

    switch (a namespace with a bridge, 10.77.0.1) --- line --- host 0 (10.77.0.2)
                                                  --- line --- host 1 (10.77.0.3) ...

A line is a pair of virtual interfaces. Its rate is kept by `tc tbf` at both ends. Delay and loss
are `tc netem`'s where the kernel has it; where it has not, the line is two TAP devices, and a
process that hands frames on (`benchmarks/line.py`) delays and drops them: that is slower than a
real network, and its times are not comparable with those of other lines. Needs root.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

__all__ = ["Network"]

_SUBNET = "10.77.0"


class Network:
    """A switch and hosts, there while the ``with`` block lasts.

    Args:
        n_hosts: how many.
        rate: bits a second and direction of every line, as tc writes it (``1gbit``); None: as fast
            as the kernel copies.
        delay: milliseconds one way.
        loss: share of the frames that are lost.
    """

    def __init__(
        self, n_hosts: int, rate: str | None = None, delay: float = 0.0, loss: float = 0.0
    ) -> None:
        self._name = f"embed{os.getpid()}"
        self.n_hosts = n_hosts
        self._rate, self._delay, self._loss = rate, delay, loss
        self._children: list[subprocess.Popen[str]] = []
        self.by_relay = False

    def __enter__(self) -> Self:
        try:
            _ip("netns", "add", self.switch)
            self._in(self.switch, "ip", "link", "set", "lo", "up")
            self._in(self.switch, "ip", "link", "add", "br0", "type", "bridge")
            self._in(self.switch, "ip", "addr", "add", f"{_SUBNET}.1/24", "dev", "br0")
            self._in(self.switch, "ip", "link", "set", "br0", "up")
            for host in range(self.n_hosts):
                self._add(host)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def switch(self) -> str:
        """The namespace of the switch."""
        return f"{self._name}-switch"

    @property
    def switch_address(self) -> str:
        """The address of what runs at the switch."""
        return f"{_SUBNET}.1"

    def host(self, number: int) -> str:
        """The namespace of a host."""
        return f"{self._name}-{number}"

    def address(self, number: int) -> str:
        """The address of a host."""
        return f"{_SUBNET}.{number + 2}"

    def start(
        self, namespace: str, command: Sequence[str | Path], **more: Any
    ) -> subprocess.Popen[str]:
        """Start a process in a namespace; it is ended with the network."""
        argv = ["ip", "netns", "exec", namespace, *map(str, command)]
        child = subprocess.Popen(argv, text=True, **more)
        self._children.append(child)
        return child

    def kill(self, namespace: str) -> None:
        """SIGKILL to everything that runs in a namespace."""
        for pid in _ip("netns", "pids", namespace).split():
            os.kill(int(pid), signal.SIGKILL)

    def transferred(self, number: int) -> int:
        """Bytes that have gone over a host's line, both ways."""
        path = f"/sys/class/net/{self._device}/statistics"
        done = self._in(self.host(number), "cat", f"{path}/tx_bytes", f"{path}/rx_bytes")
        return sum(map(int, done.split()))

    def close(self) -> None:
        """End all processes and remove everything."""
        for child in self._children:
            child.terminate()
        for child in self._children:
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        for name in [self.switch, *map(self.host, range(self.n_hosts))]:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)

    _device = "line"

    def _add(self, number: int) -> None:
        host, far = self.host(number), f"port{number}"
        _ip("netns", "add", host)
        self._in(host, "ip", "link", "set", "lo", "up")
        if (self._delay or self._loss) and not _has_netem(self.switch):
            self.by_relay = True
            self._relay(host, far)
        else:
            self._in(
                self.switch,
                *("ip", "link", "add", far, "type", "veth", "peer", "name", self._device),
            )
            self._in(self.switch, "ip", "link", "set", self._device, "netns", host)
        self._in(self.switch, "ip", "link", "set", far, "master", "br0", "up")
        self._in(host, "ip", "addr", "add", f"{self.address(number)}/24", "dev", self._device)
        self._in(host, "ip", "link", "set", self._device, "up")
        for namespace, device in ((self.switch, far), (host, self._device)):
            self._shape(namespace, device)

    def _shape(self, namespace: str, device: str) -> None:
        add = ("tc", "qdisc", "add", "dev", device, "root")
        if self._rate:
            self._in(namespace, *add, "tbf", "rate", self._rate, "burst", "1mb", "latency", "50ms")
        elif (self._delay or self._loss) and not self.by_relay:
            delay, loss = f"{self._delay}ms", f"{100 * self._loss}%"
            self._in(namespace, *add, "netem", "delay", delay, "loss", loss)

    def _relay(self, host: str, far: str) -> None:
        options = ["--delay", str(self._delay), "--loss", str(self._loss)]
        command = [sys.executable, "-m", "benchmarks.line", far, self._device, *options]
        child = self.start(self.switch, command, stdout=subprocess.PIPE)
        if child.stdout is None or child.stdout.readline() != "ready\n":
            raise OSError("the relay did not start")
        self._in(self.switch, "ip", "link", "set", self._device, "netns", host)

    def _in(self, namespace: str, *command: str) -> str:
        return _ip("netns", "exec", namespace, *command)


def _has_netem(namespace: str) -> bool:
    add = ["ip", "netns", "exec", namespace, "tc", "qdisc", "add", "dev", "lo", "root", "netem"]
    done = subprocess.run([*add, "delay", "1ms"], capture_output=True, check=False)
    return done.returncode == 0


def _ip(*arguments: str) -> str:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


_ECHO = """
import socket, sys
with socket.create_server((sys.argv[1], 9000)) as server:
    print("ready", flush=True)
    connection, _ = server.accept()
    while data := connection.recv(1 << 20):
        connection.sendall(data[-1:])
"""
_ASK = """
import socket, sys, time
with socket.create_connection((sys.argv[1], 9000)) as connection:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    began = time.perf_counter()
    for _ in range(20):
        connection.sendall(b"x")
        connection.recv(1)
    trip = (time.perf_counter() - began) / 20
    block, n = bytes(1 << 20), 16
    began = time.perf_counter()
    for _ in range(n):
        connection.sendall(block)
    connection.shutdown(socket.SHUT_WR)
    while connection.recv(1 << 16):
        pass
    rate = n * len(block) / (time.perf_counter() - began)
    print(f"{1e3 * trip:.2f} ms there and back, {rate / 1e6:.1f} MB/s")
"""


def probe(**line: Any) -> str:
    """What a line is like: the time there and back, and how fast 16 MB go over it."""
    with Network(2, **line) as network:
        run = [sys.executable, "-c"]
        echo = network.start(
            network.host(1), [*run, _ECHO, network.address(1)], stdout=subprocess.PIPE
        )
        if echo.stdout is not None:
            echo.stdout.readline()
        ask = network.start(
            network.host(0), [*run, _ASK, network.address(1)], stdout=subprocess.PIPE
        )
        how = "relay" if network.by_relay else "veth"
        return f"{how}: {ask.communicate(timeout=60)[0].strip()}"


if __name__ == "__main__":
    for options in ({}, {"rate": "1gbit"}, {"rate": "100mbit"}, {"delay": 5.0, "loss": 0.001}):
        print(options, probe(**options))
