"""Pieces of words by a sentencepiece model: BPE or unigram, trained elsewhere (`spm_train`).

A word is given to the model by itself, so it begins with the model's word-boundary mark; pieces
that the model has no id for count for nothing. The model is part of the vectors and is kept with
them, whole; the library (extra ``subword``) is loaded when a word is cut, and not when vectors are
read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

import numpy as np

from embedcli.errors import FormatError, InputError, MissingExtraError
from embedcli.files.plain import read_finite
from embedcli.subwords.ngrams import Cut
from embedcli.vocabulary import Vocabulary

__all__ = ["Pieces"]


@dataclass(frozen=True)
class Pieces:
    """The rule that cuts words as a sentencepiece model does.

    Attributes:
        model: the bytes of the model's file.
        count: how many ids there are.
    """

    model: bytes = field(repr=False)
    count: int

    @classmethod
    def read(cls, path: str) -> Self:
        """The rule of the model in a file.

        Raises:
            InputError: the file cannot be read.
            FormatError: it holds no sentencepiece model.
            MissingExtraError: the library is not installed.
        """
        try:
            model = read_finite(path)
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror}") from error
        return cls(model, int(_processor(model, path).get_piece_size()))

    def described(self) -> dict[str, Any]:
        """The rule as JSON keeps it; the model itself is kept beside it."""
        return {"kind": "sentencepiece", "pieces": self.count}

    def __str__(self) -> str:
        return f"sentencepiece, {self.count} pieces"

    def cut(self, words: Vocabulary) -> Cut:
        """The pieces of every word, in their order; repeats kept.

        Raises:
            MissingExtraError: the library is not installed.
        """
        unknown = self._processor.unk_id()
        pieces = [
            [piece for piece in cut if piece != unknown]
            for cut in self._processor.encode(words.words)
        ]
        offsets = np.cumsum([0, *map(len, pieces)], dtype=np.int64)
        return Cut(np.array([p for cut in pieces for p in cut], np.int32), offsets)

    def texts(self, word: str) -> list[str]:
        """The pieces of one word, in the order of their ids in `cut`."""
        processor = self._processor
        ids = [piece for piece in processor.encode(word) if piece != processor.unk_id()]
        return [str(processor.id_to_piece(piece)) for piece in ids]

    @cached_property
    def _processor(self) -> Any:
        return _processor(self.model, "the sentencepiece model")


def _processor(model: bytes, name: str) -> Any:
    try:
        from sentencepiece import SentencePieceProcessor
    except ImportError:
        raise MissingExtraError("cutting words into pieces", "sentencepiece", "subword") from None
    processor = SentencePieceProcessor()
    try:
        processor.LoadFromSerializedProto(model)
    except RuntimeError as error:
        raise FormatError(f"{name} is no sentencepiece model: it cannot be parsed") from error
    return processor
