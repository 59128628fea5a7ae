"""The stage before the scan, for tokenizers that see more than white space.

A thread that reads text has its blocks prepared first: tokens apart by white space, everything else
as it was. ``words`` is a compiled loop over the block (`kernels/blank.py`). The others are Python
(`tokens.py`), which runs one thread at a time: so each thread that reads has a process of its own,
which is handed the block, and hands it back.

A process is started by name and spoken to through its standard streams: it ends when they do,
however this process ends, and Ctrl-C does not reach it.
"""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cache, partial

import numpy as np
from numpy.typing import NDArray

from embedcli.errors import EmbedError
from embedcli.kernels.blank import blank
from embedcli.kernels.tokenize import PAD
from embedcli.rules import TextRules, text_settings
from embedcli.text.blocks import Block
from embedcli.text.tokens import Cutter, prepared, word_characters
from embedcli.text.worker import HEADER

__all__ = ["Prepare", "is_prepared", "preparing"]

Text = NDArray[np.uint8]
Prepare = Callable[[Text, Block], tuple[Text, Block]]


def is_prepared(rules: TextRules) -> bool:
    """Whether these rules need more than the scan.

    Raises:
        MissingExtraError: they need a library that is not installed.
    """
    if rules.tokenizer == "unicode":
        Cutter(rules)
    return rules.tokenizer != "whitespace"


@contextmanager
def preparing(rules: TextRules, *, apart: bool) -> Iterator[Prepare]:
    """What prepares the blocks of one thread; `apart`: in a process of its own, if it is Python.

    What it returns is the text and the block in it, in the buffer it was given or in another.
    """
    if rules.tokenizer == "whitespace":
        yield lambda text, block: (text, block)
    elif rules.tokenizer == "words" and rules.normalize != "NFKC":
        # NFC never makes a word of what is none, so that it can wait for the distinct words.
        yield partial(_blank, _word_bits())
    elif apart:
        with _Process(rules) as process:
            yield partial(_replaced, process.prepared)
    else:
        yield partial(_replaced, partial(prepared, cut=Cutter(rules)))


def _blank(is_word: Text, text: Text, block: Block) -> tuple[Text, Block]:
    blank(text, block.start, block.end, is_word)
    return text, block


@cache
def _word_bits() -> Text:
    """A bit for each character, whether it is part of a word: uint8."""
    codes = np.fromiter(word_characters(), np.int64)
    is_word = np.zeros((int(codes[-1]) // 8 + 1) * 8, np.bool_)
    is_word[codes] = True
    return np.packbits(is_word, bitorder="little")


def _replaced(prepare: Callable[[bytes], bytes], text: Text, block: Block) -> tuple[Text, Block]:
    done = prepare(text[block.start : block.end].tobytes())
    padded = np.frombuffer(done + PAD * b" ", np.uint8)
    return padded, replace(block, start=0, end=len(done))


class _Process:
    """A process that prepares texts (`worker.py`)."""

    def __init__(self, rules: TextRules) -> None:
        told = {name: getattr(rules, name) for name in text_settings()}
        self._process = subprocess.Popen(  # noqa: S603 (this very interpreter)
            [sys.executable, "-m", "embedcli.text.worker", json.dumps(told)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for its parent
        )

    def prepared(self, text: bytes) -> bytes:
        """What `tokens.prepared` makes of `text`."""
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
        if failed:
            raise EmbedError(f"text could not be cut into tokens: {done.decode()}")
        return done

    def __enter__(self) -> _Process:
        return self

    def __exit__(self, *error: object) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with suppress(BrokenPipeError):  # it has gone, as `prepared` said: nobody reads on
                    stream.close()
        self._process.wait()
