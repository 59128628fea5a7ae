r"""Reading the files of a task, training and test, told apart by what is in them.

Classification, a line an example:      label<TAB>text        or  __label__x text (fastText's)
Tagging, CoNLL columns, a line a token: token ... tag, an empty line after each sentence; the tags
                                        are B-x, I-x (also E-x, S-x) and O

The text of an example is cut into runs of letters and digits and single other characters: the same
tokens for every kind of features. Lines that begin with ``-DOCSTART-`` are skipped.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from embedcli.errors import FormatError
from embedcli.evaluation.content import encoding_error, read_content
from embedcli.quoting import quoted

__all__ = ["Examples", "Sentences", "read_task"]

_TOKEN: Final = re.compile(r"\w+|[^\w\s]")
_FASTTEXT: Final = "__label__"
_TAG: Final = re.compile(r"O|[BIES]-\S+")
_SAMPLE: Final = 200


@dataclass(frozen=True)
class Examples:
    """Texts to classify: token lists, and a label each."""

    tokens: Sequence[Sequence[str]]
    labels: Sequence[str]


@dataclass(frozen=True)
class Sentences:
    """Sentences to tag: token lists, and a tag for each token."""

    tokens: Sequence[Sequence[str]]
    tags: Sequence[Sequence[str]]


def read_task(path: str, encoding: str | None = None) -> Examples | Sentences:
    """Read one file of a task.

    Args:
        path: the file.
        encoding: what it is encoded in, where no byte order mark says it; UTF-8 if None.

    Raises:
        FormatError: it cannot be read, or a line is not what the first ones are; with its number.
    """
    lines = _lines(path, encoding)
    said = [line for line in lines[:_SAMPLE] if line.strip()]
    if not said:
        raise FormatError(f"{path}: not a single example")
    tagged = sum(_TAG.fullmatch(line.split()[-1]) is not None for line in said)
    if "" in map(str.strip, lines[:-1]) and 2 * tagged > len(said):
        return _read_sentences(path, lines)
    return _read_examples(path, lines)


def _lines(path: str, encoding: str | None) -> list[str]:
    content = read_content(path, encoding)
    try:
        return content.decode().removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        raise encoding_error(path, content, error) from error


def _read_examples(path: str, lines: Sequence[str]) -> Examples:
    tokens, labels = [], []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        separator = None if line.startswith(_FASTTEXT) else "\t"
        label, *text = line.rstrip("\r").split(separator, 1)
        if not text or not label.strip():
            raise FormatError(
                f"{path}, line {number}: expected label<TAB>text, __label__x text, or CoNLL "
                f"columns, found {quoted(line[:60])}"
            )
        labels.append(label.strip().removeprefix(_FASTTEXT))
        tokens.append(_TOKEN.findall(text[0]))
    return Examples(tokens, labels)


def _read_sentences(path: str, lines: Sequence[str]) -> Sentences:
    tokens: list[list[str]] = [[]]
    tags: list[list[str]] = [[]]
    for number, line in enumerate(lines, 1):
        fields = line.split()
        if not fields or fields[0] == "-DOCSTART-":
            if tokens[-1]:
                tokens.append([])
                tags.append([])
            continue
        if len(fields) < 2 or not _TAG.fullmatch(fields[-1]):
            raise FormatError(
                f"{path}, line {number}: expected a token and a tag (B-x, I-x or O), found "
                f"{quoted(line[:60])}"
            )
        tokens[-1].append(fields[0])
        tags[-1].append(fields[-1])
    full = [i for i, sentence in enumerate(tokens) if sentence]
    return Sentences([tokens[i] for i in full], [tags[i] for i in full])
