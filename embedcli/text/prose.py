"""Tells prose from prepared text, where nobody said how a text is cut into words.

Prose is cut into words and lower-cased, anything else only at white space. The beginnings of the
files decide, so that a text is read alike by every command, and on every machine. What must hold is
strict: prepared text, logs, code and tables stay as they are. docs/text.md has the rule, and what
it gains.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import TypeVar

from embedcli.files.spans import Span
from embedcli.files.urls import is_url
from embedcli.settings.text_rules import TextRules
from embedcli.text.fields import Field
from embedcli.text.places import can_read_again
from embedcli.text.sources import Library, opened

__all__ = ["choice_line", "is_prose", "settle", "settled"]

_Rules = TypeVar("_Rules", bound=TextRules)

_SAMPLE_BYTES = 1 << 15
_MOST_FILES = 8
_FEWEST = 30  # stretches of text: fewer tell nothing
_MOST_CHARACTERS = 12  # of a stretch, on average: more, and no spaces stand between words
_LETTERS, _PLAIN, _ENDED = 0.85, 0.86, (0.015, 0.35)

_LETTER_OR_DIGIT = re.compile(r"[^\W_]")
# One word, with what prose puts around it: "well-known", don't, U.S.A., (see
_WORD = re.compile(r"[\W_]*[^\W\d_]+(?:['\u2019\u2010-][^\W\d_]+)*(?:\.[^\W\d_])*[\W_]*")
# Of Latin, Greek, Armenian, Hebrew, Arabic, Indian, Burmese, Ethiopian and Khmer script.
_STOPS = (
    ".,;:!?\u2026\u037e\u0589\u05c3\u060c\u061b\u061f\u06d4\u0964\u0965\u104a\u104b\u1362\u17d4"
)
_QUOTES = "\"'\u2019\u201d\u201c\u00bb\u203a)\\]*_"
# A word that ends in a stop: what a tokenizer would have taken off.
_HAS_STOP = re.compile(rf"[^\W\d_][{_QUOTES}]*[{_STOPS}][{_STOPS}{_QUOTES}]*(?!\S)")


def is_prose(text: str) -> bool:
    """Whether a text is plainly prose as people write it, which nobody has cut into words yet.

    Of its stretches without white space, nearly all hold letters, and nearly all of these are a
    word with nothing but punctuation around it; some, but not too many, end in a stop.
    """
    if not _HAS_STOP.search(text):
        return False
    if not text.isascii():  # marks belong to the letter before them
        text = "".join(c for c in text if unicodedata.category(c) not in ("Mn", "Mc", "Cf"))
    stretches = text.split()
    words = list(filter(_LETTER_OR_DIGIT.search, stretches))
    n = len(words)
    if n < _FEWEST or n < _LETTERS * len(stretches):
        return False
    n_ended = sum(map(bool, map(_HAS_STOP.search, (word[-6:] for word in words))))
    if not _ENDED[0] * n <= n_ended <= _ENDED[1] * n:
        return False
    if sum(map(len, words)) > _MOST_CHARACTERS * n:
        return False
    return sum(map(bool, map(_WORD.fullmatch, words))) >= _PLAIN * n


def settled(paths: Sequence[str | Span], rules: _Rules, *, recursive: bool = False) -> _Rules:
    """The rules with what they leave to the text decided by it, if that takes no byte from a pipe.

    Where it would, they stay as they are: whoever reads the text settles them (`settle`).

    Raises:
        CorpusError, UsageError: there are no such files, or one of those is no text.
    """
    if not rules.is_open:
        return rules
    library = opened(paths, rules, recursive=recursive)
    first = library.sources[0] if library.sources else None
    if first is None or not (can_read_again(first) or is_url(str(first))):
        return rules
    try:
        return rules.settled_as(settle(library))
    finally:
        library.close()


def settle(library: Library) -> TextRules:
    """The rules of a library that nothing was read of; what they leave to the text it decides.

    The beginnings of up to eight files are looked at, which are spread evenly over all. What can
    be read only once is looked at if it comes first, and then alone.
    """
    rules = library.rules
    if rules.is_open:
        is_free = rules.tokenizer is None and not rules.items
        library.rules = rules.settled(prose=is_free and is_prose(_sample(library)))
    return library.rules


def choice_line(asked: TextRules, chosen: TextRules) -> str | None:
    """What to say where a text decided that it is cut into words; None: nothing."""
    if asked.tokenizer is not None or chosen.tokenizer != "words":
        return None
    if asked.lowercase is not None or chosen.lowercase is not True:
        return (
            "the text is prose: it is cut into words (--tokenizer words; --tokenizer whitespace "
            "keeps it as it stands)"
        )
    return (
        "the text is prose: it is cut into words in lower case (--tokenizer words --lowercase; "
        "--tokenizer whitespace keeps it as it stands)"
    )


def _sample(library: Library) -> str:
    """What decides: text from the beginnings of some files, or of the first if it is no file."""
    if not library.sources:
        return ""
    if not can_read_again(library.sources[0]):
        return library.peek(_SAMPLE_BYTES).decode(errors="replace")
    files = list(filter(can_read_again, library.sources))
    n = min(_MOST_FILES, len(files))
    chosen = [files[i * len(files) // n] for i in range(n)]
    return "\n".join(_beginning(file, library.rules, _SAMPLE_BYTES // n) for file in chosen)


def _beginning(source: str | Span, rules: TextRules, size: int) -> str:
    library = Library([source], Field.named_by(rules), rules)
    try:
        return library.peek(size).decode(errors="replace")
    finally:
        library.close()
