"""`embed cluster`: word classes by k-means."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from embedcli.cli.model_options import reading_options
from embedcli.cli.number_options import number_option
from embedcli.cli.options import json_option, model_option, verbosity_options
from embedcli.cli.output import echo_json, echo_rows

if TYPE_CHECKING:
    from embedcli.settings.reading import ReadingOptions

__all__ = ["command"]


@click.command()
@model_option
@number_option("-k", default=100, text="Number of clusters.")
@click.option(
    "--top", type=click.IntRange(min=1), metavar="N", help="Cluster the N most frequent words only."
)
@click.option(
    "--summary",
    type=click.IntRange(min=1),
    metavar="N",
    help="Print one line per cluster: number, size and the N words nearest to its centre.",
)
@number_option("--seed", default=1, text="Seed of the first centres.", least=0)
@reading_options
@json_option
@verbosity_options
def command(
    model: str,
    reading: ReadingOptions,
    k: int,
    top: int | None,
    summary: int | None,
    seed: int,
    as_json: bool,
) -> None:
    r"""Cluster the words of a model by spherical k-means, as word2vec's -classes does.

    \b
        embed cluster -k 500 > classes.tsv
        embed cluster -k 50 --summary 8

    Columns: word, class, cosine to the centre of the class; in the order of the model. Class 0 is
    the largest. The same model and seed give the same classes.
    """
    import embedcli
    from embedcli.lookup.kmeans import classes

    embeddings = embedcli.load(model, reading=reading)
    if top is not None:
        embeddings = embeddings.head(top)
    belongs, cosines = classes(embeddings, k, seed=seed)
    words = embeddings.vocabulary.words
    terminal = sys.stdout.isatty()
    if summary is None:
        rows = list(zip(words, belongs.tolist(), cosines.tolist(), strict=True))
        if as_json:
            echo_json([{"word": w, "class": c, "cosine": x} for w, c, x in rows])
        else:
            echo_rows(rows, ("word", "class", "cosine") if terminal else None)
        return
    members: list[list[tuple[float, str]]] = [[] for _ in range(k)]
    for word, number, cosine in zip(words, belongs.tolist(), cosines.tolist(), strict=True):
        members[number].append((-cosine, word))
    best = [[word for _, word in sorted(each)[:summary]] for each in members]
    if as_json:
        sizes = [len(each) for each in members]
        echo_json([{"class": i, "size": n, "words": best[i]} for i, n in enumerate(sizes)])
    else:
        lines = ((i, len(each), " ".join(best[i])) for i, each in enumerate(members))
        echo_rows(lines, ("class", "size", "words") if terminal else None)
