"""What only a power cut would show: synced before it is renamed, and the directory after that.

A kill cannot show it, for what was written survives it in the page cache. So the calls are
recorded, and their order is checked for every name that was published.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

from torture.primitives import Call, Recorder, replaced
from torture.subject import OUTPUTS, Subject, _main
from torture.trials import Outcome, in_child

__all__ = ["trials"]


def trials(subject: Subject, n: int, rng: Random) -> Iterator[Outcome]:
    """Every format, and a whole run with its checkpoints."""
    from embedcli.formats import WRITTEN

    for name in WRITTEN[: n - 1]:
        with subject.place() as place:
            folder = place.folder / "saved"
            folder.mkdir()
            yield from in_child(folder, name, _saved, folder, name)
    with subject.place() as place:
        command = place.command()
        yield from in_child(place.folder, "embed train", _trained, place.folder, command)


def _saved(folder: Path, name: str) -> Iterator[Outcome]:
    from embedcli import formats
    from torture.samples import embeddings

    recorder = Recorder()
    with replaced(folder, recorder):
        formats.save(embeddings(1), folder / "target", name)
    yield Outcome(f"saving {name}", _out_of_order(recorder.calls, [str(folder / "target")]))


def _trained(folder: Path, command: Sequence[str]) -> Iterator[Outcome]:
    recorder = Recorder()
    with replaced(folder, recorder):
        code = _main(command)
    published = {call.path for call in recorder.calls if call.name in ("replace", "rename")}
    expected = [str(folder / name) for name in OUTPUTS]
    wrong = _out_of_order(recorder.calls, [*expected, *published])
    yield Outcome("training", wrong or ("" if code == 0 else f"ended with {code}"))


def _out_of_order(calls: Sequence[Call], published: Sequence[str]) -> str:
    """What is wrong with the order in which `published` names came to be."""
    wrong = []
    for target in published:
        renames = [i for i, c in enumerate(calls) if c.name in ("replace", "rename") and
                   c.path == target]  # fmt: skip
        if not renames:
            wrong.append(f"{target} was never renamed into place")
        for at in renames:
            wrong += _around(calls, at, target)
    return "; ".join(wrong)


def _around(calls: Sequence[Call], at: int, target: str) -> Iterator[str]:
    source, directory = calls[at].source, os.path.dirname(target)
    before = [call for call in calls[:at] if call.path.startswith(source)]
    last = {call.name: i for i, call in enumerate(before)}
    if os.path.dirname(source) != directory:
        yield f"{target} was made elsewhere, in {os.path.dirname(source)}"
    if "fsync" not in last:
        yield f"{target} was renamed without an fsync"
    elif last["fsync"] < last.get("write", -1):
        yield f"{target} was written to after its last fsync"
    if not any(call.name == "fsync" and call.path == directory for call in calls[at:]):
        yield f"the directory of {target} was not synced after the rename"
