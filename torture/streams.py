"""Standard streams that are closed, full or slow, and outputs that are no plain files."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

from torture.children import spawn
from torture.subject import Subject
from torture.trials import Outcome

__all__ = ["trials"]

_QUICK = "--dim 16 --min-count 1 --epochs 1 --threads 1 --sample 0"
_TRAIN = f"$EMBED train text {_QUICK}"
_ONE = f"{_TRAIN} -o one.safetensors"

# A command, the exit code it must end with, and what bash must find to be true afterwards.
_CASES: list[tuple[str, int, str]] = [
    *((f"{_ONE} {redirected}", 0, "test -s one.safetensors") for redirected in (
        "2>&-", ">&-", "<&-", "2>/dev/full", ">/dev/full", "-v 2>/dev/full", "-v 2>&-",
        "<&- >&- 2>&-", "-v 2>&1 | sleep 0.3; exit ${PIPESTATUS[0]}", "-vv 2> >(head -c 10 >&-)",
    )),
    (f"{_ONE} --json >/dev/full", 5, "test -s one.safetensors"),
    (f"{_ONE} --json >&-", 5, "test -s one.safetensors"),
    (f"{_ONE} --json | true; exit ${{PIPESTATUS[0]}}", 0, "test -s one.safetensors"),
    (f"{_TRAIN} -o /dev/null --format word2vec", 0, "test -c /dev/null"),
    (f"{_TRAIN} -o /dev/full --format word2vec", 5, "test -c /dev/full"),
    (f"{_TRAIN} -o - --format word2vec > one.vec", 0, "$EMBED verify -q one.vec"),
    (f"{_TRAIN} -o - --format word2vec | head -1; exit ${{PIPESTATUS[0]}}", 0, "true"),
    (f"{_TRAIN} -o - --format word2vec >/dev/full", 5, "true"),
    (f"{_TRAIN} -o - --format word2vec >&-", 5, "true"),
    (f"mkfifo pipe.vec; cat pipe.vec > one.vec & {_TRAIN} -o pipe.vec; code=$?; wait; exit $code",
     0, "test -p pipe.vec && $EMBED verify -q one.vec"),
    (f"mkfifo pipe.vec; head -c 9 pipe.vec > /dev/null & {_TRAIN} -o pipe.vec", 5, "true"),
    (f"ln -s one.vec link.vec; {_TRAIN} -o link.vec", 0, "test -L link.vec -a -s one.vec"),
    (f"mkdir there; ln -s there/one.vec link.vec; {_TRAIN} -o link.vec", 0,
     "test -L link.vec -a -s there/one.vec"),
    (f"ln -s link.vec link.vec; {_TRAIN} -o link.vec", 5, "test -L link.vec"),
    (f"mkdir one.vec; {_TRAIN} -o one.vec", 5, "test -d one.vec"),
    (f"{_TRAIN} -o missing/one.vec", 5, "test ! -e missing"),
    (f"{_TRAIN} -o {'x' * 300}.vec", 5, "true"),
    (f"{_TRAIN} -o text.vec -o text --format word2vec", 2, "grep -q w1 text"),
    (f"cat text | $EMBED train - {_QUICK} -o one.vec", 0, "test -s one.vec"),
    (f"$EMBED train - {_QUICK} -o one.vec <&-", 3, "test ! -e one.vec"),
    (f"$EMBED train - {_QUICK} -o one.vec </dev/null", 3, "test ! -e one.vec"),
    (f"$EMBED train <(cat text) {_QUICK} -o one.vec", 0, "test -s one.vec"),
    *((f"$EMBED {command} {redirected}", code, "true") for command, needs in (
        ("neighbors w1 -m m.safetensors", 5), ("info m.safetensors", 5), ("vocab text", 5),
        ("verify m.safetensors", 5), ("export m.safetensors - --format word2vec", 5),
        ("vectors w1 -m m.safetensors", 5), ("odd w1 w2 w3 -m m.safetensors", 5),
    ) for redirected, code in (
        (">/dev/full", needs), (">&-", needs), ("2>&-", 0), ("| true; exit ${PIPESTATUS[0]}", 0),
    )),
]  # fmt: skip


def trials(subject: Subject, n: int, rng: Random) -> Iterator[Outcome]:
    """Each command once."""
    for command, code, afterwards in _CASES if n >= len(_CASES) else rng.sample(_CASES, n):
        with subject.place() as place:
            environment = {"EMBED": f"{sys.executable} -m embedcli"}
            ended = spawn(["bash", "-c", command], place.folder, environment=environment).end()
            wrong = [] if "Traceback" not in ended.said else [ended.said.strip()[-300:]]
            if ended.code != code:
                wrong.append(f"exit code {ended.code}, not {code}: {ended.said.strip()[-300:]}")
            check = spawn(["bash", "-c", afterwards], place.folder, environment=environment).end()
            if check.code:
                wrong.append(f"afterwards not true: {afterwards}")
            devices = "/dev/null", "/dev/full"
            lost = [device for device in devices if not Path(device).is_char_device()]
            wrong += [f"{device} is no device any more" for device in lost]
            yield Outcome(command, "; ".join(wrong))
