"""`embed neighbors --vector`: the words nearest to vectors from a file."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from embedcli.cli.output import echo_json, echo_rows
from embedcli.errors import FormatError, InputError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from embedcli.embeddings import Embeddings
    from embedcli.lookup.index import Index
    from embedcli.lookup.query import Neighbor

__all__ = ["show_vectors"]

_BATCH = 1024  # vectors searched in one pass over those of the model


def show_vectors(
    embeddings: Embeddings,
    files: Sequence[str],
    k: int,
    restrict: int | None,
    index: Index | None,
    *,
    as_json: bool,
) -> None:
    """Print the words nearest to every row of the arrays in `files`.

    Raises:
        InputError: a file is no array of numbers, or one of them is not finite.
        UsageError: the rows have other than the model's number of components.
    """
    arrays = [(file, _read(file, embeddings.dim)) for file in files]
    answers = _answers(embeddings, arrays, k, restrict, index)
    if as_json:
        recall = {} if index is None else {"recall": index.recall}
        listed = [
            {"query": name, "neighbors": [{"word": w, "cosine": c} for w, c in found]} | recall
            for name, found in answers
        ]
        echo_json(listed)
        return
    rows = (
        (name, rank, word, cosine)
        for name, found in answers
        for rank, (word, cosine) in enumerate(found, 1)
    )
    echo_rows(rows, ("query", "rank", "neighbour", "cosine") if sys.stdout.isatty() else None)


def _answers(
    embeddings: Embeddings,
    arrays: Sequence[tuple[str, NDArray[np.floating]]],
    k: int,
    restrict: int | None,
    index: Index | None,
) -> Iterator[tuple[str, list[Neighbor]]]:
    """The name of each vector, ``x.npy`` or ``x.npy[0]``, and its neighbours."""
    import numpy as np

    from embedcli.lookup.query import neighbors_of_vectors

    for file, array in arrays:
        rows = np.atleast_2d(array)
        for start in range(0, len(rows), _BATCH):
            part = np.asarray(rows[start : start + _BATCH], np.float64)
            if not np.isfinite(part).all():
                row = start + int(np.argmin(np.isfinite(part).all(axis=1)))
                raise InputError(f"{file}: row {row} (from 0) holds a number that is not finite")
            found = neighbors_of_vectors(embeddings, part, k, restrict=restrict, index=index)
            for i, answer in enumerate(found, start):
                yield (file if array.ndim == 1 else f"{file}[{i}]"), answer


def _read(file: str, dim: int) -> NDArray[np.floating]:
    from embedcli.files.plain import is_file
    from embedcli.formats.arrays import load_array

    if not is_file(file):
        raise InputError(f"cannot read {file}: it is no file")
    array = load_array(Path(file))
    if array.dtype.kind not in "fiu" or array.ndim not in (1, 2):
        raise FormatError(
            f"{file} is an array of {array.dtype} with {array.ndim} axes, not vectors: one of "
            "numbers with one axis or two is wanted"
        )
    if array.shape[-1] != dim:
        raise UsageError(
            f"{file} holds vectors of {array.shape[-1]} components, those of the model have {dim}"
        )
    return array
