"""Text that is in memory, as lists of words: written to a temporary file and read like any other.

The file takes no memory, and everything about a run (counting, samples, checkpoints, the digest of
the text) is what it would be if the lists had been written to a file by hand, a line each.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from embedcli.errors import CorpusError, OutputError, UsageError
from embedcli.quoting import quoted
from embedcli.settings.config import TrainConfig

__all__ = ["as_paths", "config_for_lists", "written_lists"]

_SHOWN = 40  # characters of something unfit that are shown


def as_paths(text: Any) -> tuple[list[str], Iterable[Any] | None]:
    """Split what was given as text into paths and lists of words: one of them is empty or None.

    Args:
        text: a path, a sequence of paths, or an iterable of lists of words.

    Raises:
        UsageError: it is none of these.
    """
    if isinstance(text, str | os.PathLike):
        return [os.fspath(text)], None
    if isinstance(text, bytes) or not isinstance(text, Iterable):
        raise UsageError(
            f"{type(text).__name__} is no text: give a path, several, or lists of words"
        )
    if isinstance(text, Sequence) and not text:
        return [], None
    items = iter(text)
    for first in items:
        rest = text if isinstance(text, Sequence) else chain([first], items)
        if isinstance(first, str | os.PathLike):
            return [_path(each) for each in rest], None
        return [], rest
    return [], []


def _path(given: Any) -> str:
    if not isinstance(given, str | os.PathLike):
        raise UsageError(f"{_short(given)} is no path, but the first one was: do not mix them")
    return os.fspath(given)


def config_for_lists(config: TrainConfig) -> TrainConfig:
    """`config` with words taken as they are: the lists say where they begin and end.

    Raises:
        UsageError: it asks for text to be cut in another way.
    """
    if config.field is not None or config.pattern is not None:
        raise UsageError("lists of words are cut already: leave field and pattern out")
    return replace(config, tokenizer="whitespace")


@contextmanager
def written_lists(
    lists: Iterable[Iterable[str]], separator: str | None, scratch: str | os.PathLike[str] | None
) -> Iterator[str]:
    """A temporary file of the lists, a line each, that is there inside the ``with``.

    Args:
        lists: any number of lists of words, each read once.
        separator: what stands between words; None: a space.
        scratch: the directory of the file; None: the system's.

    Raises:
        CorpusError: a list is a string, a word is none, or cannot be told from its neighbours.
        OutputError: the file cannot be written.
    """
    between = separator or " "
    descriptor, name = tempfile.mkstemp(".txt", "embed-lists-", scratch)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
            for number, words in enumerate(lists, 1):
                file.write(between.join(_words(words, number, separator)) + "\n")
        yield name
    except UnicodeEncodeError as error:
        raise CorpusError(f"a word is not Unicode text: {_short(error.object)}") from None
    except OSError as error:
        raise OutputError(f"cannot write {name}: {error.strerror or error}") from error
    finally:
        Path(name).unlink(missing_ok=True)


def _words(words: Any, number: int, separator: str | None) -> list[str]:
    if isinstance(words, str | bytes) or not isinstance(words, Iterable):
        raise CorpusError(
            f"list {number} is {_short(words)}, not a list of words: split it, or write the text "
            "to a file and train on that"
        )
    found = list(words)
    for word in found:
        if not isinstance(word, str):
            raise CorpusError(f"list {number} holds {_short(word)}, which is no string")
        fits = "\n" not in word and separator not in word if separator else word.split() == [word]
        if not fits or not word:
            refused = (
                f"{separator!r} or a line break"
                if separator
                else "white space (join its parts by _, or set items=True and a separator)"
            )
            raise CorpusError(
                f"list {number} holds {quoted(word)}: a word may not be empty or contain {refused}"
            )
    return found


def _short(thing: Any) -> str:
    text = repr(thing)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
