"""Reads a classifier from a file of any format that holds one."""

from __future__ import annotations

import os
from typing import get_args

from embedcli.classification.model import Classifier, Loss, classifier_of
from embedcli.embeddings import Embeddings
from embedcli.errors import FormatError
from embedcli.files.source import Source
from embedcli.formats import native
from embedcli.formats.detection import detect_format
from embedcli.formats.fasttext import MAGIC
from embedcli.formats.fasttext_supervised import read_classifier

__all__ = ["load_classifier"]


def load_classifier(path: str | os.PathLike[str]) -> Classifier:
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
