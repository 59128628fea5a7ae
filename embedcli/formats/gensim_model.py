"""``gensim``: what gensim's ``save`` writes, ``.kv`` and ``.model``; only read.

A pickle of one object of gensim's, read without running anything (`pickled.py`). Large arrays lie
beside it, one file each, called after the attributes that lead to them:

    NAME                                 KeyedVectors, or a model whose attribute `wv` is one
    NAME.vectors.npy                     the vectors of KeyedVectors
    NAME.wv.vectors.npy                  those of a model
    NAME.wv.vectors_ngrams.npy           the rows of n-grams, of FastText
    NAME.syn1neg.npy                     the output vectors, where they were trained
    NAME.gz, NAME.gz.vectors.npz         with a name that ends in .gz or .bz2: one array ``val``

What the attributes are called changed over the versions:

    4.x            index_to_key, vectors, expandos["count"]; FastText leaves `vectors` out
    3.3 to 3.8     index2word, vectors, vocab[word].count; the model's syn1neg is in `trainables`
    1.0 to 3.2     index2word, syn0, vocab[word].count
    before         the same in the model itself, without `wv`

Word2Vec, FastText, Doc2Vec (its words, not its documents) and all their KeyedVectors are read. The
n-grams of FastText hash as fastText's do and are kept; before 3.8 gensim had another hash, whose
n-grams are left out; that is said.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from embedcli.embeddings import Embeddings
from embedcli.errors import FormatError
from embedcli.files.source import Source
from embedcli.formats.arrays import load_array, load_packed_array
from embedcli.formats.pickled import Record, read_pickle
from embedcli.formats.pickled_arrays import (
    ARRAY_GLOBALS,
    array_of,
    mapping_of,
    number_of,
    text_of,
)
from embedcli.formats.row_words import vocabulary_of
from embedcli.quoting import quoted, quoted_bytes
from embedcli.settings.reading import ReadingOptions
from embedcli.subwords.ngrams import NGrams
from embedcli.subwords.table import Subwords
from embedcli.vocabulary import Vocabulary

__all__ = ["PICKLES", "read"]

PICKLES: Final = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")  # how they begin

Floats = NDArray[np.float32]

_BUILTINS: Final = (
    *("object", "int", "long", "float", "hash", "set", "frozenset", "list", "dict", "bytes"),
    *("bytearray", "range", "xrange"),
)
_CLASSES: Final = {
    "keyedvectors": (
        *("KeyedVectors", "Word2VecKeyedVectors", "EuclideanKeyedVectors", "FastTextKeyedVectors"),
        *("Doc2VecKeyedVectors", "BaseKeyedVectors", "WordEmbeddingsKeyedVectors", "Vocab"),
        *("CompatVocab", "SimpleVocab"),
    ),
    "word2vec": (
        *("Word2Vec", "Word2VecVocab", "Word2VecTrainables", "Vocab", "SimpleVocab"),
        *("Heapitem",),
    ),
    "fasttext": ("FastText", "FastTextKeyedVectors", "FastTextVocab", "FastTextTrainables"),
    "wrappers.fasttext": ("FastText", "FastTextKeyedVectors"),
    "deprecated.fasttext": ("FastText",),
    "deprecated.keyedvectors": ("KeyedVectors", "FastTextKeyedVectors", "Vocab"),
    "deprecated.word2vec": ("Word2Vec", "Vocab"),
    "deprecated.doc2vec": ("Doc2Vec", "DocvecsArray", "Doctag"),
    "doc2vec": (
        *("Doc2Vec", "Doc2VecVocab", "Doc2VecTrainables", "DocvecsArray", "Doctag"),
        *("Doc2VecKeyedVectors",),
    ),
    "base_any2vec": ("BaseWordEmbeddingsModel", "BaseAny2VecModel"),
}
_RANDOM: Final = (
    *("numpy.random.__RandomState_ctor", "numpy.random._pickle.__randomstate_ctor"),
    *("numpy.random._pickle.__bit_generator_ctor", "numpy.random._pickle.__generator_ctor"),
    *("numpy.random._mt19937.MT19937", "numpy.random._pcg64.PCG64"),
)
_ALLOWED: Final = ARRAY_GLOBALS.union(
    (f"{module}.{name}" for module in ("builtins", "__builtin__") for name in _BUILTINS),
    (f"gensim.models.{module}.{name}" for module, names in _CLASSES.items() for name in names),
    (f"collections.{name}" for name in ("defaultdict", "OrderedDict", "Counter")),
    ("UserString.defaultdict",),  # how some files of Python 2 call that of collections
    (f"numpy.{name}" for name in ("float16", "float32", "float64", "int32", "int64", "uint32")),
    ("copy_reg._reconstructor", "copyreg._reconstructor", "gensim.utils.call_on_class_only"),
    _RANDOM,
)
_SETTINGS: Final = (
    *("sg", "hs", "negative", "window", "min_count", "sample", "alpha", "min_alpha", "epochs"),
    *("iter", "cbow_mean", "ns_exponent", "seed"),
)


def read(source: Source, reading: ReadingOptions) -> Embeddings:
    """Read the words' vectors, with counts, output vectors and n-grams where they are known.

    Raises:
        FormatError: it is damaged, holds something else than vectors of gensim's, or a file that
            belongs to it is missing.
    """
    root = read_pickle(source, _ALLOWED)
    try:
        return _embeddings(source.path, root, reading)
    except ValueError as error:
        raise FormatError(f"{source.path} is no sound file of gensim's: {error}") from error


def _embeddings(path: str, root: Any, reading: ReadingOptions) -> Embeddings:
    model = _Object(path, root, is_packed=path.endswith((".gz", ".bz2")))
    keyed = model.part("wv")
    words, counts = _words(keyed)
    vocabulary = vocabulary_of(path, words, counts, reading.keeping_rows)
    metadata = {"gensim": _settings(model)}
    output = _output(model, len(words))
    made = _with_subwords(keyed, vocabulary, reading)
    if made is not None:
        vectors, subwords = made
        return Embeddings(vocabulary, vectors, output, metadata, subwords)
    vectors = keyed.matrix("vectors", "syn0", "vectors_vocab", "syn0_vocab", rows=len(words))
    if output is not None and output.shape[1] != vectors.shape[1]:
        output = None  # Doc2Vec that joins vectors end to end has wider ones
    return Embeddings(vocabulary, vectors, output, metadata)


class _Object:
    """An object of gensim's: its attributes, some of which lie in files of their own.

    Args:
        path: the name that the files beside it begin with.
        value: what the pickle says of it.
        is_packed: whether those files are packed, as gensim does for names in .gz and .bz2.
    """

    def __init__(self, path: str, value: Any, *, is_packed: bool) -> None:
        if not isinstance(value, Record) or value.state is None:
            what = f"a {value.kind}" if isinstance(value, Record) else f"a {type(value).__name__}"
            raise ValueError(f"it holds {what}, not vectors")
        state = value.state[0] if isinstance(value.state, tuple) else value.state
        self.path = path
        self._is_packed = is_packed
        kind = value.args[0] if value.kind.name == "_reconstructor" and value.args else value.kind
        self.kind = str(kind)
        self._state = {text_of(key): entry for key, entry in mapping_of(state).items()}
        beside = self._state.get("__numpys")
        self._beside = [text_of(name) for name in beside] if isinstance(beside, list) else []

    def get(self, *names: str) -> Any:
        """The first attribute of these that is there and not None."""
        found = (self._state.get(name) for name in names)
        return next((value for value in found if value is not None), None)

    def part(self, name: str) -> _Object:
        """The object in attribute `name`; this one, where there is none."""
        value = self._state.get(name)
        return (
            self
            if value is None
            else _Object(f"{self.path}.{name}", value, is_packed=self._is_packed)
        )

    def array(self, *names: str) -> NDArray[Any] | None:
        """The first of these attributes that is an array."""
        for name in names:
            if name in self._beside:
                return self._loaded(name)
            value = self._state.get(name)
            if value is not None:
                return array_of(value)
        return None

    def matrix(self, *names: str, rows: int) -> Floats:
        """The first of these attributes that is there: float32, its first `rows` rows."""
        array = self.array(*names)
        if array is None:
            raise ValueError(f"{self.kind} lacks the attribute {quoted(names[0])}")
        if array.ndim != 2 or array.dtype.kind != "f" or len(array) < rows or not array.shape[1]:
            raise ValueError(
                f"{quoted(names[0])} is {array.dtype} {array.shape}, not {rows} rows of numbers"
            )
        with np.errstate(over="ignore"):
            floats: Floats = np.ascontiguousarray(array[:rows], np.float32)
        finite = np.isfinite(floats).all(axis=1)
        if not finite.all():
            row = int(np.argmin(finite)) + 1
            raise ValueError(f"row {row} of {quoted(names[0])} has a number that is not finite")
        return floats

    def _loaded(self, name: str) -> NDArray[Any]:
        packed = self._is_packed
        path = Path(f"{self.path}.{name}.{'npz' if packed else 'npy'}")
        if not path.exists():
            raise FormatError(
                f"{path} is missing: gensim wrote it beside the model and needs it; copy it there"
            )
        return load_packed_array(path, "val") if packed else load_array(path)


def _words(keyed: _Object) -> tuple[list[bytes], NDArray[np.int64] | None]:
    """The words in the order of their rows, and how often each occurred, where that is known."""
    listed = keyed.get("index_to_key", "index2word", "index2entity")
    vocab = mapping_of(keyed.get("vocab") or {})
    if listed is None:
        listed = _listed(vocab)
    if not isinstance(listed, list) or not listed:
        raise ValueError(f"{keyed.kind} has no words")
    words = [_word(row, word) for row, word in enumerate(listed, 1)]
    expandos = keyed.get("expandos")
    tally: Any = mapping_of(expandos).get("count") if expandos is not None else None
    if tally is not None:
        counts = array_of(tally)
    elif vocab:
        entries = (vocab.get(word) for word in listed)
        counts = np.array([_of_entry(entry, "count") for entry in entries], object)
    else:
        return words, None
    if counts.shape != (len(words),) or not all(_is_count(n) for n in counts.tolist()):
        return words, None
    known = counts.astype(np.int64)
    return words, known if known.any() else None


def _listed(vocab: Mapping[Any, Any]) -> list[Any]:
    """The words of the oldest files, each of which knows its row."""
    listed: list[Any] = [None] * len(vocab)
    for word, entry in vocab.items():
        row = _of_entry(entry, "index")
        if not isinstance(row, int) or not 0 <= row < len(listed):
            raise ValueError(f"no row for the word {quoted(str(word))}")
        listed[row] = word
    return listed


def _of_entry(entry: Any, name: str) -> Any:
    """A number that gensim keeps of a word."""
    if not isinstance(entry, Record) or entry.state is None:
        return None
    state = mapping_of(entry.state)
    return number_of(state.get(name, state.get(name.encode())))


def _is_count(number: Any) -> bool:
    return isinstance(number, int) and 0 <= number < 1 << 62


def _word(row: int, word: Any) -> bytes:
    if isinstance(word, bytes):
        return word
    if isinstance(word, str):
        return word.encode("utf-8", "surrogatepass")
    number = number_of(word)  # keys of items and documents may be numbers
    if isinstance(number, int) and -(1 << 63) <= number < 1 << 63:
        return b"%d" % number
    raise ValueError(f"row {row} has no word")


def _output(model: _Object, n_words: int) -> Floats | None:
    trained = model.part("trainables")
    array = trained.array("syn1neg")
    if array is None or array.ndim != 2 or len(array) != n_words:
        return None
    return trained.matrix("syn1neg", rows=n_words)


def _with_subwords(
    keyed: _Object, vocabulary: Vocabulary, reading: ReadingOptions
) -> tuple[Floats, Subwords] | None:
    """The vectors of words and their n-grams, where these are fastText's."""
    rows = keyed.array("vectors_ngrams")
    shortest, longest, buckets = (
        int(number_of(keyed.get(name)) or 0) for name in ("min_n", "max_n", "bucket")
    )
    if rows is None or not len(rows):
        return None
    if keyed.get("compatible_hash") is not True:
        reading.on_mended(
            f"{keyed.path}: its {len(rows)} rows of n-grams are left out, so words never seen have "
            "no vectors: their hash is that of gensim before 3.8, and not fastText's"
        )
        return None
    if not (1 <= shortest <= longest <= 1024 and 1 <= buckets < 1 << 31):
        return None
    ids = _bucket_ids(keyed, len(rows), buckets)
    order = np.argsort(ids)
    words = keyed.matrix("vectors_vocab", rows=len(vocabulary))
    parts = keyed.matrix("vectors_ngrams", rows=len(rows))
    subwords = Subwords(NGrams(shortest, longest, buckets), words, ids[order], parts[order])
    return subwords.of_vocabulary(vocabulary), subwords


def _bucket_ids(keyed: _Object, n_rows: int, buckets: int) -> NDArray[np.int32]:
    """Which bucket each row belongs to: up to 3.8 gensim kept only those that words have."""
    known = keyed.get("hash2index")
    ids = np.arange(n_rows, dtype=np.int64)
    if known is not None:
        places: dict[Any, Any] = {
            number_of(row): number_of(key) for key, row in mapping_of(known).items()
        }
        if set(places) != set(range(n_rows)) or not all(map(_is_count, places.values())):
            raise ValueError("'hash2index' does not number the rows of 'vectors_ngrams'")
        ids[list(places)] = list(places.values())
    if len(np.unique(ids)) < n_rows or ids.min() < 0 or ids.max() >= buckets:
        raise ValueError(f"n-grams outside of {buckets} buckets")
    return ids.astype(np.int32)


def _settings(model: _Object) -> dict[str, Any]:
    """The class, and the settings it was trained with."""
    numbers = {name: number_of(model.get(name)) for name in _SETTINGS}
    kept = {n: v for n, v in numbers.items() if v is not None and math.isfinite(v)}
    return {"class": quoted_bytes(model.kind.encode())[1:-1], **kept}
