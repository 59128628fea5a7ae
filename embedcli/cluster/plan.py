"""The plan of a run in shards: its shards and settings, and the JSON file that holds them.

    {"format": "embed-shards", "version": 1,
     "settings": {...},                                  as in `TrainConfig`
     "shards": [[{"source": "a.txt", "begin": 0, "end": 4096}], ...]}

Every file that is computed from a plan names the digest of the plan, so that files of two runs are
never mixed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from typing import Any

from embedcli.cluster.shards import Shard, cut
from embedcli.errors import EmbedError, FormatError, UsageError
from embedcli.files.plain import read_plain
from embedcli.files.publish import publish
from embedcli.files.spans import Span
from embedcli.quoting import json_text
from embedcli.settings.compatibility import used_by
from embedcli.settings.config import USUAL_EPOCHS, TrainConfig
from embedcli.text.prose import settled

__all__ = [
    "Plan",
    "config_of",
    "make_plan",
    "read_plan",
    "shard_settings",
    "shards_of",
    "write_plan",
]

_FORMAT, _VERSION = "embed-shards", 1
_LARGEST_FILE = 1 << 26


@dataclass(frozen=True)
class Plan:
    """The shards and settings of a run.

    Attributes:
        shards: in the order of the text.
        config: of `shard_settings`; `rounds` is a number before training begins.
    """

    shards: tuple[Shard, ...]
    config: TrainConfig

    @cached_property
    def digest(self) -> str:
        """SHA-256 of everything that decides the result."""
        return hashlib.sha256(json.dumps(self.as_json(), sort_keys=True).encode()).hexdigest()

    def as_json(self) -> dict[str, Any]:
        """The contents of the file."""
        return {
            "format": _FORMAT,
            "version": _VERSION,
            "settings": self.config.as_dict(),
            "shards": [[asdict(span) for span in shard.spans] for shard in self.shards],
        }

    def shard(self, number: int) -> Shard:
        """The shard of a number.

        Raises:
            FormatError: there is none.
        """
        if not 0 <= number < len(self.shards):
            raise FormatError(f"there is no shard {number}: they are 0 to {len(self.shards) - 1}")
        return self.shards[number]


def shard_settings(config: TrainConfig) -> TrainConfig:
    """The settings that shards are trained with; `threads` stays as it is.

    Shards are trained without deterministic training, whose rounds are those of threads.

    Raises:
        UsageError: a setting is not supported in shards; the message names it.
    """
    if config.arch == "glove":
        raise UsageError(
            "--arch is glove, which a run in shards cannot do yet: train on one machine"
        )
    for item in fields(TrainConfig):
        value = getattr(config, item.name)
        if item.name == "deterministic" and not value:
            continue
        if item.name not in used_by("shards") and value != item.default:
            flag = item.name.replace("_", "-")
            raise UsageError(
                f"--{flag} is {value}, which a run in shards cannot do yet: leave it out, or train "
                "on one machine"
            )
    # Shards are for much text, and are trained before all of it is counted.
    epochs = config.epochs or USUAL_EPOCHS
    resolved = replace(config, deterministic=False, epochs=epochs).resolve()
    return replace(resolved, threads=config.threads)


def make_plan(paths: Sequence[str], config: TrainConfig, n_workers: int = 1) -> Plan:
    """Cut a text into shards.

    Args:
        paths: files, globs, directories and URLs.
        config: of `shard_settings`; what it leaves open of the reading, the text settles. Where
            `shards` is None, there is a shard for each worker, or as many as the text can be cut
            into.
        n_workers: the number of workers.

    Raises:
        CorpusError: a file cannot be read, or all are empty.
        UsageError: the text cannot be cut, or not into this many shards.
    """
    config = settled(paths, config, recursive=config.recursive)
    n_shards = config.shards or n_workers
    shards = cut(paths, n_shards, rules=config, recursive=config.recursive)
    if config.shards is not None and len(shards) < n_shards:
        raise UsageError(
            f"--shards is {n_shards}, but the text can be cut into {len(shards)} only: packed "
            "files and tables stay whole, and a cut lies between two lines"
        )
    while len(shards) < n_shards:  # until --shards N would say the same
        n_shards = len(shards)
        shards = cut(paths, n_shards, rules=config, recursive=config.recursive)
    return Plan(tuple(shards), replace(config, shards=n_shards))


def write_plan(plan: Plan, path: str) -> None:
    """Write a plan; ``-`` is standard output.

    Raises:
        OutputError: it cannot be written.
    """
    with publish(path, stdout=True) as sink:
        sink.write((json_text(plan.as_json(), indent=1) + "\n").encode())


def read_plan(path: str) -> Plan:
    """Read a plan.

    Raises:
        FormatError: it is not a plan, or is damaged.
    """
    try:
        found = json.loads(read_plain(path, _LARGEST_FILE))
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path} is no plan: {error}") from error
    if not isinstance(found, dict) or found.get("format") != _FORMAT:
        raise FormatError(f"{path} is no plan: make one with embed shard plan")
    if found.get("version") != _VERSION:
        raise FormatError(
            f"{path} is a plan of version {found.get('version')}, this embed reads {_VERSION}"
        )
    try:
        return Plan(shards_of(found["shards"]), config_of(found["settings"]))
    except (KeyError, TypeError, ValueError, EmbedError) as error:
        raise FormatError(f"{path} is a damaged plan: {error}") from error


def shards_of(found: Sequence[Sequence[Mapping[str, Any]]]) -> tuple[Shard, ...]:
    """Shards from their JSON."""
    parts = [tuple(Span(**span) for span in spans) for spans in found]
    return tuple(Shard(number, spans) for number, spans in enumerate(parts))


def config_of(found: Mapping[str, Any]) -> TrainConfig:
    """Settings from their JSON.

    Raises:
        ValueError: a setting is unknown.
    """
    known = {item.name for item in fields(TrainConfig)}
    unknown = sorted(set(found) - known)
    if unknown:
        raise ValueError(f"the setting {unknown[0]!r} is not known to this embed")
    return TrainConfig(**found).resolve()
