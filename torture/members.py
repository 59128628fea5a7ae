"""Packed files of several members, one of them damaged: refused, or read whole all the same."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable, Iterator
from random import Random

from torture.manners import harm
from torture.subject import Subject
from torture.trials import Outcome

__all__ = ["trials"]

_MEMBERS = 4
_UNUSABLE = 3


def trials(subject: Subject, n: int, rng: Random) -> Iterator[Outcome]:
    """A text and a file of vectors, packed in each way, with one member damaged."""
    with subject.place() as place:
        folder = place.folder
        contents = {name: (folder / name).read_bytes() for name in ("text", "m.vec")}
        commands = {
            "text": ["vocab", "damaged", "-o", "found", "--min-count", "1"],
            "m.vec": ["export", "damaged", "found", "--format", "word2vec-bin"],
        }
        whole = {}
        for name, command in commands.items():
            (folder / "damaged").write_bytes(contents[name])
            subject.fork(command, folder).end()
            whole[name] = (folder / "found").read_bytes()
        for number in range(n):
            name = ("text", "m.vec")[number % 2]
            packing = list(_PACKERS)[number // 2 % len(_PACKERS)]
            fault, packed = _damaged(_members(contents[name], packing), packing, rng)
            (folder / "damaged").write_bytes(packed)
            (folder / "found").unlink(missing_ok=True)
            ended = subject.fork(commands[name], folder).end()
            wrong = [harm(ended)]
            if ended.code == 0 and (folder / "found").read_bytes() != whole[name]:
                wrong.append("exit code 0, and a part is missing")
            if ended.code not in (0, _UNUSABLE):
                wrong.append(f"exit code {ended.code}")
            yield Outcome(f"{name}, {packing}: {fault}", "; ".join(filter(None, wrong)))


def _members(content: bytes, packing: str) -> list[bytes]:
    size = -(-len(content) // _MEMBERS)
    parts = [content[start : start + size] for start in range(0, len(content), size)]
    return [_PACKERS[packing](part) for part in parts]


def _damaged(members: list[bytes], packing: str, rng: Random) -> tuple[str, bytes]:
    number = rng.randrange(len(members))
    member = members[number]
    at = rng.randrange(1, len(member))
    bit = bytes([member[at] ^ 1 << rng.randrange(8)])
    ways = {
        "zeroed": bytes(len(member)),
        f"zeroed from byte {at} on": member[:at] + bytes(len(member) - at),
        f"cut at byte {at}": member[:at],
        f"without its first {at} bytes": member[at:],
        f"with a bit of byte {at} flipped": member[:at] + bit + member[at + 1 :],
        "followed by other bytes": member + b"these belong to no member",
    }
    if packing == "xz":
        del ways["zeroed"]  # zeros between two streams are padding, by the format
    way = rng.choice(list(ways))
    damaged = [*members[:number], ways[way], *members[number + 1 :]]
    return f"member {number + 1} of {len(members)} {way}", b"".join(damaged)


def _zstd(part: bytes) -> bytes:
    import zstandard

    return zstandard.ZstdCompressor(write_checksum=True).compress(part)


_PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress, "zstd": _zstd,
}  # fmt: skip
