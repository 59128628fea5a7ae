r"""Regular expressions of users and of model files, by Python's `re` or by the library `regex`.

`re` knows no classes of characters (``\p{L}``, ``[[:alpha:]]``). A pattern that it cannot compile
and `regex` can is that library's; what both compile is `re`'s, installed or not.
"""

from __future__ import annotations

import re
import warnings
from typing import Any

from embedcli.errors import ConfigError, MissingExtraError
from embedcli.settings.values import shorten

__all__ = ["compiled"]

_ASKS_FOR_CLASSES = re.compile(r"(?:^|[^\\])(?:\\\\)*\\[pPX]|\[\[:\^?\w+:\]")


def compiled(pattern: str) -> Any:
    """`pattern` as an object with ``finditer``.

    Raises:
        ConfigError: it is no regular expression.
        MissingExtraError: it needs `regex`, which is not installed.
    """
    asks = _ASKS_FOR_CLASSES.search(pattern)
    if not asks:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # sets that may change their meaning
                return re.compile(pattern)
        except (re.error, OverflowError, RecursionError) as error:
            wrong: Exception = error
    try:
        import regex
    except ImportError as error:
        if asks:
            raise MissingExtraError(f"--pattern {pattern}", "regex", "unicode") from error
        raise _refusal(pattern, wrong) from error
    try:
        return regex.compile(pattern)
    except (regex.error, OverflowError, RecursionError) as error:
        raise _refusal(pattern, error if asks else wrong) from error


def _refusal(pattern: str, error: Exception) -> ConfigError:
    return ConfigError(f"pattern is {shorten(pattern)}, but must be a regular expression: {error}")
