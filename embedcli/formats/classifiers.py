"""Reads a classifier from a file of any format that holds one."""

from __future__ import annotations

import os
from typing import Final, get_args

from embedcli.classification.model import LabelModel, Loss, classifier_of
from embedcli.embeddings import Embeddings
from embedcli.errors import FormatError
from embedcli.files.plain import is_directory
from embedcli.files.source import Source
from embedcli.formats import native
from embedcli.formats.detection import detect_format
from embedcli.formats.fasttext import MAGIC, is_supervised
from embedcli.formats.fasttext_supervised import read_classifier

__all__ = ["is_classifier", "load_classifier"]

_LONGEST_HEADER: Final = 1 << 20  # bytes, in which a file of ours names its tensors


def is_classifier(path: str | os.PathLike[str]) -> bool:
    """Whether a file holds a classifier, as its first bytes say.

    Raises:
        InputError: it cannot be read.
    """
    if is_directory(path):
        return False
    with Source(path) as source:
        if is_supervised(source.head):
            return True
        if source.compression is not None or source.head[8:9] != b"{":
            return False
        return b'"label_offsets"' in source.head[:_LONGEST_HEADER]


def load_classifier(path: str | os.PathLike[str]) -> LabelModel:
    """Read a classifier: embed's own, or fastText's supervised ``.bin`` or ``.ftz``.

    Raises:
        FormatError: the file is damaged, or holds no classifier.
        InputError: it cannot be read.
    """
    with Source(path) as source:
        if source.head.startswith(MAGIC):
            return read_classifier(source)
        if detect_format(source) == "safetensors":
            embeddings = native.read(source)
            if embeddings.labels is not None:
                _check_loss(source.path, embeddings)
                return classifier_of(embeddings)
        raise FormatError(
            f"{source.path} holds no classifier: labels are predicted by what `embed classify` "
            "made, and by fastText's supervised .bin and .ftz"
        )


def _check_loss(where: str, embeddings: Embeddings) -> None:
    loss = embeddings.metadata.get("settings", {}).get("loss")
    if loss not in get_args(Loss):
        raise FormatError(f"{where}: its loss is {loss!r}, not one of {', '.join(get_args(Loss))}")
