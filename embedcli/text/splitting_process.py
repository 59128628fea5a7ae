"""A process that cuts text into tokens for this one, and the tokens of single texts.

A regular expression can take time without end for a few characters (``(a+)+$``), and it may come
out of a model file of a stranger. Nothing ends such a match but an exception out of a signal
handler, which only a process's own main thread gets; so patterns are matched in a process of their
own, which gives up by itself.

It is started by name (`splitting_worker.py`) and spoken to through its standard streams: it ends
when they do, however this process ends, and Ctrl-C does not reach it.
"""

from __future__ import annotations

import json
import re
import struct
import subprocess
import sys
import weakref
from collections.abc import Callable
from contextlib import suppress

from embedcli.errors import CorpusError, EmbedError, ResourceError
from embedcli.settings.text_rules import TextRules, text_settings
from embedcli.text.fields import ESCAPED_ONLY
from embedcli.text.splitting_worker import HEADER, LIMIT, TOO_SLOW
from embedcli.text.tokens import Cutter

__all__ = ["SplittingProcess", "splitter"]


class SplittingProcess:
    """A process that prepares texts; it ends with the last reference to this.

    Raises:
        ResourceError: no process can be started.
    """

    def __init__(self, rules: TextRules) -> None:
        told = {name: getattr(rules, name) for name in text_settings()}
        try:
            self._process = subprocess.Popen(  # noqa: S603 (this very interpreter)
                [
                    sys.executable,
                    "-m",
                    "embedcli.text.splitting_worker",
                    json.dumps(told),
                    str(LIMIT),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C is for its parent
            )
        except OSError as error:
            raise ResourceError(
                f"no process can be started to cut text into tokens: {error.strerror}"
            ) from error
        self.close = weakref.finalize(self, _end, self._process)

    def prepared(self, text: bytes) -> bytes:
        """What `tokens.prepared` makes of `text`.

        Raises:
            CorpusError: the pattern takes without end.
        """
        sent, received = self._process.stdin, self._process.stdout
        if sent is None or received is None:
            raise ValueError("both streams are pipes")
        try:
            sent.write(HEADER.pack(len(text), 0) + text)
            sent.flush()
            n_bytes, failed = HEADER.unpack(received.read(HEADER.size))
            done = received.read(n_bytes)
        except (OSError, struct.error) as error:
            code = self._process.wait()
            raise EmbedError(f"a process that cuts text into tokens ended with {code}") from error
        if failed == TOO_SLOW:
            raise CorpusError(done.decode())
        if failed:
            raise EmbedError(f"text could not be cut into tokens: {done.decode()}")
        return done

    def __enter__(self) -> SplittingProcess:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with suppress(BrokenPipeError):  # it has gone, as `prepared` said: nobody reads on
                stream.close()
    process.wait()


def splitter(rules: TextRules) -> Callable[[str], list[str]]:
    """What makes the tokens of a single text, as a corpus is read."""
    if rules.separator_bytes is not None:
        between = re.compile(f"{re.escape(rules.separator_bytes.decode())}|[\0\n\r]")
        return lambda text: [item for item in between.split(text) if item]
    if rules.tokenizer == "pattern":
        process = SplittingProcess(rules)

        def split(text: str) -> list[str]:
            line = ESCAPED_ONLY.sub("\ufffd", _one_line(text))
            done = process.prepared(line.encode(errors="surrogateescape"))
            return done.decode(errors="surrogateescape").split()

        return split
    cut = Cutter(rules)
    return lambda text: cut([_one_line(text)])[0].split()


def _one_line(text: str) -> str:
    """A text with white space for what is white space in a corpus, and not to Python."""
    return text.replace("\n", " ").replace("\0", " ")
