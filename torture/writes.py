"""Every primitive that changes a file fails, at every call, with every error a disk can give."""

from __future__ import annotations

import errno
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from random import Random

from torture.children import Ended, fork
from torture.primitives import ERRNOS, Corrupt, Fail, Kill, Policy, ShortWrite, replaced
from torture.subject import OUTPUTS, Place, Subject, _main
from torture.trials import Outcome, in_child

__all__ = ["content", "cut_trials", "run_trials", "save_trials"]

_MOST_CALLS = 1000
_WRITTEN = (*OUTPUTS, "1.safetensors", "2.safetensors")


def save_trials(subject: Subject, n: int, rng: Random) -> Iterator[Outcome]:
    """Files of every format are saved over old ones, and each call of each primitive fails."""
    from embedcli.formats import WRITTEN

    cases = [
        (name, error, for_ever)
        for name in WRITTEN
        for error in ERRNOS
        for for_ever in (False, True)
    ]
    rng.shuffle(cases)
    left = n
    for name, error, for_ever in cases:
        if left <= 0:
            return
        with subject.place() as place:
            folder = place.folder / "saved"
            folder.mkdir()
            what = f"{name} {errno.errorcode[error]}"
            for outcome in in_child(folder, what, _save_failing, folder, name, error, for_ever):
                left -= 1
                yield outcome


def _save_failing(folder: Path, name: str, error: int, for_ever: bool) -> Iterator[Outcome]:
    """Save with the first call failing, then the second, until none is left to fail."""
    from embedcli.errors import EmbedError

    target = folder / "target"
    _save(target, name, seed=1)
    old = content(target)
    _save(target, name, seed=2)
    new = content(target)
    for number in range(1, _MOST_CALLS):
        for left in folder.glob(".*"):  # by the trial before, if it was the removal that failed
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        _save(target, name, seed=1)
        policy = Fail(number, error, for_ever)
        fault = f"{name}: call {number} {errno.errorcode[error]}{' for ever' * for_ever}"
        refused = wrong = ""
        try:
            with replaced(folder, policy):
                _save(target, name, seed=2)
        except EmbedError as problem:
            refused = str(problem)
        except BaseException as problem:
            wrong = f"{type(problem).__name__} instead of an error of ours: {problem}"
        if not policy.fired:
            return
        failed = policy.fired[0]
        held = content(target)
        if held not in (old, new):
            wrong = f"neither the old nor the new one after {failed.name}"
        if not refused and held != new:
            wrong = f"no error, and not the new one, after {failed.name}"
        if failed.name == "fsync" and not refused and Path(failed.path) != folder:
            wrong = "an fsync failed, and nobody was told"
        names = sorted(path.name for path in folder.iterdir())
        if names != ["target"] and not (for_ever or failed.name in ("unlink", "rmdir")):
            wrong = f"left behind: {names}"
        yield Outcome(f"{fault} ({failed.name})", wrong)


def run_trials(subject: Subject, n: int, rng: Random) -> Iterator[Outcome]:
    """A whole run with checkpoints and three outputs, one primitive failing; then it is resumed."""
    cases = [(number, error) for number in range(1, _count(subject) + 1) for error in ERRNOS]
    policies: list[tuple[str, Policy]] = [("short writes", ShortWrite())]
    policies += [(f"a bit flipped in {name}", Corrupt(name)) for name in _WRITTEN]
    for number, error in rng.sample(cases, min(len(cases), max(0, n - len(policies)))):
        for_ever = rng.random() < 0.25
        fault = f"call {number} {errno.errorcode[error]}{' for ever' * for_ever}"
        policies.append((fault, Fail(number, error, for_ever)))
    for fault, policy in policies:
        with subject.place() as place:
            yield Outcome(fault, _run_failing(place, policy))


def cut_trials(subject: Subject, n: int, rng: Random) -> Iterator[Outcome]:
    """A whole run that is killed at each call of a primitive, before or after it; then resumed."""
    cases = [(number, after) for number in range(1, _count(subject) + 1) for after in (False, True)]
    for number, after in rng.sample(cases, min(n, len(cases))):
        with subject.place() as place:
            ended = _run(place, Kill(number, after))
            wrong = [place.harm(ended if ended.code != -signal.SIGKILL else None)]
            fault = f"killed {'after' if after else 'before'} call {number}"
            yield Outcome(fault, "; ".join(filter(None, [*wrong, place.harm_at_the_end()])))


def _run(place: Place, policy: Policy) -> Ended:
    command = place.command()

    def run() -> int:
        with replaced(place.folder, policy):
            return _main(command)

    return fork(run, place.folder).end()


def _run_failing(place: Place, policy: Policy) -> str:
    ended = _run(place, policy)
    wrong = [place.harm(ended)]
    if isinstance(policy, ShortWrite) and ended.code:
        wrong.append(f"what POSIX allows ended it with {ended.code}: {ended.said.strip()[-200:]}")
    return "; ".join(filter(None, [*wrong, place.harm_at_the_end()]))


def _count(subject: Subject) -> int:
    """How many calls an undisturbed run makes."""
    with subject.place() as place:
        policy, command = Policy(), place.command()

        def run() -> int:
            with replaced(place.folder, policy):
                code = _main(command)
            os.write(1, b"%d" % len(policy.calls))
            return code

        return int(fork(run, place.folder).end().printed)


def _save(target: Path, name: str, seed: int) -> None:
    from embedcli import formats
    from torture.samples import embeddings

    formats.save(embeddings(seed), target, name)


def content(target: Path) -> dict[str, bytes]:
    """The files of a target by name, and what is in each."""
    files = target.iterdir() if target.is_dir() else [target]
    return {path.name: path.read_bytes() for path in files}
