"""Compiled kernels that are damaged where they are kept: compiled anew, with the same result."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from random import Random

from torture.damage import damaged
from torture.subject import Subject, cache_folder
from torture.trials import Outcome

__all__ = ["trials"]


def trials(subject: Subject, n: int, rng: Random) -> Iterator[Outcome]:
    """A few files of a copy of the cache, each damaged in its own way."""
    kept = cache_folder()
    for _ in range(n):
        with subject.place() as place:
            root = place.folder.parent / f"{place.folder.name}.cache"
            shutil.copytree(kept, root / "kernels" / kept.name)
            files = sorted(path for path in root.rglob("*.nb?") if path.is_file())
            chosen = rng.sample(files, min(len(files), rng.randint(1, 3)))
            for path in chosen:
                content = path.read_bytes()
                path.write_bytes(damaged(content, rng)[1] if rng.random() < 0.8 else b"")
            environment = {"EMBED_CACHE_DIR": str(root)}
            ended = subject.spawn(place.command(), place.folder, environment).end()
            wrong = [place.harm(ended)]
            if ended.code:
                wrong.append(f"exit code {ended.code}: {ended.said.strip()[-300:]}")
            names = ", ".join(path.name for path in chosen)
            shutil.rmtree(root)
            yield Outcome(f"damaged {names}", "; ".join(filter(None, wrong)))
