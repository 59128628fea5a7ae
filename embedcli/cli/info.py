"""`embed info`: the format of a vector file, and how it was trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from embedcli.cli.model_options import reading_options
from embedcli.cli.options import DEFAULT_MODEL, json_option, verbosity_options
from embedcli.cli.output import echo_json, echo_rows

if TYPE_CHECKING:
    from embedcli.embeddings import Embeddings
    from embedcli.files.source import Source
    from embedcli.settings.reading import ReadingOptions
    from embedcli.vocabulary import Vocabulary

__all__ = ["command"]

_SHOWN_WORDS = 10


@click.command()
@click.argument("model", default=DEFAULT_MODEL, envvar="EMBED_MODEL")
@reading_options
@json_option
@verbosity_options
def command(model: str, reading: ReadingOptions, as_json: bool) -> None:
    r"""Describe MODEL: its format and size and, where the file stores it, how it was trained.

    \b
        embed info model.safetensors
        embed info GoogleNews-vectors-negative300.bin.gz --json

    MODEL is a file or directory in any format that embed reads, or a vocabulary file. Invalid words
    or numbers are errors. `embed verify` also compares the digest.
    """
    from embedcli.files.plain import is_directory
    from embedcli.files.source import Source

    if is_directory(model):
        facts = _folder_facts(Path(model), reading)
    else:
        with Source(model) as source:
            facts = _facts(source, reading)
    if as_json:
        echo_json(facts)
    else:
        echo_rows(_rows(facts))


def _facts(source: Source, reading: ReadingOptions) -> dict[str, Any]:
    """What is known of the file, as JSON; None for what it does not tell."""
    from embedcli import formats
    from embedcli.formats import native
    from embedcli.formats.detection import detect_format

    name = reading.format or detect_format(source)
    facts: dict[str, Any] = {
        "file": source.path,
        "format": name,
        "compression": source.compression,
        "bytes": source.stored_bytes,
    }
    if name == "vocab":
        return facts | _vocabulary_facts(formats.vocab.read(source, reading))
    embeddings = formats.load_from(source, name, reading)
    if name == "safetensors":
        native.check_sound(source.path, embeddings)
    return facts | _vector_facts(embeddings)


def _folder_facts(path: Path, reading: ReadingOptions) -> dict[str, Any]:
    from embedcli import formats

    facts: dict[str, Any] = {
        "file": str(path),
        "format": reading.format or formats.detect(path),
        "compression": None,
        "bytes": sum(file.stat().st_size for file in path.iterdir() if file.is_file()),
    }
    return facts | _vector_facts(formats.load(path, reading=reading))


def _vocabulary_facts(vocabulary: Vocabulary) -> dict[str, Any]:
    counts = vocabulary.counts
    return {
        "words": len(vocabulary),
        "tokens": None if counts is None else int(counts.sum()),
        "first_words": [vocabulary[i] for i in range(min(_SHOWN_WORDS, len(vocabulary)))],
    }


def _first(words: Vocabulary | None) -> list[str] | None:
    return None if words is None else [words[i] for i in range(min(_SHOWN_WORDS, len(words)))]


def _vector_facts(embeddings: Embeddings) -> dict[str, Any]:
    norms = embeddings.norms
    return _vocabulary_facts(embeddings.vocabulary) | {
        "dim": embeddings.dim,
        "output_vectors": embeddings.output_vectors is not None,
        "labels": None if embeddings.labels is None else len(embeddings.labels),
        "first_labels": _first(embeddings.labels),
        "subwords": _subword_facts(embeddings),
        "norms": {
            "min": float(norms.min()),
            "mean": float(norms.mean(dtype="f8")),
            "max": float(norms.max()),
        },
        "metadata": dict(embeddings.metadata),
    }


def _subword_facts(embeddings: Embeddings) -> dict[str, Any] | None:
    if embeddings.subwords is None:
        return None
    return embeddings.subwords.units.described() | {"rows": len(embeddings.subwords.rows)}


def _rows(facts: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Turn nested facts into rows: ``settings.dim  100``; what is not known is left out."""
    for name, value in facts.items():
        label = name if name == "metadata" else prefix + name
        if isinstance(value, Mapping):
            yield from _rows(value, "" if name == "metadata" else f"{label}.")
        elif value is not None:
            yield label, _text(value)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return " ".join(map(_text, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)
