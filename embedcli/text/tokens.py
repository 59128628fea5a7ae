"""The tokens of a stretch of text without white space: none, one or several. In plain Python.

1. It is normalised (`--normalize`) and lower-cased (`--lowercase`). White space that NFKC makes of
   other characters is taken out; accents that stand alone (``don´t``) stay as they are, as without
   the space they would be put on the letter before them.
2. It is cut by the tokenizer: not at all (``whitespace``), into runs of letters and numbers with
   the marks and joiners that follow them (``words``), into the matches of a regular expression
   (``pattern``), or at the word boundaries of Unicode Annex 29, with ICU's dictionaries for the
   languages that do not write them (``unicode``); of these only what holds a letter or number is
   kept.
3. Its digits are replaced (`--digits`).

No tokenizer looks beyond white space, so a text may be cut there for several threads, and what a
stretch became is remembered: most of a text repeats. What is new in a block of text is worked on
together, a line each. Nothing here needs NumPy, as the processes of `preparing.py` start with this
module alone.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from functools import cache

from embedcli.errors import MissingExtraError
from embedcli.settings.patterns import compiled
from embedcli.settings.text_rules import TextRules
from embedcli.settings.values import shorten

__all__ = ["Cutter", "lower_case", "prepared", "rewriter", "without_digits", "word_characters"]

_DIGITS = {"zero": (r"\d", "0"), "hash": (r"\d", "#"), "number": (r"\d+(?:[.,]\d+)*", "0")}
_REMEMBERED = 1 << 24  # characters; with its strings and table a few times as many bytes
# All letters, marks and numbers lie below the first, or are variation selectors.
_WORD_RANGES = ((0, 0x34000), (0xE0100, 0xE01F0))
# Format characters that do not belong to the word before them by rule WB4 of Unicode Annex 29: the
# zero width space, and signs that stand before a number.
_NOT_JOINED = frozenset((0x200B, *range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2))


def rewriter(rules: TextRules) -> Callable[[str], str] | None:
    """Step 1 for a stretch, or for many of them, a line each; None: nothing to do."""
    form, lower = rules.normalize, lower_case(rules.lowercase)
    if form is None:
        return lower
    made_space = re.compile(r"[^\S\n]+")
    accents = _spacing_accents() if form == "NFKC" else None

    def normal(text: str) -> str:
        return made_space.sub("", unicodedata.normalize(form, text))

    def rewrite(text: str) -> str:
        if accents is not None and accents.search(text):
            parts = accents.split(text)  # every other one is accents
            parts[::2] = map(normal, parts[::2])
            text = "".join(parts)
            return unicodedata.normalize("NFC", lower(text) if lower else text)
        text = normal(text)
        return unicodedata.normalize(form, lower(text) if lower else text)

    return rewrite


def lower_case(language: bool | str | None) -> Callable[[str], str] | None:
    """Lower case by Unicode's rules, or by those of a language (SpecialCasing.txt); None: none.

    Turkish and Azeri have an i with a dot and one without, in both cases. Lithuanian keeps the dot
    of an i under an accent.
    """
    if language in ("tr", "az"):
        return lambda text: _DOTTED.sub(r"i\1", text).replace("I", "\u0131").lower()
    if language == "lt":
        return lambda text: _ACCENTED.sub(_keep_dot, text).lower()
    return str.lower if language else None


_MARKS = list(map(chr, range(0x300, 0x370)))
_ABOVE = "".join(mark for mark in _MARKS if unicodedata.combining(mark) == 230)
_BELOW = "".join(mark for mark in _MARKS if unicodedata.combining(mark) not in (0, 230))
# A capital I with a dot, in one character or in two, with what marks stand below it between them.
_DOTTED = re.compile(f"\u0130|I([{_BELOW}]*)\u0307")
_ACCENTED = re.compile(f"[\u00cc\u00cd\u0128]|[IJ\u012e](?=[{_BELOW}]*[{_ABOVE}])")


def _keep_dot(found: re.Match[str]) -> str:
    is_composed = found[0] in "\u00cc\u00cd\u0128"
    letters = unicodedata.normalize("NFD", found[0]) if is_composed else found[0]
    return f"{letters[0]}\u0307{letters[1:]}"


@cache
def _spacing_accents() -> re.Pattern[str]:
    """Runs of characters that NFKC makes a space with an accent of."""
    alone = [
        character
        for character in map(chr, range(0x80, 0x10000))
        if re.match(r" .", unicodedata.normalize("NFKC", character))
        and unicodedata.category(unicodedata.normalize("NFKC", character)[1])[0] == "M"
    ]
    return re.compile(f"([{''.join(alone)}]+)")


def without_digits(rules: TextRules) -> Callable[[str], str] | None:
    """Step 3; None: nothing to do."""
    if rules.digits == "keep":
        return None
    pattern, replacement = _DIGITS[rules.digits]
    substitute = re.compile(pattern).sub
    return lambda text: substitute(replacement, text)


def word_characters() -> tuple[list[int], list[int]]:
    """The code points that words consist of, in rising order.

    Returns:
        Letters and numbers; and what belongs to the word that it follows: marks and what joins or
        formats, as soft hyphens and zero width joiners.
    """
    words, joined = [], []
    for begin, end in _WORD_RANGES:
        for code in range(begin, end):
            category = unicodedata.category(chr(code))
            if category[0] in "LN":
                words.append(code)
            elif category[0] == "M" or (category == "Cf" and code not in _NOT_JOINED):
                joined.append(code)
    return words, joined


class Cutter:
    """Makes tokens of lines of text, and remembers what each stretch became.

    Args:
        rules: how text becomes tokens.

    Raises:
        MissingExtraError: they need a library that is not installed.
    """

    def __init__(self, rules: TextRules) -> None:
        self._rewrite = rewriter(rules)
        self._cut = _tokenizer(rules)
        self._replace = without_digits(rules)
        self._known: dict[str, str] = {}
        self._n_characters = 0

    def __call__(self, lines: Sequence[str]) -> list[str]:
        """The same lines with their tokens apart by white space."""
        split = [line.split() for line in lines]
        self._learn(set(itertools.chain.from_iterable(split)))
        become = self._known.__getitem__
        return [" ".join(map(become, stretches)) for stretches in split]

    def _learn(self, stretches: set[str]) -> None:
        """Find out what the new ones become; malformed ones stay as they are, to be counted."""
        if self._n_characters > _REMEMBERED:
            self._known.clear()
            self._n_characters = 0
        new = stretches.difference(self._known)
        sound = list(filter(_is_sound, new))
        self._known.update(zip(new, new, strict=True))
        self._known.update(zip(sound, self._tokens(sound), strict=True))
        self._n_characters += sum(map(len, new))

    def _tokens(self, stretches: list[str]) -> list[str]:
        """What becomes of each."""
        for step in (self._rewrite, self._cut, self._replace):
            if step is not None and stretches:
                stretches = step("\n".join(stretches)).split("\n")
        return stretches


def prepared(text: bytes, cut: Cutter) -> bytes:
    """A text, lines and all, with its tokens apart by white space."""
    lines = text.decode(errors="surrogateescape").split("\n")
    return "\n".join(cut(lines)).encode(errors="surrogateescape")


def _tokenizer(rules: TextRules) -> Callable[[str], str] | None:
    """Step 2, for many stretches, a line each; None: nothing to do."""
    if rules.tokenizer == "words":
        words, joined = map(_ranges, word_characters())
        find_words = re.compile(f"[{words}][{words}{joined}]*|\n").findall
        return lambda text: " ".join(find_words(text))
    if rules.tokenizer == "pattern":
        return _matches(rules.pattern or "")
    return _unicode_words() if rules.tokenizer == "unicode" else None


def _matches(pattern: str) -> Callable[[str], str]:
    find = compiled(pattern).finditer

    def cut(text: str) -> str:
        lines = []
        for line in text.split("\n"):
            try:
                lines.append(" ".join([match.group() for match in find(line)]))
            except TimeoutError as error:
                raise TimeoutError(
                    f"the pattern {shorten(pattern)} takes without end for {len(line)} characters "
                    f"of text, {shorten(line)}: it goes back and forth in nested repetitions, as "
                    "(a+)+ has them; write it without, or use --tokenizer words"
                ) from error
        return "\n".join(lines)

    return cut


def _ranges(codes: Iterable[int]) -> str:
    """Characters in rising order, as a set in a regular expression names them."""
    runs: list[list[int]] = []
    for code in codes:
        if runs and code == runs[-1][1] + 1:
            runs[-1][1] = code
        else:
            runs.append([code, code])
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in runs)


def _unicode_words() -> Callable[[str], str]:
    try:
        from icu4py.breakers import WordBreaker
    except ImportError as error:
        raise MissingExtraError("--tokenizer unicode", "icu4py", "unicode") from error
    is_kept = re.compile(r"\n|.*[^\W_]", re.DOTALL).match
    return lambda text: " ".join(filter(is_kept, WordBreaker(text, "en")))


def _is_sound(text: str) -> bool:
    """Whether no malformed byte is in it, which decoding made a lone surrogate of."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
