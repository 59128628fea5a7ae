"""`TextRules`: the settings that decide what of a file's bytes become tokens.

They are part of `TrainConfig`, so that a model says how its text was read, and of every command
that reads text without training. What they mean is in docs/text.md; how it is done in `text/`.
"""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, Self

from embedcli.errors import ConfigError
from embedcli.settings.patterns import compiled
from embedcli.settings.values import Setting, choice, number, shorten, switch, text, written

__all__ = ["ITEM_END", "OF_FILES", "REWRITING", "TextRules", "text_settings"]

ITEM_END = b"\x1f"  # what ASCII has between units, and here is between the items of a record


@dataclass(frozen=True, kw_only=True)
class TextRules:
    """How text becomes tokens.

    Raises:
        ConfigError: a value of the wrong kind, or two that contradict each other.
    """

    items: bool = switch(False, "Tokens are ids and kept as they are; the window is the line.")
    separator: str | None = text(
        "Separator between the items of a line; \\t is a tab.",
        automatic="white space",
    )
    field: str | None = text(
        "Read this field of JSON, CSV, TSV or Parquet: a name, a path (meta.text), or the number "
        "of a column.",
        automatic="the whole line",
        metavar="NAME",
    )
    delimiter: str | None = text(
        "--field: separator between the columns of a table; \\t is a tab.",
        automatic="found",
        metavar="C",
        alias="--field-delimiter",
    )
    quote: str | None = text(
        "--field: quote character of a table.",
        choices=("none",),
        automatic="found",
        metavar="C",
    )
    bad_records: float = number(
        0.01, 0, 1, "--field: share of the records that may be malformed; they are skipped."
    )
    tokenizer: Literal["whitespace", "words", "pattern", "unicode"] | None = choice(
        None,
        ("whitespace", "words", "pattern", "unicode"),
        "How text is cut into tokens: at white space, into runs of letters and digits, into "
        "matches of --pattern, or into words by Unicode's rules.",
        automatic="words for prose, else whitespace",
    )
    pattern: str | None = text(
        "--tokenizer pattern: the regular expression.",
        automatic="none",
        metavar="REGEX",
    )
    normalize: Literal["NFC", "NFKC"] | None = choice(
        None, ("NFC", "NFKC"), "Unicode normal form of the text.", automatic="unchanged"
    )
    lowercase: bool | Literal["tr", "az", "lt"] | None = switch(
        None,
        "Lower-case the text; tr, az and lt use the rules of that language.",
        choices=("tr", "az", "lt"),
        automatic="yes for prose without --tokenizer, else no",
    )
    digits: Literal["keep", "zero", "hash", "number"] = choice(
        "keep",
        ("keep", "zero", "hash", "number"),
        "Keep digits, replace each by 0 or by #, or each number by one 0.",
    )
    encoding: str | None = text(
        "Encoding of files without a byte order mark: cp1252, shift_jis, ...",
        automatic="UTF-8",
        metavar="NAME",
    )
    as_text: bool = switch(
        False, "Read every file as text, even if its content looks like something else."
    )

    def __post_init__(self) -> None:
        for item in fields(self):
            rule: Setting = item.metadata["setting"]
            object.__setattr__(self, item.name, rule.check(item.name, getattr(self, item.name)))
            self._check_text(item.name)
        self._check_items()
        self._check_table()
        self._check_pattern()
        self._check_encoding()

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """The rules among the `settings` that a model stores; what they do not name is default.

        A model has been trained: nothing is left to a text.
        """
        known = {item.name for item in fields(cls)}
        stored = {name: value for name, value in settings.items() if name in known}
        return cls(**stored).settled(prose=False)

    @property
    def is_open(self) -> bool:
        """Whether something is left to the text to decide (`text/prose.py`)."""
        return self.tokenizer is None or self.lowercase is None

    def settled(self, *, prose: bool) -> Self:
        """The same rules with nothing left open, for a text that is `prose` or is not."""
        words = prose and self.tokenizer is None
        return replace(
            self,
            tokenizer=self.tokenizer or ("words" if words else "whitespace"),
            lowercase=words if self.lowercase is None else self.lowercase,
        )

    def settled_as(self, other: TextRules) -> Self:
        """The same rules, and what they leave open as in `other`, which the text has settled."""
        if not self.is_open:
            return self
        return replace(
            self,
            tokenizer=self.tokenizer or other.tokenizer,
            lowercase=other.lowercase if self.lowercase is None else self.lowercase,
        )

    @property
    def rewrites(self) -> bool:
        """Whether tokens are more than what white space separates."""
        is_cut = self.tokenizer not in (None, "whitespace")
        return bool(is_cut or self.normalize or self.lowercase or self.digits != "keep")

    @property
    def separator_bytes(self) -> bytes | None:
        """What separates tokens, in UTF-8; None for white space."""
        return None if self.separator is None else self.separator.replace("\\t", "\t").encode()

    @property
    def separator_in_records(self) -> bytes | None:
        """The same in what is read of the records of a file: a byte that no item holds."""
        return ITEM_END if self.items and self.field is not None else self.separator_bytes

    @property
    def delimiter_character(self) -> str | None:
        """What separates columns; None: to be found."""
        return None if self.delimiter is None else self.delimiter.replace("\\t", "\t")

    def _check_text(self, name: str) -> None:
        value = getattr(self, name)
        if name in _OF_TEXT and isinstance(value, str) and any(map(_is_lone, value)):
            raise ConfigError(
                f"{name} is {shorten(value)}, but must be UTF-8, as all text is when it is read"
            )

    def _check_table(self) -> None:
        for name, character in (("delimiter", self.delimiter_character), ("quote", self.quote)):
            if character is None:
                continue
            if self.field is None:
                raise ConfigError(
                    f"{name} is {shorten(character)}, but only the tables that --field reads have "
                    "one: add --field NAME"
                )
            is_word = name == "quote" and character == "none"
            if not is_word and (len(character) != 1 or character in "\n\r\0"):
                raise ConfigError(f"{name} is {shorten(character)}, but must be a single character")

    def _check_items(self) -> None:
        if self.separator is not None and not self.items:
            raise ConfigError(
                f"separator is {shorten(self.separator)}, but only items have one: add --items"
            )
        if "\n" in (self.separator or ""):
            raise ConfigError(
                f"separator is {shorten(self.separator)}, but must hold no line end: items "
                "stand together in a line"
            )
        for item in fields(TextRules):
            value = getattr(self, item.name)
            is_kept = value in (item.default, _AS_IT_STANDS.get(item.name))
            if self.items and item.name in REWRITING and not is_kept:
                raise ConfigError(
                    f"{item.name} is {value}, but items are kept as they are: leave it out, or "
                    "leave out --items"
                )

    def _check_pattern(self) -> None:
        if (self.tokenizer == "pattern") != (self.pattern is not None):
            raise ConfigError(
                f"tokenizer is {written(self.tokenizer)} and pattern is {self.pattern or 'none'}, "
                "but a pattern goes with --tokenizer pattern, and only with it"
            )
        if self.pattern is not None:
            compiled(self.pattern)

    def _check_encoding(self) -> None:
        if self.encoding is None:
            return
        try:
            name = codecs.lookup(self.encoding).name
            "text".encode(name)
            is_known = name not in _NO_ENCODINGS
        except (LookupError, ValueError):
            is_known = False
        if not is_known:
            raise ConfigError(
                f"encoding is {shorten(self.encoding)}, but must be one that Python knows: utf-8, "
                "cp1252, iso8859-2, shift_jis, gb18030, koi8-r, ..."
            )


_NO_ENCODINGS = (
    "idna",
    "punycode",
    "raw_unicode_escape",
    "unicode_escape",
    "unicode-escape",
    "raw-unicode-escape",
)
_OF_TEXT = ("separator", "field", "pattern", "delimiter", "quote")  # looked for in text
OF_FILES = ("field", "delimiter", "quote", "bad_records", "encoding", "as_text")
_AS_IT_STANDS = {"tokenizer": "whitespace", "lowercase": False}
REWRITING = ("tokenizer", "pattern", "normalize", "lowercase", "digits")


def _is_lone(character: str) -> bool:
    """Whether it is a surrogate, which stands for a byte that is not UTF-8."""
    return "\ud800" <= character <= "\udfff"


def text_settings() -> dict[str, Setting]:
    """The rule of every setting of `TextRules` by name, in order."""
    return {item.name: item.metadata["setting"] for item in fields(TextRules)}
