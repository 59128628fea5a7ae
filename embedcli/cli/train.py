"""`embed train`: text in, models out."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from embedcli.cli.options import json_option, train_options, verbosity_options
from embedcli.cli.output import echo_json, talk, warn
from embedcli.cli.progress import show_progress
from embedcli.config import TrainConfig
from embedcli.errors import UsageError

if TYPE_CHECKING:
    from embedcli.embeddings import Embeddings
    from embedcli.vocabulary import Vocabulary

__all__ = ["command"]


@click.command(short_help="Train embeddings from text.")
@click.argument("corpus", nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    "outputs",
    multiple=True,
    metavar="FILE",
    help="Where to write; may be given several times.  [default: model.safetensors]",
)
@click.option("--format", "to", metavar="F", help="Write this format, whatever the suffix.")
@click.option(
    "--vocab",
    "vocab_file",
    metavar="FILE",
    help="Train the words of this file (`embed vocab -o FILE`), whatever --min-count says.",
)
@train_options
@json_option
@verbosity_options
def command(
    corpus: tuple[str, ...],
    outputs: tuple[str, ...],
    to: str | None,
    vocab_file: str | None,
    config: TrainConfig,
    as_json: bool,
) -> None:
    r"""Train a vector for each word of CORPUS: files, globs, directories, or - for standard input.

    One sentence or document a line, words separated by white space; plain, gzip, bzip2, xz or zstd.
    Skip-gram or CBOW with negative sampling, on all cores:

    \b
        embed train corpus.txt
        embed neighbors cat

    -o decides the format by its suffix: .safetensors (embed's own, keeps everything), .vec or .txt
    (word2vec text), .bin (word2vec binary), .glove.txt.

    CBOW gives each context word the whole gradient, as word2vec and gensim do, unless
    --cbow-gradient divided; the default and its learning rate are the ones that scored best
    (docs/training.md). --json prints what the model file says of the run.
    """
    from embedcli import formats
    from embedcli.formats.vocab import read_vocab
    from embedcli.training.trainer import train

    began = time.perf_counter()
    outputs = outputs or ("model.safetensors",)
    targets = _targets(outputs, to)
    _check_outputs(outputs, [*corpus, *([vocab_file] if vocab_file else [])])
    vocabulary = read_vocab(vocab_file) if vocab_file else None
    with show_progress() as on_progress:
        embeddings = train(
            corpus,
            config,
            vocabulary=vocabulary,
            scratch=_scratch_directory(outputs[0]),
            on_progress=on_progress,
        )
    _warn_of_few_words(embeddings.vocabulary, config)
    for output, name in targets:
        formats.save(embeddings, output, name)
    _summarise(embeddings, outputs, time.perf_counter() - began)
    if as_json:
        echo_json(dict(embeddings.metadata))


def _targets(outputs: Sequence[str], to: str | None) -> list[tuple[str, str]]:
    """Each output and its format, the native one first: what was trained is safe before exports."""
    from embedcli import formats

    if to is not None and to not in formats.FORMATS:
        raise UsageError(f"there is no format {to!r}; there are {', '.join(formats.FORMATS)}")
    named = [(output, to or formats.format_for_path(output)) for output in outputs]
    return sorted(named, key=lambda target: target[1] != "safetensors")


def _check_outputs(outputs: Sequence[str], inputs: Sequence[str]) -> None:
    """Find out before the work what would fail after it."""
    from embedcli.storage.publish import check_writable

    for output in outputs:
        for given in inputs:
            if Path(given).is_file() and Path(output).exists() and Path(given).samefile(output):
                raise UsageError(f"{output} is both input and output: name another file with -o")
        check_writable(output, stdout=True)


def _scratch_directory(output: str) -> str | None:
    """The encoded corpus goes beside the model: /tmp is often memory. TMPDIR wins."""
    if os.environ.get("TMPDIR") or not _is_plain(output):
        return None
    return str(Path(output).resolve().parent)


def _is_plain(output: str) -> bool:
    return output != "-" and (not Path(output).exists() or Path(output).is_file())


def _warn_of_few_words(vocabulary: Vocabulary, config: TrainConfig) -> None:
    if config.negative >= len(vocabulary):
        warn(
            f"--negative {config.negative} needs more than {config.negative} words, but the "
            f"vocabulary has {len(vocabulary)}: {len(vocabulary) - 1} were used"
        )


def _summarise(embeddings: Embeddings, outputs: Sequence[str], seconds: float) -> None:
    """What became of every token, how well it was learnt, and how fast."""
    meta: Mapping[str, Any] = embeddings.metadata
    corpus, epochs, timings = meta["corpus"], meta["epochs"], meta["timings"]
    rate = corpus["read"] * len(epochs) / max(1e-9, timings["training"])
    talk(
        f"read {corpus['read']:,} tokens = {corpus['kept']:,} in the vocabulary + "
        f"{corpus['oov']:,} out of it + {corpus['too_long']:,} too long"
    )
    for number, epoch in enumerate(epochs, 1):
        alone = f" + {epoch['alone']:,} alone in their line" if epoch["alone"] else ""
        talk(
            f"epoch {number}: {epoch['tokens']:,} = {epoch['trained']:,} trained + "
            f"{epoch['subsampled']:,} subsampled{alone}; loss {epoch['loss']:.4f}"
        )
    talk(
        f"{', '.join(outputs)}: {len(embeddings):,} words x {embeddings.dim} in {seconds:.1f} s "
        f"({timings['reading']:.1f} s reading, {timings['training']:.1f} s training at "
        f"{rate:,.0f} words/s)"
    )
