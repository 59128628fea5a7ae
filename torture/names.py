"""Names of files and words that no terminal, JSON or file system takes lightly."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from random import Random

from torture.children import Ended
from torture.manners import harm
from torture.subject import Subject
from torture.trials import Outcome

__all__ = ["trials"]

_NAMES = (
    b"caf\xe9", b"\xff\xfe", b"a\x1b[31mred", b"a\x1b]0;title\x07", b"two\nlines", b"a\ttab",
    b"back\x08space", b"\xc2\x9b31m", "\u202egnp.exe".encode(), "\u06a9\u062a\u200c\u0647".encode(),
    "\U0001f468\u200d\U0001f469".encode(), b"-dash", b" ", b"x" * 240, b"x" * 252, b"%s{0}$(id)",
)  # fmt: skip
_QUICK = ("--dim", "16", "--min-count", "1", "--epochs", "1", "--threads", "1", "--sample", "0")


def trials(subject: Subject, n: int, rng: Random) -> Iterator[Outcome]:
    """Each name as that of a text, of an output, of every other file, and as a word."""
    cases = [(name, role) for name in _NAMES for role in _ROLES]
    rng.shuffle(cases)
    for number in range(n):
        name, role = cases[number % len(cases)]
        with subject.place() as place:
            wrong = _tried(subject, place.folder, os.fsdecode(name), role)
            yield Outcome(f"{name!r} as {role}", "; ".join(filter(None, wrong)))


def _tried(subject: Subject, folder: Path, name: str, role: str) -> list[str]:
    commands = [[part.replace("NAME", name) for part in command] for command in _ROLES[role]]
    if role == "a text":
        _rename(folder / "text", name)
    elif role == "a model":
        _rename(folder / "m.safetensors", f"{name}.safetensors")
    elif role == "a word":
        line = os.fsencode(name).replace(b"\n", b" ") + b" a b c w1\n"
        (folder / "text").write_bytes(line * 100)
    wrong = []
    for command in commands:
        ended = subject.fork(command, folder).end()
        wrong += [harm(ended), _garbled(ended, "--json" in command)]
        if ended.code == 0 and "-o" in command:
            target = folder / command[command.index("-o") + 1]
            wrong += [] if target.exists() else [f"exit code 0, and no {target.name!r}"]
    return wrong


def _rename(path: Path, name: str) -> None:
    try:
        path.rename(path.with_name(name))
    except OSError:
        return  # too long for this file system: the commands say that there is no such file


def _garbled(ended: Ended, is_json: bool) -> str:
    try:
        if is_json and ended.code == 0:
            json.loads(ended.printed.decode())
    except ValueError as error:
        return f"stdout is not valid: {error}: {ended.printed[:200]!r}"
    return ""


_ROLES: dict[str, list[list[str]]] = {
    "a text": [
        ["train", "--json", "-o", "one.safetensors", *_QUICK, "--", "NAME"],
        ["info", "--json", "one.safetensors"],
        ["vocab", "-o", "one.txt", "--", "NAME"],
    ],
    "a model": [
        ["info", "--json", "--", "NAME.safetensors"],
        ["verify", "--", "NAME.safetensors"],
        ["neighbors", "w1", "-m", "NAME.safetensors"],
        ["neighbors", "w1", "--json", "-m", "NAME.safetensors"],
        ["export", "--", "NAME.safetensors", "one.vec"],
    ],
    "an output": [
        ["train", "text", "-o", "NAME.safetensors", "--metrics", "NAME.jsonl", *_QUICK],
        ["train", "text", "-o", "NAME.vec", "--valid", "NAME.none", *_QUICK],
        ["vocab", "text", "-o", "NAME.txt"],
    ],
    "a setting": [
        ["train", "text", "-o", "one.vec", "--config", "NAME.yaml", *_QUICK],
        ["train", "text", "-o", "one.vec", "--arch", "NAME", *_QUICK],
        ["train", "text", "-o", "one.vec", "--vocab", "NAME", *_QUICK],
        ["NAME"],
        ["evaluate", "NAME", "-m", "m.safetensors"],
    ],
    "a word": [
        ["train", "text", "-o", "one.safetensors", *_QUICK],
        ["neighbors", "w1", "-m", "one.safetensors"],
        ["neighbors", "w1", "--json", "-m", "one.safetensors"],
        ["vectors", "w1", "-m", "one.safetensors"],
        ["neighbors", "NAMEx", "-m", "one.safetensors"],
        ["analogy", "w1", "a", "NAMEx", "-m", "one.safetensors"],
        ["info", "one.safetensors"],
    ],
}
