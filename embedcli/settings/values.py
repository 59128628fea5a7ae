"""The rules of one setting: its type, its range, its notation.

The same rule reads a flag, an environment variable and a line of a configuration file, and checks
what a Python program passes, so that all four agree and fail with the same words. Which settings
exist is said in `config.py`.

YAML 1.1 would read `1e-3` as text, `0123` as 83, `1_0` as 10, `1:30` as 90 and `.nan` as a number;
so nothing here trusts a YAML reader's guess: `Setting.parse` takes the characters as written.
"""

from __future__ import annotations

import math
import operator
import re
from dataclasses import dataclass, field
from typing import Any, Literal

from embedcli.errors import ConfigError

__all__ = [
    "Setting",
    "Value",
    "choice",
    "file",
    "integer",
    "n_bytes",
    "number",
    "seconds",
    "shorten",
    "switch",
    "text",
    "written",
]

Value = int | float | bool | str | None

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,18})")
_NUMBER = re.compile(r"[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]{1,3})?")
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([smh])")
_SIZE = re.compile(r"([1-9][0-9]{0,8})([KMGT])")
_BYTES = {"K": 10, "M": 20, "G": 30, "T": 40}  # as powers of 2
_SECONDS = {"s": 1, "m": 60, "h": 3600}
_SWITCH = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_NOTHING = ("", "~", "null", "none", "auto")


def shorten(value: object, limit: int = 40) -> str:
    """`value` as an error message shows it: its repr, cut to `limit` characters."""
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}..."


def seconds(duration: str) -> float | None:
    """The seconds of a duration, written `90s`, `10m` or `2h`; None for anything else."""
    match = _DURATION.fullmatch(duration)
    return float(match[1]) * _SECONDS[match[2]] if match else None


def n_bytes(size: str) -> int | None:
    """The bytes of a size, written `500M` or `2G` (of 1,024 each); None for anything else."""
    match = _SIZE.fullmatch(size)
    return int(match[1]) << _BYTES[match[2]] if match else None


def written(value: Value) -> str:
    """`value` as a flag or an environment variable says it."""
    if value is None:
        return "auto"
    return str(value).lower() if isinstance(value, bool) else str(value)


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: what it means and what it may be.

    Attributes:
        kind: ``"integer"``, ``"number"``, ``"switch"`` (true or false), ``"choice"``, ``"text"``
            (a file name, say), ``"duration"`` or ``"size"`` (both kept as they are written).
        help: one sentence for `--help`.
        low, high: the range, both ends allowed (integers and numbers).
        open_low: `low` itself is not allowed.
        choices: the allowed words (choices), or those that may stand in place of another value.
        automatic: what None means ("one per core"), or "" where None is not allowed.
        metavar: what `--help` calls a text.
        opposite: the flag that turns a switch off, if it is not ``no-`` and the name.
        alias: another name of the flag.
    """

    kind: Literal["integer", "number", "switch", "choice", "text", "duration", "size"]
    help: str
    low: float = 0
    high: float = 0
    open_low: bool = False
    choices: tuple[str, ...] = ()
    automatic: str = ""
    metavar: str = "TEXT"
    opposite: str = ""
    alias: str = ""

    @property
    def range(self) -> str:
        """The allowed values in words."""
        if self.kind == "switch":
            return " or ".join(["true or false", *self.choices])
        if self.kind == "choice":
            return " or ".join(self.choices)
        if self.kind == "text":
            return "text"
        if self.kind == "duration":
            return "a time above 0: 90s, 10m or 2h"
        if self.kind == "size":
            return "a size in bytes: 500M or 2G"
        kind = "an integer" if self.kind == "integer" else "a number"
        if self.open_low:
            return f"{kind} above {self.low}, at most {self.high}"
        return " or ".join([f"{kind} from {self.low} to {self.high}", *self.choices])

    def parse(self, name: str, text: str) -> Value:
        """The value written as `text`.

        Raises:
            ConfigError: `text` is no such value or out of range; the message begins with `name`.
        """
        if self.automatic and text.lower() in _NOTHING and text not in self.choices:
            return None
        if self.kind == "switch" and text.lower() in _SWITCH:
            return _SWITCH[text.lower()]
        if self.kind == "integer" and _INTEGER.fullmatch(text):
            return self.check(name, int(text))
        if self.kind == "number" and _NUMBER.fullmatch(text):
            return self.check(name, float(text))
        if self.kind in ("choice", "text", "duration", "size") or text in self.choices:
            return self.check(name, text)
        raise self._refusal(name, text)

    def check(self, name: str, value: Any) -> Value:
        """`value` as the plain Python type of this setting.

        Raises:
            ConfigError: it is of another type, not finite or out of range.
        """
        if value is None and self.automatic:
            return None
        if self.kind == "switch" and isinstance(value, bool):
            return value
        if isinstance(value, str) and value in self.choices:
            return value
        if self.kind == "text" and isinstance(value, str) and value:
            return value
        if self.kind == "duration" and isinstance(value, str) and seconds(value):
            return value
        if self.kind == "size" and isinstance(value, str) and n_bytes(value):
            return value
        if self.kind in ("integer", "number"):
            number = self._number(value)
            if number is not None and self._in_range(number):
                return number
        raise self._refusal(name, value)

    def _number(self, value: Any) -> int | float | None:
        """`value` as int or float (NumPy's scalars too), or None where it is neither."""
        if isinstance(value, (bool, str, bytes)):
            return None
        try:
            return operator.index(value) if self.kind == "integer" else float(value)
        except (TypeError, ValueError, OverflowError):
            return None

    def _in_range(self, number: float) -> bool:
        if not math.isfinite(number) or (self.open_low and number == self.low):
            return False
        return self.low <= number <= self.high

    def _refusal(self, name: str, value: object) -> ConfigError:
        return ConfigError(f"{name} is {shorten(value)}, but must be {self.range}")


# How a dataclass declares a field that is a setting.


def integer(default: int | None, low: int, high: int, help: str, **more: Any) -> Any:  # noqa: A002
    """An integer from `low` to `high`; `more` are attributes of `Setting`."""
    return _field(default, Setting("integer", help, low, high, **more))


def number(default: float | None, low: float, high: float, help: str, **more: Any) -> Any:  # noqa: A002
    """A number from `low` to `high`."""
    return _field(default, Setting("number", help, low, high, **more))


def switch(default: bool | None, help: str, **more: Any) -> Any:  # noqa: A002
    """True or false."""
    return _field(default, Setting("switch", help, **more))


def choice(default: str | None, choices: tuple[str, ...], help: str, **more: Any) -> Any:  # noqa: A002
    """One of `choices`."""
    return _field(default, Setting("choice", help, choices=choices, **more))


def text(help: str, automatic: str = "none", kind: Any = "text", **more: Any) -> Any:  # noqa: A002
    """Text, a duration or a size, None where it is not given."""
    return _field(None, Setting(kind, help, automatic=automatic, **more))


def file(help: str, metavar: str = "FILE", **more: Any) -> Any:  # noqa: A002
    """The name of a file."""
    return text(help, metavar=metavar, **more)


def _field(default: Value, setting: Setting) -> Any:
    return field(default=default, metadata={"setting": setting})
