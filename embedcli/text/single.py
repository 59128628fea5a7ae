"""A text as single lines, each for itself: what is averaged, not what is trained on."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

from embedcli.errors import CorpusError
from embedcli.settings.text_rules import TextRules
from embedcli.text.fields import LONGEST_RECORD
from embedcli.text.lines import Lines
from embedcli.text.sources import opened

__all__ = ["single_lines"]


def single_lines(name: str, encoding: str | None = None) -> Iterator[str]:
    """The lines of a file or of standard input, without their ends, as a corpus is read.

    It is unpacked and decoded, a byte order mark is dropped, malformed sequences become
    U+FFFD, which is warned of at the end.

    Args:
        name: the file; ``-`` is standard input.
        encoding: what it is in, where no byte order mark says it; UTF-8 if None.

    Raises:
        CorpusError: it cannot be read, is no text, or a line is longer than fits in memory.
        UsageError: standard input is a terminal.
    """
    library = opened([name], TextRules(encoding=encoding))
    n_malformed = 0
    try:
        for file in library:
            for number, line in enumerate(Lines(file), 1):
                if line is None:
                    raise CorpusError(
                        f"{library.title}, line {number} has more than {LONGEST_RECORD >> 20} MiB: "
                        "does a line end stand behind each text?"
                    )
                text = line.decode(errors="replace")
                n_malformed += "\ufffd" in text and "\ufffd".encode() not in line
                yield text.rstrip("\r")
    finally:
        library.close()
    if n_malformed:
        warnings.warn(
            f"{n_malformed} lines of {library.title} hold malformed UTF-8, which became U+FFFD; "
            "--text-encoding says what they are in",
            stacklevel=2,
        )
    for remark in library.suspicions:
        warnings.warn(remark, stacklevel=2)
