"""Parts of the rows of a model: what one worker combines of what all shards have changed.

    every shard's change, dealt into parts -> each part added up and combined, wherever -> the parts
    of the next model -> every shard

So nobody passes on what others have to say, and nobody holds more than one model. Which rows are a
part depends on the run alone, never on who is there: sums of floating-point numbers depend on their
order.
"""

from __future__ import annotations

import itertools

__all__ = ["row_parts"]

# The process that started the run holds a model and, while it collects one, a part of another. And
# every shard sends each part by itself, which takes the scheduler a millisecond.
_FEWEST, _MOST = 8, 32


def row_parts(n_rows: int, n_shards: int) -> list[slice]:
    """Consecutive parts of `n_rows`, about equal: as many as there are shards, in bounds."""
    n_parts = min(max(n_shards, _FEWEST), _MOST, n_rows)
    bounds = [n_rows * number // n_parts for number in range(n_parts + 1)]
    return [slice(*pair) for pair in itertools.pairwise(bounds)]
