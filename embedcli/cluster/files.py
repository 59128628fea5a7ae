"""What one step of a run in shards leaves for the next, as files.

All are safetensors files (`storage/safetensors.py`) with a digest, published whole:

    embed-counts   offsets I64 [n + 1], counts I64 [n], words U8: a `Table`
    embed-ids      offsets I64 [S + 1], ids I32 [N]: an encoded shard
    embed-change   for syn0 and syn1neg: rows I32 [n] (left out: all), values F32 or F16 [n, D],
                   steps and squares F32 [n]; sums F64 [4]: a `Change`

``__metadata__`` holds ``format``, ``version`` and ``step``, the JSON of a `Stamp`: of which plan,
which shards and which round it is. A model between two rounds is a model like any other, with the
same facts in its metadata under ``shards``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from embedcli.cluster.deltas import Delta
from embedcli.cluster.tables import Table
from embedcli.cluster.training import Change
from embedcli.corpus import Corpus, Tally
from embedcli.errors import FormatError
from embedcli.storage import safetensors
from embedcli.storage.publish import publish
from embedcli.vocabulary import Vocabulary

__all__ = [
    "CHANGE",
    "COUNTS",
    "IDS",
    "Stamp",
    "kind_of",
    "read_change",
    "read_ids",
    "read_stamp",
    "read_step",
    "read_table",
    "show_round",
    "union",
    "write_change",
    "write_ids",
    "write_table",
]

COUNTS, IDS, CHANGE = "embed-counts", "embed-ids", "embed-change"
_VERSION = "1"
_MATRICES = ("syn0", "syn1neg")


@dataclass(frozen=True)
class Stamp:
    """What a file belongs to.

    Attributes:
        plan: the plan's digest.
        shards: the numbers of the shards it is of.
        round: of a change: the epoch, and the number of the round in it.
        digests: of an encoded or trained shard: the SHA-256 of its text, by number as text.
        tally: of counts and ids: what was read.
        n_rows: of a change: rows of the matrices.
        subsampled, tokens: of a change.
    """

    plan: str
    shards: tuple[int, ...]
    round: tuple[int, int] | None = None
    digests: Mapping[str, str] = field(default_factory=dict)
    tally: Mapping[str, int] = field(default_factory=dict)
    n_rows: int = 0
    subsampled: int = 0
    tokens: int = 0

    @property
    def shown_round(self) -> str:
        """The round in words."""
        return "no round" if self.round is None else show_round(self.round)


def show_round(at: tuple[int, int]) -> str:
    """A round, as epoch and number, in words."""
    return f"round {at[1] + 1} of epoch {at[0] + 1}"


def kind_of(path: str) -> str:
    """The ``format`` of a file of ours; "" if it is none.

    Raises:
        FormatError: it cannot be read.
    """
    try:
        return safetensors.read_header(path).metadata.get("format", "")
    except FormatError:
        return ""
    except OSError as error:
        raise _unreadable(path, error) from error


def read_stamp(path: str, kind: str) -> Stamp:
    """What a file of this kind belongs to.

    Raises:
        FormatError: it is no such file.
    """
    try:
        return _stamp(path, kind, safetensors.read_header(path))
    except OSError as error:
        raise _unreadable(path, error) from error


def read_step(path: str) -> tuple[str, Stamp]:
    """The ``format`` and the stamp of a file of any kind that is as it was written.

    Raises:
        FormatError: it is damaged, or none of them.
    """
    kind = kind_of(path)
    if kind not in (COUNTS, IDS, CHANGE):
        raise FormatError(f"{path} is no step of a run in shards")
    return kind, _read(path, kind)[1]


def write_table(table: Table, stamp: Stamp, path: str) -> None:
    """Publish counts."""
    words = table.words
    arrays: dict[str, NDArray[Any]] = {"offsets": words.offsets}
    if words.counts is not None:
        arrays["counts"] = words.counts
    _write(path, COUNTS, replace(stamp, tally=asdict(table.tally)), arrays | {"words": words.blob})


def read_table(path: str) -> Table:
    """Read counts.

    Raises:
        FormatError: they are none, or damaged.
    """
    arrays, stamp = _read(path, COUNTS)
    words = Vocabulary(arrays["words"], arrays["offsets"], arrays["counts"])
    return Table(words, Tally(**stamp.tally))


def write_ids(corpus: Corpus, stamp: Stamp, path: str) -> None:
    """Publish an encoded shard."""
    stamp = replace(stamp, tally=asdict(corpus.tally))
    _write(path, IDS, stamp, {"offsets": corpus.offsets, "ids": corpus.ids})


def read_ids(path: str, vocabulary: Vocabulary) -> Corpus:
    """Open an encoded shard: the ids are mapped, copy on write.

    Raises:
        FormatError: it is none, or damaged.
    """
    arrays, stamp = _read(path, IDS, mode="c")
    ids = arrays["ids"]
    if len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < len(vocabulary):
        raise FormatError(f"{path} holds ids of another vocabulary than these {len(vocabulary)}")
    digest = next(iter(stamp.digests.values()))
    return Corpus(vocabulary, ids, arrays["offsets"], Tally(**stamp.tally), digest)


def write_change(change: Change, stamp: Stamp, path: str) -> None:
    """Publish what a round did."""
    (deltas,) = change.deltas  # all rows are one part
    stamp = replace(
        stamp,
        n_rows=deltas[0].n_rows,
        subsampled=change.subsampled,
        tokens=change.tokens,
    )
    arrays: dict[str, NDArray[Any]] = {"sums": change.sums}
    for name, delta in zip(_MATRICES, deltas, strict=True):
        parts = {"rows": delta.rows, "steps": delta.steps, "squares": delta.squares}
        arrays |= {f"{name}.{key}": part for key, part in parts.items() if part is not None}
    for name, delta in zip(_MATRICES, deltas, strict=True):
        arrays[f"{name}.values"] = delta.values  # last: of numbers that may be two bytes wide
    _write(path, CHANGE, stamp, arrays)


def read_change(path: str) -> Change:
    """Read what a round did.

    Raises:
        FormatError: it is no such file, or damaged.
    """
    arrays, stamp = _read(path, CHANGE)
    syn0, syn1neg = (
        Delta(
            stamp.n_rows,
            arrays.get(f"{name}.rows"),
            *(arrays[f"{name}.{key}"] for key in ("values", "steps", "squares")),
        )
        for name in _MATRICES
    )
    return Change(((syn0, syn1neg),), arrays["sums"], stamp.subsampled, stamp.tokens)


def union(stamps: Sequence[tuple[str, Stamp]]) -> Stamp:
    """The stamp of several files together, each of other shards at the same step.

    Args:
        stamps: each file's path and stamp.

    Raises:
        FormatError: they do not belong together; names two of them.
    """
    first_path, first = stamps[0]
    seen: dict[int, str] = {}
    digests: dict[str, str] = {}
    for path, stamp in stamps:
        if stamp.plan != first.plan:
            raise FormatError(f"{path} and {first_path} are of different plans")
        if stamp.round != first.round:
            raise FormatError(
                f"{path} is of {stamp.shown_round}, but {first_path} of {first.shown_round}"
            )
        for shard in stamp.shards:
            if shard in seen:
                raise FormatError(f"shard {shard} is in {seen[shard]} and in {path}: give it once")
            seen[shard] = path
        digests |= stamp.digests
    return Stamp(first.plan, tuple(sorted(seen)), first.round, digests)


def _write(path: str, kind: str, stamp: Stamp, arrays: Mapping[str, NDArray[Any]]) -> None:
    metadata = {"format": kind, "version": _VERSION, "step": json.dumps(asdict(stamp))}
    with publish(path, size=safetensors.size(arrays, metadata)) as sink:
        safetensors.write(sink, arrays, metadata)


def _read(
    path: str, kind: str, mode: Literal["r", "c"] = "r"
) -> tuple[dict[str, NDArray[Any]], Stamp]:
    """The arrays, mapped, and the stamp of a file that is as it was written."""
    try:
        header = safetensors.read_header(path)
        stamp = _stamp(path, kind, header)
        if not safetensors.check_digest(path, header):
            raise FormatError(f"{path} is damaged: a file of this kind has a digest at its end")
        data = np.asarray(np.memmap(path, np.uint8, mode=mode))
    except OSError as error:
        raise _unreadable(path, error) from error
    arrays = {
        name: data[entry.start : entry.stop].view(entry.dtype).reshape(entry.shape)
        for name, entry in header.tensors.items()
    }
    return {name: _aligned(array) for name, array in arrays.items()}, stamp


def _stamp(path: str, kind: str, header: safetensors.Header) -> Stamp:
    found = header.metadata.get("format")
    if found != kind or header.metadata.get("version") != _VERSION:
        raise FormatError(f"{path} is {found or 'another kind of file'}, but {kind} is expected")
    facts = json.loads(header.metadata["step"])
    facts["shards"] = tuple(facts["shards"])
    facts["round"] = tuple(facts["round"]) if facts["round"] else None
    return Stamp(**facts)


def _aligned(array: NDArray[Any]) -> NDArray[Any]:
    return array if array.flags.aligned else array.copy()


def _unreadable(path: str, error: OSError) -> FormatError:
    return FormatError(f"{path} cannot be read: {error.strerror or error}")
