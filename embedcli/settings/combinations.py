"""Values of settings that cannot be together, as the table in `compatibility.py` and reason say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from embedcli.errors import ConfigError
from embedcli.settings.compatibility import refused_with
from embedcli.settings.values import Value

__all__ = ["check_architecture", "check_combination", "not_in_rounds"]

Values = Mapping[str, Value]


def check_combination(values: Values, lr: float) -> None:
    """Refuse values that contradict each other.

    Args:
        values: of all settings, by name; each of them is in its own range.
        lr: the highest learning rate of the run.

    Raises:
        ConfigError: two values, both named, and what to do.
    """
    if float(values["min_lr"] or 0) > lr:
        raise ConfigError(f"min_lr is {values['min_lr']}, but must not be above lr, which is {lr}")
    if values["init"] and values["continue_from"]:
        raise ConfigError(
            f"init is {values['init']} and continue_from is {values['continue_from']}, but a run "
            "begins with one of them only: leave one out"
        )
    if values["freeze"] and not (values["init"] or values["continue_from"]):
        raise ConfigError(
            f"freeze is {values['freeze']}, but no vectors are given that could be kept: add init "
            "or continue_from"
        )
    if values["metrics"] == "-":
        raise ConfigError("metrics is -, but must be a file; standard output is /dev/stdout")
    if values["valid"] and values["valid_fraction"]:
        raise ConfigError(
            f"valid is {values['valid']} and valid_fraction is {values['valid_fraction']}, but the "
            "held-out text can come from one of them only: leave one out"
        )
    if values["patience"] and not (
        values["valid"] or values["valid_fraction"] or values["evaluate"]
    ):
        raise ConfigError(
            f"patience is {values['patience']}, but nothing is measured that could stop improving: "
            "add valid, valid_fraction or evaluate"
        )


def check_architecture(values: Values, defaults: Values) -> None:
    """Refuse what an architecture or loss cannot do.

    Raises:
        ConfigError: a setting with another value than its default, and what cannot do that.
    """
    what, shown = "", ""
    if values["arch"] == "glove":
        what, shown = "glove", "arch is glove"
    elif values["loss"] != defaults["loss"]:
        what, shown = str(values["loss"]), f"loss is {values['loss']}"
    elif values["subword"] is not None:
        what, shown = "subword", f"subword is {values['subword']}"
    for setting in _changed(values, defaults, refused_with(what)):
        raise _clash(setting, shown)
    if values["deterministic"] and (other := not_in_rounds(values, defaults)):
        raise _clash("deterministic is True", other)


def not_in_rounds(values: Values, defaults: Values) -> str | None:
    """A setting that only Hogwild does, and its value."""
    if values["arch"] == "glove":
        return "arch is glove"
    return next(_changed(values, defaults, refused_with("rounds")), None)


def _changed(values: Values, defaults: Values, names: Iterable[str]) -> Iterator[str]:
    """Which of the settings do not have their defaults, and their values."""
    for name in names:
        if values[name] != defaults[name]:
            yield f"{name} is {values[name]}"


def _clash(setting: str, other: str) -> ConfigError:
    return ConfigError(f"{setting}, but {other}, which cannot do that: leave one of them out")
