"""Writes fastText's binary model; `fasttext.py` reads it, and has its layout.

What fastText needs and embeddings may not have is zero: counts, output vectors, and the rows of
n-grams that no word has. Settings that nobody told are fastText's defaults. Embeddings with labels
are written as a classifier, whose labels begin with ``__label__`` there. GloVe's output vectors are
none that fastText could use: they are left out, which `left_out` says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np

from embedcli.embeddings import Embeddings
from embedcli.errors import FormatError
from embedcli.files.publish import Sink
from embedcli.formats.checks import check_savable, check_subwords, check_words
from embedcli.formats.fasttext import (
    ARGUMENTS,
    CBOW,
    ENTRY,
    HEADER,
    HS,
    LABEL_PREFIX,
    LOSSES,
    MAGIC,
    NS,
    SHAPE,
    SIZES,
    SKIPGRAM,
    SUPERVISED,
    VERSION,
    VERSIONS,
    Floats,
    has_ngrams,
)
from embedcli.formats.narrow import row_blocks
from embedcli.quoting import quoted
from embedcli.subwords.ngrams import NGrams
from embedcli.vocabulary import Vocabulary

__all__ = ["check", "check_units", "file_size", "left_out", "write"]

_BLOCK_BYTES: Final = 1 << 23
_LARGEST: Final = 2**31 - 1


def check(vocabulary: Vocabulary) -> None:
    """Refuse words that could not be read back: `write` would."""
    check_words(vocabulary, any_bytes=True)
    if (vocabulary.blob == 0).any():
        word = next(word for word in vocabulary if "\0" in word)
        raise FormatError(f"cannot save {quoted(word)} as fasttext: NUL ends a word there")


def check_units(kind: str) -> None:
    """Refuse subwords that are not character n-grams; `kind` as ``Units.described`` says it."""
    if kind != "ngrams":
        raise FormatError(
            f"cannot save subwords of the kind {kind} as fasttext, which has character n-grams "
            "only: safetensors keeps them, word2vec and others the words' vectors"
        )


def left_out(embeddings: Embeddings) -> list[str]:
    """What of these embeddings a file of this format does not hold, in words."""
    if _arch(embeddings) == "glove":
        return [
            "fastText knows no GloVe: the file says skip-gram with negative sampling, and its "
            "output vectors are zero"
        ]
    if embeddings.output_vectors is not None and _outputs(embeddings) is None:
        return [
            "the nodes of the tree are left out, for fastText makes its tree of counts that fall "
            "from word to word: output vectors are zero"
        ]
    return []


def write(embeddings: Embeddings, sink: Sink) -> None:
    """Write `embeddings`.

    Raises:
        FormatError: what could not be read back; or subwords that are not character n-grams.
    """
    check_savable(embeddings, any_bytes=True)
    check(embeddings.vocabulary)
    if embeddings.subwords is not None:
        check_units(embeddings.subwords.units.described()["kind"])
        check_subwords(embeddings)
    vocabulary, arguments = embeddings.vocabulary, _arguments(embeddings)
    labels = _labels(embeddings)
    version = _known(embeddings).get("version", VERSION)
    sink.write(HEADER.pack(MAGIC, version, *(arguments[name] for name in ARGUMENTS)))
    counts = vocabulary.counts
    tally = np.zeros(len(vocabulary), np.int64) if counts is None else counts
    n_tokens = _known(embeddings).get("ntokens", int(tally.sum()))
    size = len(vocabulary) + len(labels)
    sink.write(SIZES.pack(size, len(vocabulary), len(labels), n_tokens, -1))
    entries = [(word, n, 0) for word, n in zip(vocabulary.words, tally.tolist(), strict=True)]
    entries += [(label, n, 1) for label, n in labels]
    sink.write(
        b"".join(
            b"%b\0%b" % (word.encode(errors="surrogateescape"), ENTRY.pack(n, kind))
            for word, n, kind in entries
        )
    )
    for part, n_rows in ((_input_rows, len(vocabulary) + arguments["bucket"]),
                         (_output_rows, _n_outputs(embeddings))):  # fmt: skip
        sink.write(SHAPE.pack(False, n_rows, embeddings.dim))
        for block in part(embeddings):
            sink.write(block.astype("<f4").tobytes())


def file_size(embeddings: Embeddings) -> int:
    """How many bytes `write` will write."""
    labels = _labels(embeddings)
    n_rows = 2 * len(embeddings) + int(_arguments(embeddings)["bucket"])
    words = len(embeddings.vocabulary.blob) + sum(len(label.encode()) for label, _ in labels)
    words += (len(embeddings) + len(labels)) * (1 + ENTRY.size)
    if embeddings.labels is not None:
        n_rows += len(labels) - len(embeddings)
    return HEADER.size + SIZES.size + words + 2 * SHAPE.size + 4 * n_rows * embeddings.dim


def _known(embeddings: Embeddings) -> dict[str, Any]:
    """What a file of fastText's said of its training; what no such file could say is dropped."""
    known = embeddings.metadata.get("fasttext")
    if not isinstance(known, Mapping):
        return {}
    found: dict[str, Any] = {
        name: known[name]
        for name in ARGUMENTS
        if type(known.get(name)) is int and abs(known[name]) <= _LARGEST
    }
    if type(known.get("t")) is float:
        found["t"] = known["t"]
    if known.get("version") in VERSIONS:
        found["version"] = int(known["version"])
    if type(known.get("ntokens")) is int and 0 <= known["ntokens"] < 1 << 63:
        found["ntokens"] = known["ntokens"]
    labels = known.get("labels")
    if isinstance(labels, list) and all(map(_is_label, labels)):
        found["labels"] = labels
    return found


def _is_label(entry: object) -> bool:
    if not isinstance(entry, list) or len(entry) != 2:
        return False
    label, count = entry
    return isinstance(label, str) and type(count) is int and 0 <= count < 1 << 63


def _settings(embeddings: Embeddings) -> Mapping[str, Any]:
    settings = embeddings.metadata.get("settings")
    return settings if isinstance(settings, Mapping) else {}


def _arch(embeddings: Embeddings) -> Any:
    return _settings(embeddings).get("arch")


def _labels(embeddings: Embeddings) -> list[tuple[str, int]]:
    labels = embeddings.labels
    if labels is not None:
        counts = [0] * len(labels) if labels.counts is None else labels.counts.tolist()
        return list(zip(map(_prefixed, labels.words), counts, strict=True))
    return [(label, count) for label, count in _known(embeddings).get("labels", ())]


def _prefixed(label: str) -> str:
    """A label as fastText knows it for one."""
    if "\0" in label:
        raise FormatError(f"cannot save the label {quoted(label)} as fasttext: NUL ends one there")
    return label if label.startswith(LABEL_PREFIX) else LABEL_PREFIX + label


def _n_outputs(embeddings: Embeddings) -> int:
    return len(embeddings if embeddings.labels is None else embeddings.labels)


def _arguments(embeddings: Embeddings) -> dict[str, Any]:
    """What fastText calls the settings; those nobody told are its defaults."""
    settings, known = _settings(embeddings), _known(embeddings)
    names = {"ws": "window", "epoch": "epochs", "minCount": "min_count", "neg": "negative"}
    values: dict[str, Any] = {"ws": 5, "epoch": 5, "minCount": 5, "neg": 5, "wordNgrams": 1}
    values |= {"loss": HS if settings.get("loss") == "hs" else NS, "lrUpdateRate": 100}
    values |= {
        ours: _int32(settings[theirs])
        for ours, theirs in names.items()
        if settings.get(theirs) is not None
    }
    if settings.get("window") is None and settings.get("items"):
        values["ws"] = _LARGEST  # the whole line
    sample = settings.get("sample")
    values["t"] = float(sample) if isinstance(sample, (int, float)) else 1e-4
    values["model"] = CBOW if settings.get("arch") == "cbow" else SKIPGRAM
    values |= {name: known[name] for name in ARGUMENTS if name in known}
    if embeddings.labels is not None:
        loss = {name: number for number, name in LOSSES.items()}[settings["loss"]]
        words = int(settings.get("word_ngrams", 1))
        values |= {"model": SUPERVISED, "loss": loss, "wordNgrams": words}
    values |= {"dim": embeddings.dim, "bucket": 0}
    units = embeddings.subwords.units if embeddings.subwords is not None else None
    if isinstance(units, NGrams):
        shortest = values.get("minn", units.shortest)
        same = max(1, shortest) == units.shortest  # fastText takes 0 for 1
        return values | {
            "minn": shortest if same else units.shortest,
            "maxn": units.longest,
            "bucket": units.buckets,
        }
    if "maxn" not in values or has_ngrams(values):
        values |= {"minn": 0, "maxn": 0}
    return values


def _int32(value: Any) -> int:
    """A setting as the file has room for it; a window that is the whole line is the largest."""
    return max(0, min(value, _LARGEST)) if isinstance(value, int) else _LARGEST


def _input_rows(embeddings: Embeddings) -> Iterator[Floats]:
    """The rows of the words, then those of all buckets, zero where there is none."""
    subwords = embeddings.subwords
    own = embeddings.vectors if subwords is None else subwords.word_rows
    yield from (own[rows] for rows in row_blocks(own))
    if subwords is None:
        return
    step = max(1, _BLOCK_BYTES // (4 * embeddings.dim))
    for start in range(0, subwords.units.count, step):
        stop = min(start + step, subwords.units.count)
        first, last = np.searchsorted(subwords.ids, (start, stop)).tolist()
        block = np.zeros((stop - start, embeddings.dim), np.float32)
        block[subwords.ids[first:last] - start] = subwords.rows[first:last]
        yield block


def _outputs(embeddings: Embeddings) -> Floats | None:
    """The output vectors that fastText would read as what they are."""
    output, counts = embeddings.output_vectors, embeddings.vocabulary.counts
    if output is None or _arch(embeddings) == "glove":
        return None
    if embeddings.outputs_are_nodes and counts is not None and (counts[1:] > counts[:-1]).any():
        return None
    return output


def _output_rows(embeddings: Embeddings) -> Iterator[Floats]:
    """What is the code 0 here and in word2vec.c is 1 in fastText: nodes have the other sign."""
    output = _outputs(embeddings)
    if embeddings.labels is not None and output is not None:
        yield from (output[rows] for rows in row_blocks(output))
        return
    for rows in row_blocks(embeddings.vectors):
        if output is None:
            yield np.zeros(embeddings.vectors[rows].shape, np.float32)
        else:
            yield -output[rows] if embeddings.outputs_are_nodes else output[rows]
