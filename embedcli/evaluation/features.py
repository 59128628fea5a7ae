"""The features of a text or token: vectors of a model, or one-hot columns.

A text is the mean of the unit vectors of its known tokens (D columns), or the number of times each
token of the training texts occurs in it (a column a token). A token to be tagged is seen with its
left and right neighbour: their three vectors (3 D columns), or a column for each token and place.
Both kinds of tagging features have the same 24 columns besides for the shapes of the three tokens
(capitals, digits, ...), since the look-up folds case: a token is looked up as written, then in
lower case, then made of its subwords where the model has any (in lower case if its text was);
one-hot columns are of lower-cased tokens, the `ONE_HOT_COLUMNS` that most texts or tokens have.
Unknown tokens are zeros in both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from embedcli.embeddings import Embeddings
from embedcli.lookup.exact import unit_rows
from embedcli.lookup.out_of_vocabulary import Fallbacks, resolve

__all__ = ["Lookup", "OneHot", "shapes", "windows"]

Texts = Sequence[Sequence[str]]
Floats = NDArray[np.float32]

_SHAPES: Final = 8
# What is rarer is in hardly a text of the test file, and costs as much.
ONE_HOT_COLUMNS: Final = 50_000


class Lookup:
    """Features from a model's vectors.

    Args:
        embeddings: the model.
        fallbacks: for tokens that it holds in neither case; by subwords by default.

    Attributes:
        unknown: the share, 0 to 1, of the tokens asked so far of which the model knows nothing.
    """

    def __init__(self, embeddings: Embeddings, fallbacks: Fallbacks | None = None) -> None:
        self._embeddings = embeddings
        self._fallbacks = replace(fallbacks or Fallbacks(token=False), case=False)
        settings = embeddings.metadata.get("settings", {})
        self._lowers = bool(settings.get("lowercase")) if isinstance(settings, Mapping) else False
        self._asked = self._missed = self._made = 0

    @property
    def unknown(self) -> float:
        """The share of unknown tokens so far."""
        return self._missed / max(1, self._asked)

    @property
    def made(self) -> float:
        """The share of tokens so far that the vocabulary does not hold, answered all the same."""
        return self._made / max(1, self._asked)

    def texts(self, texts: Texts) -> Floats:
        """The mean unit vector of each text, float32 (n, D); zeros where no token is known."""
        from scipy.sparse import csr_matrix

        flat, lengths = _flat(texts)
        table, rows = self._units(flat)
        edges = np.append(0, np.cumsum(lengths))
        shape = (len(texts), len(table))
        times = csr_matrix((np.ones(len(rows)), rows, edges), shape)
        known = times @ (np.arange(len(table)) > 0)
        return np.asarray((times @ table) / np.maximum(known, 1)[:, None], np.float32)

    def tokens(self, texts: Texts) -> Floats:
        """The unit vectors of each token and its two neighbours, float32 (tokens, 3 D)."""
        flat, _ = _flat(texts)
        table, rows = self._units(flat)
        rows = np.append(rows, 0)  # beyond the ends of a sentence
        return table[rows[windows(texts)]].reshape(len(flat), -1).astype(np.float32)

    def _units(self, flat: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Unit vectors of the distinct tokens behind a zero row; and the row of each token."""
        distinct = list(dict.fromkeys(flat))
        find = self._embeddings.vocabulary.find
        pairs = zip(find(distinct), find([token.lower() for token in distinct]), strict=True)
        ids = [a if a is not None else b for a, b in pairs]
        left = [i for i, index in enumerate(ids) if index is None]
        asked = [distinct[i].lower() if self._lowers else distinct[i] for i in left]
        others = resolve(self._embeddings, asked, self._fallbacks)
        there = [i for i, index in enumerate(ids) if index is not None]
        vectors = np.zeros((len(distinct), self._embeddings.dim), np.float32)
        vectors[there] = self._embeddings.vectors[[index for index in ids if index is not None]]
        vectors[left] = others.vectors
        is_known = np.ones(len(distinct), np.bool_)
        is_known[left] = [source is not None for source in others.sources]
        table = np.zeros((int(is_known.sum()) + 1, self._embeddings.dim))
        table[1:] = unit_rows(vectors[is_known])
        places = dict(zip(distinct, (np.cumsum(is_known) * is_known).tolist(), strict=True))
        rows = np.array([places[token] for token in flat], np.int64)
        is_made = np.zeros(len(table), np.bool_)
        is_made[[places[distinct[i]] for i in left]] = True
        self._asked += len(rows)
        self._missed += int((rows == 0).sum())
        self._made += int(is_made[rows[rows > 0]].sum())
        return table, rows


class OneHot:
    """Features from which tokens there are: a column for each frequent one of the training texts.

    Attributes:
        left_out: how many different tokens of the training texts have no column.
    """

    def __init__(self, training: Texts) -> None:
        tally = Counter(token.lower() for text in training for token in text)
        kept = {token for token, _ in tally.most_common(ONE_HOT_COLUMNS)}
        self._columns = {t: i for i, t in enumerate(t for t in tally if t in kept)}
        self.left_out = len(tally) - len(self._columns)

    def texts(self, texts: Texts) -> Any:
        """How often each token occurs in each text: sparse float32 (n, columns)."""
        flat, lengths = _flat(texts)
        return self._matrix(flat, np.repeat(np.arange(len(texts)), lengths), len(texts), 1)

    def tokens(self, texts: Texts) -> Any:
        """Which token stands at each of the three places: sparse float32 (tokens, 3 columns)."""
        flat, _ = _flat(texts)
        around = windows(texts)
        owner = np.repeat(np.arange(len(flat)), 3)
        spread = [flat[i] if i < len(flat) else None for i in around.reshape(-1).tolist()]
        return self._matrix(spread, owner, len(flat), 3)

    def _matrix(self, tokens: Sequence[str | None], owner: Any, n_rows: int, places: int) -> Any:
        from scipy.sparse import csr_matrix

        columns = np.array(
            [-1 if t is None else self._columns.get(t.lower(), -1) for t in tokens], np.int64
        )
        place = np.arange(len(tokens)) % places
        there = columns >= 0
        shape = (n_rows, places * len(self._columns))
        cells = (owner[there], columns[there] + place[there] * len(self._columns))
        return csr_matrix((np.ones(int(there.sum()), np.float32), cells), shape)


def windows(texts: Texts) -> NDArray[np.int64]:
    """Places of the left neighbour, the token and the right one, int64 (tokens, 3).

    Beyond the ends of a sentence it is the number of tokens, which is nobody's place.
    """
    _, lengths = _flat(texts)
    n = int(lengths.sum())
    place = np.arange(n)
    ends = np.cumsum(lengths)
    left, right = place - 1, place + 1
    left[(ends - lengths)[lengths > 0]] = n
    right[ends[lengths > 0] - 1] = n
    return np.stack([left, place, right], axis=1)


def shapes(texts: Texts) -> Floats:
    """One-hot shapes of each token and its two neighbours, float32 (tokens, 24)."""
    flat, _ = _flat(texts)
    table = np.zeros((len(flat) + 1, _SHAPES), np.float32)
    table[np.arange(len(flat)), list(map(_shape, flat))] = 1
    return table[windows(texts)].reshape(len(flat), -1)


def _shape(token: str) -> int:
    tests: Iterator[bool] = iter(
        (
            token.islower(),
            token.istitle(),
            token.isupper(),
            token.isdigit(),
            token.startswith(("@", "#")),
            token.startswith(("http", "www")),
            any(c.isalnum() for c in token),
        )
    )
    return next((i for i, holds in enumerate(tests) if holds), _SHAPES - 1)


def _flat(texts: Texts) -> tuple[list[str], NDArray[np.int64]]:
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    return [token for text in texts for token in text], lengths
