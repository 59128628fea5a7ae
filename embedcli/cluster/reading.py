"""Reading a text on a cluster: count each shard, add up in a tree, choose, encode each shard."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from embedcli.cluster.desk import Encoded, count_task, encode_task
from embedcli.cluster.keeping import scatter_kept
from embedcli.cluster.machines import Machines
from embedcli.cluster.plan import Plan
from embedcli.cluster.shards import text_size
from embedcli.cluster.tables import N_PARTS, add_tables, choose, sum_tallies, vocabulary_of
from embedcli.corpus import Tally
from embedcli.settings.config import TrainConfig
from embedcli.vocabulary import Vocabulary

if TYPE_CHECKING:
    from distributed import Future

__all__ = ["Reading", "count", "encode"]

_MOST_REMARKS = 8
_PART_BYTES = 1 << 34  # of text, whose distinct words one worker adds up


@dataclass(frozen=True)
class Reading:
    """A text that the workers have encoded.

    Attributes:
        vocabulary: V words with the counts of all shards.
        words: the same, as the workers have it.
        encoded: what is known of each shard, in order.
    """

    vocabulary: Vocabulary
    words: Future
    encoded: tuple[Encoded, ...]

    @property
    def tally(self) -> Tally:
        """What became of everything in all shards."""
        return sum_tallies([shard.tally for shard in self.encoded])


def encode(
    machines: Machines, plan: Plan, vocabulary: Vocabulary, known: Mapping[str, str]
) -> Reading:
    """Have each shard encoded by the worker that will train it.

    Args:
        machines: the workers, settled.
        plan: the shards.
        vocabulary: V words with the counts of all shards.
        known: the digests that shards must have, by their numbers as text.
    """
    (words,) = scatter_kept(machines.client, machines.job.name, {"words": vocabulary})
    encoding = [
        machines.submit(
            f"encode-{shard.number}",
            encode_task,
            machines.job,
            shard,
            words,
            known.get(str(shard.number)),
            **machines.at_home(shard),
        )
        for shard in plan.shards
    ]
    encoded: list[Encoded] = machines.results(encoding)
    _warn([
        f"{remark} ({shard})"
        for shard, one in zip(plan.shards, encoded, strict=True)
        for remark in one.remarks
    ])  # fmt: skip
    return Reading(vocabulary, words, tuple(encoded))


def _warn(remarks: Sequence[str]) -> None:
    """Warn of what workers found, but not a thousand times."""
    for remark in remarks[:_MOST_REMARKS]:
        warnings.warn(remark, stacklevel=2)
    if len(remarks) > _MOST_REMARKS:
        warnings.warn(f"and {len(remarks) - _MOST_REMARKS} warnings more", stacklevel=2)


def count(machines: Machines, plan: Plan) -> Vocabulary:
    """The vocabulary, each part of the words added up in a tree of its own."""
    n_bytes = text_size(plan.shards)
    n_parts = min(N_PARTS, 1 << max(0, math.ceil(n_bytes / _PART_BYTES) - 1).bit_length())
    counting = [
        machines.submit(
            f"count-{shard.number}",
            count_task,
            machines.job,
            shard,
            n_parts,
            **machines.at_home(shard),
        )
        for shard in plan.shards
    ]
    chosen = []
    for part in range(n_parts):
        tables = [
            machines.submit(f"part-{part}-{number}", _part, table, part)
            for number, table in enumerate(counting)
        ]
        total = machines.tree(f"add-counts-{part}", _add_two_tables, tables)
        chosen.append(machines.submit(f"choose-{part}", _choose, total, plan.config))
    return vocabulary_of(machines.results(chosen), plan.config)


def _part(tables: list[Any], part: int) -> Any:
    return tables[part]


def _add_two_tables(one: Any, other: Any) -> Any:
    return add_tables([one, other])


def _choose(table: Any, config: TrainConfig) -> Any:
    return choose([table], config)
