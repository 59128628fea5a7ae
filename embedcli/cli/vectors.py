"""`embed vectors`: the vectors themselves, of words or of whole texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from embedcli.cli.model_options import reading_options
from embedcli.cli.options import (
    json_option,
    model_option,
    text_encoding_option,
    verbosity_options,
)
from embedcli.cli.output import echo, echo_json, for_cell, talk
from embedcli.cli.parameter_files import keep_apart
from embedcli.cli.unknown import (
    asked_words,
    check_stdin,
    fallback_options,
    report_unknown,
    say_answered,
)
from embedcli.errors import UnknownWordError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from embedcli.embeddings import Embeddings
    from embedcli.lookup.out_of_vocabulary import Fallbacks
    from embedcli.settings.reading import ReadingOptions
    from embedcli.spaces.sentences import Averager

    Floats = NDArray[np.float32]

__all__ = ["command"]


@click.command()
@click.argument("words", nargs=-1, metavar="[WORD]...")
@model_option
@click.option(
    "--sentences",
    is_flag=True,
    help="Print one vector per line of stdin, made of the vectors of its words.",
)
@click.option(
    "--weighting",
    type=click.Choice(["mean", "sif"]),
    default="mean",
    show_default=True,
    help="mean: all words equally. sif: rare words more, minus the common component of all lines.",
)
@click.option(
    "--unit-words",
    is_flag=True,
    help="--sentences: first scale the vectors of words to length 1, as fastText and gensim do.",
)
@click.option("--unit", is_flag=True, help="Scale every vector to length 1.")
@click.option("-o", "--output", metavar="FILE.npy", help="Write a NumPy array instead of printing.")
@text_encoding_option
@fallback_options
@reading_options
@json_option
@verbosity_options
def command(
    words: tuple[str, ...],
    model: str,
    sentences: bool,
    weighting: str,
    unit_words: bool,
    unit: bool,
    output: str | None,
    text_encoding: str | None,
    fallbacks: Fallbacks,
    reading: ReadingOptions,
    as_json: bool,
) -> None:
    r"""Print the vector of each WORD or, with --sentences, of each line of stdin.

    \b
        embed vectors king queen
        embed vectors --sentences < reviews.txt > reviews.tsv
        embed vectors --sentences --weighting sif -o reviews.npy < reviews.txt

    Words: one line per word, with the word and its D numbers, tab-separated; - reads words from
    stdin, one per line. A word that is not in the vocabulary is looked up by its subwords, another
    spelling of its case or <unk>, and a message on stderr says so. A word that is still unknown is
    an error on stderr; the others are printed, and the exit code is 3. -o writes nothing in that
    case, because the rows of an array have no names.

    Sentences: D numbers per line, tab-separated, in the order of stdin. A line is cut into words by
    the settings that the model was trained with. Its vector is the mean of the vectors of its
    words, or zeros if no word is known. sif (Arora et al. 2017) reads all lines before it prints
    the first.
    """
    import embedcli

    if sentences and words:
        raise UsageError("--sentences reads stdin: give no WORD")
    if not sentences and weighting != "mean":
        raise UsageError(f"--weighting {weighting} is for --sentences")
    if not sentences and unit_words:
        raise UsageError(
            "--unit-words is for --sentences; --unit scales the vectors that are shown"
        )
    if not sentences and text_encoding is not None:
        raise UsageError("--text-encoding is for --sentences")
    if not sentences and not words:
        raise UsageError("give a WORD, - to read words from stdin, or --sentences")
    if output is not None:
        keep_apart([output], [model, *(["-"] if sentences or "-" in words else [])])
        _check_output(output)
    embeddings = embedcli.load(model, reading=reading)
    if sentences:
        from embedcli.spaces.sentences import Averager

        names: Sequence[str] = ()
        averager = Averager(embeddings, weighting, fallbacks=fallbacks, unit=unit_words)
        blocks = _sentence_blocks(embeddings, averager, text_encoding, unit)
        missing: list[str] = []
    else:
        names, vectors, missing = _word_rows(embeddings, words, fallbacks)
        blocks = iter([_scaled(vectors, unit)])
    if output is not None:
        if not missing:
            _write(output, blocks, embeddings.dim)
    elif as_json:
        echo_json(_as_json(names, blocks))
    else:
        _print(names, blocks)
    if missing:
        report_unknown(embeddings, missing)
        click.get_current_context().exit(UnknownWordError.exit_code)


def _word_rows(
    embeddings: Embeddings, words: Sequence[str], fallbacks: Fallbacks
) -> tuple[list[str], Floats, list[str]]:
    """The words that are known, their vectors, and the words that are not."""
    from embedcli.lookup.out_of_vocabulary import resolve

    asked = asked_words(words)
    resolved = resolve(embeddings, asked, fallbacks)
    say_answered(resolved.answered())
    known = [i for i, source in enumerate(resolved.sources) if source is not None]
    missing = [word for word, source in zip(asked, resolved.sources, strict=True) if source is None]
    return [asked[i] for i in known], resolved.vectors[known], missing


def _sentence_blocks(
    embeddings: Embeddings, averager: Averager, text_encoding: str | None, unit: bool
) -> Iterator[Floats]:
    import numpy as np

    from embedcli.spaces.sentences import remove_common
    from embedcli.text.single import single_lines

    check_stdin()
    blocks = averager.batches(single_lines("-", text_encoding))
    if averager.weighting == "sif":
        whole = [np.empty((0, embeddings.dim), np.float32), *blocks]
        blocks = iter([remove_common(np.concatenate(whole))])
    for block in blocks:
        yield _scaled(block, unit)
    talk(
        f"{averager.texts:,} texts, {averager.empty:,} of them without a known word; "
        f"{averager.tokens:,} words, {averager.unknown:,} of them unknown"
        + "".join(f", {n:,} answered by {source}" for source, n in averager.answered_by.items())
        + ("; words scaled to length 1" if averager.unit else "")
    )


def _scaled(vectors: Floats, unit: bool) -> Floats:
    import numpy as np

    if not unit:
        return vectors
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    scaled: Floats = np.divide(vectors, norms, out=np.zeros(vectors.shape), where=norms > 0).astype(
        np.float32
    )
    return scaled


def _print(names: Sequence[str], blocks: Iterator[Floats]) -> None:
    from embedcli.formats.decimals import format_rows

    for block in blocks:
        if not len(block):
            continue
        for i, row in enumerate(format_rows(block)):
            numbers = row.decode().replace(" ", "\t")
            echo(f"{for_cell(names[i])}\t{numbers}" if names else numbers)


def _as_json(names: Sequence[str], blocks: Iterator[Floats]) -> list[Any]:
    rows = [row for block in blocks for row in block.tolist()]
    if not names:
        return rows
    return [{"word": word, "vector": row} for word, row in zip(names, rows, strict=True)]


def _check_output(output: str) -> None:
    from embedcli.files.publish import check_writable

    if not output.endswith(".npy"):
        raise UsageError(f"-o writes a NumPy array: {output} should end in .npy")
    check_writable(output)


def _write(output: str, blocks: Iterator[Floats], dim: int) -> None:
    import numpy as np

    from embedcli.formats.npy import write_array

    vectors = np.concatenate([np.empty((0, dim), np.float32), *blocks])
    write_array(output, vectors)
    talk(f"{output}: {len(vectors):,} x {dim}, float32")
