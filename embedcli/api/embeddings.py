"""Embeddings as Python users have them: everything a command can ask of a model.

Each method is a few lines over the package that does the work, which it imports when it is called.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from importlib import import_module
from typing import TYPE_CHECKING, Any, Self, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from embedcli import embeddings as stored
from embedcli.api.drawing import Drawing
from embedcli.api.terms import Term, terms_of, unit_vector
from embedcli.errors import UnknownWordError, UsageError
from embedcli.quoting import quoted
from embedcli.subwords.table import Subwords
from embedcli.vocabulary import Vocabulary

if TYPE_CHECKING:
    from embedcli.lookup.query import Neighbor

__all__ = ["Embeddings"]

_ANSWERING: dict[tuple[type[Any], type[Any]], type[Any]] = {}  # classes made by `_answering`
_SHOWN = 10  # words in the table of a notebook


class Embeddings(stored.Embeddings):
    """V words and their vectors, and all that can be asked of them.

    >>> import embedcli
    >>> e = embedcli.Embeddings(["cat", "dog", "car"], [[1, 0.1], [1, 0.2], [0, 1]])
    >>> e
    Embeddings(3 words x 2)
    >>> e.neighbors("cat", 1)[0].word
    'dog'

    Args:
        vocabulary: the V words in row order, or a `Vocabulary`.
        vectors: (V, D) numbers.
        output_vectors: float32 (V, D) or None.
        metadata: how the model was made, as files keep it.
        subwords: what makes vectors for words never seen.
        tree_counts: int64 (V,), see `embedcli.embeddings.Embeddings`.
        labels: of a classifier; see there.

    Raises:
        UsageError: the words are one string, repeat, or are not as many as the vectors.
    """

    def __init__(
        self,
        vocabulary: Vocabulary | Iterable[str],
        vectors: ArrayLike,
        output_vectors: NDArray[np.float32] | None = None,
        metadata: Mapping[str, Any] | None = None,
        subwords: Subwords | None = None,
        tree_counts: NDArray[np.int64] | None = None,
        labels: Vocabulary | None = None,
    ) -> None:
        if not isinstance(vocabulary, Vocabulary):
            vocabulary = _vocabulary(vocabulary)
        rows = np.asarray(vectors, np.float32)
        if rows.ndim != 2 or len(rows) != len(vocabulary):
            raise UsageError(
                f"{len(vocabulary)} words but vectors of shape {rows.shape}: give one row a word"
            )
        super().__init__(
            vocabulary, rows, output_vectors, metadata or {}, subwords, tree_counts, labels
        )

    @classmethod
    def of(cls, model: stored.Embeddings) -> Self:
        """The same model, sharing its memory, with these methods."""
        if isinstance(model, cls):
            return model
        made: Self = object.__new__(_answering(cls, type(model)))
        vars(made).update(vars(model))
        return made

    # -- words and their vectors ---------------------------------------------------------------

    @overload
    def __getitem__(self, word: str) -> NDArray[np.float32]: ...
    @overload
    def __getitem__(self, word: Sequence[str]) -> NDArray[np.float32]: ...
    def __getitem__(self, word: str | Sequence[str]) -> NDArray[np.float32]:
        """The vector of a word, float32 (D,), or those of a list of n words, float32 (n, D).

        Raises:
            UnknownWordError: a word has no vector, not even by its subwords.
        """
        if isinstance(word, str):
            return super().__getitem__(word)
        rows = [super(Embeddings, self).__getitem__(each) for each in word]
        return np.stack(rows) if rows else np.empty((0, self.dim), np.float32)

    def __iter__(self) -> Iterator[str]:
        return iter(self.vocabulary.words)

    def get(self, word: str, default: Any = None) -> Any:
        """The vector of `word`, float32 (D,), or `default` where it has none."""
        try:
            return self[word]
        except UnknownWordError:
            return default

    def head(self, n: int) -> Self:
        """The first (most frequent) `n` words; shares memory with these embeddings."""
        return type(self).of(super().head(n))

    def __repr__(self) -> str:
        return stored.Embeddings.__repr__(self)

    # -- look-ups ------------------------------------------------------------------------------

    def neighbors(
        self,
        query: Term | Sequence[Term],
        k: int = 10,
        *,
        negative: Term | Sequence[Term] = (),
        restrict: int | None = None,
    ) -> list[Neighbor]:
        """The `k` words with the highest cosine to a word, a vector, or a weighted sum of them.

        >>> import embedcli
        >>> e = embedcli.Embeddings(["king", "man", "woman", "queen"],
        ...                         [[1, 1], [1, 0.2], [0.2, 1], [0.4, 1.6]])
        >>> e.neighbors(["king", "woman"], 1, negative="man")[0].word
        'queen'

        Args:
            query: a word, a vector (D,), a pair of one of these and its weight, or a list of such.
                Vectors are scaled to length 1 before they are added.
            k: neighbours, at most. Words of the query are no answers.
            negative: what is taken away from the sum.
            restrict: answer from the first (most frequent) `restrict` words only.

        Raises:
            UnknownWordError: a word is not in the model; with suggestions.
            UsageError: there is nothing to look for, or a vector has another dimension.
        """
        from embedcli.lookup.query import neighbors_of_vectors, word_vectors

        terms = [*terms_of(query, 1), *terms_of(negative, -1)]
        if not terms:
            raise UsageError("neighbors of what? give a word, a vector or a list of them")
        ids, vectors = word_vectors(self, [term for term, _ in terms if isinstance(term, str)])
        made = iter(vectors)
        total = np.zeros(self.dim)
        for term, weight in terms:
            total += weight * unit_vector(next(made) if isinstance(term, str) else term, self.dim)
        [found] = neighbors_of_vectors(
            self, total[None, :], k, restrict=restrict, excluded=[ids[ids >= 0].tolist()]
        )
        return found

    def most_similar(
        self,
        positive: Term | Sequence[Term] = (),
        negative: Term | Sequence[Term] = (),
        topn: int = 10,
        restrict_vocab: int | None = None,
    ) -> list[tuple[str, float]]:
        """`neighbors` under the name and arguments that gensim has for it.

        >>> import embedcli
        >>> e = embedcli.Embeddings(["cat", "dog", "car"], [[1, 0.1], [1, 0.2], [0, 1]])
        >>> e.most_similar("cat", topn=1)
        [('dog', 0.995...)]
        """
        found = self.neighbors(positive, topn, negative=negative, restrict=restrict_vocab)
        return [(word, score) for word, score in found]

    def similarity(self, first: str, second: str) -> float:
        """The cosine of two words.

        Raises:
            UnknownWordError: a word is not in the model; with suggestions.
        """
        from embedcli.lookup.query import cosine_table

        return float(cosine_table(self, [first, second])[0, 1])

    def analogy(
        self,
        a: str,
        b: str,
        c: str,
        k: int = 10,
        *,
        method: str = "cosadd",
        restrict: int | None = None,
    ) -> list[Neighbor]:
        """What is to `c` as `b` is to `a`: see `embedcli.lookup.query.analogy`."""
        from embedcli.lookup.query import analogy

        return analogy(self, (a, b, c), k, method=method, restrict=restrict)

    def odd(self, words: Sequence[str]) -> str:
        """The one of `words` that is least like the others (gensim's ``doesnt_match``)."""
        from embedcli.lookup.query import odd_one_out

        if isinstance(words, str) or len(words) < 3:
            raise UsageError("odd takes a list of three words or more")
        return odd_one_out(self, words)[0].word

    def rank(self, word: str, other: str) -> int:
        """The place of `other` among the neighbours of `word`: 1 is the nearest."""
        return len(self.closer_than(word, other)) + 1

    def closer_than(self, word: str, other: str) -> list[str]:
        """The words that are nearer to `word` than `other` is, nearest first."""
        from embedcli.lookup.exact import cosines
        from embedcli.lookup.query import word_vectors

        ids, vectors = word_vectors(self, [word, other])
        [scores] = cosines(self.vectors, self.norms, vectors[:1])
        limit = scores[ids[1]] if ids[1] >= 0 else self.similarity(word, other)
        nearer = np.flatnonzero(scores > limit)
        order = nearer[np.argsort(-scores[nearer], kind="stable")]
        return [self.vocabulary[i] for i in order.tolist() if i not in ids]

    def sentences(
        self, texts: Iterable[str], *, weighting: str = "mean", unit_words: bool = False
    ) -> NDArray[np.float32]:
        """Vectors of texts, the means of those of their words: float32 (n, D).

        Args:
            texts: n texts, each cut into words as the training text was.
            weighting: ``"mean"``, or ``"sif"`` (Arora et al. 2017).
            unit_words: scale the vectors of words to length 1 first.

        Raises:
            UsageError: one string was given, there is no such weighting, or it needs counts.
        """
        from embedcli.spaces.sentences import Averager, remove_common

        if isinstance(texts, str):
            raise UsageError("sentences takes a list of texts, not one string: give [text]")
        averager = Averager(self, weighting, unit=unit_words)
        blocks = [np.empty((0, self.dim), np.float32), *averager.batches(texts)]
        vectors = np.concatenate(blocks)
        return remove_common(vectors) if weighting == "sif" else vectors

    def cluster(self, k: int, *, seed: int = 1) -> NDArray[np.int64]:
        """The class of each word by spherical k-means: int64 (V,), class 0 being the largest."""
        from embedcli.lookup.kmeans import classes

        return classes(self, k, seed=seed)[0]

    def align(
        self, target: stored.Embeddings, pairs: Iterable[tuple[str, str]] | None = None
    ) -> Self:
        """This space, turned to lie on `target` by orthogonal Procrustes.

        Args:
            target: the other space, of the same dimension.
            pairs: words here and there that mean the same; None: those spelt the same.

        Raises:
            UsageError: the dimensions differ, or there are too few pairs.
        """
        from embedcli.spaces.alignment import identical_pairs, known_pairs, turn, turned

        ids = identical_pairs(self, target) if pairs is None else known_pairs(self, target, pairs)
        return self.of(turned(self, turn(self, target, ids)))

    # -- files, pictures, other libraries ------------------------------------------------------

    def save(
        self,
        path: str | os.PathLike[str],
        format: str | None = None,  # noqa: A002 (as in `formats.save`)
        *,
        dtype: str = "float32",
    ) -> None:
        """Write a file in any format; the suffix decides. See `embedcli.save`."""
        from embedcli import formats

        formats.save(self, path, format, dtype=dtype)

    def export(
        self,
        path: str | os.PathLike[str],
        format: str | None = None,  # noqa: A002 (as in `formats.save`)
        *,
        top: int | None = None,
        dim: int | None = None,
        dtype: str = "float32",
    ) -> None:
        """`save`, of the `top` most frequent words and the first `dim` principal components."""
        from embedcli import formats
        from embedcli.spaces.reduction import reduce_dim

        model: stored.Embeddings = self if top is None else self.head(top)
        if dim is not None:
            model, _ = reduce_dim(model, dim)
        formats.save(model, path, format, dtype=dtype)

    def plot(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        words: Sequence[str] | None = None,
        top: int = 2000,
        layout: str = "pca",
        clusters: int = 10,
        seed: int = 1,
    ) -> Drawing:
        """A map of the words: shown by a notebook, and written to `path` if that is given.

        Args:
            path: a file ``.html``, ``.png``, ``.svg`` or ``.pdf``.
            words: the words to show; None: the `top` most frequent.
            top: how many words, without `words`.
            layout: ``"pca"`` or ``"umap"``.
            clusters: how many colours.
            seed: of the layout and the colours.

        Raises:
            UnknownWordError: a word is not in the model.
            UsageError: no kind of picture has this suffix.
            MissingExtraError: a library for this kind or layout is not installed.
        """
        from embedcli.files.publish import publish
        from embedcli.maps.drawing import class_names, draw_words, kind_of

        shown: stored.Embeddings = self.head(top)
        if words is not None:
            shown = stored.Embeddings(Vocabulary.from_words(list(words)), self[list(words)])
        groups = class_names(shown, clusters, seed)
        title = f"{len(shown):,} words, {layout}"

        def drawn(kind: str) -> bytes:
            return draw_words(shown, kind, groups, title, layout=layout, seed=seed)

        if path is not None:
            data = drawn(kind_of(os.fspath(path)))
            with publish(path) as sink:
                sink.write(data)
        return Drawing(lambda: drawn("html"))

    def to_pandas(self) -> Any:
        """A DataFrame with the words as its index and a column for each component."""
        return _library("pandas").DataFrame(np.array(self.vectors), index=self.vocabulary.words)

    def to_torch(self, *, freeze: bool = True) -> Any:
        """A ``torch.nn.Embedding`` whose row i is word i; a copy, trained on if not `freeze`."""
        torch = _library("torch")
        rows = torch.from_numpy(np.array(self.vectors))
        return torch.nn.Embedding.from_pretrained(rows, freeze=freeze)

    def _repr_html_(self) -> str:
        counts = self.vocabulary.counts
        rows = "".join(
            f"<tr><td>{escape(self.vocabulary[i])}</td>"
            f"<td>{'' if counts is None else f'{counts[i]:,}'}</td></tr>"
            for i in range(min(_SHOWN, len(self)))
        )
        more = len(self) - _SHOWN
        rest = f"<tr><td colspan=2>… and {more:,} more</td></tr>" if more > 0 else ""
        return (
            f"<table><caption>{len(self):,} words x {self.dim}</caption>"
            f"<tr><th>word</th><th>count</th></tr>{rows}{rest}</table>"
        )


def _answering(cls: type[Any], kind: type[stored.Embeddings]) -> type[Any]:
    """`cls`, or a class that also checks what it reads as `kind` does, that of mapped files."""
    if issubclass(cls, kind):
        return cls
    if (cls, kind) not in _ANSWERING:
        # made of the fields of `kind`, as `dataclasses.replace` does
        _ANSWERING[cls, kind] = type(cls.__name__, (cls, kind), {"__init__": kind.__init__})
    return _ANSWERING[cls, kind]


def _vocabulary(words: Iterable[str]) -> Vocabulary:
    if isinstance(words, str):
        raise UsageError("the words are one string: give a list of words")
    listed = list(words)
    for word in listed:
        if not isinstance(word, str):
            raise UsageError(f"{word!r} is no word: words are strings")
    if len(set(listed)) < len(listed):
        twice = next(word for i, word in enumerate(listed) if word in listed[:i])
        raise UsageError(f"the word {quoted(twice)} is there twice")
    return Vocabulary.from_words(listed)


def _library(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        raise UsageError(
            f"this needs the library {name}, which is not installed: pip install {name}"
        ) from None
