"""The rows that make up each word in training: its own, and those of its subwords.

The rows of subwords come behind those of the V words, in the order of their ids; only parts that
some word has get one, and those of a model that a run goes on with.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from embedcli.errors import TrainingError
from embedcli.kernels.intrinsics.matrix_rows import SPARE
from embedcli.kernels.subwords import SubwordRows
from embedcli.settings.config import NGRAMS, TrainConfig
from embedcli.subwords.ngrams import NGrams
from embedcli.subwords.pieces import Pieces
from embedcli.subwords.table import Units
from embedcli.vocabulary import Vocabulary

__all__ = ["WordParts", "units_of"]

_MOST_ROWS: Final = 2**31 - 1


def units_of(config: TrainConfig) -> Units:
    """The rule that cuts words, as ``config.subword`` says.

    Raises:
        ValueError: words stay whole.
        InputError, FormatError, MissingExtraError: it names a file that is no sentencepiece model,
            or cannot be read.
    """
    if config.subword is None:
        raise ValueError("words stay whole")
    match = re.fullmatch(NGRAMS, config.subword)
    if match is None:
        return Pieces.read(config.subword)
    return NGrams(int(match[1]), int(match[2]), config.buckets)


@dataclass(frozen=True)
class WordParts:
    """The rows of every word.

    Attributes:
        units: how words are cut.
        ids: int32 (U,), ascending: the parts that have a row: those of the words, and those kept.
        rows: for the kernels.
        most: rows of a word, at most.
    """

    units: Units
    ids: NDArray[np.int32]
    rows: SubwordRows
    most: int

    @classmethod
    def of(
        cls, vocabulary: Vocabulary, units: Units, kept: NDArray[np.int32] | None = None
    ) -> Self:
        """Cut all words; parts that are `kept`, int32 (n,), have a row in any case.

        Raises:
            TrainingError: there would be more rows than numbers for them.
        """
        cut = units.cut(vocabulary)
        listed = cut.ids if kept is None else np.concatenate([cut.ids, kept])
        ids, places = np.unique(listed, return_inverse=True)
        places = places[: len(cut.ids)]
        n_words = len(vocabulary)
        if n_words + len(ids) > _MOST_ROWS:
            raise TrainingError(
                f"{n_words} words and {len(ids)} parts of words are more rows than can be numbered"
            )
        offsets = cut.offsets + np.arange(n_words + 1)  # one more a word: its own
        rows = np.empty(len(cut.ids) + n_words, np.int32)
        is_own = np.zeros(len(rows), np.bool_)
        is_own[offsets[:-1]] = True
        rows[is_own] = np.arange(n_words)
        rows[~is_own] = n_words + places
        spare = np.concatenate([rows, np.zeros(SPARE, np.int32)])
        return cls(units, ids, SubwordRows(spare, offsets), int(np.diff(offsets).max()))
