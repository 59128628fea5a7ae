"""The forms of words that tell a text was not prepared: noticed in distinct words, while counting.

Punctuation at the ends of words, capitals beside the same word in lower case, one token a line,
and stretches of a script that puts no spaces between words. One line says what share they are, and
which options mend it.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from embedcli.settings.text_rules import TextRules
from embedcli.text.words import Words

__all__ = ["Forms", "form_remark", "forms_of"]

_FEWEST = 100  # tokens: fewer tell nothing
_MOST = 0.02  # of the tokens
_MOST_UNSPACED = 0.1  # of the bytes
_ALONE = (0.8, 1.05)  # tokens a line; empty lines may stand between sentences
_FREQUENT = 1 << 15  # words: those that are asked for their lower case
_LONGEST = 24  # bytes of a word in a script without spaces: eight letters

_ENDS = np.zeros(256, np.bool_)
_ENDS[list(b".,;:!?)]}\"'")] = True
_BEGINS = np.zeros(256, np.bool_)
_BEGINS[list(b"([{\"'")] = True
_LETTERS = np.zeros(256, np.bool_)
_LETTERS[list(range(0x80, 0x100))] = True
_LETTERS[[byte for byte in range(0x80) if chr(byte).isalnum()]] = True
# Marks of two and of three bytes, as numbers: quotes, and the stops of other scripts.
_TWO_BYTES, _THREE_BYTES = "«»،؛؟۔։", "“”’„…।、。，！？：；（）「」"  # noqa: RUF001
_TWO = np.array([int.from_bytes(mark.encode()) for mark in _TWO_BYTES])
_THREE = np.array([int.from_bytes(mark.encode()) for mark in _THREE_BYTES])
# First bytes of Han and kana; of Thai and Lao; of Burmese and Khmer, with the byte behind them.
_UNSPACED = np.array(
    [
        *range(0xE381, 0xE384),
        *range(0xE490, 0xEA00),
        *(0xE0B8, 0xE0B9, 0xE0BA, 0xE0BB),
        *(0xE180, 0xE181, 0xE182, 0xE19E, 0xE19F),
    ]
)


@dataclass
class Forms:
    """How much of a text has which form.

    Attributes:
        punctuated: tokens with a letter or digit and with punctuation at an end.
        unspaced_bytes: bytes of long tokens in a script without spaces.
    """

    punctuated: int = 0
    unspaced_bytes: int = 0

    def __iadd__(self, other: Forms) -> Self:
        self.punctuated += other.punctuated
        self.unspaced_bytes += other.unspaced_bytes
        return self


def forms_of(words: Words) -> Forms:
    """The forms of words, each as often as it counts; `words` may be any bytes."""
    sizes = words.lengths
    rows = np.flatnonzero(sizes > 1)
    if not len(rows):
        return Forms()
    begin, end = words.offsets[rows], words.offsets[rows + 1]
    blob, counts = words.blob, words.counts[rows]
    last = blob[end - 1]
    first, second = blob[begin], blob[begin + 1]
    before, third = blob[end - 2], blob[np.maximum(end - 3, begin)]
    longer = end - begin > 2
    ends = _ENDS[last] & (_LETTERS[before] | (longer & _ENDS[before] & _LETTERS[third]))
    begins = _BEGINS[first] & _LETTERS[second]
    wide = np.flatnonzero((end - begin > 3) & ((last >= 0x80) | (first >= 0xC2)))
    if len(wide):
        ends[wide] |= _is_mark(third[wide], before[wide], last[wide])
        begins[wide] |= _is_mark(first[wide], second[wide], blob[begin[wide] + 2], leading=True)
    n = int(counts[ends | begins].sum())
    return Forms(n, _unspaced(blob, begin, end, counts))


def _is_mark(
    first: NDArray[np.uint8],
    second: NDArray[np.uint8],
    third: NDArray[np.uint8],
    *,
    leading: bool = False,
) -> NDArray[np.bool_]:
    """Whether three bytes are a mark, or hold one of two bytes at their end, or begin with it."""
    high, middle, low = (part.astype(np.int64) for part in (first, second, third))
    two = (high << 8 | middle) if leading else (middle << 8 | low)
    return np.isin(two, _TWO) | np.isin(high << 16 | middle << 8 | low, _THREE)


def _unspaced(
    blob: NDArray[np.uint8],
    begin: NDArray[np.int64],
    end: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> int:
    """Bytes of long words whose middle is a letter of a script without spaces."""
    rows = np.flatnonzero(end - begin > _LONGEST)
    middle = (begin[rows] + end[rows]) // 2
    while True:
        inside = blob[middle] & 0xC0 == 0x80  # not the first byte of a character
        inside &= middle > begin[rows]
        if not inside.any():
            break
        middle -= inside
    leads = blob[middle].astype(np.int64) << 8 | blob[middle + 1]
    found = rows[np.isin(leads, _UNSPACED)]
    return int(((end - begin)[found] * counts[found]).sum())


def form_remark(
    forms: Forms,
    words: Words,
    asked: TextRules,
    rules: TextRules,
    *,
    n_tokens: int,
    n_bytes: int,
    n_lines: int,
) -> str | None:
    """What to say of the forms of a text, in one line; None: nothing.

    Args:
        forms: of all words.
        words: those of the vocabulary, most frequent first.
        asked: the rules as they were given.
        rules: those that the text was read by.
        n_tokens: of the text.
        n_bytes: of all tokens.
        n_lines: of the text.
    """
    if n_tokens < _FEWEST or rules.items or rules.as_text:
        return None
    found, options = [], []
    if rules.tokenizer == "whitespace":
        if forms.unspaced_bytes > _MOST_UNSPACED * n_bytes:
            share = forms.unspaced_bytes / n_bytes
            found.append(f"{share:.0%} of the text has no spaces between its words")
            options.append("--tokenizer unicode")
        elif forms.punctuated > _MOST * n_tokens:
            share = forms.punctuated / n_tokens
            found.append(f"{share:.0%} of the words have punctuation at their ends")
            options.append("--tokenizer words")
    if asked.lowercase is None and not rules.lowercase:
        share = _capitals(words) / n_tokens
        if share > _MOST:
            whose = "" if options == ["--tokenizer words"] else " of the words"
            found.append(
                f"{share:.0%}{whose} begin with a capital, beside the same word in lower case"
            )
            options.append("--lowercase")
    if n_lines > _FEWEST and _ALONE[0] * n_lines < n_tokens < _ALONE[1] * n_lines:
        found.append("a line holds one token, and windows do not cross lines")
    if not found:
        return None
    line = "; ".join(found)
    return f"{line}: try {' '.join(options)}" if options else line


def _capitals(words: Words) -> int:
    """Tokens with a capital whose word is there in lower case, among the most frequent words."""
    words = words.part(0, min(len(words), _FREQUENT))
    first = words.blob[words.offsets[:-1]]
    cased = (first >= ord("A")) & (first <= ord("Z")) | (first >= 0xC3) & (first <= 0xD6)
    if not cased.any():
        return 0
    bounds, blob = words.offsets.tolist(), words.blob[: words.offsets[-1]].tobytes()
    spelt = [blob[a:b] for a, b in itertools.pairwise(bounds)]
    known, n = set(spelt), 0
    for row in np.flatnonzero(cased).tolist():
        word = spelt[row].decode()
        lower = word.lower()
        if lower != word and lower.encode() in known:
            n += int(words.counts[row])
    return n
