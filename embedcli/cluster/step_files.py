"""The files between the steps of a run in shards.

All are safetensors files (`files/safetensors.py`) with a digest, published as a whole:

    embed-counts   offsets I64 [n + 1], counts I64 [n], words U8: a `Table`
    embed-ids      offsets I64 [S + 1], ids I32 [N]: an encoded shard
    embed-change   for syn0 and syn1neg: rows I32 [n] (left out: all), values F32 or F16 [n, D],
                   steps and squares F32 [n]; sums F64 [4]: a `Change`

``__metadata__`` holds ``format``, ``version`` and ``step``, the JSON of a `Stamp`: the plan, the
shards and the round. A model between two rounds is a normal model file, with the same facts in its
metadata under ``shards``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from numpy.typing import NDArray

from embedcli.cluster.counts import Table
from embedcli.cluster.deltas import Change, Delta
from embedcli.errors import CorpusError, FormatError
from embedcli.files import safetensors
from embedcli.files.publish import publish
from embedcli.text.corpus import Corpus, Tally, ids_fault
from embedcli.vocabulary import Vocabulary, counts_fault

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
# The arrays of each kind: their types and numbers of dimensions.
_ARRAYS: Mapping[str, Mapping[str, tuple[tuple[str, ...], int]]] = {
    COUNTS: {"offsets": (("I64",), 1), "counts": (("I64",), 1), "words": (("U8",), 1)},
    IDS: {"offsets": (("I64",), 1), "ids": (("I32",), 1)},
    CHANGE: {"sums": (("F64",), 1)}
    | {f"{name}.{key}": (("F32",), 1) for name in _MATRICES for key in ("steps", "squares")}
    | {f"{name}.rows": (("I32",), 1) for name in _MATRICES}
    | {f"{name}.values": (("F32", "F16"), 2) for name in _MATRICES},
}
_MOST_WORDS = 1 << 31
_SUMS = 4  # of `Change`
_MAY_LACK = tuple(f"{name}.rows" for name in _MATRICES)


@dataclass(frozen=True)
class Stamp:
    """The plan, shards and round of a file.

    Attributes:
        plan: the digest of the plan.
        shards: the numbers of the shards.
        round: of a change: the epoch, and the number of the round in it.
        digests: of an encoded or trained shard: the SHA-256 of its text, by its number as text.
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
    """The ``format`` of a safetensors file; "" if it has none or is another file.

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
    """The stamp of a file of this kind.

    Raises:
        FormatError: it is another kind of file.
    """
    try:
        return _stamp(path, kind, safetensors.read_header(path))
    except OSError as error:
        raise _unreadable(path, error) from error


def read_step(path: str) -> tuple[str, Stamp]:
    """Check a file of any kind completely; its ``format`` and its stamp.

    Raises:
        FormatError: it is damaged, or another kind of file.
    """
    kind = kind_of(path)
    if kind == COUNTS:
        read_table(path)
    elif kind == IDS:
        arrays, _ = _read(path, IDS)
        if (fault := ids_fault(arrays["ids"], arrays["offsets"], _MOST_WORDS)) is not None:
            raise _damaged(path, fault)
    elif kind == CHANGE:
        read_change(path)
    else:
        raise FormatError(f"{path} is no step of a run in shards")
    return kind, read_stamp(path, kind)


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
        FormatError: it is damaged, or another kind of file.
    """
    arrays, stamp = _read(path, COUNTS)
    blob, offsets, counts = arrays["words"], arrays["offsets"], arrays["counts"]
    if len(offsets) != len(counts) + 1:
        raise _damaged(path, f"it has {len(offsets)} offsets for {len(counts)} counts")
    words = Vocabulary(blob, offsets, counts)
    fault = words.fault() or counts_fault(counts)
    if fault is not None:
        raise _damaged(path, f"it has {fault}")
    if len(set(words)) < len(words):
        raise _damaged(path, "it has a word that occurs twice")
    return Table(words, _tally(path, stamp))


def write_ids(corpus: Corpus, stamp: Stamp, path: str) -> None:
    """Publish an encoded shard."""
    stamp = replace(stamp, tally=asdict(corpus.tally))
    _write(path, IDS, stamp, {"offsets": corpus.offsets, "ids": corpus.ids})


def read_ids(path: str, vocabulary: Vocabulary) -> Corpus:
    """Open an encoded shard. The ids are mapped, copy on write.

    Raises:
        FormatError: it is damaged, or another kind of file, or its ids need another vocabulary.
    """
    arrays, stamp = _read(path, IDS, mode="c")
    digest = next(iter(stamp.digests.values()), "")
    try:
        return Corpus(vocabulary, arrays["ids"], arrays["offsets"], _tally(path, stamp), digest)
    except CorpusError as error:
        raise FormatError(f"{path} does not go with these words: {error}") from error


def write_change(change: Change, stamp: Stamp, path: str) -> None:
    """Publish a change."""
    (deltas,) = change.deltas  # all rows are one part
    n_rows, subsampled, tokens = deltas[0].n_rows, change.subsampled, change.tokens
    stamp = replace(stamp, n_rows=n_rows, subsampled=subsampled, tokens=tokens)
    arrays: dict[str, NDArray[Any]] = {"sums": change.sums}
    for name, delta in zip(_MATRICES, deltas, strict=True):
        parts = {"rows": delta.rows, "steps": delta.steps, "squares": delta.squares}
        arrays |= {f"{name}.{key}": part for key, part in parts.items() if part is not None}
    for name, delta in zip(_MATRICES, deltas, strict=True):
        arrays[f"{name}.values"] = delta.values  # last: float16 would misalign the others
    _write(path, CHANGE, stamp, arrays)


def read_change(path: str) -> Change:
    """Read a change.

    Raises:
        FormatError: it is damaged, or another kind of file.
    """
    arrays, stamp = _read(path, CHANGE)
    _check_change(path, arrays, stamp.n_rows)
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
    """The joint stamp of files of different shards at the same step.

    Args:
        stamps: each file's path and stamp.

    Raises:
        FormatError: they do not belong together; the message names two of them.
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
    """The arrays, mapped, and the stamp of a file whose digest is right."""
    try:
        header = safetensors.read_header(path)
        stamp = _stamp(path, kind, header)
        if not safetensors.check_digest(path, header):
            raise FormatError(f"{path} is damaged: a file of this kind has a digest at its end")
        arrays = safetensors.map_tensors(path, header, mode)
    except OSError as error:
        raise _unreadable(path, error) from error
    for name, (dtypes, n_dimensions) in _ARRAYS[kind].items():
        array = arrays.get(name)
        if array is None and name in _MAY_LACK:
            continue
        if array is None:
            raise _damaged(path, f"it has no array {name!r}")
        kinds = [safetensors.DTYPES[dtype] for dtype in dtypes]
        if array.dtype not in kinds or array.ndim != n_dimensions:
            raise _damaged(path, f"it has an array {name!r} of {array.dtype} {array.shape}")
    return {name: _aligned(array) for name, array in arrays.items()}, stamp


def _check_change(path: str, arrays: Mapping[str, NDArray[Any]], n_rows: int) -> None:
    """Refuse arrays that do not belong together."""
    if arrays["sums"].shape != (_SUMS,):
        raise _damaged(path, f"it has {len(arrays['sums'])} sums for {_SUMS}")
    for name in _MATRICES:
        rows, values = arrays.get(f"{name}.rows"), arrays[f"{name}.values"]
        n = n_rows if rows is None else len(rows)
        if not len(values) == len(arrays[f"{name}.steps"]) == len(arrays[f"{name}.squares"]) == n:
            raise _damaged(path, f"it has {len(values)} rows of {name} for {n}")
        rises = rows is None or bool((rows[1:] > rows[:-1]).all())
        if rows is not None and len(rows) and not (rises and rows[0] >= 0 and rows[-1] < n_rows):
            raise _damaged(path, f"it has rows of {name} that do not rise from 0 to below {n_rows}")


def _tally(path: str, stamp: Stamp) -> Tally:
    try:
        return Tally(**stamp.tally)
    except TypeError as error:
        raise _damaged(path, f"it has a tally that cannot be read: {error}") from error


def _stamp(path: str, kind: str, header: safetensors.Header) -> Stamp:
    found = header.metadata.get("format")
    if found != kind or header.metadata.get("version") != _VERSION:
        raise FormatError(f"{path} is {found or 'another kind of file'}, but {kind} is expected")
    try:
        facts = json.loads(header.metadata["step"])
        facts["shards"] = tuple(map(int, facts["shards"]))
        facts["round"] = (
            (int(facts["round"][0]), int(facts["round"][1])) if facts["round"] else None
        )
        stamp = Stamp(**facts)
    except (KeyError, IndexError, TypeError, ValueError, RecursionError) as error:
        raise _damaged(path, f"it has a stamp that cannot be read: {error}") from error
    numbers = stamp.n_rows, stamp.subsampled, stamp.tokens, *stamp.shards
    if not stamp.shards or not all(isinstance(n, int) and n >= 0 for n in numbers):
        raise _damaged(path, "it has a stamp whose numbers are none")
    if not all(isinstance(part, dict) for part in (stamp.digests, stamp.tally)):
        raise _damaged(path, "it has a stamp whose digests or tally are none")
    return stamp


def _aligned(array: NDArray[Any]) -> NDArray[Any]:
    return array if array.flags.aligned else array.copy()


def _damaged(path: str, what: str) -> FormatError:
    return FormatError(f"{path} is damaged: {what}")


def _unreadable(path: str, error: OSError) -> FormatError:
    return FormatError(f"{path} cannot be read: {error.strerror or error}")
