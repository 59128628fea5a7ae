"""The stage before the scan, for tokenizers that see more than white space.

A thread that reads text has its blocks prepared first: tokens apart by white space, everything else
as it was. ``words`` is a compiled loop over the block (`kernels/word_mask.py`). The others are
Python (`tokens.py`), which runs one thread at a time: so each thread that reads has a process of
its own (`splitting_process.py`), which is handed the block, and hands it back. A pattern is matched
there in any case.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, partial

import numpy as np
from numpy.typing import NDArray

from embedcli.kernels.tokenize import PAD
from embedcli.kernels.word_mask import mask_non_words
from embedcli.settings.text_rules import TextRules
from embedcli.text.blocks import Block
from embedcli.text.splitting_process import SplittingProcess
from embedcli.text.tokens import Cutter, prepared, word_characters

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
        yield partial(_blank, *_word_bits())
    elif apart or rules.tokenizer == "pattern":
        with SplittingProcess(rules) as process:
            yield partial(_replaced, process.prepared)
    else:
        yield partial(_replaced, partial(prepared, cut=Cutter(rules)))


def _blank(is_word: Text, is_joined: Text, text: Text, block: Block) -> tuple[Text, Block]:
    mask_non_words(text, block.start, block.end, is_word, is_joined)
    return text, block


@cache
def _word_bits() -> tuple[Text, Text]:
    """A bit for each character, whether a word has it; and whether one has it but at its begin."""
    words, joined = (np.fromiter(codes, np.int64) for codes in word_characters())
    bits = np.zeros((2, max(int(words[-1]), int(joined[-1])) // 8 * 8 + 8), np.bool_)
    bits[0, words] = bits[1, joined] = True
    is_word, is_joined = np.packbits(bits, axis=1, bitorder="little")
    return is_word, is_joined


def _replaced(prepare: Callable[[bytes], bytes], text: Text, block: Block) -> tuple[Text, Block]:
    done = prepare(text[block.start : block.end].tobytes())
    padded = np.frombuffer(done + PAD * b" ", np.uint8)
    return padded, replace(block, start=0, end=len(done))
