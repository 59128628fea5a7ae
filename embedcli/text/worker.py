"""A process that prepares text for another one: `python -m embedcli.text.worker RULES`.

RULES are settings in JSON. Texts come on standard input and go to standard output, each behind its
length (8 bytes) and a byte that says whether it is an error message instead; at the end of the
input the process ends.
"""

from __future__ import annotations

import json
import struct
import sys
from typing import BinaryIO

from embedcli.rules import TextRules
from embedcli.text.tokens import Cutter, prepared

__all__ = ["HEADER", "serve"]

HEADER = struct.Struct("<qB")


def serve(rules: TextRules, texts: BinaryIO, results: BinaryIO) -> None:
    """Prepare one text after the other."""
    cut = Cutter(rules)
    while header := texts.read(HEADER.size):
        n_bytes, _ = HEADER.unpack(header)
        text = texts.read(n_bytes)
        if len(text) < n_bytes:
            return
        try:
            done, failed = prepared(text, cut), 0
        except Exception as error:  # said by the process that asked
            done, failed = f"{type(error).__name__}: {error}".encode(errors="replace"), 1
        results.write(HEADER.pack(len(done), failed) + done)
        results.flush()


if __name__ == "__main__":
    try:
        serve(TextRules(**json.loads(sys.argv[1])), sys.stdin.buffer, sys.stdout.buffer)
    except (BrokenPipeError, KeyboardInterrupt):  # the other one has gone
        sys.stderr.close()
