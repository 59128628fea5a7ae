"""Configuration files in YAML: one flat mapping of the names of settings.

`min_count: 5`; `min-count` is the same key. A file is read from YAML's event stream and never built
into objects: there is nothing an alias could expand, nothing a tag could construct and nothing to
recurse into, and every value is parsed from the characters as written (`values.py`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from embedcli.errors import ConfigError
from embedcli.settings.config import settings
from embedcli.settings.synonyms import hint
from embedcli.settings.values import Setting, Value, shorten, written

if TYPE_CHECKING:
    import yaml

__all__ = ["dump_config", "load_config", "load_space"]

_MAX_FILE_BYTES: Final = 1 << 20
_NO_FOLDING: Final = 1 << 30  # characters in a line that YAML would not fold


def load_config(
    path: str | os.PathLike[str], rules: Mapping[str, Setting] | None = None
) -> dict[str, Value]:
    """The settings that the YAML file `path` gives, checked by `rules`; the others are absent.

    Raises:
        ConfigError: the file cannot be read, is not one flat YAML mapping, or holds a key or value
            that does not exist; the message names the file and the line.
    """
    rules = settings() if rules is None else rules
    found: dict[str, Value] = {}
    for name, key, value in _lines(path):
        place = _place(path, key)
        if name not in rules:
            raise ConfigError(f"{place}unknown key {shorten(key.value)}; {hint(name, rules)}")
        found[name] = _value(place, name, rules[name], value)
    return found


def load_space(path: str | os.PathLike[str]) -> dict[str, str]:
    """The values that the YAML file `path` asks to search, as written, by the name of the setting.

    What they mean is `tuning/space.py`'s business.

    Raises:
        ConfigError: the file cannot be read or is not one flat YAML mapping.
    """
    return {name: value.value for name, _, value in _lines(path)}


def dump_config(settings: Mapping[str, Value]) -> str:
    """YAML that `load_config` reads back to the same `settings`, a line each."""
    return "".join(f"{name}: {_yaml(value)}\n" for name, value in settings.items())


def _yaml(value: Value) -> str:
    """`value` as a configuration writes it; text in quotes, as YAML might read something else."""
    import yaml

    if not isinstance(value, str):
        return written(value)
    text: str = yaml.safe_dump(value, default_style='"', allow_unicode=True, width=_NO_FOLDING)
    return text.removesuffix("\n")


def _read(path: str | os.PathLike[str]) -> str:
    try:
        with Path(path).open("rb") as file:
            data = file.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{os.fspath(path)}: cannot be read: {error.strerror}") from error
    if len(data) > _MAX_FILE_BYTES:
        raise ConfigError(f"{os.fspath(path)}: over 1 MiB; a configuration holds a few lines")
    if b"\0" in data:
        raise ConfigError(f"{os.fspath(path)}: byte {data.index(0)} is NUL; expected UTF-8 text")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{os.fspath(path)}: byte {error.start} is not UTF-8") from error


def _lines(
    path: str | os.PathLike[str],
) -> Iterator[tuple[str, yaml.ScalarEvent, yaml.ScalarEvent]]:
    """The name of each setting, its key as written, and its value."""
    import yaml

    names: set[str] = set()
    try:
        for key, value in _pairs(yaml.parse(_read(path), Loader=yaml.SafeLoader), path):
            name = key.value.replace("-", "_")
            if name in names:
                raise ConfigError(
                    f"{_place(path, key)}{name} is given twice; keep one of the lines"
                )
            names.add(name)
            yield name, key, value
    except yaml.YAMLError as error:
        raise ConfigError(f"{os.fspath(path)}: not YAML: {_one_line(error)}") from error


def _pairs(
    events: Iterator[yaml.Event], path: str | os.PathLike[str]
) -> Iterator[tuple[yaml.ScalarEvent, yaml.ScalarEvent]]:
    """The keys and values of one flat mapping; anything else in the stream is refused."""
    import yaml

    inside = False
    documents = 0
    key: yaml.ScalarEvent | None = None
    for event in events:
        place = _place(path, event)
        if getattr(event, "anchor", None) is not None:
            raise ConfigError(f"{place}anchors and aliases are not read")
        if getattr(event, "tag", None) is not None or getattr(event, "tags", None):
            raise ConfigError(f"{place}tags are not read; write the plain value")
        documents += isinstance(event, yaml.DocumentStartEvent)
        if documents > 1:
            raise ConfigError(f"{place}only one document is read; remove the `---`")
        if isinstance(event, yaml.MappingStartEvent) and not inside:
            inside = True
        elif isinstance(event, yaml.CollectionStartEvent):
            raise ConfigError(f"{place}expected `name: value` lines, found nesting")
        elif isinstance(event, yaml.ScalarEvent) and not inside and event.value:
            raise ConfigError(f"{place}expected `name: value` lines, found {shorten(event.value)}")
        elif isinstance(event, yaml.ScalarEvent) and key is None:
            key = event
        elif isinstance(event, yaml.ScalarEvent) and key is not None:
            yield key, event
            key = None


def _value(place: str, name: str, rule: Setting, scalar: yaml.ScalarEvent) -> Value:
    quoted = scalar.style in ("'", '"')
    if quoted and rule.kind == "text":  # whatever it says: a field may be called null
        return rule.check(f"{place}{name}", scalar.value)
    if quoted and rule.kind in ("integer", "number", "switch"):
        raise ConfigError(
            f"{place}{name} is the text {shorten(scalar.value)}, but must be {rule.range}; "
            "write it without quotes"
        )
    return rule.parse(f"{place}{name}", scalar.value)


def _place(path: str | os.PathLike[str], event: yaml.Event) -> str:
    mark = event.start_mark
    return f"{os.fspath(path)}: line {mark.line + 1 if mark else '?'}: "


def _one_line(error: Exception) -> str:
    """What PyYAML says over several indented lines, as one."""
    return " ".join(str(error).replace('in "<unicode string>", ', "at ").split())
