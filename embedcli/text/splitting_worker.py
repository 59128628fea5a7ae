"""A process that prepares text for another: `python -m embedcli.text.splitting_worker RULES LIMIT`.

RULES are settings in JSON, LIMIT seconds of processor time. Texts come on standard input and go to
standard output, each behind its length (8 bytes) and a byte that says whether it is an error
message instead; at the end of the input the process ends. A text that takes longer is given up: a
pattern then backtracks without end, as far as anybody can tell.
"""

from __future__ import annotations

import json
import signal
import struct
import sys
from typing import BinaryIO

from embedcli.settings.text_rules import TextRules
from embedcli.text.tokens import Cutter, prepared

__all__ = ["HEADER", "LIMIT", "TOO_SLOW", "serve"]

HEADER = struct.Struct("<qB")
LIMIT = 10.0  # seconds of processor time for a text, which is a megabyte at most, or one stretch
_FAILED, TOO_SLOW = 1, 2


def serve(rules: TextRules, limit: float, texts: BinaryIO, results: BinaryIO) -> None:
    """Prepare one text after the other."""
    cut = Cutter(rules)
    signal.signal(signal.SIGVTALRM, _give_up)
    while header := texts.read(HEADER.size):
        n_bytes, _ = HEADER.unpack(header)
        text = texts.read(n_bytes)
        if len(text) < n_bytes:
            return
        signal.setitimer(signal.ITIMER_VIRTUAL, limit)
        try:
            done, failed = prepared(text, cut), 0
        except TimeoutError as error:
            done, failed = str(error).encode(errors="replace"), TOO_SLOW
        except Exception as error:  # said by the process that asked
            done, failed = f"{type(error).__name__}: {error}".encode(errors="replace"), _FAILED
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        results.write(HEADER.pack(len(done), failed) + done)
        results.flush()


def _give_up(number: int, frame: object) -> None:
    raise TimeoutError("text takes too long to be cut into tokens")


if __name__ == "__main__":
    try:
        told = TextRules(**json.loads(sys.argv[1]))
        serve(told, float(sys.argv[2]), sys.stdin.buffer, sys.stdout.buffer)
    except (BrokenPipeError, KeyboardInterrupt):  # the other one has gone
        sys.stderr.close()
