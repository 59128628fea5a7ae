"""Options that several commands share, and the options that make a `TrainConfig`."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable, Collection
from difflib import get_close_matches
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from embedcli.cli.output import Verbosity, warn
from embedcli.errors import ConfigError
from embedcli.settings.classifier_config import ClassifierConfig, classifier_settings
from embedcli.settings.config import TrainConfig, settings
from embedcli.settings.text_rules import TextRules, text_settings
from embedcli.settings.values import Setting, Value, seconds
from embedcli.settings.yaml_files import load_config

__all__ = [
    "DEFAULT_MODEL",
    "Duration",
    "classifier_options",
    "default_model",
    "json_option",
    "model_option",
    "text_encoding_option",
    "text_options",
    "text_options_beside",
    "train_options",
    "train_options_without",
    "verbosity_options",
    "warn_without_effect",
]

# Who may say `none` of a setting that would be something else without.
_SAID = (click.core.ParameterSource.COMMANDLINE, click.core.ParameterSource.ENVIRONMENT)

_Function = TypeVar("_Function", bound=Callable[..., Any])

DEFAULT_MODEL = "model.safetensors"


def warn_without_effect(names: Collection[str], why: str) -> None:
    """Warn of each of these options of the running command that somebody has given."""
    context = click.get_current_context()
    for parameter in context.command.params:
        if parameter.name in names and context.get_parameter_source(parameter.name) in _SAID:
            warn(f"{max(parameter.opts, key=len)} decides nothing {why}")


def default_model() -> str:
    """The model of a command that takes several, where none is named."""
    return os.environ.get("EMBED_MODEL") or DEFAULT_MODEL


model_option = click.option(
    "-m",
    "--model",
    default=DEFAULT_MODEL,
    show_default=True,
    envvar="EMBED_MODEL",
    type=click.Path(),  # unchecked; tells the shell to complete file names
    metavar="MODEL",
    help="Vector file in any format that embed reads; EMBED_MODEL sets another default.",
)


text_encoding_option = click.option(
    "--text-encoding",
    metavar="NAME",
    help="Encoding of text without a byte order mark: cp1252, shift_jis, ...  [default: UTF-8]",
)


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def verbosity_options(function: _Function) -> _Function:
    """Add `-q` and `-v`; `output.py` obeys them, and the function never sees them."""
    quiet = click.option(
        "-q",
        "--quiet",
        is_flag=True,
        expose_value=False,
        callback=_quiet,
        help="Print errors only.",
    )
    verbose = click.option(
        "-v",
        "--verbose",
        count=True,
        expose_value=False,
        callback=_verbose,
        help="Print more; -vv adds tracebacks.",
    )
    return quiet(verbose(function))


def _quiet(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        context.ensure_object(Verbosity).quiet = True


def _verbose(context: click.Context, parameter: click.Parameter, value: int) -> None:
    context.ensure_object(Verbosity).verbose += value


def train_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add an option for every field of `TrainConfig`, and `--config`.

    The function is called with `config`, a TrainConfig put together so that a flag wins over an
    EMBED_TRAIN_... variable, that over the file of `--config`, that over the default; and with
    `chosen`, those of its settings that somebody chose.
    """
    return train_options_without()(function)


def train_options_without(*left_out: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """As `train_options`, for a command to which the settings `left_out` mean nothing."""
    offered = {name: rule for name, rule in settings().items() if name not in left_out}
    return _config_options(TrainConfig, offered, "EMBED_TRAIN_")


def classifier_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """As `train_options`, for a `ClassifierConfig`; the variables are EMBED_CLASSIFY_..."""
    return _config_options(ClassifierConfig, classifier_settings(), "EMBED_CLASSIFY_")(function)


def _config_options(
    kind: type[TrainConfig], offered: dict[str, Setting], prefix: str
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """An option for each setting that is `offered`, whose variable begins with `prefix`."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def with_config(*args: Any, config_file: str | None, **options: Any) -> Any:
            chosen = load_config(config_file, {**settings(), **offered}) if config_file else {}
            for name in chosen:
                if name not in offered:
                    raise ConfigError(f"{config_file}: {name} means nothing here: leave it out")
            given = {name: options.pop(name) for name in offered}
            context = click.get_current_context()
            chosen |= {
                name: value
                for name, value in given.items()
                if value is not None or context.get_parameter_source(name) in _SAID
            }
            _warn_of_unknown_variables(context, prefix)
            config = kind(**chosen)  # type: ignore[arg-type]
            return function(*args, config=config, chosen=chosen, **options)

        decorated: Callable[..., Any] = click.option(
            "--config",
            "config_file",
            type=click.Path(),
            metavar="FILE.yaml",
            envvar=f"{prefix}CONFIG",
            help=f"Read settings from this file; flags and {prefix}... variables override it.",
        )(with_config)
        for name, setting in reversed(offered.items()):
            decorated = _option(name, setting, kind, f"{prefix}{name.upper()}")(decorated)
        return decorated

    return decorate


def text_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add an option for every field of `TextRules`; the function is called with `rules`."""
    return text_options_beside()(function)


def text_options_beside(
    *flags: str, only: Collection[str] | None = None
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """As `text_options`, for a command that has `flags` of its own: other names remain.

    `only` some of the settings, by name, where a model says all others.
    """
    offered = {n: rule for n, rule in text_settings().items() if only is None or n in only}

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def with_rules(*args: Any, **options: Any) -> Any:
            given = {name: options.pop(name) for name in offered}
            chosen = {name: value for name, value in given.items() if value is not None}
            return function(*args, rules=TextRules(**chosen), **options)

        decorated: Callable[..., Any] = with_rules
        for name, setting in reversed(offered.items()):
            decorated = _option(name, setting, TextRules, variable=None, taken=flags)(decorated)
        return decorated

    return decorate


class Duration(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.4 on
    """`90s`, `10m` or `2h`, in seconds; `never` is infinite."""

    name = "duration"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """What `--help` shows for the value."""
        return "TIME"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Seconds."""
        if isinstance(value, float):
            return value
        if value == "never":
            return math.inf
        length = seconds(value)
        if length is None:
            self.fail(f"{value!r} is no time: write 90s, 10m, 2h or never", param, ctx)
        return length


class SettingType(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.4 on
    """Reads a flag or variable by the rule that also reads configuration files."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.name = setting.kind

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """What `--help` shows for the value."""
        names = {
            "integer": "N",
            "number": "X",
            "text": self.setting.metavar,
            "duration": "TIME",
            "size": "SIZE",
        }
        name = names.get(self.setting.kind)
        choices = "|".join(self.setting.choices)
        return "|".join(filter(None, (name, choices))) if name else f"[{choices}]"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Value:
        """The value; a ConfigError names the flag or the variable it came from."""
        place = "value"
        if param is not None and ctx is not None:
            source = ctx.get_parameter_source(param.name or "")
            from_variable = source is click.core.ParameterSource.ENVIRONMENT
            place = str(param.envvar) if from_variable else param.opts[0]
        return self.setting.parse(place, value) if isinstance(value, str) else value

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The choices that begin with what is typed."""
        return [CompletionItem(c) for c in self.setting.choices if c.startswith(incomplete)]


class _ChoiceSwitch(click.Option):
    """A switch that may be followed by a word: `--lowercase`, `--lowercase tr`, `--no-lowercase`.

    What follows is taken for the word only if it is one of the choices, as a file may follow.
    """

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        """Give the option its value before click looks for one."""
        super().add_to_parser(parser, ctx)
        parse = parser.parse_args
        parser.parse_args = lambda args: parse(self._with_values(list(args)))

    def get_help_record(self, ctx: click.Context) -> tuple[str, str]:
        """What `--help` shows."""
        flag = self.opts[0]
        shown = f"{flag} [{'|'.join(self._choices)}] / --no-{flag[2:]}"
        record = super().get_help_record(ctx)
        return shown, record[1] if record else ""

    @property
    def _choices(self) -> tuple[str, ...]:
        return self.type.setting.choices if isinstance(self.type, SettingType) else ()

    def _with_values(self, args: list[str]) -> list[str]:
        flag, opposite = self.opts[0], f"--no-{self.opts[0][2:]}"
        given: list[str] = []
        while args:
            arg = args.pop(0)
            if arg == "--":
                return [*given, arg, *args]
            if arg == flag:
                arg = f"{flag}={args.pop(0) if args and args[0] in self._choices else 'yes'}"
            given.append(f"{flag}=no" if arg == opposite else arg)
        return given


def _option(
    name: str,
    setting: Setting,
    of: type[TextRules],
    variable: str | None,
    taken: Collection[str] = (),
) -> Callable[[_Function], _Function]:
    """The click option for one setting; None means that it was not given.

    A flag that the command has `taken` for something else is left to it: the other name remains.
    """
    flag = f"--{name.replace('_', '-')}"
    text = f"{setting.help}  [{_default_and_range(getattr(of, name), setting)}]"
    if setting.kind == "switch" and setting.choices:
        kind = SettingType(setting)
        return click.option(flag, name, type=kind, envvar=variable, help=text, cls=_ChoiceSwitch)
    if setting.kind == "switch":
        both = f"{flag}/--{setting.opposite or 'no-' + flag[2:]}"
        return click.option(both, name, default=None, envvar=variable, help=text)
    flags = [each for each in (setting.alias, flag) if each and each not in taken]
    return click.option(*flags, name, type=SettingType(setting), envvar=variable, help=text)


def _default_and_range(default: Value, setting: Setting) -> str:
    if isinstance(default, bool):
        return f"default: {'yes' if default else 'no'}"
    shown = setting.automatic if default is None else str(default)
    if setting.kind in ("switch", "choice", "text", "duration", "size"):
        return f"default: {shown}"
    low = f"{'above ' if setting.open_low else ''}{setting.low}"
    limits = f"{low} to {setting.high}" if setting.high < 2**31 - 1 else f"{low} or more"
    return f"default: {shown}; {' or '.join([limits, *setting.choices])}"


def _warn_of_unknown_variables(context: click.Context, prefix: str) -> None:
    """A misspelt EMBED_TRAIN_DIMM would otherwise do nothing, without a word."""
    known = {str(param.envvar) for param in context.command.params if param.envvar}
    for variable in sorted(os.environ):
        if variable.startswith(prefix) and variable not in known:
            close = get_close_matches(variable, known, 1)
            hint = f"; did you mean {close[0]}?" if close else ""
            warn(f"the environment variable {variable} means nothing to embed{hint}")
