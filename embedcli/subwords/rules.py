"""The subword settings that a model file stores."""

from __future__ import annotations

import json
from typing import Final

from embedcli.errors import FormatError
from embedcli.subwords.floret import FloretParts
from embedcli.subwords.ngrams import NGrams
from embedcli.subwords.pieces import Pieces
from embedcli.subwords.table import Units

__all__ = ["LONGEST", "MOST_BUCKETS", "model_of", "units_from"]

LONGEST: Final = 100  # characters of an n-gram: beyond, a small file would ask for hours
MOST_BUCKETS: Final = 2**31 - 1


def model_of(units: Units) -> bytes | None:
    """The file that a rule is made from, if it is, to be kept beside its description."""
    return units.model if isinstance(units, Pieces) else None


def units_from(where: str, text: str, model: bytes | None = None) -> Units:
    """The rule that `text` describes, as `Units.described` gave it, in JSON; and its `model`.

    Raises:
        FormatError: `where` holds something else.
    """
    try:
        rule = json.loads(text)
        kind = rule.pop("kind")
        if kind == "ngrams":
            return _ngrams(**rule)
        if kind == "floret":
            return _floret(**rule)
        if kind == "sentencepiece":
            return _pieces(model, **rule)
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        raise FormatError(f"{where}: 'subword' is no rule to cut words by: {error}") from error
    raise FormatError(
        f"{where} has subwords of the kind {kind!r}, which this embed does not know: "
        "use a newer one"
    )


def _ngrams(shortest: int, longest: int, buckets: int) -> NGrams:
    for value in (shortest, longest, buckets):
        if type(value) is not int:
            raise TypeError(f"{value!r} is no whole number")
    is_none = shortest == longest == 0  # only n-grams of words, of a classifier, are in buckets
    if not ((is_none or 1 <= shortest <= longest <= LONGEST) and 1 <= buckets <= MOST_BUCKETS):
        raise ValueError(f"n-grams of {shortest} to {longest} characters in {buckets} buckets")
    return NGrams(shortest, longest, buckets)


def _floret(
    shortest: int, longest: int, buckets: int, hashes: int, seed: int, begin: str, end: str
) -> FloretParts:
    for value in (shortest, longest, buckets, hashes, seed):
        if type(value) is not int:
            raise TypeError(f"{value!r} is no whole number")
    sound = 0 <= shortest <= LONGEST and 0 <= longest <= LONGEST and 1 <= buckets <= MOST_BUCKETS
    if not (sound and 1 <= hashes <= 4 and 0 <= seed < 1 << 32):
        raise ValueError(f"n-grams of {shortest} to {longest} characters in {buckets} buckets")
    if not (isinstance(begin, str) and isinstance(end, str) and len(begin + end) <= LONGEST):
        raise ValueError("what words are wrapped in")
    return FloretParts(shortest, longest, buckets, hashes, seed, begin, end)


def _pieces(model: bytes | None, pieces: int) -> Pieces:
    if type(pieces) is not int or not 1 <= pieces <= MOST_BUCKETS or model is None:
        raise ValueError(f"{pieces!r} pieces of a model that is {'there' if model else 'missing'}")
    return Pieces(model, pieces)
