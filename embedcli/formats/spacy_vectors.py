"""``spacy``: the vectors of a spaCy pipeline, or of ``Vectors.to_disk``; only read.

    vectors          NumPy array, float32 (rows, D)
    key2row          MessagePack: the number of each word, and its row; words may share one
    strings.json     the words, whose numbers are their MurmurHash64A
    vectors.cfg      JSON: the mode, and how floret's vectors are made of n-grams

They are looked for in the directory itself and in its ``vocab``. Words are in the order of
`key2row`. In the mode ``floret`` there is a row for each bucket of n-grams, and all of
`strings.json` are words.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from embedcli.embeddings import Embeddings
from embedcli.errors import FormatError, InputError
from embedcli.formats.arrays import load_array
from embedcli.formats.floret import made_of_parts
from embedcli.formats.row_words import LONGEST_WORD, embeddings_of, vocabulary_of
from embedcli.settings.reading import ReadingOptions
from embedcli.subwords.floret import FloretParts
from embedcli.subwords.murmur import murmur64

__all__ = ["FILES", "PLACES", "read"]

FILES: Final = ("vectors", "key2row", "strings.json", "vectors.cfg")
PLACES: Final = (".", "vocab")
_INTEGERS: Final = {
    0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q", 0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q",
}  # fmt: skip


def read(folder: Path, reading: ReadingOptions) -> Embeddings:
    """Read the words and their vectors.

    Raises:
        FormatError: a file is damaged, or they do not belong together.
        InputError: one is missing.
    """
    place = next(folder / name for name in PLACES if (folder / name / FILES[0]).is_file())
    rows = load_array(place / FILES[0])
    if rows.ndim != 2 or rows.dtype.kind != "f" or not rows.shape[1]:
        raise FormatError(f"{place / FILES[0]} is {rows.dtype} {rows.shape}, not float (rows, D)")
    words = _strings(place / FILES[2])
    settings = _settings(place / FILES[3])
    if settings.get("mode") == "floret":
        return _of_floret(place, words, rows.astype(np.float32), settings, reading)
    keys, places = _pairs(place / FILES[1])
    if len(places) and int(places.max()) >= len(rows):
        raise FormatError(
            f"{place / FILES[1]} has row {places.max()}, but {place / FILES[0]} has {len(rows)}"
        )
    by_key = dict(zip(murmur64(words, 1).tolist(), words, strict=True))
    found = [i for i, key in enumerate(keys) if key in by_key and places[i] >= 0]
    if not found:
        raise FormatError(f"{place / FILES[2]} has none of the words of {place / FILES[1]}")
    if len(found) < len(keys):
        reading.on_mended(
            f"{place}: {len(keys) - len(found)} words left out that {FILES[2]} does not spell"
        )
    vectors = np.asarray(rows[places[found]], np.float32)
    return embeddings_of(str(place), [by_key[keys[i]] for i in found], vectors, reading)


def _of_floret(
    place: Path,
    words: list[bytes],
    rows: NDArray[np.float32],
    settings: dict[str, Any],
    reading: ReadingOptions,
) -> Embeddings:
    names = ("minn", "maxn", "hash_count", "hash_seed")
    numbers = [settings.get(name) for name in names]
    wraps = [settings.get("bow", "<"), settings.get("eow", ">")]
    whole = [n for n in numbers if type(n) is int and 0 <= n < 1 << 32]
    if len(whole) < 4 or not 1 <= whole[2] <= 4 or whole[1] > 100 or not len(rows):
        raise FormatError(f"{place / FILES[3]}: {names} are {numbers}")
    if not all(isinstance(wrap, str) for wrap in wraps) or not np.isfinite(rows).all():
        raise FormatError(f"{place}: the rows or what words are wrapped in make no sense")
    units = FloretParts(whole[0], whole[1], len(rows), whole[2], whole[3], *wraps)
    vocabulary = vocabulary_of(str(place / FILES[2]), words, None, reading.keeping_rows)
    known = np.zeros((len(vocabulary), rows.shape[1]), np.float32)
    return made_of_parts(vocabulary, known, units, rows)


def _strings(path: Path) -> list[bytes]:
    """The words, but for those that no vocabulary can have."""
    listed = _json(path)
    if not isinstance(listed, list) or not all(isinstance(word, str) for word in listed):
        raise FormatError(f"{path} is no list of words")
    words = [word.encode("utf-8", "surrogatepass") for word in listed]
    return [word for word in words if 0 < len(word) <= LONGEST_WORD]


def _settings(path: Path) -> dict[str, Any]:
    """What `vectors.cfg` says; spaCy 2 had none."""
    settings = _json(path) if path.exists() else {}
    if not isinstance(settings, dict):
        raise FormatError(f"{path} is no JSON object")
    return settings


def _json(path: Path) -> Any:
    try:
        return json.loads(_bytes(path))
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path} is no JSON: {error}") from error


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error


def _pairs(path: Path) -> tuple[list[int], NDArray[np.int64]]:
    """The numbers of the words, and their rows, of a map of whole numbers in MessagePack."""
    data = _bytes(path)
    try:
        n, at = _size_of_map(data)
        if 2 * n > len(data):
            raise ValueError(f"{n} entries in {len(data)} bytes")
        numbers = []
        for _ in range(2 * n):
            number, at = _integer(data, at)
            numbers.append(number)
        if at != len(data):
            raise ValueError(f"{len(data) - at} bytes behind its end")
        return numbers[::2], np.array(numbers[1::2], np.int64)
    except (IndexError, OverflowError, ValueError, struct.error) as error:
        raise FormatError(f"{path} is no sound map of words to rows: {error}") from error


def _size_of_map(data: bytes) -> tuple[int, int]:
    first = data[0]
    if first >> 4 == 8:
        return first & 15, 1
    if first in (0xDE, 0xDF):
        width = 2 if first == 0xDE else 4
        return int.from_bytes(data[1 : 1 + width], "big"), 1 + width
    raise ValueError("it does not begin as one")


def _integer(data: bytes, at: int) -> tuple[int, int]:
    first = data[at]
    if first < 0x80:
        return first, at + 1
    if first >= 0xE0:
        return first - 256, at + 1
    layout = _INTEGERS.get(first)
    if layout is None:
        raise ValueError(f"no whole number at byte {at}")
    (number,) = struct.unpack_from(layout, data, at + 1)
    return number, at + 1 + struct.calcsize(layout)
