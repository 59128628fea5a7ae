"""What is in a text, found in one reading of it, in bounded memory.

Files pass through `Watched` on their way to the counting of words: their bytes, line lengths,
malformed sequences and digests are noted there. Repeated lines are counted among a sample of all
distinct lines, which is chosen by a hash and thinned out when it grows too large: the share that
repeats is then an estimate. Letters are counted by script in the distinct words.
"""

from __future__ import annotations

import codecs
import hashlib
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedcli.settings.text_rules import TextRules
from embedcli.text.corpus import Tally
from embedcli.text.encodings import Readable, likely_encoding
from embedcli.vocabulary import Vocabulary

__all__ = ["FileFacts", "Inspected", "Inspection", "heaps", "scripts", "zipf"]

_LENGTHS = 1 << 14  # bytes of a line that are told apart
_SAMPLED_LINES = 1 << 16
_HASH_BYTES = 8
_WORDS = 1 << 14  # whose letters are counted at a time
_SAMPLE_BYTES = 1 << 16
_REPLACEMENT = "\ufffd".encode()
_MOST_MALFORMED = 0.01  # of the lines, on average: more, and it is in another encoding
_POINTS = (1, 2, 5)
# What names of letters begin with where that is no script, and what stands for a script there.
_NO_SCRIPT = ("MODIFIER", "FULLWIDTH", "HALFWIDTH", "MATHEMATICAL", "SUPERSCRIPT", "SUBSCRIPT")
_SCRIPTS = {"CJK": "Han", "MICRO": "Greek", "FEMININE": "Latin", "MASCULINE": "Latin"}


@dataclass
class FileFacts:
    """One file.

    Attributes:
        name: as it is shown.
        encoding: what it was read as.
        n_bytes: of text, unpacked, in UTF-8.
        n_lines: lines, empty ones too.
        empty_lines: lines with nothing but white space.
        malformed: sequences that are no UTF-8.
        longest_line: in bytes.
        likely: what it seems to be in instead, where much is malformed; None where that is unknown.
        digest: of its text.
        same_as: the name of an earlier file with the same text.
    """

    name: str
    encoding: str
    n_bytes: int = 0
    n_lines: int = 0
    empty_lines: int = 0
    malformed: int = 0
    longest_line: int = 0
    likely: str | None = None
    digest: str = ""
    same_as: str | None = None


@dataclass
class Inspection:
    """What was noted of all files, while they were read.

    Attributes:
        files: in their order.
        line_lengths: int64, how many lines have so many bytes; the last bin holds longer ones.
    """

    files: list[FileFacts] = field(default_factory=list)
    line_lengths: NDArray[np.int64] = field(default_factory=lambda: np.zeros(_LENGTHS, np.int64))
    _digests: dict[str, str] = field(default_factory=dict)
    _lines: Counter[bytes] = field(default_factory=Counter)
    _mask: int = 0  # hashes of which these bits are 0 are counted

    def watch(self, files: Iterator[Any]) -> Iterator[Readable]:
        """The same files, which note what passes."""
        for file in files:
            facts = FileFacts(file.name, file.encoding)
            self.files.append(facts)
            yield _Watched(file, facts, self)

    @property
    def repeated_share(self) -> float:
        """The share of lines, of those that are not empty, that were there before."""
        n = self._lines.total()
        return 1 - len(self._lines) / n if n else 0.0

    @property
    def is_estimate(self) -> bool:
        """Whether not all lines were compared."""
        return self._mask > 0

    def length_at(self, share: float) -> int:
        """The bytes that a `share` of the lines has at most, lines that are not empty."""
        lengths = self.line_lengths.copy()
        lengths[0] = 0
        total = lengths.sum()
        return int(np.searchsorted(np.cumsum(lengths), share * total)) if total else 0

    def add_line(self, line: bytes) -> None:
        """Compare a line with the others."""
        key = hashlib.blake2b(line, digest_size=_HASH_BYTES).digest()
        if int.from_bytes(key) & self._mask:
            return
        self._lines[key] += 1
        if len(self._lines) > _SAMPLED_LINES:
            self._mask = self._mask << 1 | 1
            self._lines = Counter(
                {k: n for k, n in self._lines.items() if not int.from_bytes(k) & self._mask}
            )

    def finish(self, facts: FileFacts) -> None:
        """Compare a file with those before."""
        first = self._digests.setdefault(facts.digest, facts.name)
        if first != facts.name and facts.n_bytes:
            facts.same_as = first


@dataclass(frozen=True)
class Inspected:
    """A text that was inspected.

    Attributes:
        noted: of its files and lines.
        vocabulary: all its words, most frequent first.
        counts: theirs, int64 (V,).
        tally: of its tokens.
        rules: how it was cut into tokens.
        remarks: what a run would be warned of.
    """

    noted: Inspection
    vocabulary: Vocabulary
    counts: NDArray[np.int64]
    tally: Tally
    rules: TextRules
    remarks: tuple[str, ...]


class _Watched:
    """A file that notes what is read of it."""

    def __init__(self, file: Readable, facts: FileFacts, inspection: Inspection) -> None:
        self._file = file
        self._facts = facts
        self._inspection = inspection
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._digest = hashlib.blake2b()
        self._tail = b""  # the last bytes before
        self._sample = b""  # of lines that are not ASCII
        self._rest = b""  # of the last line
        self._rest_size = 0  # all of it: of a long line only the beginning is kept

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill `buffer` from its start; the number of bytes, 0 at the end."""
        n = self._file.readinto(buffer)
        data = bytes(buffer[:n])
        facts = self._facts
        facts.n_bytes += n
        self._digest.update(data)
        facts.malformed += self._decoder.decode(data, final=not n).count("\ufffd")
        seen = self._tail + data
        facts.malformed -= seen.count(_REPLACEMENT)  # what was there before
        self._tail = seen[1 - len(_REPLACEMENT) :]
        lines = data.split(b"\n")
        if facts.malformed and len(self._sample) < _SAMPLE_BYTES:
            self._sample += b"\n".join(line for line in lines if not line.isascii())
        for line in lines[:-1]:
            whole = (self._rest + line[:_LENGTHS])[:_LENGTHS]
            self._note(whole, self._rest_size + len(line))
            self._rest, self._rest_size = b"", 0
        self._rest += lines[-1][: max(0, _LENGTHS - len(self._rest))]
        self._rest_size += len(lines[-1])
        if not n:
            if self._rest_size:
                self._note(self._rest, self._rest_size)
            self._rest, self._rest_size = b"", 0
            facts.digest = self._digest.hexdigest()
            if facts.malformed > _MOST_MALFORMED * facts.n_lines:
                facts.likely = likely_encoding(self._sample[:_SAMPLE_BYTES])
            self._inspection.finish(facts)
        return n

    def _note(self, line: bytes, size: int) -> None:
        facts = self._facts
        facts.n_lines += 1
        facts.longest_line = max(facts.longest_line, size)
        self._inspection.line_lengths[min(size, _LENGTHS - 1)] += 1
        if line.strip():
            self._inspection.add_line(line + b"\0%d" % size if size > _LENGTHS else line)
        else:
            facts.empty_lines += 1


def scripts(vocabulary: Vocabulary, counts: NDArray[np.int64]) -> dict[str, float]:
    """The share of each script in the letters of words with these counts, the largest first.

    A letter is of the script that its name in Unicode begins with; those of no script are left out.
    """
    found: Counter[int] = Counter()
    for row in range(0, len(vocabulary), _WORDS):
        words = [vocabulary[i] for i in range(row, min(row + _WORDS, len(vocabulary)))]
        codes = np.frombuffer("".join(words).encode("utf-32-le"), np.uint32)
        weights = np.repeat(counts[row : row + len(words)], [len(word) for word in words])
        distinct, place = np.unique(codes, return_inverse=True)
        sums = np.bincount(place, weights)
        found.update(dict(zip(distinct.tolist(), sums.astype(np.int64).tolist(), strict=True)))
    letters: Counter[str] = Counter()
    for code, n in found.items():
        if (script := _script(chr(code))) is not None:
            letters[script] += n
    return {script: n / letters.total() for script, n in letters.most_common()}


def _script(character: str) -> str | None:
    if unicodedata.category(character)[0] != "L":
        return None
    names = [name for name in unicodedata.name(character, "").split() if name not in _NO_SCRIPT]
    return _SCRIPTS.get(names[0], names[0].capitalize()) if names else None


def heaps(counts: NDArray[np.int64]) -> list[tuple[int, int]]:
    """How many distinct words so many tokens have, drawn at random from the text (rarefaction).

    Args:
        counts: of all words, int64 (V,).

    Returns:
        Pairs of tokens and words, from 1,000 tokens up to all.
    """
    total = int(counts.sum())
    often, n_words = np.unique(counts, return_counts=True)
    curve = []
    for n_tokens in (*_round_numbers(1000, total), total):
        unseen = np.exp(often * np.log1p(-n_tokens / total)) if n_tokens < total else 0.0
        curve.append((n_tokens, round(float((n_words * (1 - unseen)).sum()))))
    return curve


def zipf(counts: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Pairs of a rank and the count of the word there; `counts` fall."""
    ranks = (*_round_numbers(1, len(counts)), len(counts))
    return [(rank, int(counts[rank - 1])) for rank in ranks]


def _round_numbers(first: int, end: int) -> Sequence[int]:
    """1, 2 and 5 times powers of ten, from `first` on and below `end`."""
    powers = [10**exponent for exponent in range(len(str(end)))]
    return [n for power in powers for n in (power * p for p in _POINTS) if first <= n < end]
