"""What a stretch of text without white space becomes: no token, one or several. In plain Python.

1. It is normalised (`--normalize`) and lower-cased (`--lowercase`). White space that NFKC makes of
   other characters is taken out.
2. It is cut by the tokenizer: not at all (``whitespace``), into runs of letters, marks and numbers
   (``words``), into the matches of a regular expression (``pattern``), or at the word boundaries of
   Unicode Annex 29, with ICU's dictionaries for the languages that do not write them (``unicode``);
   of these only what holds a letter or number is kept.
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
from collections.abc import Callable, Iterator, Sequence

from embedcli.errors import MissingExtraError
from embedcli.patterns import compiled
from embedcli.rules import TextRules
from embedcli.settings import shorten

__all__ = ["Cutter", "prepared", "rewriter", "without_digits", "word_characters"]

_DIGITS = {"zero": (r"\d", "0"), "hash": (r"\d", "#"), "number": (r"\d+(?:[.,]\d+)*", "0")}
_REMEMBERED = 1 << 24  # characters; with its strings and table a few times as many bytes
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
        find_words = re.compile(f"[{_ranges()}]+|\n").findall
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


def _ranges() -> str:
    """All word characters, as a set in a regular expression names them."""
    runs: list[list[int]] = []
    for code in word_characters():
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
