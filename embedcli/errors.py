"""Every error that embed raises on purpose, and the exit code of the command for each.

The tree::

    EmbedError                1  an unforeseen error
    ├── ThresholdError        1  a score fell below --fail-under
    ├── UsageError            2  an option or argument that makes no sense
    │   ├── ConfigError       2  a key or value in a configuration
    │   └── MissingExtraError 2  an optional library is not installed
    ├── InputError            3  input that cannot be used
    │   ├── CorpusError       3  text that cannot be trained on
    │   ├── FormatError       3  a vector or model file that is damaged or of another format
    │   └── UnknownWordError  3  a word the model does not hold
    ├── ResourceError         4  not enough memory or disk
    ├── OutputError           5  an output that cannot be written
    ├── TrainingError         6  training produced nothing usable
    ├── BusyError             7  somebody else is writing the same output
    └── ClusterError          8  the cluster cannot be reached, or was lost

A message is one line that says what is wrong, where (file, line or byte), the two values that
disagree, and what to do.
"""

from __future__ import annotations

from embedcli.quoting import escaped, quoted

__all__ = [
    "BusyError",
    "ClusterError",
    "ConfigError",
    "CorpusError",
    "EmbedError",
    "FormatError",
    "InputError",
    "MissingExtraError",
    "OutputError",
    "ResourceError",
    "ThresholdError",
    "TrainingError",
    "UnknownWordError",
    "UsageError",
]


class EmbedError(Exception):
    """The base class of every error that embed raises on purpose.

    The message is one line. ``exit_code`` is the exit code of the command (`errors.py` has the
    tree).

    Example:
        >>> try:
        ...     embedcli.load("no-such-file.vec")
        ... except embedcli.EmbedError as error:
        ...     print(error, error.exit_code)
        cannot read no-such-file.vec: No such file or directory 3
    """

    exit_code = 1


class ThresholdError(EmbedError):
    """A score is below the threshold that was asked for."""


class UsageError(EmbedError):
    """An option or argument is invalid, or does not go with another."""

    exit_code = 2


class ConfigError(UsageError):
    """A configuration key does not exist, or its value is invalid."""


class MissingExtraError(UsageError):
    """An optional library is not installed; the message is the command that installs it."""

    def __init__(self, purpose: str, library: str, extra: str) -> None:
        super().__init__(
            f"{purpose} needs the library {library}, which is not installed: "
            f"pip install 'embedcli[{extra}]'"
        )


class InputError(EmbedError):
    """Input that cannot be used."""

    exit_code = 3


class CorpusError(InputError):
    """Text that cannot be read or trained on."""


class FormatError(InputError):
    """A vector or model file that is damaged, or of another format than expected."""


class UnknownWordError(InputError):
    """A word that the model does not hold.

    ``word`` is the word asked for, ``suggestions`` the nearest words that exist (may be empty).
    """

    def __init__(self, word: str, suggestions: tuple[str, ...] = ()) -> None:
        hint = f"; did you mean {', '.join(map(escaped, suggestions))}?" if suggestions else ""
        super().__init__(f"unknown word {quoted(word)}{hint}")
        self.word = word
        self.suggestions = suggestions


class ResourceError(EmbedError):
    """Not enough memory or disk for what was asked."""

    exit_code = 4


class OutputError(EmbedError):
    """An output that cannot be written."""

    exit_code = 5


class TrainingError(EmbedError):
    """Training produced nothing usable: no pair was trained, or the numbers diverged."""

    exit_code = 6


class BusyError(EmbedError):
    """Another process is writing the same output."""

    exit_code = 7


class ClusterError(EmbedError):
    """The cluster cannot be reached, or was lost with what it held."""

    exit_code = 8
