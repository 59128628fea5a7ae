"""Reads a classifier from a file of any format that holds one."""

from __future__ import annotations

import os

from embedcli.classification.model import Classifier
from embedcli.errors import FormatError
from embedcli.files.source import Source
from embedcli.formats.fasttext import MAGIC
from embedcli.formats.fasttext_supervised import read_classifier

__all__ = ["load_classifier"]


def load_classifier(path: str | os.PathLike[str]) -> Classifier:
    """Read a classifier: fastText's supervised ``.bin`` or ``.ftz``; packed files too.

    Raises:
        FormatError: the file is damaged, or holds no classifier.
        InputError: it cannot be read.
    """
    with Source(path) as source:
        if source.head.startswith(MAGIC):
            return read_classifier(source)
        raise FormatError(
            f"{source.path} holds no classifier: labels are predicted by fastText's supervised "
            ".bin and .ftz"
        )
