"""``model2vec``: the directory that Model2Vec and sentence-transformers load as a static model.

    model.safetensors         tensor ``embeddings``, F32, F16 or I8 (V + 1, D); row 0, [UNK], is 0;
                              on demand also ``weights``, F32 (V + 1,), which Model2Vec multiplies
    tokenizer.json            WordLevel over white space, as Hugging Face tokenizers reads it
    config.json               for Model2Vec: no truncation, no normalisation
    modules.json              for sentence-transformers: one StaticEmbedding
    README.md                 the model card; one that somebody wrote or changed stays

`StaticModel.from_pretrained(dir)` and `SentenceTransformer(dir)` then encode a sentence as the mean
of its known words' vectors. int8 has one scale for the whole matrix, which neither library applies:
directions survive, lengths do not, and reading it here gives vectors of that other length. Counts
and output vectors are not kept. The tokenizer cuts text as the model's was cut, as far as it can
(`model2vec_rules.py`).

A word [UNK] of the model's own takes the place of row 0 and is where it was; neither library counts
it in a mean. Words with white space are added tokens, which are found before a text is cut.

Reading takes any directory of this kind, Model2Vec's own and those of sentence-transformers (in
``0_StaticEmbedding/``) included; its tokens are then the words. Tokens that share rows
(``mapping``, a quantised vocabulary) get copies, and vectors are multiplied by ``weights``: the
mean of words is the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from embedcli import __version__
from embedcli.embeddings import Embeddings
from embedcli.errors import FormatError
from embedcli.files import safetensors
from embedcli.files.folder import sealed
from embedcli.files.plain import read_plain
from embedcli.files.publish import publish
from embedcli.files.source import check_memory
from embedcli.formats.checks import check_savable, check_words
from embedcli.formats.model2vec_rules import normalizer, pre_tokenizer
from embedcli.formats.narrow import row_blocks, to_float16
from embedcli.formats.row_words import embeddings_of
from embedcli.quoting import escaped, json_text, quoted
from embedcli.settings.reading import ReadingOptions
from embedcli.settings.text_rules import TextRules
from embedcli.vocabulary import Vocabulary

__all__ = ["FILES", "PLACES", "check", "read", "write"]

FILES: Final = ("model.safetensors", "tokenizer.json", "config.json", "modules.json", "README.md")
_UNKNOWN: Final = "[UNK]"
_TENSORS: Final = ("embeddings", "embedding.weight")
_MAPPING: Final = "mapping"
_WEIGHTS: Final = "weights"
PLACES: Final = (
    "",
    "0_StaticEmbedding",
)  # within the directory: Model2Vec's, sentence-transformers'
_SPACE: Final = re.compile(r"\s")  # what Rust takes for white space, and a little more
_MODULE: Final = "sentence_transformers.models.StaticEmbedding"


Floats = NDArray[np.float32]


def check(vocabulary: Vocabulary) -> None:
    """Refuse words that could not be read back: `write` would."""
    check_words(vocabulary)


def write(embeddings: Embeddings, folder: Path, dtype: str, weights: Floats | None = None) -> None:
    """Write the files into the empty `folder`.

    Args:
        embeddings: the words and their vectors.
        folder: where to.
        dtype: ``float32``, ``float16`` or ``int8``.
        weights: float32 (V,), what Model2Vec multiplies each vector by before it takes a mean.

    Raises:
        FormatError: a number that is not finite, or a first word ``[UNK]`` with a vector of zeros.
    """
    check(embeddings.vocabulary)
    check_savable(embeddings)
    words = embeddings.vocabulary.words
    if words[0] == _UNKNOWN and not embeddings.vectors[0].any():
        raise FormatError(
            f"cannot save {_UNKNOWN} (row 1) as model2vec: a vector of zeros there says that the "
            "model has no such word"
        )
    arrays: dict[str, NDArray[Any]] = {_TENSORS[0]: _narrowed(embeddings, dtype)}
    if weights is not None:
        arrays[_WEIGHTS] = weights.astype(np.float32)
    if _UNKNOWN not in embeddings:
        words = [_UNKNOWN, *words]
        arrays = {name: np.concatenate([0 * rows[:1], rows]) for name, rows in arrays.items()}
    with publish(folder / FILES[0]) as sink:
        safetensors.write(sink, arrays, {"format": "np"})
    rules = TextRules.from_settings(embeddings.metadata.get("settings", {}))
    for name, content in (
        (FILES[1], _tokenizer(words, rules)),
        (FILES[2], _config(embeddings.dim, dtype)),
        (FILES[3], [{"idx": 0, "name": "0", "path": ".", "type": _MODULE}]),
    ):
        with publish(folder / name) as sink:
            sink.write(json_text(content).encode() + b"\n")
    with publish(folder / FILES[4]) as sink:
        sink.write(sealed(_card(embeddings, dtype, weighted=weights is not None)))


def read(folder: Path, reading: ReadingOptions) -> Embeddings:
    """Read tokens and vectors; float32 vectors stay on the disk until they are used.

    Raises:
        FormatError: a file is damaged, or they do not belong together.
    """
    place = next(p for p in PLACES if (folder / p / FILES[0]).is_file())
    vectors = _vectors(folder / place / FILES[0])
    words = _tokens(folder / place / FILES[1])
    if len(words) != len(vectors):
        raise FormatError(f"{folder}: {len(vectors)} vectors, but {len(words)} tokens")
    if words and words[0] == _UNKNOWN and not vectors[0].any():
        words, vectors = words[1:], vectors[1:]
    try:
        encoded = [word.encode() for word in words[: reading.limit]]
    except UnicodeEncodeError as error:
        what = quoted(str(error.object))
        raise FormatError(f"{folder / place / FILES[1]}: the token {what} is no text") from error
    return embeddings_of(str(folder), encoded, vectors[: reading.limit], reading)


def _narrowed(embeddings: Embeddings, dtype: str) -> NDArray[Any]:
    if dtype == "float16":
        return to_float16(embeddings)
    if dtype == "int8":  # one scale for all, as model2vec.quantization does it
        largest = max(
            float(np.abs(embeddings.vectors[r]).max()) for r in row_blocks(embeddings.vectors)
        )
        codes = np.empty(embeddings.vectors.shape, np.int8)
        for rows in row_blocks(embeddings.vectors):
            codes[rows] = np.rint(embeddings.vectors[rows] * (127 / (largest or 1.0)))
        return codes
    return embeddings.vectors


def _tokenizer(words: list[str], rules: TextRules) -> dict[str, Any]:
    """What cuts a text into `words`, which come by id and include the unknown one."""
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_added(i, words[i]) for i in _cut_words(words, rules)],
        "normalizer": normalizer(rules),
        "pre_tokenizer": pre_tokenizer(rules),
        "post_processor": None,
        "decoder": None,
        "model": {
            "type": "WordLevel",
            "vocab": {w: i for i, w in enumerate(words)},
            "unk_token": _UNKNOWN,
        },
    }


def _cut_words(words: list[str], rules: TextRules) -> list[int]:
    """The ids of words that white space would cut."""
    if rules.separator_bytes is not None or not _SPACE.search("".join(words)):
        return []
    return [i for i, word in enumerate(words) if _SPACE.search(word)]


def _added(number: int, word: str) -> dict[str, Any]:
    """A token that is looked for in a text before it is cut, where no letter or digit is beside."""
    return {
        "id": number,
        "content": word,
        "single_word": True,
        "lstrip": False,
        "rstrip": False,
        "normalized": True,
        "special": False,
    }


def _config(dim: int, dtype: str) -> dict[str, Any]:
    return {
        "model_type": "model2vec",
        "architectures": ["StaticModel"],
        "hidden_dim": dim,
        "max_length": None,
        "normalize": False,
        "embedding_dtype": dtype,
    }


def _card(embeddings: Embeddings, dtype: str, *, weighted: bool) -> str:
    made = embeddings.metadata
    mean = (
        "the mean of the vectors of its\nknown words, separated by white space, each multiplied by "
        "its weight (tensor `weights`)"
        if weighted
        else "the mean of the vectors of its\nknown words, separated by white space"
    )
    rows = [("words", f"{len(embeddings):,}"), ("dimensions", embeddings.dim), ("dtype", dtype)]
    corpus = made.get("corpus")
    if isinstance(corpus, Mapping) and "read" in corpus:
        rows.append(("tokens of text", f"{corpus['read']:,}"))
    settings = made.get("settings")
    rows += sorted(settings.items()) if isinstance(settings, Mapping) else []
    table = "\n".join(f"| {name} | {escaped(str(value))} |" for name, value in rows)
    return f"""---
library_name: model2vec
pipeline_tag: feature-extraction
tags:
- embeddings
- static-embeddings
- sentence-transformers
---

# Static word embeddings

Trained and exported by embed {__version__}. The vector of a text is {mean}.

```python
from model2vec import StaticModel
model = StaticModel.from_pretrained("this-directory")

from sentence_transformers import SentenceTransformer
model = SentenceTransformer("this-directory")

model.encode(["a sentence", "another one"])
```

| | |
|---|---|
{table}
"""


def _vectors(path: Path) -> Floats:
    """The vector of every token as Model2Vec adds it up, float32; mapped where it lies so."""
    header = safetensors.read_header(path)
    name = next((name for name in _TENSORS if name in header.tensors), None)
    if name is None:
        held = ", ".join(map(quoted, sorted(header.tensors))) or "none"
        raise FormatError(f"{path} has no tensor called {' or '.join(_TENSORS)} (it has {held})")
    arrays = safetensors.map_tensors(path, header)
    matrix = arrays[name]
    if matrix.ndim != 2 or matrix.dtype not in (np.float32, np.float16, np.int8, np.float64):
        raise FormatError(
            f"{path}: tensor {quoted(name)} is {matrix.dtype} {matrix.shape}, not (V, D)"
        )
    if _MAPPING in arrays:
        matrix = matrix[_rows_of_tokens(path, arrays[_MAPPING], matrix, header.file_size)]
    vectors = matrix.astype(np.float32, copy=False)
    if _WEIGHTS not in arrays:
        return vectors
    weights = arrays[_WEIGHTS]
    if weights.shape != (len(vectors),) or weights.dtype.kind != "f":
        raise FormatError(
            f"{path}: tensor {_WEIGHTS} is {weights.dtype} {weights.shape}, not one number for "
            f"each of {len(vectors)} tokens"
        )
    weighted: Floats = vectors * weights[:, None].astype(np.float32)
    return weighted


def _rows_of_tokens(
    path: Path, mapping: NDArray[Any], matrix: NDArray[Any], file_size: int
) -> NDArray[Any]:
    """Which row each token has, where the vocabulary is quantised."""
    if mapping.ndim != 1 or mapping.dtype.kind not in "iu":
        raise FormatError(
            f"{path}: tensor {_MAPPING} is {mapping.dtype} {mapping.shape}, not a row for each "
            "token"
        )
    if len(mapping) and not 0 <= mapping.min() <= mapping.max() < len(matrix):
        raise FormatError(f"{path}: tensor {_MAPPING} names rows beyond the {len(matrix)}")
    check_memory(str(path), 4 * len(mapping) * matrix.shape[1], file_size)
    return mapping


def _tokens(path: Path) -> list[str]:
    """The tokens of tokenizer.json by id."""
    try:
        described = json.loads(read_plain(path))
        model = described["model"]["vocab"]
        added = {
            token["content"]: int(token["id"]) for token in described.get("added_tokens") or ()
        }
        if isinstance(model, list):  # Unigram: [token, score]
            model = {token: i for i, (token, _) in enumerate(model)}
        by_id = {int(i): str(token) for token, i in (model | added).items()}
    except (
        OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError,
    ) as error:  # fmt: skip
        raise FormatError(f"{path} is no tokenizer that is understood: {error!r}") from error
    if sorted(by_id) != list(range(len(by_id))):
        raise FormatError(f"{path}: the ids of the tokens are not 0 to {len(by_id) - 1}")
    return [by_id[i] for i in range(len(by_id))]
