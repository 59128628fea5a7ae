"""The metadata of a model file: JSON, with checked types.

Everybody who uses it may then take ``settings`` for an object and ``loss`` for a list of numbers.
What this embed does not know of stays as it is: a later one may have written it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from embedcli.errors import FormatError
from embedcli.quoting import quoted
from embedcli.settings.config import settings
from embedcli.settings.values import Setting, shorten

__all__ = ["read_meta"]

_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]")
_DEEPEST: Final = 50
_OBJECTS: Final = ("settings", "corpus", "versions", "given", "fasttext", "gensim")
_NUMBER_LISTS: Final = ("loss",)


def read_meta(where: str, text: str) -> Mapping[str, Any]:
    """The object that `text` is, in JSON.

    Raises:
        FormatError: `where` holds something else, or a part that is known is of another type.
    """
    try:
        meta = json.loads(text, parse_constant=_refuse)
        depth = _depth(meta)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{where}: the metadata is not JSON: {error}") from error
    if not isinstance(meta, dict):
        raise FormatError(f"{where}: the metadata is not a JSON object")
    if depth > _DEEPEST:
        raise FormatError(f"{where}: the metadata has more than {_DEEPEST} levels")
    if _SURROGATE.search(text) and not _is_of_bytes(meta):
        raise FormatError(f"{where}: the metadata holds half of a surrogate pair")
    fault = next(_faults(meta), None)
    if fault is not None:
        raise FormatError(f"{where}: in the metadata, {fault}")
    return meta


def _faults(meta: Mapping[str, Any]) -> Iterator[str]:
    """What is of another type than it should be; the caller takes the first."""
    for name in _OBJECTS:
        if not isinstance(meta.get(name, {}), dict):
            yield f"{quoted(name)} is {shorten(meta[name])}, not an object"
    for name in _NUMBER_LISTS:
        numbers = meta.get(name) or []
        if not isinstance(numbers, list) or not all(map(_is_number, numbers)):
            yield f"{quoted(name)} is {shorten(numbers)}, not a list of numbers"
    yield from _epoch_faults(meta.get("epochs") or [])
    read = meta.get("corpus", {}).get("read", 0)
    if not _is_number(read):
        yield f"the corpus has {shorten(read)} tokens"
    rules = settings()
    for name, value in meta.get("settings", {}).items():
        if name in rules and not _fits(rules[name], value):
            yield f"the setting {name} is {shorten(value)}, but must be {rules[name].range}"


def _epoch_faults(epochs: Any) -> Iterator[str]:
    if not isinstance(epochs, list) or not all(isinstance(epoch, dict) for epoch in epochs):
        yield f"'epochs' is {shorten(epochs)}, not a list of objects"
        return
    for epoch in epochs:
        if not all(value is None or _is_number(value) for value in epoch.values()):
            yield f"an epoch is {shorten(epoch)}, not numbers by name"


def _fits(rule: Setting, value: Any) -> bool:
    """Whether `value` is of a type that the setting may have; its range may have been another."""
    if value is None or (isinstance(value, str) and value in rule.choices):
        return True
    if rule.kind == "switch":
        return isinstance(value, bool)
    if rule.kind in ("integer", "number"):
        return _is_number(value) or (bool(rule.choices) and isinstance(value, str))
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_of_bytes(meta: object) -> bool:
    """Whether half characters in it stand for bytes of a path that is not UTF-8."""
    try:
        json.dumps(meta, ensure_ascii=False).encode(errors="surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


def _depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, inner), default=0)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant}, which is not JSON")
