"""Embeddings whose numbers lie in a mapped file and are looked at when they are first used.

Opening a file reads none of its vectors, so what is not finite in them cannot be found then. It is
found when a matrix is first taken as a whole, once, or else in the rows that are asked for: no
command answers from a vector that nobody has looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from embedcli.embeddings import Embeddings
from embedcli.errors import FormatError
from embedcli.formats.narrow import row_blocks
from embedcli.quoting import quoted

__all__ = ["MappedEmbeddings"]

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class MappedEmbeddings(Embeddings):
    """Embeddings of a mapped file.

    Attributes:
        where: the file, for messages.

    `vectors`, `output_vectors`, `rows` and what is made of them raise FormatError where a number is
    not finite.
    """

    where: str = ""

    def __post_init__(self) -> None:
        """Nothing to check: the layout of the file has been."""

    @property  # type: ignore[misc]
    def vectors(self) -> Floats:
        """float32 (V, D), the input vectors, all of them looked at."""
        return self._looked_at("vectors")

    @vectors.setter
    def vectors(self, matrix: Floats) -> None:
        self.__dict__["vectors"] = matrix

    @property  # type: ignore[misc]
    def output_vectors(self) -> Floats | None:
        """float32 (V, D) or None, the output vectors, all of them looked at."""
        return (
            None if self.__dict__["output_vectors"] is None else self._looked_at("output_vectors")
        )

    @output_vectors.setter
    def output_vectors(self, matrix: Floats | None) -> None:
        self.__dict__["output_vectors"] = matrix

    @property
    def dim(self) -> int:
        """D, the number of components of a vector."""
        return int(self.__dict__["vectors"].shape[1])

    def rows(self, ids: Sequence[int] | NDArray[np.int64]) -> Floats:
        """The vectors of words by id, float32 (n, D): a copy; only these are looked at."""
        found: Floats = self.__dict__["vectors"][np.asarray(ids, np.int64)]
        if "vectors" not in self._sound:
            finite = np.isfinite(found).all(axis=1)
            if not finite.all():
                raise self._damaged("vectors", int(ids[int(np.argmin(finite))]))
        return found

    def head(self, n: int) -> MappedEmbeddings:
        """The first (most frequent) `n` words; shares memory with these embeddings."""
        of = super().head(n)
        first = MappedEmbeddings(
            of.vocabulary,
            of.vectors,
            of.output_vectors,
            of.metadata,
            of.subwords,
            of.tree_counts,
            of.labels,
            self.where,
        )
        first.__dict__["norms"] = self.norms[:n]
        return first

    def _matrix(self, name: str) -> Floats | None:
        matrix: Floats | None = self.__dict__[name]
        return matrix

    @cached_property
    def _sound(self) -> set[str]:
        """The names of the matrices that have been looked at."""
        return set()

    def _looked_at(self, name: str) -> Floats:
        matrix: Floats = self.__dict__[name]
        if name not in self._sound:
            for rows in row_blocks(matrix):
                block = matrix[rows]
                # The sum of squares is finite if all of them are, and takes half the time.
                if not np.isfinite(np.vdot(block, block)):
                    finite = np.isfinite(block).all(axis=1)
                    if not finite.all():
                        raise self._damaged(name, rows.start + int(np.argmin(finite)))
            self._sound.add(name)
        return matrix

    def _damaged(self, name: str, row: int) -> FormatError:
        kind = "output vector" if name == "output_vectors" else "vector"
        names = self.vocabulary
        if name == "output_vectors" and self.labels is not None:
            names = self.labels
        return FormatError(
            f"{self.where}, row {row + 1} ({quoted(names[row])}): its {kind} holds a "
            "number that is not finite: the file is damaged, or whoever wrote it was wrong"
        )
