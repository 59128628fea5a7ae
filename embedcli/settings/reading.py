"""How a vector file is read: its format, how many rows, and malformed rows.

One value goes from the options of a command (or the keywords of `load`) to the reader of a format.
By itself it forgives nothing. What a reader then mends or leaves out is counted, and `on_mended`
is told once, in a line, when the file has been read.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from embedcli.errors import UsageError

__all__ = ["CHOICES", "STRICT", "ReadingOptions"]

CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "decode_errors": ("strict", "replace", "keep"),
    "duplicates": ("refuse", "first"),
    "bad_rows": ("refuse", "skip"),
    "header": ("exact", "ignore"),
}


def _say_nothing(message: str) -> None:
    """For callers who know what they asked for."""


@dataclass(frozen=True, kw_only=True)
class ReadingOptions:
    """How to read; checked when made.

    Attributes:
        format: a name in `registry.FORMATS`; None tells the format by content.
        encoding: of the words; one in which ASCII is ASCII.
        decode_errors: what becomes of words that are not in that encoding: ``strict`` refuses them,
            ``replace`` puts U+FFFD for what is wrong in them, ``keep`` takes their bytes as they
            are. Words of fastText's models are bytes: ``strict`` keeps them.
        duplicates: of a word that occurs again: ``refuse``, or keep the ``first``.
        bad_rows: of blank lines, and rows without a word, with another number of numbers or with
            one that is not finite: ``refuse`` or ``skip``.
        header: of a header that promises another number of rows: refuse (``exact``), or ``ignore``
            and read those that are there.
        numbers_in_words: under a header that says D, what stands before the last D numbers of a row
            is its word, even if it ends in a number.
        limit: read the first so many rows and no more; None for all.
        word_column: which column the words are in, where a table has columns with names; None for
            the one that is clearly it.
        rows_stay: no row can be left out, whatever is said: set by readers of formats whose other
            rows belong to the words, for messages that name no option that does not help.
        on_mended: called with a line that says what was mended or left out, and how often.

    Raises:
        UsageError: a value that is none of these.
    """

    format: str | None = None
    encoding: str = "utf-8"
    decode_errors: str = "strict"
    duplicates: str = "refuse"
    bad_rows: str = "refuse"
    header: str = "exact"
    numbers_in_words: bool = False
    limit: int | None = None
    word_column: str | None = None
    rows_stay: bool = False
    on_mended: Callable[[str], None] = field(default=_say_nothing, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name, choices in CHOICES.items():
            value = getattr(self, name)
            if value not in choices:
                raise UsageError(
                    f"{name} is {value!r}; it may be {' or '.join(map(repr, choices))}"
                )
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"limit is {self.limit}: read at least 1 row")
        _check_encoding(self.encoding)

    @property
    def skips(self) -> bool:
        """Whether bad rows are left out."""
        return self.bad_rows == "skip"

    @property
    def keeping_rows(self) -> ReadingOptions:
        """The same but for leaving rows out: for formats whose other rows belong to the words."""
        return replace(self, duplicates="refuse", bad_rows="refuse", rows_stay=True)

    def hint(self, text: str) -> str:
        """` (text)`, which names an option that leaves rows out; nothing where none can be."""
        return "" if self.rows_stay else f" ({text})"

    def until_limit(self, n_rows: int) -> int:
        """How many of `n_rows` to read."""
        return n_rows if self.limit is None else min(n_rows, self.limit)


def _check_encoding(name: str) -> None:
    try:
        known = codecs.lookup(name)
        plain = b"a 1\n".decode(known.name) == "a 1\n"
    except (LookupError, UnicodeError) as error:
        raise UsageError(f"there is no encoding {name!r} (utf-8, latin-1, cp1252, ...)") from error
    if not plain:
        raise UsageError(
            f"files in {known.name} cannot be read as they are, for ASCII is not ASCII in it: "
            f"convert them with `iconv -f {known.name} -t UTF-8`"
        )


STRICT: Final = ReadingOptions()
