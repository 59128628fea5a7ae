"""`embed verify`: check a file of vectors from its first byte to its last."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from embedcli.cli.model_options import reading_options
from embedcli.cli.options import json_option, verbosity_options
from embedcli.cli.output import echo_json, echo_rows

if TYPE_CHECKING:
    from embedcli.embeddings import Embeddings
    from embedcli.files.source import Source
    from embedcli.settings.reading import ReadingOptions

__all__ = ["command"]

_DIGEST: Final = "sha256 as written"


@click.command()
@click.argument("file")
@reading_options
@json_option
@verbosity_options
def command(file: str, reading: ReadingOptions, as_json: bool) -> None:
    r"""Check FILE, a file or directory in any format that embed reads, from first to last byte.

    FILE passes if all numbers are finite, all words are valid and unique, and nothing is missing or
    left over. embed's own files, checkpoints and steps must also match their digest. The exit code
    is 0 if FILE passes, else 3.

    \b
        embed verify model.safetensors && cp model.safetensors /backup
    """
    from embedcli.files.plain import is_directory
    from embedcli.files.source import Source

    if is_directory(file):
        facts = _verified_folder(file, reading)
    else:
        with Source(file) as source:
            facts = _verified(source, reading)
    if as_json:
        echo_json(facts)
    else:
        echo_rows((name, _text(value)) for name, value in facts.items() if value is not None)


def _verified_folder(path: str, reading: ReadingOptions) -> dict[str, Any]:
    from embedcli import formats
    from embedcli.formats.checks import check_savable

    name = reading.format or formats.detect(path)
    embeddings = formats.load(path, name, reading=reading)
    check_savable(embeddings, any_bytes=True)
    return {"file": path, "format": name, "sound": True} | _size(embeddings)


def _verified(source: Source, reading: ReadingOptions) -> dict[str, Any]:
    from embedcli import formats
    from embedcli.formats import native, vocab
    from embedcli.formats.checks import check_savable
    from embedcli.formats.detection import detect_format

    name = reading.format or detect_format(source)
    facts: dict[str, Any] = {"file": source.path, "format": name, "sound": True}
    if name == "vocab":
        return facts | {"words": len(vocab.read(source, reading))}
    metadata = _metadata(source) if name == "safetensors" else {}
    if "step" in metadata:
        return facts | _step(source.path)
    place = _checkpoint_place(source) if "checkpoint" in metadata else None
    if place == "before training":
        return facts | {"digest": _DIGEST, "checkpoint": place}
    digest = native.verify(source) if name == "safetensors" else None
    embeddings = formats.load_from(source, name, reading)
    if name != "safetensors":
        check_savable(embeddings, any_bytes=True)
    shown = None if digest is None else _DIGEST if digest else "none in the file"
    return facts | {"digest": shown, "checkpoint": place} | _size(embeddings)


def _metadata(source: Source) -> Mapping[str, str]:
    """What a safetensors file says of itself; nothing where it cannot be mapped."""
    from embedcli.files.safetensors import read_header

    return {} if source.size is None else read_header(source.path).metadata


def _step(path: str) -> dict[str, Any]:
    """What there is to say of a file that a step in shards left."""
    from embedcli.cluster.step_files import read_step  # loads numba, which models need not

    kind, stamp = read_step(path)
    return {"format": kind, "digest": _DIGEST, "shards": list(stamp.shards)}


def _checkpoint_place(source: Source) -> str:
    """Where the run of a checkpoint stood."""
    from embedcli.training.checkpoint import read_checkpoint  # loads numba, which models need not

    return read_checkpoint(Path(source.path)).place


def _size(embeddings: Embeddings) -> dict[str, int]:
    return {"words": len(embeddings), "dim": embeddings.dim}


def _text(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return "yes" if value is True else str(value)
