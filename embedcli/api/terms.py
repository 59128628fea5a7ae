"""What a look-up of Python adds up: words and vectors, with their weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from embedcli.errors import UsageError
from embedcli.lookup.exact import unit_rows

__all__ = ["Term", "terms_of", "unit_vector"]

# a word or a vector, (D,); with a weight, where it is not 1
Term = str | NDArray[np.floating] | tuple[str | NDArray[np.floating], float]


def terms_of(
    given: Term | Sequence[Term], sign: int
) -> Iterator[tuple[str | NDArray[np.floating], float]]:
    """What is added up: words and vectors, each with its weight."""
    if isinstance(given, str) or (isinstance(given, np.ndarray) and given.ndim == 1):
        yield given, sign
        return
    if isinstance(given, tuple) and len(given) == 2 and isinstance(given[1], int | float):
        yield given[0], sign * float(given[1])
        return
    for each in given:
        if not isinstance(each, str | np.ndarray | tuple):
            raise UsageError(f"{each!r} is neither a word, a vector nor a pair with its weight")
        yield from terms_of(each, sign)


def unit_vector(vector: NDArray[np.floating], dim: int) -> NDArray[np.float64]:
    """`vector` scaled to length 1, float64 (D,).

    Raises:
        UsageError: it has another shape.
    """
    if vector.shape != (dim,):
        raise UsageError(
            f"a vector has the shape {vector.shape}, but those of the model have {dim} components"
        )
    unit: NDArray[np.float64] = unit_rows(vector[None, :])[0]
    return unit
