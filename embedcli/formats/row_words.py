"""The words of the rows of a file: decoded, checked, and those left out that are to be.

What readers do with the words they found, whatever the format: all words of a vocabulary are in
UTF-8 (or kept as they are), none is empty, too long or there twice.
"""

from __future__ import annotations

import codecs
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from embedcli.embeddings import Embeddings
from embedcli.errors import FormatError
from embedcli.quoting import quoted_bytes
from embedcli.settings.reading import ReadingOptions
from embedcli.vocabulary import Vocabulary

__all__ = [
    "LONGEST_WORD",
    "SKIP_HINT",
    "checked_words",
    "embeddings_of",
    "is_utf8",
    "not_finite",
    "raw_vocabulary",
    "vocabulary_of",
]

LONGEST_WORD: Final = 4096  # bytes
SKIP_HINT: Final = "--bad-rows skip leaves such rows out"

_BLOCK_NUMBERS: Final = 1 << 20


def not_finite(where: str, row: int, word: bytes, reading: ReadingOptions) -> FormatError:
    """The error for row `row`, counted from 0."""
    hint = reading.hint(SKIP_HINT)
    return FormatError(
        f"{where}, row {row + 1} ({quoted_bytes(word)}): a number is not finite{hint}"
    )


def embeddings_of(
    where: str,
    words: list[bytes],
    vectors: NDArray[np.float32],
    reading: ReadingOptions,
    counts: NDArray[np.int64] | None = None,
    unsound: Sequence[int] | None = None,
    skipped: Mapping[str, int] | None = None,
) -> Embeddings:
    """Make embeddings of the rows of a file, less those that `reading` leaves out; says how many.

    Args:
        where: the file, for messages.
        words: as they stand in the file.
        vectors: float32 (n, D).
        reading: what becomes of blemishes.
        counts: int64 (n,), where they are known.
        unsound: rows whose vectors are not finite; None to look for them here.
        skipped: rows that were left out before, by what was wrong with them.

    Raises:
        FormatError: as `checked_words`; or a number is not finite.
    """
    if unsound is None:
        unsound = _unsound(where, words, vectors, reading)
    words, kept = checked_words(where, words, reading, unsound, skipped or {})
    if kept is not None:
        vectors = vectors[kept]
        counts = None if counts is None else counts[kept]
    return Embeddings(raw_vocabulary(words, counts), vectors)


def vocabulary_of(
    where: str, words: list[bytes], counts: NDArray[np.int64] | None, reading: ReadingOptions
) -> Vocabulary:
    """Make a vocabulary of the words of a file, in its order, less those that are left out.

    Raises:
        FormatError: as `checked_words`.
    """
    words, kept = checked_words(where, words, reading)
    return raw_vocabulary(words, counts, kept)


def checked_words(
    where: str,
    words: list[bytes],
    reading: ReadingOptions,
    unsound: Sequence[int] = (),
    skipped: Mapping[str, int] | None = None,
) -> tuple[list[bytes], NDArray[np.int64] | None]:
    """The words that stay, in UTF-8, and int64 which rows they are; None for all.

    Args:
        where: the file, for messages.
        words: as they stand in the file.
        reading: what becomes of blemishes.
        unsound: rows that are left out because of their numbers.
        skipped: rows that were left out before; all are told to ``reading.on_mended``.

    Raises:
        FormatError: a word is empty, too long, not in its encoding, or occurs twice, and `reading`
            says nothing else; names the row. Or nothing is left.
    """
    left_out = Counter(skipped or {})
    kept = np.ones(len(words), np.bool_)
    kept[list(unsound)] = False
    left_out["with a number that is not finite"] += len(unsound)
    if max(map(len, words), default=0) > LONGEST_WORD:  # before they are put together
        _leave_out_lengths(where, words, kept, reading, left_out)
        words = [word if keep else b"" for word, keep in zip(words, kept.tolist(), strict=True)]
    words, n_mended = _decoded(where, words, reading)
    _leave_out_lengths(where, words, kept, reading, left_out)
    if len(set(words)) < len(words):
        _leave_out_repeated(where, words, kept, reading, left_out)
    if n_mended:
        reading.on_mended(f"{where}: bytes of {_of(n_mended, 'word')} replaced by U+FFFD")
    if left_out.total():
        kinds = ", ".join(f"{n} {kind}" for kind, n in left_out.items() if n)
        reading.on_mended(f"{where}: {_of(left_out.total(), 'row')} left out: {kinds}")
    if kept.all():
        return words, None
    rows = np.flatnonzero(kept)
    if not len(rows):
        raise FormatError(f"{where}: not a single row is left")
    return [words[row] for row in rows.tolist()], rows


def raw_vocabulary(
    words: list[bytes],
    counts: NDArray[np.int64] | None = None,
    kept: NDArray[np.int64] | None = None,
) -> Vocabulary:
    """A vocabulary of words as they are; of their `counts` those of the rows `kept`."""
    if counts is not None and kept is not None:
        counts = counts[kept]
    offsets = np.zeros(len(words) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, words), np.int64, len(words)), out=offsets[1:])
    return Vocabulary(np.frombuffer(b"".join(words), np.uint8), offsets, counts)


def _unsound(
    where: str, words: list[bytes], vectors: NDArray[np.float32], reading: ReadingOptions
) -> list[int]:
    rows: list[int] = []
    step = max(1, _BLOCK_NUMBERS // max(1, vectors.shape[1]))
    for start in range(0, len(vectors), step):
        finite = np.isfinite(vectors[start : start + step]).all(axis=1)
        rows += (start + np.flatnonzero(~finite)).tolist()
        if rows and not reading.skips:
            raise not_finite(where, rows[0], words[rows[0]], reading)
    return rows


def _leave_out_lengths(
    where: str,
    words: list[bytes],
    kept: NDArray[np.bool_],
    reading: ReadingOptions,
    left_out: Counter[str],
) -> None:
    """Take the rows out of `kept` whose word is empty or too long, or refuse the first of them."""
    lengths = np.fromiter(map(len, words), np.int64, len(words))
    for bad, kind in (
        (lengths == 0, "without a word"),
        (lengths > LONGEST_WORD, f"whose word has over {LONGEST_WORD} bytes"),
    ):
        bad &= kept
        if not bad.any():
            continue
        if not reading.skips:
            row = int(np.argmax(bad))
            what = f"a word of {lengths[row]} bytes; at most {LONGEST_WORD}"
            raise FormatError(
                f"{where}, row {row + 1}: {what if lengths[row] else 'the word is empty'}"
                f"{reading.hint(SKIP_HINT)}"
            )
        left_out[kind] += int(bad.sum())
        kept &= ~bad


def _leave_out_repeated(
    where: str,
    words: list[bytes],
    kept: NDArray[np.bool_],
    reading: ReadingOptions,
    left_out: Counter[str],
) -> None:
    """Take the rows out of `kept` whose word was there before, or refuse the first of them."""
    first: dict[bytes, int] = {}
    for row in np.flatnonzero(kept).tolist():
        before = first.setdefault(words[row], row)
        if before == row:
            continue
        if reading.duplicates == "refuse":
            raise FormatError(
                f"{where}, row {row + 1}: {quoted_bytes(words[row])} is already in row {before + 1}"
                f"{reading.hint('--duplicates first keeps that one')}"
            )
        kept[row] = False
        left_out["of a word that was there before"] += 1


def _decoded(where: str, words: list[bytes], reading: ReadingOptions) -> tuple[list[bytes], int]:
    """The words in UTF-8 but for those that are kept as they are, and how many were mended."""
    if codecs.lookup(reading.encoding).name == "utf-8":
        try:
            b"\n".join(words).decode()
        except UnicodeDecodeError:
            pass  # each by itself, below
        else:
            return words, 0
    decoded, n_mended = [], 0
    for row, word in enumerate(words, 1):
        try:
            decoded.append(word.decode(reading.encoding).encode())
        except UnicodeError:
            if reading.decode_errors == "keep":
                decoded.append(word)
                continue
            if reading.decode_errors == "strict":
                advice = _advice(words, reading)
                raise FormatError(
                    f"{where}, row {row}: the word {quoted_bytes(word)} is not "
                    f"{reading.encoding.upper()} ({advice})"
                ) from None
            decoded.append(_mended(word, reading))
            n_mended += 1
    return decoded, n_mended


def _mended(word: bytes, reading: ReadingOptions) -> bytes:
    return word.decode(reading.encoding, "replace").encode("utf-8", "replace")


def _advice(words: list[bytes], reading: ReadingOptions) -> str:
    """The options that read words which are not in their encoding."""
    mended = {_mended(word, reading) for word in words}
    merges = len(mended) < len(words)
    if merges and reading.rows_stay:
        return "--encoding names another encoding, --decode-errors keep leaves it as it is"
    both = " --duplicates first" if merges and reading.duplicates == "refuse" else ""
    return f"--decode-errors replace{both} mends it, --encoding names another encoding"


def _of(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def is_utf8(word: bytes) -> bool:
    """Whether a word is valid UTF-8."""
    try:
        word.decode()
    except UnicodeDecodeError:
        return False
    return True
