"""`embed subwords`: the parts of a word, and what they are near to."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from embedcli.cli.model_options import reading_options
from embedcli.cli.number_options import number_option, restrict_option
from embedcli.cli.options import json_option, model_option, verbosity_options
from embedcli.cli.output import echo_json, echo_rows
from embedcli.cli.unknown import asked_words
from embedcli.errors import InputError

if TYPE_CHECKING:
    from embedcli.embeddings import Embeddings
    from embedcli.settings.reading import ReadingOptions

__all__ = ["command"]


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="WORD...")
@model_option
@number_option("-k", default=5, text="Neighbours per subword.", least=0)
@restrict_option("Answer from the N most frequent words only")
@reading_options
@json_option
@verbosity_options
def command(
    words: tuple[str, ...],
    model: str,
    k: int,
    restrict: int | None,
    reading: ReadingOptions,
    as_json: bool,
) -> None:
    r"""Show the n-grams or pieces of each WORD and their neighbours; - reads words from stdin.

    \b
        embed subwords unhappiness -m model.safetensors
        embed subwords - -k 0 < words.txt

    The model must have subwords. The vector of a word is the mean of the rows of its subwords and,
    if it is in the vocabulary, of its own row, which is printed first. Columns: word, subword, id
    (bucket of the n-gram, or number of the piece), norm of the row, and the k words nearest to the
    row. n/a marks a subword without a row: no word of the vocabulary has it. --json prints a list
    with one object per word: word, in_vocabulary, and parts, a list of part, id, norm and
    neighbors.
    """
    import embedcli

    embeddings = embedcli.load(model, reading=reading)
    found = [(word, _parts(embeddings, model, word, k, restrict)) for word in asked_words(words)]
    if as_json:
        listed = [
            {"word": word, "in_vocabulary": word in embeddings.vocabulary, "parts": parts}
            for word, parts in found
        ]
        echo_json(listed)
        return
    header = ("word", "part", "id", "norm", "neighbours")
    rows = (
        (word, part["part"], part["id"], part["norm"], _named(part["neighbors"]))
        for word, parts in found
        for part in parts
    )
    echo_rows(rows, header if sys.stdout.isatty() else None)


def _parts(
    embeddings: Embeddings, model: str, word: str, k: int, restrict: int | None
) -> list[dict[str, Any]]:
    """The word's own row, if it has one, and its parts, in their order.

    Raises:
        InputError: the model has no subwords, or the word is no text.
    """
    import numpy as np

    from embedcli.lookup.query import neighbors_of_vectors
    from embedcli.vocabulary import Vocabulary

    subwords = embeddings.subwords
    if subwords is None:
        raise InputError(
            f"{model} has no subwords: train with --subword 3:6, or give fastText's .bin"
        )
    try:
        cut = subwords.units.cut(Vocabulary.from_words([word]))
    except UnicodeEncodeError as error:
        raise InputError("a word that is not UTF-8 has no subwords") from error
    texts, ids = subwords.units.texts(word), cut.ids.tolist()
    places = subwords.places(cut.ids).tolist()
    rows = [subwords.rows[place] if place >= 0 else None for place in places]
    own = embeddings.vocabulary.get(word)
    if own is not None:
        texts, ids, rows = [word, *texts], [None, *ids], [subwords.word_rows[own], *rows]
    there = [row for row in rows if row is not None]
    near = iter(
        neighbors_of_vectors(embeddings, np.array(there), k, restrict=restrict) if there else ()
    )
    parts = []
    for text, number, row in zip(texts, ids, rows, strict=True):
        found = None if row is None else [{"word": w, "cosine": c} for w, c in next(near)]
        norm = None if row is None else float(np.linalg.norm(row.astype(np.float64)))
        parts.append({"part": text, "id": number, "norm": norm, "neighbors": found})
    return parts


def _named(neighbors: list[dict[str, Any]] | None) -> str | None:
    return None if neighbors is None else " ".join(near["word"] for near in neighbors)
