"""`embed export`: convert vectors between file formats, and make them smaller."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from embedcli.cli.model_options import reading_options
from embedcli.cli.options import json_option, verbosity_options
from embedcli.cli.output import echo_json, talk
from embedcli.cli.parameter_files import keep_apart
from embedcli.errors import UsageError

if TYPE_CHECKING:
    from embedcli.embeddings import Embeddings
    from embedcli.settings.reading import ReadingOptions

__all__ = ["command"]


@click.command()
@click.argument("model")
@click.argument("out")
@click.option("--format", "to", metavar="F", help="Format of OUT; by default its suffix decides.")
@click.option("--top", type=click.IntRange(min=1), metavar="N", help="Keep the first N words only.")
@click.option(
    "--dim", type=click.IntRange(min=1), metavar="N", help="Reduce to N dimensions by PCA."
)
@click.option(
    "--dtype",
    type=click.Choice(["float32", "float16", "int8"]),
    default="float32",
    show_default=True,
    help="Type of the stored numbers: safetensors and model2vec; float16 also npy and parquet.",
)
@click.option(
    "--pq",
    type=click.IntRange(min=1),
    metavar="N",
    help="Safetensors: product quantisation to N bytes per word (pip install 'embedcli[ann]').",
)
@click.option(
    "--weights",
    type=click.Choice(["sif"]),
    help="Model2vec: store SIF weights, so that means of words are weighted.",
)
@click.option(
    "--evaluate",
    "files",
    multiple=True,
    metavar="FILE",
    help="Also print the scores on FILE before and after, as `embed evaluate`; may be repeated.",
)
@reading_options
@json_option
@verbosity_options
def command(
    model: str,
    out: str,
    to: str | None,
    top: int | None,
    dim: int | None,
    dtype: str,
    pq: int | None,
    weights: str | None,
    files: tuple[str, ...],
    reading: ReadingOptions,
    as_json: bool,
) -> None:
    r"""Convert MODEL, a file or directory in any format that embed reads, to OUT.

    \b
        embed export model.safetensors model.bin
        embed export model.safetensors small.model2vec --top 50000 --dim 64 --dtype int8
        embed export model.safetensors smallest.safetensors --pq 25

    File formats: safetensors (embed's own, the only one that keeps the settings), word2vec,
    word2vec-bin, glove, fasttext (keeps output vectors and subwords, as safetensors does), parquet,
    sqlite, and vocab (words and counts only). Directory formats: model2vec (also for
    sentence-transformers), npy and projector.

    The suffix of OUT decides: .safetensors, .vec or .txt, .bin, .glove.txt, .fasttext.bin,
    .parquet, .sqlite, .vocab; .model2vec, .npydir, .projector. --format overrides it. OUT may be -
    for standard output; --format is then required.

    embed measures what --dim, --dtype and --pq cost: how many of the 10 nearest neighbours of 1,000
    words stay the same and, with --evaluate, the scores. --json prints that as one object.
    """
    from embedcli import formats
    from embedcli.formats.narrow import widened
    from embedcli.lookup.faiss_library import load_faiss
    from embedcli.spaces.reduction import reduce_dim
    from embedcli.spaces.sentences import word_weights

    target = to or _format_of(out)
    if target not in formats.WRITTEN:
        raise UsageError(f"there is no format {target!r}; there are {', '.join(formats.WRITTEN)}")
    keep_apart([out], [model, *files])
    if pq is not None:
        if dtype != "float32":
            raise UsageError(f"--dtype {dtype} and --pq {pq} both say what to store: give one")
        load_faiss("product quantisation")
        dtype = f"pq-{pq}"
    formats.check_target(out, target, dtype, weighted=weights is not None)
    if as_json and out == "-":
        raise UsageError("--json and OUT cannot both be standard output")
    original = formats.load(model, reading=reading)
    embeddings = original if top is None else original.head(top)
    formats.check_contents(target, embeddings.vocabulary)
    kept, each = None, None
    if weights is not None:  # shares of the whole vocabulary, as `embed vectors` takes them
        each = word_weights(original, weights)[: len(embeddings)]
    if dim is not None:
        embeddings, kept = reduce_dim(embeddings, dim)
    formats.save(embeddings, out, target, dtype=dtype, weights=each)
    facts: dict[str, Any] = {
        "file": out,
        "format": target,
        "words": len(embeddings),
        "dim": embeddings.dim,
        "dtype": dtype,
    }
    talk(f"{out}: {len(embeddings)} words x {embeddings.dim}, {target}{_narrow(dtype)}")
    for lack in formats.left_out(embeddings, target, dtype):
        talk(f"{out}: {lack}")
    if original.labels is not None and embeddings.labels is None:  # fewer dimensions
        talk(f"{out}: without the labels of the classifier: it predicts none")
    if original.outputs_are_nodes and len(embeddings) < len(original):
        talk(f"{out}: without output vectors, which are of a tree over all {len(original)} words")
    if dim is not None or dtype != "float32" or files:
        stored = dtype != "float32" and out != "-"
        smaller = formats.load(out, target) if stored else widened(embeddings, dtype)
        facts |= _losses(original, smaller, kept, files)
    if as_json:
        echo_json(facts)


def _losses(
    original: Embeddings, smaller: Embeddings, kept: float | None, files: Sequence[str]
) -> dict[str, Any]:
    """What was lost, measured and said: numbers by name."""
    from embedcli.spaces.overlap import SAMPLE, overlap

    facts: dict[str, Any] = {"neighbors_kept": overlap(original, smaller)}
    if kept is not None:
        facts["sum_of_squares_kept"] = kept
        talk(f"{original.dim} to {smaller.dim} dimensions: {kept:.1%} of the sum of squares kept")
    if facts["neighbors_kept"] is not None:
        asked = min(SAMPLE, len(smaller))
        talk(f"neighbours kept: {facts['neighbors_kept']:.1%} of the 10 nearest of {asked:,} words")
    if files:
        facts["scores"] = _scores(original, smaller, files)
    return facts


def _scores(
    original: Embeddings, smaller: Embeddings, files: Sequence[str]
) -> list[dict[str, Any]]:
    from embedcli.evaluation import evaluate

    before, after = (evaluate(each, files, bootstrap=0) for each in (original, smaller))
    scores = []
    for old, new in zip(before, after, strict=True):
        scores.append({"file": old.path, "before": old.score, "after": new.score})
        talk(f"{old.path}: {_number(old.score)} before, {_number(new.score)} after")
    talk(before[0].protocol_line, at=1)
    return scores


def _number(score: float | None) -> str:
    return "n/a" if score is None else f"{score:.2f}"


def _narrow(dtype: str) -> str:
    return "" if dtype == "float32" else f", {dtype}"


def _format_of(out: str) -> str:
    from embedcli import formats

    if out == "-":
        raise UsageError("standard output has no suffix: give --format")
    return formats.format_for_path(out)
