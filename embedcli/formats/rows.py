"""What all readers of rows share: collecting blocks of words and vectors, and checking them.

Memory is taken for rows that were read, or that the size of the file vouches for; never because a
header asks for it.
"""

from __future__ import annotations

import codecs
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from embedcli.embeddings import Embeddings
from embedcli.errors import FormatError
from embedcli.files.source import Source
from embedcli.reading import ReadingOptions
from embedcli.vocabulary import Vocabulary

__all__ = [
    "BOM",
    "LONGEST_ROW",
    "LONGEST_WORD",
    "SKIP_HINT",
    "Rows",
    "checked_words",
    "embeddings_of",
    "not_finite",
    "parse_header",
    "raw_vocabulary",
    "shown",
    "vocabulary_of",
]

BOM: Final = b"\xef\xbb\xbf"
LONGEST_ROW: Final = 1 << 22  # bytes; D = 4096 needs 60,000
LONGEST_WORD: Final = 4096  # bytes

_SHOWN_BYTES: Final = 60
_BLOCK_NUMBERS: Final = 1 << 20
SKIP_HINT: Final = "--bad-rows skip leaves such rows out"
_HEADER_HINT: Final = "--header ignore reads the rows that are there"
_HEADER: Final = re.compile(rb"([1-9][0-9]{0,17})[ \t]+([1-9][0-9]{0,8})[ \t]*\r?\n?")


def parse_header(line: bytes) -> tuple[int, int] | None:
    """Return (V, D) if `line` is word2vec's header: two whole ASCII numbers from 1."""
    match = _HEADER.fullmatch(line)
    return (int(match[1]), int(match[2])) if match else None


class Rows:
    """The rows read so far.

    Args:
        source: the file, for messages.
        dim: D.
        expected: V by the header, or None where the format has none.
        smallest_row: the fewest bytes a row can have; what the header promises must fit the file.
        reading: what becomes of blemishes, and how many rows to read.
    """

    def __init__(
        self,
        source: Source,
        dim: int,
        expected: int | None,
        smallest_row: int,
        reading: ReadingOptions,
    ) -> None:
        self._where = source.path
        self._dim = dim
        self._promised = expected
        self._expected = None if reading.header == "ignore" else expected
        self.reading = reading
        self._words: list[bytes] = []
        self._n_rows = 0
        self._unsound: list[int] = []
        self._skipped: Counter[str] = Counter()
        room = 0
        if expected is not None and source.size is not None:
            if self._expected is not None and expected * smallest_row > source.size:
                raise FormatError(
                    f"{source.path}: the header promises {expected} rows of {dim} numbers, at "
                    f"least {expected * smallest_row} bytes, but the file has {source.size} "
                    f"({_HEADER_HINT})"
                )
            room = reading.until_limit(min(expected, source.size // smallest_row))
        if 4 * dim > LONGEST_ROW:
            raise FormatError(
                f"{source.path} has rows of {dim} numbers; at most {LONGEST_ROW // 4} are read"
            )
        self._vectors = np.empty((room, dim), np.float32)

    def __len__(self) -> int:
        return self._n_rows

    @property
    def words(self) -> list[bytes]:
        """The words so far, as they stand in the file."""
        return self._words

    @property
    def vectors(self) -> NDArray[np.float32]:
        """Their vectors, float32 (n, D)."""
        return self._vectors[: self._n_rows]

    @property
    def has_header(self) -> bool:
        """Whether a header says how wide the rows are."""
        return self._promised is not None

    @property
    def full(self) -> bool:
        """Whether no more rows are wanted."""
        return self._n_rows == self.reading.limit

    def skip(self, kind: str) -> None:
        """Count a row that was left out, and why."""
        self._skipped[kind] += 1

    def add(self, words: list[bytes], vectors: NDArray[np.float32]) -> None:
        """Append rows, float32 (n, D); those beyond the limit are left."""
        wanted = self.reading.until_limit(self._n_rows + len(words)) - self._n_rows
        words, vectors = words[:wanted], vectors[:wanted]
        stop = self._n_rows + len(words)
        if self._expected is not None and stop > self._expected:
            raise FormatError(
                f"{self._where}: the header promises {self._expected} rows, but more follow "
                f"({_HEADER_HINT})"
            )
        finite = np.isfinite(vectors)
        if not finite.all():
            rows = np.flatnonzero(~finite.all(axis=1)).tolist()
            if not self.reading.skips:
                raise not_finite(self._where, self._n_rows + rows[0], words[rows[0]], self.reading)
            self._unsound += [self._n_rows + row for row in rows]
        if stop > len(self._vectors):
            grown = np.empty((max(stop, 2 * len(self._vectors)), self._dim), np.float32)
            grown[: self._n_rows] = self._vectors[: self._n_rows]
            self._vectors = grown
        self._vectors[self._n_rows : stop] = vectors
        self._words += words
        self._n_rows = stop

    def finish(self) -> Embeddings:
        """Check the whole and return it."""
        if not self.full:
            self._check_promise()
        if not self._n_rows:
            raise FormatError(f"{self._where}: there is not a single row")
        return embeddings_of(
            self._where, self._words, self.vectors, self.reading, None, self._unsound, self._skipped
        )

    def _check_promise(self) -> None:
        """Whether the header is right; rows that were skipped may have been promised or not."""
        most = self._n_rows + self._skipped.total()
        if self._promised is None or self._n_rows <= self._promised <= most:
            return
        promise = f"the header promises {self._promised} rows"
        if self._expected is not None:
            raise FormatError(
                f"{self._where}: {promise}, but the file has {self._n_rows} ({_HEADER_HINT})"
            )
        self.reading.on_mended(f"{self._where}: {promise}; read the {self._n_rows} that are there")


def not_finite(where: str, row: int, word: bytes, reading: ReadingOptions) -> FormatError:
    """The error for row `row`, counted from 0."""
    hint = reading.hint(SKIP_HINT)
    return FormatError(f"{where}, row {row + 1} ({shown(word)}): a number is not finite{hint}")


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
                f"{where}, row {row + 1}: {shown(words[row])} is already in row {before + 1}"
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
                    f"{where}, row {row}: the word {shown(word)} is not "
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


def shown(text: bytes) -> str:
    """Quote the beginning of `text` for a message: as text if it is UTF-8, otherwise as bytes."""
    cut = text[:_SHOWN_BYTES]
    try:
        quoted = repr(cut.decode())
    except UnicodeDecodeError:
        quoted = repr(cut) if text == cut else repr(cut.decode(errors="ignore"))
    return quoted if text == cut else quoted + "..."
