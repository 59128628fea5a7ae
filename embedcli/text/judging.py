"""Decides which files of a text are not UTF-8, and names their likely encoding.

Malformed sequences are counted in the distinct words of all files together, which costs nothing.
Only where there are any, the files are read once more, each for itself, as far as it takes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from embedcli.errors import CorpusError
from embedcli.text.encodings import convert_with, is_utf8, library_advice, likely_encoding
from embedcli.text.fields import Field
from embedcli.text.places import can_read_again, listed, shown
from embedcli.text.sources import Library

__all__ = ["check_encodings"]

MOST_MALFORMED = 0.01  # of the tokens: more, and a file is not UTF-8
_FEWEST = 10  # malformed tokens of one file among others that end a run
_BLOCK = 1 << 20
_MOST_BLOCKS = 64  # with malformed sequences, that are enough to judge a file by
_SAMPLE = 1 << 16  # bytes that an encoding is told by
_SHOWN = 3


@dataclass
class _Verdict:
    """What was found in one file: tokens between white space, a sample of the malformed lines."""

    name: str
    tokens: int = 0
    malformed: int = 0
    sample: bytes = b""

    @property
    def is_other(self) -> bool:
        """Whether it is no UTF-8 at all."""
        return self.malformed > MOST_MALFORMED * self.tokens

    def add(self, block: bytes) -> bool:
        """Count a block that begins and ends between tokens; whether anything is malformed."""
        try:
            block.decode()
        except UnicodeDecodeError:
            words = block.decode(errors="replace").split()
            self.tokens += len(words)
            self.malformed += sum("\ufffd" in word for word in words)
            lines = (line for line in block.split(b"\n") if not line.isascii())
            for line in lines:
                if len(self.sample) >= _SAMPLE:
                    break
                self.sample += line[:_SAMPLE] + b"\n"
            return True
        self.tokens += block.count(b" ") + block.count(b"\n")
        return False


def check_encodings(library: Library, n_malformed: int, n_tokens: int) -> str:
    """Refuse files that are not UTF-8; which files hold malformed sequences, for a warning.

    Args:
        library: what was read.
        n_malformed: how many tokens of it are malformed.
        n_tokens: how many it has.

    Raises:
        CorpusError: names the files, what they are in, and what to do.
    """
    encoding = library.rules.encoding
    is_other = n_malformed > MOST_MALFORMED * n_tokens
    insisted = encoding is not None and is_utf8(encoding)
    if not n_malformed or insisted or not (is_other or len(library.sources) > 1):
        return ""
    verdicts = [verdict for verdict in _verdicts(library) if verdict.malformed]
    bad = [v for v in verdicts if v.is_other and (is_other or v.malformed >= _FEWEST)]
    if not bad and not is_other:
        return f" in {listed([v.name for v in verdicts])}" if verdicts else ""
    if len(library.sources) > 1 and bad:
        n_malformed, n_tokens = sum(v.malformed for v in bad), sum(v.tokens for v in bad)
    names = {v.name: likely_encoding(v.sample) for v in bad[:_SHOWN]}
    title = listed(_shown(names, bad)) if bad else library.title
    raise CorpusError(
        f"{title} {'do' if len(bad) > 1 else 'does'} not look like UTF-8 text: {n_malformed} of "
        f"{n_tokens} tokens are malformed; {_advice(names, len(bad), len(library.sources))}"
    )


def _shown(encodings: Mapping[str, str | None], bad: Sequence[_Verdict]) -> list[str]:
    """The names of files, with their encodings where there are several."""
    if len(bad) == 1:
        return [bad[0].name]
    return [f"{v.name} ({encodings.get(v.name) or 'unknown'})" for v in bad]


def _advice(encodings: Mapping[str, str | None], n_bad: int, n_files: int) -> str:
    """What to do."""
    name, encoding = next(iter(encodings.items()), ("", None))
    if encoding is None:
        return f"find out what it is in, and give that as --encoding NAME{library_advice()}"
    is_all = n_bad == n_files and len(set(encodings.values())) == 1
    return convert_with(encoding, name, is_all=is_all) + library_advice()


def _verdicts(library: Library) -> Iterator[_Verdict]:
    for source in library.sources:
        name = shown(source)
        if name in library.samples:
            verdict = _Verdict(name)
            verdict.add(library.samples[name])
            yield verdict
        elif can_read_again(source):
            yield _judged(Library([source], Field.named_by(library.rules), library.rules), name)


def _judged(library: Library, name: str) -> _Verdict:
    verdict = _Verdict(name)
    buffer = memoryview(bytearray(_BLOCK))
    rest = b""
    n_blocks = 0
    try:
        for file in library:
            while n_blocks < _MOST_BLOCKS and (n := file.readinto(buffer)):
                block = rest + bytes(buffer[:n])
                end = max(block.rfind(b"\n"), block.rfind(b" ")) + 1 or len(block)
                rest = block[end:]
                n_blocks += verdict.add(block[:end])
            verdict.add(rest)
    finally:
        library.close()
    return verdict
