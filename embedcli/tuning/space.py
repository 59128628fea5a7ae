"""The search space: for each setting a list of values, or a range.

Written alike on the command line (``--try lr=0.01:0.1``) and in a file (``lr: 0.01:0.1``):

    25,50,100      these values
    0.01:0.1       anything between, ends included; on a log scale from a factor of ten on

Only settings that leave the words alone can be searched: models of other words cannot be compared.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from embedcli.errors import UsageError
from embedcli.settings.compatibility import used_by
from embedcli.settings.config import USUAL_EPOCHS, TrainConfig, settings
from embedcli.settings.values import Value

__all__ = ["SEARCHABLE", "Axis", "Space", "parse_space", "work"]

SEARCHABLE: Final = used_by("tune")
_LOG_FROM: Final = 10.0  # the ratio of the ends of a range
_MOST_COMBINATIONS: Final = 10_000


@dataclass(frozen=True)
class Axis:
    """One setting that is searched.

    Attributes:
        name: of the setting.
        values: those to try; empty for a range.
        low, high: the ends of the range, both int or both float.
    """

    name: str
    values: tuple[Value, ...] = ()
    low: float = 0
    high: float = 0

    @property
    def log(self) -> bool:
        """Whether the range is searched on a log scale."""
        return self.low > 0 and self.high / self.low >= _LOG_FROM


@dataclass(frozen=True)
class Space:
    """All settings that are searched, at least one."""

    axes: tuple[Axis, ...]

    @property
    def is_grid(self) -> bool:
        """Whether there is a last combination to try."""
        return all(axis.values for axis in self.axes)

    def grid(self, config: TrainConfig) -> list[dict[str, Value]]:
        """Every combination of the values, least work first.

        Args:
            config: the settings that are not searched.
        """
        return sorted(self._corners(), key=lambda chosen: work(config.with_settings(chosen)))

    def check(self, config: TrainConfig) -> None:
        """Refuse before the work what cannot be tried: every value, and both ends of a range.

        Raises:
            ConfigError: settings that do not go together.
            UsageError: too many combinations.
        """
        n = math.prod(len(axis.values) or 2 for axis in self.axes)
        if n > _MOST_COMBINATIONS:
            raise UsageError(f"{n:,} combinations: give ranges (low:high) and --trials instead")
        for chosen in self._corners():
            config.with_settings(chosen)

    def _corners(self) -> Iterator[dict[str, Value]]:
        names = [axis.name for axis in self.axes]
        for values in itertools.product(*(a.values or (a.low, a.high) for a in self.axes)):
            yield dict(zip(names, values, strict=True))


def work(config: TrainConfig) -> float:
    """What a run takes, in proportion: the products of a step times the steps."""
    # a window as wide as the line takes the same in every run, whatever that is
    window, epochs = float(config.widest_window(0)), config.epochs or USUAL_EPOCHS
    if config.arch == "glove":
        return window * config.dim * epochs  # the more of them, the more often equal
    inputs = 1.0 if config.arch == "cbow" else window
    return inputs * (1 + config.negative) * config.dim * epochs


def parse_space(written: Mapping[str, str]) -> Space:
    """The space that the texts, by the name of a setting, describe.

    Raises:
        UsageError: no such setting, or one that cannot be searched.
        ConfigError: a value that the setting cannot take.
    """
    return Space(tuple(_axis(name.replace("-", "_"), text) for name, text in written.items()))


def _axis(name: str, text: str) -> Axis:
    rules = settings()
    if name not in SEARCHABLE:
        close = get_close_matches(name, SEARCHABLE, 1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(SEARCHABLE)}"
        what = "changes more than the vectors" if name in rules else "is no setting"
        raise UsageError(f"{name} cannot be searched: it {what}; {hint}")
    rule = rules[name]
    ends = text.split(":")
    if len(ends) == 1:
        values = tuple(rule.parse(name, part.strip()) for part in text.split(","))
        return Axis(name, tuple(dict.fromkeys(values)))
    if len(ends) != 2 or rule.kind not in ("integer", "number"):
        raise UsageError(f"{name} is {text!r}: write values a,b,c or, of numbers, a range low:high")
    low, high = (rule.parse(name, end.strip()) for end in ends)
    if not (isinstance(low, int | float) and isinstance(high, int | float) and low < high):
        raise UsageError(f"{name} is {text!r}: a range is written low:high, the lower end first")
    return Axis(name, (), low, high)
