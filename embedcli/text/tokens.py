"""What a stretch of text without white space becomes: no token, one or several. In plain Python.

1. It is normalised (`--normalize`) and lower-cased (`--lowercase`). White space that NFKC makes of
   other characters is taken out.
2. It is cut by the tokenizer: not at all (``whitespace``), into runs of letters, marks and numbers
   (``words``), into the matches of a regular expression (``pattern``), or at the word boundaries of
   Unicode Annex 29, with ICU's dictionaries for the languages that do not write them (``unicode``);
   of these only what holds a letter or number is kept.
3. Its digits are replaced (`--digits`).

No tokenizer looks beyond white space, so a text may be cut there for several threads, and what a
stretch became is remembered: most of a text repeats. Nothing here needs NumPy, as the processes of
`preparing.py` start with this module alone.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator

from embedcli.errors import MissingExtraError
from embedcli.rules import TextRules

__all__ = ["Memory", "prepared", "rewriter", "splitter", "without_digits", "word_characters"]

_DIGITS = {"zero": (r"\d", "0"), "hash": (r"\d", "#"), "number": (r"\d+(?:[.,]\d+)*", "0")}
_REMEMBERED = 1 << 18  # stretches
_REMEMBERED_LENGTH = 64  # characters: longer ones hardly repeat
# All letters, marks and numbers lie below the first, or are variation selectors.
_WORD_RANGES = ((0, 0x34000), (0xE0100, 0xE01F0))


def rewriter(rules: TextRules) -> Callable[[str], str] | None:
    """Step 1 for a stretch, or for many of them, a line each; None: nothing to do."""
    form, lowercase = rules.normalize, rules.lowercase
    if form is None:
        return str.lower if lowercase else None
    made_space = re.compile(r"[^\S\n]+")

    def rewrite(text: str) -> str:
        text = made_space.sub("", unicodedata.normalize(form, text))
        return unicodedata.normalize(form, text.lower() if lowercase else text)

    return rewrite


def without_digits(rules: TextRules) -> Callable[[str], str] | None:
    """Step 3; None: nothing to do."""
    if rules.digits == "keep":
        return None
    pattern, replacement = _DIGITS[rules.digits]
    substitute = re.compile(pattern).sub
    return lambda text: substitute(replacement, text)


def word_characters() -> Iterator[int]:
    """The code points that words consist of: letters, marks and numbers, in rising order."""
    for begin, end in _WORD_RANGES:
        for code in range(begin, end):
            if unicodedata.category(chr(code))[0] in "LMN":
                yield code


class Memory(dict[str, str]):
    """Stretches of text, and the tokens of each with a space between them."""

    def __init__(self, rules: TextRules) -> None:
        self._rewrite = rewriter(rules)
        self._cut = _cutter(rules)
        self._replace = without_digits(rules)

    def __missing__(self, stretch: str) -> str:
        """Find out what a stretch becomes; a malformed one is left as it is, to be counted."""
        if not _is_sound(stretch):
            return stretch
        text = self._rewrite(stretch) if self._rewrite else stretch
        text = " ".join(self._cut(text)) if self._cut else text
        text = self._replace(text) if self._replace else text
        if len(stretch) <= _REMEMBERED_LENGTH:
            if len(self) == _REMEMBERED:
                self.clear()
            self[stretch] = text
        return text


def prepared(text: bytes, memory: Memory) -> bytes:
    """A text, lines and all, with its tokens apart by white space."""
    lines = text.decode(errors="surrogateescape").split("\n")
    become = memory.__getitem__
    done = "\n".join([" ".join(map(become, line.split())) for line in lines])
    return done.encode(errors="surrogateescape")


def splitter(rules: TextRules) -> Callable[[str], list[str]]:
    """What makes the tokens of a single text, as a corpus is read."""
    if rules.separator_bytes is not None:
        between = re.compile(f"{re.escape(rules.separator_bytes.decode())}|[\0\n\r]")
        return lambda text: [item for item in between.split(text) if item]
    memory = Memory(rules)
    return lambda text: " ".join(map(memory.__getitem__, text.split())).split()


def _cutter(rules: TextRules) -> Callable[[str], list[str]] | None:
    """Step 2; None: nothing to do."""
    if rules.tokenizer == "words":
        inside = set(map(chr, word_characters()))
        return lambda text: "".join(c if c in inside else " " for c in text).split()
    if rules.tokenizer == "pattern":
        pattern = re.compile(rules.pattern or "")
        return lambda text: [match.group() for match in pattern.finditer(text) if match.group()]
    if rules.tokenizer == "unicode":
        return _unicode_words()
    return None


def _unicode_words() -> Callable[[str], list[str]]:
    try:
        from icu4py.breakers import WordBreaker
    except ImportError as error:
        raise MissingExtraError("--tokenizer unicode", "icu4py", "unicode") from error
    holds_word = re.compile(r"[^\W_]").search
    return lambda text: [word for word in WordBreaker(text, "en") if holds_word(word)]


def _is_sound(text: str) -> bool:
    """Whether no malformed byte is in it, which decoding made a lone surrogate of."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
