"""Headers whose values are of the wrong kind, size or sign: an error of ours, in bounded memory.

Mutated bytes seldom leave JSON valid, so the values that it holds are replaced one by one.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

from torture.mutants import limit_memory, tried
from torture.subject import Subject
from torture.trials import Outcome, in_child

__all__ = ["trials"]

_VALUES: tuple[Any, ...] = (
    0, 1, -1, 7, 10_000, 1 << 20, 1 << 31, 1 << 62, 1 << 63, 1 << 70, 10**400, 1e308, 0.5,
    "", "x", "\ud800", "\x1b[31m", "x" * 70_000, None, True, [], [0] * 65, [1 << 40, 1 << 40],
    [[]], {}, {"a": 1}, "F64", "U8", "whitespace", "{}", "[1]",
)  # fmt: skip


def trials(subject: Subject, n: int, rng: Random) -> Iterator[Outcome]:
    """About as many headers of each format that has one."""
    each = max(1, n // len(_FORMATS))
    for name in _FORMATS:
        seed = rng.random()
        with subject.place() as place:
            folder = place.folder / "headers"
            folder.mkdir()
            yield from in_child(
                folder, f"{name}, seed {seed}", _read, folder, name, each, Random(seed)
            )


def _read(folder: Path, name: str, n: int, rng: Random) -> Iterator[Outcome]:
    from embedcli import formats
    from torture.samples import embeddings

    target = folder / "target"
    formats.save(embeddings(1), target, name)
    sites = [
        (path, parse, build)
        for pattern, parse, build in _FORMATS[name]
        for path in ([target] if target.is_file() else sorted(target.glob(pattern)))
    ]
    sound = {path: path.read_bytes() for path, _, _ in sites}
    tried(target, name)
    limit_memory()
    for _ in range(n):
        path, parse, build = rng.choice(sites)
        fault, value = _changed(parse(sound[path]), rng)
        path.write_bytes(build(sound[path], value))
        yield Outcome(f"{name}, {path.name}: {fault}", tried(target, name))
        path.write_bytes(sound[path])


def _changed(value: Any, rng: Random) -> tuple[str, Any]:
    """The value with one of its parts, at any depth, replaced, left out or given another name."""
    value = copy.deepcopy(value)
    holders = list(_holders(value))
    if not holders:
        return "all of it replaced", rng.choice(_VALUES)
    way, holder, key = rng.choice(holders)
    new = copy.deepcopy(rng.choice(_VALUES))
    kind = rng.randrange(10)
    if kind == 0:
        del holder[key]
        return f"{way} left out", value
    if kind == 1 and isinstance(holder, dict):
        holder[str(new)[:100]] = holder.pop(key)
        return f"{way} called {str(new)[:30]!r}", value
    holder[key] = new
    return f"{way} is {str(new)[:30]!r}", value


def _holders(value: Any, way: str = "") -> Iterator[tuple[str, Any, Any]]:
    parts = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, part in parts:
        yield f"{way}/{key}", value, key
        yield from _holders(part, f"{way}/{key}")


def _plain_json(whole: bytes) -> Any:
    return json.loads(whole)


def _as_json(whole: bytes, value: Any) -> bytes:
    return json.dumps(value).encode()


def _safetensors_header(whole: bytes) -> Any:
    header = json.loads(whole[8 : 8 + int.from_bytes(whole[:8], "little")])
    inner = header.get("__metadata__", {})
    for key, text in inner.items():  # JSON in JSON: embed's own
        try:
            inner[key] = json.loads(text)
        except ValueError:
            continue
    return header


def _with_safetensors_header(whole: bytes, value: Any) -> bytes:
    value = copy.deepcopy(value)
    inner = value.get("__metadata__") if isinstance(value, dict) else None
    if isinstance(inner, dict):
        for key, part in inner.items():
            inner[key] = part if isinstance(part, str) else json.dumps(part)
    header = json.dumps(value).encode()
    header += b" " * (-len(header) % 8)
    return (
        len(header).to_bytes(8, "little")
        + header
        + whole[8 + int.from_bytes(whole[:8], "little") :]
    )


def _npy_header(whole: bytes) -> Any:
    import ast

    header = ast.literal_eval(whole[10 : 10 + int.from_bytes(whole[8:10], "little")].decode())
    return header | {"shape": list(header["shape"])}


def _with_npy_header(whole: bytes, value: Any) -> bytes:
    if isinstance(value, dict) and isinstance(value.get("shape"), list):
        value = value | {"shape": tuple(value["shape"])}
    header = repr(value).encode("utf-8", "surrogatepass") + b"\n"
    if len(header) > 65_000:
        return whole[:8] + b"\xff\xff" + header[:65_535]
    return (
        whole[:8]
        + len(header).to_bytes(2, "little")
        + header
        + whole[10 + int.from_bytes(whole[8:10], "little") :]
    )


_Part = tuple[str, Callable[[bytes], Any], Callable[[bytes, Any], bytes]]
_FORMATS: dict[str, list[_Part]] = {
    "safetensors": [("*", _safetensors_header, _with_safetensors_header)],
    "model2vec": [
        ("*.json", _plain_json, _as_json),
        ("*.safetensors", _safetensors_header, _with_safetensors_header),
    ],
    "npy": [("*.npy", _npy_header, _with_npy_header)],
}
