"""Float32 to decimal text and back, in blocks: as short as it can be, and the same bits again.

**Writing.** Of a float32, 9 significant digits always suffice and 6 always survive, so the shortest
text has 6 to 9 (trailing zeros are dropped). A candidate with n digits is ``m / 10**k`` with whole
``m < 2**53`` and ``k <= 22``: both exact in float64, hence their quotient is correctly rounded and
is what every reader gets that parses to float64. It must come back to the same float32 even when
moved by four float64 steps either way, so that readers that parse straight to float32 agree too.

**Reading.** Only plain ASCII decimals: no ``nan``, ``inf``, ``0x1p3``, ``1_000``, ``1,5`` or digits
of other scripts, all of which some of Python's and C's own parsers take. A block of numbers with a
point each and at most 15 digits is read at once, by the same exact quotient; others one by one.
"""

from __future__ import annotations

import re
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["format_rows", "is_number", "looks_like_number", "parse_numbers"]

_POWERS: Final = 10.0 ** np.arange(23)  # exact in float64
_WHOLE_POWERS: Final = 10 ** np.arange(19, dtype=np.int64)
_LOWEST, _HIGHEST = 1e-5, 1e5  # outside this range, exponents; inside, value * 10**13 < 2**63
_MOST_DIGITS: Final = 15  # of a number whose digits are exact in float64
_NUMBER_CHARACTERS: Final = b"0123456789+-.eE "
_NUMBER: Final = re.compile(rb"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_LOOKS_LIKE_NUMBER: Final = re.compile(
    rb"[+-]?\.?[0-9][0-9_.,:xXpPeE+-]*|[+-]?(nan|inf|infinity)", re.IGNORECASE
)


def is_number(field: bytes) -> bool:
    """Tell whether `field` is a decimal number, plainly written."""
    return _NUMBER.fullmatch(field) is not None


def looks_like_number(field: bytes) -> bool:
    """Tell whether `field` was meant as a number, well written or not: ``1,5``, ``nan``."""
    return _LOOKS_LIKE_NUMBER.fullmatch(field) is not None


def parse_numbers(text: bytes) -> NDArray[np.float32] | None:
    """Return the numbers of `text`, float32, or None if something in it is no number.

    They are separated by one space each. What is too large becomes infinite.
    """
    if text.translate(None, _NUMBER_CHARACTERS):
        return None
    with np.errstate(over="ignore"):
        if (numbers := _parse_plain(text)) is not None:
            return numbers
        try:
            return np.array(text.split(), np.float32)
        except ValueError:
            return None


def _parse_plain(text: bytes) -> NDArray[np.float32] | None:
    """Parse numbers of the plain form ``-12.345``, a few with an exponent among them; else None."""
    characters = np.frombuffer(text + b" ", np.uint8)
    ends = np.flatnonzero(characters == ord(" "))
    starts = np.concatenate([[0], ends[:-1] + 1])
    odd, odd_values = np.empty(0, np.int64), np.empty(0)
    if b"e" in text or b"E" in text:
        exponents = np.flatnonzero((characters | 0x20) == ord("e"))
        odd = np.searchsorted(ends, exponents)
        if len(odd) * 8 > len(ends):
            return None
        try:
            odd_values = np.array([text[starts[i] : ends[i]] for i in odd], np.float64)
        except ValueError:
            return None
        characters = _blank(characters, starts[odd], ends[odd])
    points = np.flatnonzero(characters == ord("."))
    if len(points) != len(ends) or (points < starts).any() or (points > ends).any():
        return None
    negative = characters[starts] == ord("-")
    n_digits = ends - starts - 1 - negative
    signs = np.count_nonzero((characters == ord("-")) | (characters == ord("+")))
    if n_digits.min() < 1 or n_digits.max() > _MOST_DIGITS or signs != np.count_nonzero(negative):
        return None
    values = _values(characters, starts, points, ends)
    np.negative(values, out=values, where=negative)
    values[odd] = odd_values
    return values.astype(np.float32)


def _blank(
    characters: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """Put ``.000`` in the place of some numbers."""
    characters = characters.copy()
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        characters[start:end] = ord("0")
    characters[starts] = ord(".")
    return characters


def _values(
    characters: NDArray[np.uint8],
    starts: NDArray[np.int64],
    points: NDArray[np.int64],
    ends: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Sum digit times place value, before and after each point; every sum is exact."""
    digits = characters - np.uint8(ord("0"))
    digits[digits > 9] = 0  # signs, points and spaces
    places = np.repeat(ends.astype(np.int32), ends - starts + 1)
    places -= np.arange(1, len(characters) + 1, dtype=np.int32)
    terms = _POWERS.take(places, mode="clip")  # the place of the space itself is -1
    terms *= digits
    sums = np.add.reduceat(terms, np.stack([starts, points], axis=1).reshape(-1))
    # the point has a place of its own, which makes the whole part ten times too large
    values: NDArray[np.float64] = (sums[::2] / 10 + sums[1::2]) / _POWERS[ends - points - 1]
    return values


def format_rows(vectors: NDArray[np.float32]) -> list[bytes]:
    """Return one line ``f f ... f`` for each row; every number holds a ``.`` or an ``e``."""
    n_rows, dim = vectors.shape
    cells = _cells(np.ascontiguousarray(vectors).reshape(-1))
    cells = cells.reshape(n_rows, dim, -1)
    cells[:, :, -1] = ord(" ")
    cells[:, -1, -1] = ord("\n")
    return cells.tobytes().translate(None, b"\0").split(b"\n")[:-1]


def _cells(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return right-aligned text, uint8 (n, width + 1), NUL where nothing is; last column free."""
    magnitudes = np.abs(values).astype(np.float64)
    plain = ((magnitudes >= _LOWEST) & (magnitudes < _HIGHEST)) | (magnitudes == 0)
    whole, decimals = _shortest(values, np.where(plain, magnitudes, 1.0))
    n_decimals = int(decimals.max())
    scaled = whole * _WHOLE_POWERS[n_decimals - decimals]
    # sign, five digits before the point, the point, decimals; or 15 characters with an exponent
    cells = np.zeros((len(values), max(16, 7 + n_decimals) + 1), np.uint8)
    column = cells.shape[1] - 2
    column, scaled = _put_decimals(cells, column, scaled, n_decimals)
    cells[:, column] = ord(".")
    _put_whole(cells, column - 1, scaled, np.signbit(values))
    if not plain.all():
        rare = values[~plain].astype("S16")  # NumPy's own shortest text, exact but slow
        cells[~plain] = 0
        cells[~plain, :16] = rare.view(np.uint8).reshape(-1, 16)
    return cells


def _shortest(
    values: NDArray[np.float32], magnitudes: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return whole m and decimals k so that m / 10**k is the shortest text for each value."""
    logs = np.log10(magnitudes, out=np.zeros_like(magnitudes), where=magnitudes > 0)
    exponents = np.floor(logs).astype(np.int64)
    whole = np.zeros(len(values), np.int64)
    decimals = np.ones(len(values), np.int64)
    open_ = np.arange(len(values))
    target = magnitudes.astype(np.float32)
    for digits in (6, 7, 8, 9):
        k = np.maximum(digits - 1 - exponents[open_], 1)
        m = np.rint(magnitudes[open_] * _POWERS[k])
        whole[open_], decimals[open_] = m, k
        quotient, wanted = m / _POWERS[k], target[open_]
        low, high = quotient * (1 - 2**-50), quotient * (1 + 2**-50)
        good = (low.astype(np.float32) == wanted) & (high.astype(np.float32) == wanted)
        open_ = open_[~good]
    return whole, decimals


def _put_decimals(
    cells: NDArray[np.uint8], column: int, scaled: NDArray[np.int64], n_decimals: int
) -> tuple[int, NDArray[np.int64]]:
    """Put the decimals without trailing zeros, but always the first."""
    begun = np.zeros(len(scaled), bool)
    for place in range(n_decimals, 0, -1):
        quotient = scaled // 10
        digit = (scaled - 10 * quotient).astype(np.uint8)
        begun |= digit != 0
        cells[:, column] = (digit + ord("0")) * (begun if place > 1 else True)
        scaled, column = quotient, column - 1
    return column, scaled


def _put_whole(
    cells: NDArray[np.uint8], column: int, whole: NDArray[np.int64], negative: NDArray[np.bool_]
) -> None:
    cells[:, column] = whole % 10 + ord("0")
    whole = whole // 10
    while whole.any():
        column -= 1
        cells[:, column] = np.where(whole > 0, whole % 10 + ord("0"), 0)
        whole = whole // 10
    cells[:, column - 1] = negative * np.uint8(ord("-"))
