"""``model2vec``: the directory that Model2Vec and sentence-transformers load as a static model.

    model.safetensors         tensor ``embeddings``, F32, F16 or I8 (V + 1, D); row 0, [UNK], is 0
    tokenizer.json            WordLevel over white space, as Hugging Face tokenizers reads it
    config.json               for Model2Vec: no truncation, no normalisation
    modules.json              for sentence-transformers: one StaticEmbedding
    README.md                 the model card; one that somebody wrote or changed stays

`StaticModel.from_pretrained(dir)` and `SentenceTransformer(dir)` then encode a sentence as the mean
of its known words' vectors. int8 has one scale for the whole matrix, which neither library applies:
directions survive, lengths do not, and reading it here gives vectors of that other length. Counts
and output vectors are not kept. The tokenizer cuts text as the model's was cut, as far as it can
(`model2vec_rules.py`).

Reading takes any directory of this kind, Model2Vec's own included; its tokens are then the words.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from embedcli import __version__
from embedcli.embeddings import Embeddings
from embedcli.errors import FormatError
from embedcli.formats.checks import check_savable, check_words
from embedcli.formats.model2vec_rules import normalizer, pre_tokenizer
from embedcli.formats.narrow import row_blocks, to_float16
from embedcli.formats.rows import embeddings_of
from embedcli.quoting import quoted
from embedcli.reading import ReadingOptions
from embedcli.rules import TextRules
from embedcli.storage import safetensors
from embedcli.storage.folder import sealed
from embedcli.storage.publish import publish
from embedcli.vocabulary import Vocabulary

__all__ = ["FILES", "check", "read", "write"]

FILES: Final = ("model.safetensors", "tokenizer.json", "config.json", "modules.json", "README.md")
_UNKNOWN: Final = "[UNK]"
_TENSORS: Final = ("embeddings", "embedding.weight")
_MODULE: Final = "sentence_transformers.models.StaticEmbedding"


def check(vocabulary: Vocabulary) -> None:
    """Refuse words that could not be read back: `write` would."""
    check_words(vocabulary)
    if _UNKNOWN in vocabulary:
        raise FormatError(
            f"cannot save {_UNKNOWN!r} as model2vec: it is the name of what is unknown"
        )


def write(embeddings: Embeddings, folder: Path, dtype: str) -> None:
    """Write the files into the empty `folder`; `dtype` is ``float32``, ``float16`` or ``int8``.

    Raises:
        FormatError: the model has a word ``[UNK]``, or a number that is not finite.
    """
    check(embeddings.vocabulary)
    check_savable(embeddings)
    vectors = _narrowed(embeddings, dtype)
    rows = np.zeros((len(embeddings) + 1, embeddings.dim), vectors.dtype)
    rows[1:] = vectors
    with publish(folder / FILES[0]) as sink:
        safetensors.write(sink, {_TENSORS[0]: rows}, {"format": "np"})
    rules = TextRules.from_settings(embeddings.metadata.get("settings", {}))
    for name, content in (
        (FILES[1], _tokenizer(embeddings.vocabulary.words, rules)),
        (FILES[2], _config(embeddings.dim, dtype)),
        (FILES[3], [{"idx": 0, "name": "0", "path": ".", "type": _MODULE}]),
    ):
        with publish(folder / name) as sink:
            sink.write(json.dumps(content, ensure_ascii=False).encode() + b"\n")
    with publish(folder / FILES[4]) as sink:
        sink.write(sealed(_card(embeddings, dtype)))


def read(folder: Path, reading: ReadingOptions) -> Embeddings:
    """Read tokens and vectors; float32 vectors stay on the disk until they are used.

    Raises:
        FormatError: a file is damaged, or they do not belong together.
    """
    matrix = _matrix(folder / FILES[0])
    words = _tokens(folder / FILES[1])
    if len(words) != len(matrix):
        raise FormatError(f"{folder}: {len(matrix)} vectors, but {len(words)} tokens")
    vectors = matrix.astype(np.float32, copy=False)
    if words[0] == _UNKNOWN and not vectors[0].any():
        words, vectors = words[1:], vectors[1:]
    try:
        encoded = [word.encode() for word in words[: reading.limit]]
    except UnicodeEncodeError as error:
        what = quoted(str(error.object))
        raise FormatError(f"{folder / FILES[1]}: the token {what} is no text") from error
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
    vocabulary = {_UNKNOWN: 0} | {word: i for i, word in enumerate(words, 1)}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": normalizer(rules),
        "pre_tokenizer": pre_tokenizer(rules),
        "post_processor": None,
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": _UNKNOWN},
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


def _card(embeddings: Embeddings, dtype: str) -> str:
    made = embeddings.metadata
    rows = [("words", f"{len(embeddings):,}"), ("dimensions", embeddings.dim), ("dtype", dtype)]
    corpus = made.get("corpus")
    if isinstance(corpus, Mapping) and "read" in corpus:
        rows.append(("tokens of text", f"{corpus['read']:,}"))
    settings = made.get("settings")
    rows += sorted(settings.items()) if isinstance(settings, Mapping) else []
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    return f"""---
library_name: model2vec
pipeline_tag: feature-extraction
tags:
- embeddings
- static-embeddings
- sentence-transformers
---

# Static word embeddings

Trained and exported by embed {__version__}. The vector of a text is the mean of the vectors of its
known words, separated by white space.

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


def _matrix(path: Path) -> NDArray[Any]:
    header = safetensors.read_header(path)
    name = next((name for name in _TENSORS if name in header.tensors), None)
    if name is None:
        held = ", ".join(sorted(header.tensors)) or "none"
        raise FormatError(f"{path} has no tensor called {' or '.join(_TENSORS)} (it has {held})")
    if "mapping" in header.tensors:
        raise FormatError(
            f"{path} has a quantised vocabulary, whose tokens share vectors; not read"
        )
    matrix = safetensors.map_tensors(path, header)[name]
    if matrix.ndim != 2 or matrix.dtype not in (np.float32, np.float16, np.int8, np.float64):
        raise FormatError(f"{path}: tensor {name!r} is {matrix.dtype} {matrix.shape}, not (V, D)")
    return matrix


def _tokens(path: Path) -> list[str]:
    """The tokens of tokenizer.json by id."""
    try:
        described = json.loads(path.read_bytes())
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
