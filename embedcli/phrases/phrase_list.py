r"""A list of phrases as a file: what `embed phrases --save` writes and `--apply` reads.

    pass\tfirst\tsecond\tphrase\tcount\tscore\n      a header
    1\tnew\tyork\tnew_york\t3211\t145.2\n            a line for each phrase

Passes are applied in turn. Only the first four columns are read, and, where there is one, the
column ``between``: the connectors between the words, apart by spaces.
"""

from __future__ import annotations

from collections.abc import Sequence

from embedcli.errors import FormatError
from embedcli.files.plain import read_finite
from embedcli.files.publish import publish
from embedcli.phrases.finding import Phrase
from embedcli.quoting import quoted

__all__ = ["BETWEEN", "COLUMNS", "read_phrases", "write_phrases"]

COLUMNS = ("pass", "first", "second", "phrase", "count", "score")
BETWEEN = "between"
_NEEDED = 4
_MOST_PASSES = 99


def write_phrases(passes: Sequence[Sequence[Phrase]], path: str) -> None:
    """Publish a file of the phrases of each pass.

    Raises:
        OutputError: it cannot be written.
    """
    linked = any(phrase.between for phrases in passes for phrase in phrases)
    with publish(path) as sink:
        sink.write(("\t".join((*COLUMNS, *[BETWEEN] * linked)) + "\n").encode())
        for number, phrases in enumerate(passes, 1):
            rows = (
                f"{number}\t{p.first}\t{p.second}\t{p.joined}\t{p.count}\t{p.score:.6g}"
                + f"\t{' '.join(p.between)}\n" * linked
                + "\n" * (not linked)
                for p in phrases
            )
            sink.write("".join(rows).encode())


def read_phrases(path: str) -> list[list[Phrase]]:
    """The phrases of each pass.

    Raises:
        FormatError: it cannot be read, or a line is no phrase; with its number.
    """
    try:
        lines = read_finite(path).decode("utf-8-sig").split("\n")
    except OSError as error:
        raise FormatError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise FormatError(f"{path}: byte {error.start} is not UTF-8") from error
    if lines[0].rstrip("\r").split("\t")[:_NEEDED] != list(COLUMNS[:_NEEDED]):
        raise FormatError(
            f"{path}, line 1: expected the header {' '.join(COLUMNS)} by tabs, found "
            f"{quoted(lines[0][:60])}; embed phrases --save writes such a file"
        )
    names = lines[0].rstrip("\r").split("\t")
    between = names.index(BETWEEN) if BETWEEN in names else len(names)
    passes: list[list[Phrase]] = []
    for number, line in enumerate(lines[1:], 2):
        if line:
            place, phrase = _phrase(path, number, line.rstrip("\r"), between)
            passes += [[] for _ in range(len(passes), place)]
            passes[place - 1].append(phrase)
    return passes


def _phrase(path: str, number: int, line: str, between: int) -> tuple[int, Phrase]:
    cells = line.split("\t")
    place, *words = cells[:_NEEDED]
    sound = len(words) == _NEEDED - 1 and all(len(word.split()) == 1 for word in words)
    if not sound or not place.isdecimal() or not 1 <= int(place) <= _MOST_PASSES:
        raise FormatError(
            f"{path}, line {number}: expected a pass (1 to {_MOST_PASSES}), two words and their "
            f"phrase by tabs, found {quoted(line[:60])}"
        )
    linking = tuple(cells[between].split()) if between < len(cells) else ()
    return int(place), Phrase(words[0], words[1], words[2], 0, 0.0, linking)
