"""Vocabularies and encoded texts that do not fit what is trained on: the same bytes, or an error.

An id that is no row of the matrices would be read and written beside them: that shows as a dead
process, as numbers that are not finite, or as two runs of one thread with different files.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from torture.damage import damaged
from torture.manners import harm
from torture.subject import Subject
from torture.trials import Outcome, in_child

__all__ = ["trials"]

_QUICK = "--dim 16 --epochs 1 --threads 1 --sample 0"
_WAYS = (
    "--vocab words --unk", "--vocab words", "--vocab words --unk --arch cbow",
    "--vocab words --unk --max-vocab 3", "--min-count 90 --unk", "--continue m.safetensors",
    "--continue m.safetensors --unk",
)  # fmt: skip


def trials(subject: Subject, n: int, rng: Random) -> Iterator[Outcome]:
    """Changed vocabularies, each trained from twice; as many encoded texts that were changed."""
    with subject.place() as place:
        seed = rng.random()
        yield from in_child(place.folder, f"seed {seed}", _encoded, place.folder, n, Random(seed))
    for number in range(n):
        way = _WAYS[number % len(_WAYS)]
        with subject.place() as place:
            fault = _vocabulary(place.folder / "words", rng)
            command = ["train", "text", *_QUICK.split(), *way.split()]
            files, wrong = [], []
            for target in ("one.safetensors", "two.safetensors"):
                ended = subject.fork([*command, "-o", target], place.folder).end()
                wrong.append(harm(ended))
                path = place.folder / target
                files.append(path.read_bytes() if path.exists() else ended.code)
            if files[0] != files[1]:
                wrong.append("two runs, two results")
            yield Outcome(f"{way}, {fault}", "; ".join(filter(None, wrong)))


def _encoded(folder: Path, n: int, rng: Random) -> Iterator[Outcome]:
    """Arrays of a step in shards that do not fit its model, under a digest that is right."""
    from embedcli import TrainConfig, load, save
    from embedcli.cluster import file_driver, step_files
    from embedcli.cluster.plan import make_plan, shard_settings
    from embedcli.errors import EmbedError

    config = TrainConfig(dim=16, min_count=1, threads=1, epochs=1, shards=1, rounds=1, sample=0)
    plan = make_plan([str(folder / "text")], shard_settings(config).resolve())
    counts, ids, model_path = (str(folder / name) for name in ("counts", "ids", "0.safetensors"))
    file_driver.count_shard(plan, 0, counts, 1)
    save(file_driver.first_model(plan, [counts]), model_path)
    model = load(model_path)
    file_driver.encode_shard(plan, 0, model, ids, 1)
    whole = Path(ids).read_bytes()
    sound = step_files.read_ids(ids, model.vocabulary)
    for _ in range(n):
        fault = _change_arrays(ids, np.array(sound.ids), np.array(sound.offsets), rng)
        wrong = ""
        try:
            file_driver.train_shard(model, ids, str(folder / "change"), 1)
        except EmbedError as refusal:
            wrong = "" if "\n" not in str(refusal) else "a message of several lines"
        except Exception as problem:
            wrong = f"{type(problem).__name__}: {problem}"
        else:
            wrong = "it was trained as if it were sound"
        yield Outcome(fault, wrong)
        Path(ids).write_bytes(whole)


def _change_arrays(path: str, ids: Any, offsets: Any, rng: Random) -> str:
    """Write a file of ids anew with one number that is wrong, and with its digest."""
    from embedcli.files import safetensors
    from embedcli.files.publish import publish

    name, array = rng.choice((("ids", ids), ("offsets", offsets)))
    at = rng.randrange(len(array))
    largest = np.iinfo(array.dtype).max
    array[at] = rng.choice((-1, -largest, largest, len(ids) + 1))
    header = safetensors.read_header(path)
    with publish(path) as sink:
        safetensors.write(sink, {"ids": ids, "offsets": offsets}, header.metadata)
    return f"{name}[{at}] is {array[at]}"


def _vocabulary(path: Path, rng: Random) -> str:
    n = rng.choice([1, 2, 20, 400, 3000])
    lines = [f"w{i} {4000 - i}" for i in range(n)]
    changes = {
        f"{n} words": lines,
        f"{n} words and <unk>": [*lines[: n // 2], "<unk> 5", *lines[n // 2 :]],
        f"{n} words, none of them in the text": [f"v{line}" for line in lines],
        f"{n} words, backwards": [f"w{i} {i + 1}" for i in range(n)],
        f"{n} words with huge counts": [f"w{i} {2**62}" for i in range(n)],
        f"{n} words with negative counts": [f"w{i} {-i}" for i in range(n)],
        f"{n} words without counts": [f"w{i}" for i in range(n)],
    }
    name = rng.choice([*changes, "damaged"])
    content = "\n".join(changes.get(name, lines)).encode() + b"\n"
    if name == "damaged":
        name, content = damaged(content, rng)
    path.write_bytes(content)
    return name
